"""The parts of inserted objects as the labels show them: without what a nearer insertion covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from poc_aug.masks import bounds, window
from poc_aug.recipe import IGNORED
from poc_aug.types import Box, Insertion


@dataclass(frozen=True, slots=True)
class VisiblePart:
    """A visible part of an inserted object.

    Attributes:
        insertion: number of the insertion, far to near.
        object_name: name of its object.
        class_name: class of the part.
        score: confidence of the annotator.
        box_yxhw: bounding box of the visible pixels.
        mask: bool ``[h, w]``, the visible pixels in that box.
    """

    insertion: int
    object_name: str
    class_name: str
    score: float
    box_yxhw: Box
    mask: torch.Tensor


def visible_parts(insertions: Sequence[Insertion], size_hw: tuple[int, int]) -> list[VisiblePart]:
    """The parts of a frame's insertions, far to near, without what a nearer insertion covers in the labels.

    Parts that are wholly covered are left out, and so is `IGNORED`, so each pixel of the labels that an insertion wrote
    is of one part, or ignored.

    Args:
        insertions: what was composed, far to near.
        size_hw: the frame's size.
    """
    covered = torch.zeros(size_hw, dtype=torch.bool)
    found: list[VisiblePart] = []
    for number in range(len(insertions) - 1, -1, -1):
        insertion = insertions[number]
        y, x, _, _ = insertion.box_yxhw
        free = ~covered[window(insertion.box_yxhw)]
        for part in reversed(insertion.parts):  # of one insertion they are disjoint
            mask = part.mask & free
            top, left, height, width = bounds(mask)
            if height and part.name != IGNORED:
                box_yxhw = (y + top, x + left, height, width)
                shown = mask[window((top, left, height, width))]
                found.append(VisiblePart(number, insertion.object_name, part.name, part.score, box_yxhw, shown))
        for part in insertion.parts:
            covered[window(insertion.box_yxhw)] |= part.mask
    return found[::-1]


def written_pixels(insertions: Sequence[Insertion], size_hw: tuple[int, int]) -> torch.Tensor:
    """The pixels whose labels insertions write, ignored parts included, rings not: bool ``[H, W]``.

    Example:
        >>> written_pixels((), (2, 3)).any()
        tensor(False)
    """
    written = torch.zeros(size_hw, dtype=torch.bool)
    for insertion in insertions:
        for part in insertion.parts:
            written[window(insertion.box_yxhw)] |= part.mask
    return written
