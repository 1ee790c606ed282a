"""POC's published sets: a difference and labels per edited frame, whose name says the object.

::

    leftImg8bit/<split>/<city>/<frame>_leftImg8bit_A-good-photo-of-a-<object-with-dashes>_<seed>.npz
    gtFine/<split>/<city>/<the same name>.png
    rgb_anon_trainvaltest/.../<frame>_rgb_anon_<the rest>.npz        (ACDC), labels under gt_trainval/ and gt/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from poc_aug.datasets.file_pairing import find_files, folder_at
from poc_aug.errors import ImportFilesError
from poc_aug.importing.base_names import BaseNames
from poc_aug.importing.edited_pairs import EditedPair, EditedPairs, check_found, numbered
from poc_aug.importing.imported_classes import ImportedClasses
from poc_aug.recipe import ObjectSpec

_NAME = re.compile(r"(?P<frame>.+)_(?:leftImg8bit|rgb_anon)_(?P<prompt>.+)_(?P<seed>[0-9]+)")
_PROMPT = re.compile(r"A-good-photo-of-(?P<object>.+)", re.IGNORECASE)
_IMAGES = {
    "leftImg8bit": ("gtFine",),
    "rgb_anon_trainvaltest": ("gt_trainval", "gt"),
    "rgb_anon": ("gt", "gt_trainval"),
}
"""Folders of images, and those of their labels."""


def poc_release_pairs(root: str | Path, keys: Sequence[str], classes: ImportedClasses) -> EditedPairs:
    """The edited frames of a set in POC's published layout.

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``, or ACDC's.
        keys: keys of the base dataset's samples.
        classes: the objects that may be named.

    Raises:
        ImportFilesError: no such folder, or no file of such a name in it.
        DatasetError: a folder that may not be listed.
    """
    folder = folder_at(root)
    names = BaseNames(keys)
    pairs: list[EditedPair] = []
    problems: list[tuple[str, str]] = []
    for top in _IMAGES:
        for path in find_files(folder, f"{top}/**/*.npz"):
            try:
                pairs.append(_pair(folder, path, names, classes))
            except ImportFilesError as error:
                problems.append((path, error.problem))
    listing = EditedPairs("poc", folder.resolve().name, numbered(pairs), tuple(problems))
    return check_found(
        listing,
        "leftImg8bit/train/aachen/FRAME_leftImg8bit_A-good-photo-of-a-OBJECT_SEED.npz",
        folder,
        "pass the folder that holds leftImg8bit and gtFine, or read other layouts with matched_pairs",
        "give the folder that holds leftImg8bit and gtFine; for edited pictures, --layout pairs",
    )


def _pair(folder: Path, path: str, names: BaseNames, classes: ImportedClasses) -> EditedPair:
    file = Path(path)
    match = _NAME.fullmatch(file.stem)
    prompt = _PROMPT.fullmatch(match["prompt"]) if match else None
    if match is None or prompt is None:
        raise ImportFilesError(f"{path!r} is not FRAME_leftImg8bit_A-good-photo-of-a-OBJECT_SEED.npz")
    spec = _object(path, prompt["object"], classes)
    key = names.key_of((file.parent / match["frame"]).as_posix(), exact=True)
    return EditedPair(key, path, folder / path, _labels(folder, file), spec)


def _object(path: str, text: str, classes: ImportedClasses) -> ObjectSpec:
    spec = classes.object_called(text)
    if spec is None:
        known = [one.name for one in classes.objects]
        close = get_close_matches(text.replace("-", " "), known, n=2)
        raise ImportFilesError(
            f"{path!r}: its name says {text.replace('-', ' ')!r}, which is none of the {len(known)} objects"
            + (f"; similar: {', '.join(close)}" if close else ""),
        )
    return spec


def _labels(folder: Path, image: Path) -> Path:
    """The label map of the same path and name under the folder of labels; its first place if there is none."""
    top, *rest = image.with_suffix(".png").parts
    inner = rest[1:] if rest[0] in ("rgb_anon", "gt") else rest
    places = [folder.joinpath(name, *middle, *inner) for name in _IMAGES[top] for middle in ((), ("gt",))]
    return next((place for place in places if place.exists()), places[0])
