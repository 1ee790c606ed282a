"""Reads an edited frame and its labels from files that may be anybody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ImportFilesError, PocAugError
from poc_aug.files.label_pictures import refusal
from poc_aug.files.pictures import open_picture, to_rgb
from poc_aug.importing.difference_npz import edited_by_difference
from poc_aug.importing.edited_pairs import EditedPair
from poc_aug.types import Sample

_HINT = "restore the file, or leave it out"
_ID_MODES = ("L", "P", "I;16", "I;16B", "I;16L", "I")


def read_edited(pair: EditedPair, base: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """The edited image, uint8 ``[3, H, W]``, and its labels, integer ``[H, W]``.

    Args:
        pair: where they are.
        base: the base frame, whose size they have to have; checked before anything is decoded.

    Raises:
        ImportFilesError: a file that is missing, broken, no picture, of another size, or not of label ids.
    """
    labels = _labels(pair.labels, base.size_hw)
    if pair.image.suffix.lower() == ".npz":
        return edited_by_difference(base.image, pair.image), labels
    return _image(pair.image, base.size_hw), labels


def _image(path: Path, size_hw: tuple[int, int]) -> torch.Tensor:
    picture = open_picture(
        path,
        what="edited image",
        error=ImportFilesError,
        hint=_HINT,
        refuse=lambda opened: _other_size(opened, f"edited image {path}", size_hw),
    )
    pixels = np.array(to_rgb(picture, path, error=ImportFilesError))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _labels(path: Path, size_hw: tuple[int, int]) -> torch.Tensor:
    name = f"labels {path}"

    def refuse(opened: Image.Image) -> PocAugError | None:
        return (
            _other_size(opened, name, size_hw) or _other_mode(opened, name) or refusal(opened, name, ImportFilesError)
        )

    picture = open_picture(path, what="labels", error=ImportFilesError, hint=_HINT, refuse=refuse)
    ids = np.array(picture)
    return torch.from_numpy(ids if ids.dtype == np.uint8 else ids.astype(np.int32))


def _other_size(picture: Image.Image, name: str, size_hw: tuple[int, int]) -> ImportFilesError | None:
    if picture.size[::-1] == size_hw:
        return None
    return ImportFilesError(
        f"{name}: {picture.size[1]}x{picture.size[0]} pixels (h x w)",
        expected=f"{size_hw[0]}x{size_hw[1]} pixels, the size of its base frame",
        hint="pass the dataset that was edited, at its full size",
    )


def _other_mode(picture: Image.Image, name: str) -> ImportFilesError | None:
    if picture.mode in _ID_MODES:
        return None
    return ImportFilesError(
        f"{name}: a picture of mode {picture.mode!r}",
        expected="label ids in one channel of 8 or 16 bits, or of a palette",
        hint="pass the label ids, not their colours",
    )
