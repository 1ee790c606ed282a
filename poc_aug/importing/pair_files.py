"""Edited pictures and their label maps, paired with base frames by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poc_aug.datasets.file_pairing import folder_at, pair_by_wildcards
from poc_aug.errors import DatasetError, ImportFilesError
from poc_aug.importing.base_names import BaseNames
from poc_aug.importing.edited_pairs import EditedPair, EditedPairs, check_found, numbered


def matched_pairs(root: str | Path, images: str, labels: str, keys: Sequence[str]) -> EditedPairs:
    """Edited frames of which images and labels match globs, as those of `poc_aug.datasets.PairedFolder`.

    An edited image is of the base frame whose name its own name begins with: ``aachen_000000_000019_2.png`` is of
    ``aachen_000000_000019_leftImg8bit.png``. Those of one base frame become its variants, in the order of their names.

    Args:
        root: folder of the edited frames.
        images: glob of the images relative to ``root``, such as ``leftImg8bit/train/*/*.png``; a ``.npz`` is a
            difference to the base, as in POC's release.
        labels: glob of the label maps.
        keys: keys of the base dataset's samples.

    Raises:
        ImportFilesError: no such folder, no files, or files without a counterpart.
    """
    folder = folder_at(root)
    names = BaseNames(keys)
    try:
        found = pair_by_wildcards(folder, images, labels)
    except DatasetError as error:
        raise ImportFilesError(
            error.problem,
            expected=error.expected,
            hint=error.hint,
            command=error.command or "check SOURCE, --images and --labels",
        ) from error
    pairs: list[EditedPair] = []
    problems: list[tuple[str, str]] = []
    for image, label in found:
        try:
            pairs.append(EditedPair(names.key_of(image), image, folder / image, folder / label))
        except ImportFilesError as error:
            problems.append((image, error.problem))
    listing = EditedPairs("pairs", folder.resolve().name, numbered(pairs), tuple(problems))
    return check_found(listing, f"{images} and {labels}", folder, "check the globs", "check --images and --labels")
