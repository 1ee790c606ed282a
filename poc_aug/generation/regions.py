"""Where an object goes: valid area, size rule and random generator give a `Region` or a `Rejection`.

All valid positions are found at once with a summed-area table and one is drawn uniformly (POC §3.1, "selecting a
region"; POC's public code tests random positions one at a time). Positions are grouped by foot row: with
perspective sizes each foot row has its own box size, with pixel sizes all rows share one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from poc_aug import seeding
from poc_aug.camera_model import Camera
from poc_aug.recipe import FrameSize, ObjectSpec, PerspectiveSize, PixelSize, Recipe, Rung, SizeRule
from poc_aug.types import Box, Extent, Region, Rejection

_SMALLEST_SIDE_PX = 4
_BLOCK_ROWS = 32  # positions of 32 rows of 2048 stay in the processor's cache


@dataclass(frozen=True, slots=True)
class _Rows:
    """Foot rows ``[start, stop)`` whose boxes are all ``height`` x ``width``; a foot row is the first below."""

    start: int
    stop: int
    height: int
    width: int


class ValidArea:
    """Where objects may stand in one frame, with its summed-area table.

    Args:
        mask: bool ``[H, W]``; ``None``: every place is valid.
        size_hw: the frame's size.

    Attributes:
        mask: as given.
        anywhere: whether every place is valid.
    """

    def __init__(self, mask: torch.Tensor | None, size_hw: tuple[int, int]) -> None:
        self.mask = mask
        self.size_hw = size_hw
        self.anywhere = mask is None
        self.top = 0
        self._sums: npt.NDArray[np.int32] | None = None
        if mask is not None:
            pixels = mask.numpy().view(np.uint8)
            first = int(pixels.reshape(-1).argmax())
            # Nothing is valid above: half of a street frame needs no table.
            self.top = first // size_hw[1] if pixels.reshape(-1)[first] else size_hw[0]
            self._sums = _summed_area(pixels[self.top :])

    @property
    def empty(self) -> bool:
        """Whether no pixel is valid."""
        return self._sums is not None and int(self._sums[-1, -1]) == 0

    def counts(self, rows: _Rows, strip: int, left: int, right: int) -> npt.NDArray[np.int32] | None:
        """Valid pixels in the lowest ``strip`` rows of the boxes at each position; ``None``: anywhere.

        Args:
            rows: foot rows, none above `top`.
            strip: height in pixels.
            left: first column of the boxes' left edge.
            right: one past the last.

        Returns:
            int32 ``[stop - start, right - left]``.
        """
        if self._sums is None:
            return None
        after = slice(left + rows.width, right + rows.width)
        before = slice(left, right)
        start, stop = rows.start - self.top, rows.stop - self.top
        low = self._sums[start:stop]
        counts: npt.NDArray[np.int32] = low[:, after] - low[:, before]
        # Boxes that reach above the table have nothing to subtract.
        whole = max(0, strip - start)
        high = self._sums[start + whole - strip : stop - strip] if start + whole < stop else low[:0]
        counts[whole:] -= high[:, after]
        counts[whole:] += high[:, before]
        return counts


def _summed_area(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Sums over all rectangles from the corner: int32 ``[h + 1, w + 1]``, its first row and column 0."""
    height, width = pixels.shape
    sums = torch.empty((height + 1, width + 1), dtype=torch.int32)
    table: npt.NDArray[np.int32] = sums.numpy()
    table[0], table[:, 0] = 0, 0
    table[1:, 1:] = pixels
    # torch along rows and NumPy row by row along columns: 6x faster than NumPy's cumsum on 2048x1024 (2.2 to 13 ms).
    sums.cumsum_(dim=1)
    for row in range(1, height):
        np.add(table[row], table[row + 1], out=table[row + 1])
    return table


def find_region(
    area: ValidArea,
    spec: ObjectSpec,
    recipe: Recipe,
    rng: torch.Generator,
    *,
    camera: Camera | None = None,
    extent: Extent | None = None,
    occupied: Sequence[Box] = (),
) -> Region | Rejection:
    """Draw a size, then a place, uniform over all valid ones; go down the recipe's ladder if there is none.

    Args:
        area: where the object may stand.
        spec: the object.
        recipe: limits, ladder, margins.
        rng: the attempt's generator.
        camera: the frame's camera; needed by perspective sizes.
        extent: what the inserter will draw; without it the box's aspect is drawn from the recipe's limits.
        occupied: boxes ``(y, x, h, w)`` of the variant's other objects.

    Returns:
        The region, or a `Rejection` with reason "no room".
    """
    rule = spec.size or recipe.size
    if isinstance(rule, PerspectiveSize) and camera is None:
        return Rejection("no room", spec.name, detail="no ground in sight to estimate the horizon from")
    if area.empty and all(rung.min_overlap > 0 for rung in recipe.ladder):
        return Rejection("no room", spec.name, detail="the valid area is empty")
    # Drawn before the search, so the same numbers are used on every rung.
    size_draw, aspect_draw, place_draw = (seeding.uniform(rng, 0, 1) for _ in range(3))
    narrowest, widest = spec.aspect or (recipe.aspect_min, recipe.aspect_max)
    aspect = extent.aspect if extent else narrowest + aspect_draw * (widest - narrowest)
    for number, rung in enumerate(recipe.ladder):
        groups = _row_groups(area.size_hw, rule, recipe, rung, size_draw, aspect, extent, camera)
        box = _draw_place(area, groups, recipe, rung, place_draw, occupied)
        if box is not None:
            crop = crop_around(box, recipe.crop_scale, area.size_hw, spec.crop_px)
            return Region(box, crop, number, camera)
    return Rejection("no room", spec.name, detail=f"no place on any of {len(recipe.ladder)} rungs")


def wanted_size(
    size_hw: tuple[int, int],
    spec: ObjectSpec,
    recipe: Recipe,
    rng: torch.Generator,
    *,
    extent: Extent | None = None,
) -> str:
    """What `find_region` looks a place for with the same generator, for people: the longer side, and the frame.

    Example:
        >>> from poc_aug import seeding
        >>> recipe = Recipe.from_dict({"objects": ["cone"], "size": {"kind": "pixels", "min_px": 340, "max_px": 341}})
        >>> wanted_size((96, 128), recipe.objects[0], recipe, seeding.generator(1, "region"))
        'wanted 341 px, at least 238 px, in a 96x128 frame'
    """
    rule = spec.size or recipe.size
    size_draw, aspect_draw = (seeding.uniform(rng, 0, 1) for _ in range(2))
    narrowest, widest = spec.aspect or (recipe.aspect_min, recipe.aspect_max)
    aspect = extent.aspect if extent else narrowest + aspect_draw * (widest - narrowest)
    frame = f"in a {size_hw[0]}x{size_hw[1]} frame"
    if isinstance(rule, PerspectiveSize):
        height, width, _ = _metres(rule, size_draw, aspect, extent)
        return f"wanted {height:.2g} m high, {width:.2g} m wide {frame}"
    limit = ""
    if extent is not None and extent.max_height_px is not None:
        limit, extent = f", drawn at most {extent.max_height_px} px high", replace(extent, max_height_px=None)
    sizes = [max(_pixel_size(rule, rung.size_scale, size_draw, aspect, extent, max(size_hw))) for rung in recipe.ladder]
    smaller = f", at least {min(sizes)} px," if min(sizes) < sizes[0] else ""
    return f"wanted {sizes[0]} px{smaller} {frame}{limit}"


def _draw_place(
    area: ValidArea,
    groups: Iterator[_Rows],
    recipe: Recipe,
    rung: Rung,
    draw: float,
    occupied: Sequence[Box],
) -> Box | None:
    """The place number ``draw * count`` of all valid ones, in reading order of the foot's left end."""
    margin = recipe.margin_px
    candidates: list[tuple[_Rows, npt.NDArray[np.bool_]]] = []
    totals: list[int] = []
    highest = area.top + 1 if rung.min_overlap > 0 else 0
    for rows in groups:
        left, right = margin, area.size_hw[1] - margin - rows.width + 1
        if right <= left or rows.stop <= highest:
            continue
        if rows.start < highest:
            rows = replace(rows, start=highest)
        valid = _valid_places(area, rows, recipe, rung, left, right)
        _forbid(valid, rows, left, occupied, recipe.gap_px)
        count = int(np.count_nonzero(valid))
        if count:
            candidates.append((rows, valid))
            totals.append(count)
    if not candidates:
        return None
    number = min(int(draw * sum(totals)), sum(totals) - 1)
    before = np.cumsum([0, *totals])
    group = int(np.searchsorted(before, number, side="right")) - 1
    rows, valid = candidates[group]
    number -= int(before[group])
    in_row = valid.sum(axis=1).cumsum()
    row = int(np.searchsorted(in_row, number, side="right"))
    if row:
        number -= int(in_row[row - 1])
    col = int(np.flatnonzero(valid[row])[number])
    return rows.start + row - rows.height, margin + col, rows.height, rows.width


def _valid_places(
    area: ValidArea, rows: _Rows, recipe: Recipe, rung: Rung, left: int, right: int
) -> npt.NDArray[np.bool_]:
    strip = rows.height if recipe.overlap_on == "box" else max(1, round(recipe.foot_fraction * rows.height))
    counts = area.counts(rows, strip, left, right) if rung.min_overlap > 0 else None
    if counts is None:
        return np.ones((rows.stop - rows.start, right - left), np.bool_)
    # An integer: with a float NumPy would convert every count first.
    return counts >= math.ceil(rung.min_overlap * strip * rows.width)


def _forbid(valid: npt.NDArray[np.bool_], rows: _Rows, left: int, occupied: Sequence[Box], gap_px: int) -> None:
    """Clear, in place, the positions whose box would come within ``gap_px`` of an occupied one."""
    for y, x, h, w in occupied:
        # A box over rows [r - height, r) meets [y - gap, y + h + gap).
        top = max(rows.start, y - gap_px + 1)
        bottom = min(rows.stop, y + h + gap_px + rows.height)
        first = max(0, x - gap_px - rows.width + 1 - left)
        last = x + w + gap_px - left
        if top < bottom and last > first:
            valid[top - rows.start : bottom - rows.start, first:last] = False


def _row_groups(
    size_hw: tuple[int, int],
    rule: SizeRule,
    recipe: Recipe,
    rung: Rung,
    draw: float,
    aspect: float,
    extent: Extent | None,
    camera: Camera | None,
) -> Iterator[_Rows]:
    if isinstance(rule, PerspectiveSize):
        assert camera is not None
        yield from _perspective_rows(size_hw, rule, recipe.margin_px, draw, aspect, extent, camera)
        return
    height, width = _pixel_size(rule, rung.size_scale, draw, aspect, extent, max(size_hw))
    start = recipe.margin_px + height
    stop = size_hw[0] - recipe.margin_px + 1
    if min(height, width) >= 1:
        for first in range(start, stop, _BLOCK_ROWS):
            yield _Rows(first, min(first + _BLOCK_ROWS, stop), height, width)


def _pixel_size(
    rule: PixelSize | FrameSize, scale: float, draw: float, aspect: float, extent: Extent | None, longer_px: int
) -> tuple[int, int]:
    """Height and width; an inserter's own aspect keeps the *longer* side within the limits.

    The limits shrink to what the inserter can draw; (0, 0) if nothing is left of them.
    """
    if isinstance(rule, PixelSize):
        low, high = float(rule.min_px), float(rule.max_px)
    else:
        low, high = rule.min_fraction * longer_px, rule.max_fraction * longer_px
    low, high = max(low * scale, _SMALLEST_SIDE_PX), max(high * scale, _SMALLEST_SIDE_PX)
    if extent is not None and extent.max_height_px is not None:
        high = min(high, extent.max_height_px * max(1.0, aspect))
        if high < low:
            return 0, 0
    side = low + draw * (high - low)
    if extent is not None:
        height, width = side / max(1.0, aspect), side * min(1.0, aspect)
        return max(1, round(height)), max(1, round(width))
    return int(side), int(min(max(aspect * side, low), high))


def _perspective_rows(
    size_hw: tuple[int, int],
    rule: PerspectiveSize,
    margin_px: int,
    draw: float,
    aspect: float,
    extent: Extent | None,
    camera: Camera,
) -> Iterator[_Rows]:
    frame_h = size_hw[0]
    heights_m, widths_m, depth_m = _metres(rule, draw, aspect, extent)
    first = max(margin_px + 1, int(np.floor(camera.horizon_row)) + 1)
    foot = np.arange(first, frame_h - margin_px + 1, dtype=np.float64)
    below = foot - camera.horizon_row
    # Seen from above, the far end of a deep object lies higher in the picture than its near end.
    near = camera.focal_px * camera.camera_height_m / below
    far = near + depth_m
    rise = camera.focal_px * (camera.camera_height_m - heights_m)
    top = camera.horizon_row + np.minimum(rise / near, rise / far)
    height = np.maximum(1, np.rint(foot - top)).astype(np.int64)
    width = np.maximum(1, np.rint(widths_m * below / camera.camera_height_m)).astype(np.int64)
    rows = foot.astype(np.int64)
    most = rule.max_fraction * frame_h
    if extent is not None and extent.max_height_px is not None:
        most = min(most, extent.max_height_px)
    fits = (np.maximum(height, width) >= rule.min_px) & (height <= most) & (rows - height >= margin_px)
    rows, height, width = rows[fits], height[fits], width[fits]
    if rows.size == 0:
        return
    changes = np.flatnonzero((np.diff(height) != 0) | (np.diff(width) != 0) | (np.diff(rows) != 1)) + 1
    bounds = [0, *changes.tolist(), rows.size]
    for start, stop in pairwise(bounds):
        yield _Rows(int(rows[start]), int(rows[stop - 1]) + 1, int(height[start]), int(width[start]))


def _metres(rule: PerspectiveSize, draw: float, aspect: float, extent: Extent | None) -> tuple[float, float, float]:
    """Height, width and depth in metres, size jitter included."""
    factor = 1.0 + rule.jitter * (2.0 * draw - 1.0)
    if rule.size_m is None:
        # The inserter's own size; `InsertionPipeline` has checked that it knows one. It draws true to size.
        assert extent is not None
        assert extent.height_m is not None
        return extent.height_m, aspect * extent.height_m, extent.depth_m
    depth = extent.depth_m if extent else 0.0
    height = rule.size_m * factor
    if rule.measure == "longest":
        height /= max(1.0, aspect)
    return height, aspect * height, depth


def crop_around(box: Box, scale: float, size_hw: tuple[int, int], side_px: int | None = None) -> Box:
    """The square of ``scale`` times the box's longer side (or ``side_px``) around it, moved inside the frame.

    If the frame is smaller than the square, the crop is cut to the frame; it always contains the box.

    Example:
        >>> crop_around((10, 20, 8, 6), 2.0, (48, 64))
        (6, 15, 16, 16)
    """
    y, x, h, w = box
    side = max(round(scale * max(h, w)) if side_px is None else side_px, h, w)
    crop_h, crop_w = min(side, size_hw[0]), min(side, size_hw[1])
    top = min(max(y + h // 2 - crop_h // 2, 0), size_hw[0] - crop_h)
    left = min(max(x + w // 2 - crop_w // 2, 0), size_hw[1] - crop_w)
    return top, left, crop_h, crop_w
