"""Masks as COCO's polygons: along the edges of pixels, so that they give the same mask when they are drawn again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.types import Box

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def coco_polygons(mask: torch.Tensor, box_yxhw: Box) -> list[list[int]] | None:
    """The ``segmentation`` of a mask as polygons ``[x, y, x, y, ...]`` of pixel corners; ``None`` if it has a hole.

    COCO's polygons cannot have holes; run lengths can (`poc_aug.exporting.coco_rle`). Pixels that touch at a corner are
    of two polygons.

    Args:
        mask: bool ``[h, w]``.
        box_yxhw: where it is in its frame.

    Example:
        >>> coco_polygons(torch.tensor([[True, True], [True, True]]), (10, 20, 2, 2))
        [[20, 10, 22, 10, 22, 12, 20, 12]]
        >>> ring = torch.tensor([[True, True, True], [True, False, True], [True, True, True]])
        >>> coco_polygons(ring, (0, 0, 3, 3)) is None
        True
    """
    polygons = []
    for xs, ys in _outlines(mask.numpy(force=True)):
        # The mask is to the right of each edge: outer outlines run clockwise, those of holes the other way.
        if int((xs * np.roll(ys, -1) - np.roll(xs, -1) * ys).sum()) < 0:
            return None
        points = np.stack((xs + box_yxhw[1], ys + box_yxhw[0]), axis=1)
        polygons.append([int(value) for value in points.ravel()])
    return polygons


def _outlines(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """The corners at which each closed outline turns: x and y."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (_RIGHT, padded[:-2, 1:-1], (0, 0)),
        (_DOWN, padded[1:-1, 2:], (1, 0)),
        (_LEFT, padded[2:, 1:-1], (1, 1)),
        (_UP, padded[1:-1, :-2], (0, 1)),
    )
    ahead: dict[tuple[int, int], list[int]] = {}
    for step, neighbour, (dx, dy) in sides:
        ys, xs = np.nonzero(inside & ~neighbour)
        for corner in zip((xs + dx).tolist(), (ys + dy).tolist(), strict=True):
            ahead.setdefault(corner, []).append(step)
    while ahead:
        corner = next(iter(ahead))
        step = ahead[corner][0]
        xs_, ys_ = [], []
        before = None
        while corner in ahead:
            # Where pixels touch at a corner two edges leave it: turning right stays with the same pixel.
            options = ahead[corner]
            if before is not None:
                step = next(turn for turn in ((before + 1) % 4, before, (before + 3) % 4) if turn in options)
            options.remove(step)
            if not options:
                del ahead[corner]
            if step != before:
                xs_.append(corner[0])
                ys_.append(corner[1])
            before = step
            corner = corner[0] + _STEPS[step][0], corner[1] + _STEPS[step][1]
            if corner == (xs_[0], ys_[0]) and (corner not in ahead or (before + 1) % 4 not in ahead[corner]):
                break
        yield np.array(xs_), np.array(ys_)
