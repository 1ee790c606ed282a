"""Masks as polygons: the outline of each connected piece, as Cityscapes has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Corner: TypeAlias = tuple[int, int]
"""x and y of a corner between pixels, or of a pixel."""

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # right, down, left, up: the mask is to the right of each edge


def pixel_outlines(mask: torch.Tensor) -> list[list[Corner]]:
    """Outer outlines of a mask as Cityscapes' polygons have them: through its outermost pixels.

    Filled with the pixels that they pass through (PIL's `ImageDraw.polygon`), they give the mask with its holes filled.

    Args:
        mask: bool ``[H, W]``.

    Returns:
        One polygon of x and y for each piece, pixels that touch at a corner being connected; the largest first.

    Example:
        >>> pixel_outlines(torch.tensor([[True, True, False], [True, True, False], [False, False, False]]))
        [[(1, 0), (1, 1), (0, 1), (0, 0)]]
    """
    found = []
    for loop in _loops(mask.numpy(force=True)):
        area = sum(corner[0] * step[1] for corner, step in ((corner, _STEPS[step]) for corner, step in loop))
        if area > 0:  # that of a hole runs the other way
            found.append((area, _corners([_inner(corner, step) for corner, step in loop])))
    return [polygon for _, polygon in sorted(found, key=lambda item: -item[0])]


def edge_outlines(mask: torch.Tensor) -> list[list[Corner]]:
    """Outlines of a mask along the edges of its pixels; a piece that has a hole is split into pieces without.

    Filled by COCO's rules, they give exactly the mask.

    Args:
        mask: bool ``[H, W]``.

    Returns:
        Polygons of x and y of corners between pixels; (0, 0) is the upper left corner of the first pixel.

    Example:
        >>> edge_outlines(torch.tensor([[True, True, False], [True, True, False]]))
        [[(0, 0), (2, 0), (2, 2), (0, 2)]]
        >>> len(edge_outlines(torch.tensor([[True, True, True], [True, False, True], [True, True, True]])))
        2
    """
    found: list[list[Corner]] = []
    pieces = [(mask.numpy(force=True), 0)]
    while pieces:
        piece, left = pieces.pop()
        loops = [[corner for corner, _ in loop] for loop in _loops(piece)]
        hole = next((loop for loop in loops if _area(loop) < 0), None)
        if hole is None:
            found += [[(x + left, y) for x, y in _turns(loop)] for loop in loops]
        else:
            middle = (min(x for x, _ in hole) + max(x for x, _ in hole) + 1) // 2
            pieces += [(piece[:, :middle], left), (piece[:, middle:], left + middle)]
    return found


def _area(loop: list[Corner]) -> int:
    """Twice the signed area within a closed path: positive if the mask is within."""
    return sum(x * after[1] - after[0] * y for (x, y), after in zip(loop, [*loop[1:], loop[0]], strict=True))


def _turns(loop: list[Corner]) -> list[Corner]:
    """The corners of a closed path at which it turns."""
    around = zip([loop[-1], *loop[:-1]], loop, [*loop[1:], loop[0]], strict=True)
    return [
        here
        for before, here, after in around
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1])
    ]


def _loops(mask: npt.NDArray[np.bool_]) -> Iterator[list[tuple[Corner, int]]]:
    """The closed loops of edges between mask and background: the corner and direction of each edge."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges: dict[Corner, list[int]] = defaultdict(list)
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    starts = ((0, 0), (1, 0), (1, 1), (0, 1))  # of the edges above, right of, below and left of a pixel
    for step, (neighbour, (dx, dy)) in enumerate(zip(neighbours, starts, strict=True)):
        ys, xs = np.nonzero(inside & ~neighbour)
        for x, y in zip((xs + dx).tolist(), (ys + dy).tolist(), strict=True):
            edges[x, y].append(step)
    while edges:
        corner = next(iter(edges))
        step = edges[corner][0]
        loop: list[tuple[Corner, int]] = []
        while corner in edges and step in edges[corner]:
            edges[corner].remove(step)
            if not edges[corner]:
                del edges[corner]
            loop.append((corner, step))
            corner = corner[0] + _STEPS[step][0], corner[1] + _STEPS[step][1]
            ahead = edges.get(corner, [])
            # Where two pixels touch at a corner, to the left: over to the other one.
            step = next((turn for turn in ((step - 1) % 4, step, (step + 1) % 4) if turn in ahead), step)
        yield loop


def _inner(corner: Corner, step: int) -> Corner:
    """The pixel of the mask that an edge belongs to."""
    dx, dy = ((0, 0), (-1, 0), (-1, -1), (0, -1))[step]
    return corner[0] + dx, corner[1] + dy


def _corners(pixels: list[Corner]) -> list[Corner]:
    """A closed path without the points that lie on a straight line between others."""
    path = [pixel for pixel, before in zip(pixels, [pixels[-1], *pixels[:-1]], strict=True) if pixel != before]
    if len(path) < 3:
        return path or pixels[:1]
    kept = []
    for before, here, after in zip([path[-1], *path[:-1]], path, [*path[1:], path[0]], strict=True):
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1]):
            kept.append(here)
    return kept
