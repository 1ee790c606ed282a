"""Opening a dataset in whichever of its known folder layouts is there: what the readers of `named_datasets` share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from poc_aug.datasets.file_pairing import any_file, folder_at, is_folder
from poc_aug.datasets.paired_folder import PairedFolder, PairedFolderOptions
from poc_aug.errors import DatasetError

Layout: TypeAlias = tuple[str, str]
"""Glob of the images, and of the labels, relative to the dataset's folder."""


def open_layout(
    name: str,
    source: str,
    root: str | Path,
    layouts: Sequence[Layout],
    schema: str | None,
    options: PairedFolderOptions,
) -> PairedFolder:
    """Open a dataset in the first layout whose files are there.

    Args:
        name: name of the dataset, for the error.
        source: where to download it, for the error.
        root: folder of the dataset.
        layouts: known layouts.
        schema: name of the label schema, or ``None``.
        options: options of `PairedFolder`.

    Raises:
        DatasetError: no layout has files.

    Example:
        >>> from poc_aug.datasets.archive_layouts import open_layout
        >>> open_layout("Towns", "towns.example", "no/such/folder", [("images/*.jpg", "labels/*.png")], None, {})
        Traceback (most recent call last):
        poc_aug.errors.DatasetError: Towns is not in no/such/folder, which is not a folder; looked for
          images/*.jpg  and  labels/*.png
        Expected: Towns as its archives unpack
        Next step: download Towns (towns.example) and pass the folder as root
    """
    folder = folder_at(root)
    for layout in layouts:
        if holds_layout(folder, layout):
            return PairedFolder(root, *layout, schema=schema_if_certain(schema, options), **options)
    listed = "\n".join(f"  {images}  and  {labels}" for images, labels in layouts)
    raise DatasetError(
        f"{name} is not in {folder}{'' if is_folder(folder) else ', which is not a folder'}; looked for\n{listed}",
        expected=f"{name} as its archives unpack",
        hint=f"download {name} ({source}) and pass the folder as root",
    )


def holds_layout(root: Path, layout: Layout) -> bool:
    """Whether there is at least one file for each glob of a layout.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.datasets.archive_layouts import holds_layout
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "1.jpg").touch()
        ...     Path(root, "1.png").touch()
        ...     holds_layout(Path(root), ("*.jpg", "*.png")), holds_layout(Path(root), ("*.jpg", "*.bmp"))
        (True, False)
    """
    return is_folder(root) and all(any_file(root, pattern) for pattern in layout)


def schema_if_certain(schema: str | None, options: PairedFolderOptions) -> str | None:
    """The schema, or ``None`` if the options hold a transform of the labels, which may change the ids.

    Example:
        >>> from poc_aug.datasets.archive_layouts import schema_if_certain
        >>> schema_if_certain("camvid", {"exif": "apply"})
        'camvid'
        >>> schema_if_certain("camvid", {"target_transform": lambda labels: labels}) is None
        True
    """
    may_change_ids = options.get("transforms") is not None or options.get("target_transform") is not None
    return None if may_change_ids else schema


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Check that an argument is one of the known values.

    Raises:
        DatasetError: it is not.

    Example:
        >>> from poc_aug.datasets.archive_layouts import check_choice
        >>> check_choice("split", "dev", ("train", "val"))
        Traceback (most recent call last):
        poc_aug.errors.DatasetError: split='dev' is not known
        Expected: one of: train, val
    """
    if value not in known:
        raise DatasetError(f"{name}={value!r} is not known", expected=f"one of: {', '.join(known)}")
