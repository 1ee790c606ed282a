"""Outlines of a COCO file: polygons and run lengths, checked and cleaned without rasterising them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from poc_aug.backends.paste.bank_coco_rows import finite_number
from poc_aug.backends.paste.bank_left_out import LARGER, Unusable
from poc_aug.backends.paste.rle import run_lengths
from poc_aug.errors import ObjectBankError

BoxF: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

NO_OUTLINE = "without an outline"
BAD_NUMBERS = "whose outline has coordinates that are not pairs of finite numbers"
BAD_RUNS = "whose run lengths are not usable"
NO_INSIDE = "whose outline has no inside"
OUTSIDE = "whose outline extends beyond its image"
OTHER_BOX = "whose bbox contradicts the outline"

_SLACK = 0.01
_SLACK_PX = 5.0
"""How far an outline may extend beyond its image: a little by annotators and rounding, far if the scale is wrong."""

_MOST_SCALE = 20
"""Up to this factor, an outline may belong to the picture before it was downscaled; beyond it, it is broken."""

_SAME_BOX = 0.7
"""Least intersection over union of an outline's box and the ``bbox`` of its row."""

_SAME_EDGE_PX = 2.5
"""Or their edges may be this far apart: a mask rasterised from polygons grows to whole pixels."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A usable outline.

    Attributes:
        segmentation: polygons, or ``{"size": [h, w], "counts": ...}``; what `decode_segmentation` takes.
        box: its bounding box.
        area: its area in pixels (for overlapping polygons, their sum).
    """

    segmentation: Any
    box: BoxF
    area: float


def read_outline(segmentation: Any, size_wh: tuple[int, int]) -> Outline:
    """Check and clean a ``segmentation`` field.

    Pieces without an inside (fewer than three points) are left out. An outline with a piece that cannot be read is
    not used at all, because it is not known what is missing.

    Args:
        segmentation: the field's value, whatever it is.
        size_wh: width and height of the image.

    Raises:
        Unusable: it holds no outline that can be drawn in this image.
    """
    if isinstance(segmentation, Mapping):
        return _runs(segmentation, size_wh)
    if isinstance(segmentation, list):
        return _polygons(segmentation, size_wh)
    raise Unusable(NO_OUTLINE)


def usable_area(outline: Outline, area: Any) -> float:
    """The ``area`` field if it is plausible for the outline; otherwise the outline's own area."""
    value = finite_number(area)
    left, top, right, bottom = outline.box
    if value is None or not 0 < value <= (right - left + 2) * (bottom - top + 2):
        return outline.area
    return value


def usable_box(outline: Outline, bbox: BoxF | None) -> BoxF:
    """The ``bbox`` field (x, y, w, h) if it agrees with the outline to a pixel; otherwise the outline's own box.

    Raises:
        Unusable: it contradicts the outline, whether its last two numbers are a size or a corner.
    """
    if bbox is None:
        return outline.box
    x, y, w, h = bbox
    box = (x, y, x + w, y + h)
    if all(abs(a - b) <= 1 for a, b in zip(box, outline.box, strict=True)):
        return box
    close = all(abs(a - b) <= _SAME_EDGE_PX for a, b in zip(box, outline.box, strict=True))
    if not close and max(_overlap(box, outline.box), _overlap(bbox, outline.box)) < _SAME_BOX:
        given = ", ".join(f"{value:g}" for value in bbox)
        actual = ", ".join(f"{value:g}" for value in outline.box)
        raise Unusable(OTHER_BOX, f"bbox {given}, outline from {actual}")
    return outline.box


def _polygons(pieces: list[Any], size_wh: tuple[int, int]) -> Outline:
    if pieces and not any(isinstance(piece, list) for piece in pieces):
        pieces = [pieces]  # one polygon, not in a list of polygons
    polygons = [polygon for polygon in map(_polygon, pieces) if len(polygon) >= 6]
    if not polygons:
        raise Unusable(NO_INSIDE if pieces else NO_OUTLINE)
    columns = [value for polygon in polygons for value in polygon[::2]]
    rows = [value for polygon in polygons for value in polygon[1::2]]
    box = (min(columns), min(rows), max(columns), max(rows))
    _check_inside(box, size_wh)  # before huge numbers get multiplied
    area = sum(_area(polygon) for polygon in polygons)
    if not area > 0 or not math.isfinite(area):
        raise Unusable(NO_INSIDE)
    return Outline(polygons, box, area)


def _polygon(piece: Any) -> list[float]:
    """One polygon as a flat list x, y, x, y, ...; unchanged if it is one already."""
    if not isinstance(piece, list):
        raise Unusable(BAD_NUMBERS)
    values: list[Any] = piece
    if piece and all(isinstance(point, list) and len(point) == 2 for point in piece):
        values = [value for point in piece for value in point]  # [[x, y], [x, y], ...]
    if len(values) % 2:
        raise Unusable(BAD_NUMBERS)
    if set(map(type, values)) <= {int, float}:  # faster than converting each
        try:
            # The sum is finite only if every value is.
            if math.isfinite(sum(values)):
                return values
        except OverflowError:
            raise Unusable(BAD_NUMBERS) from None
    numbers = [finite_number(value) for value in values]
    if any(value is None for value in numbers):
        raise Unusable(BAD_NUMBERS)
    return [value for value in numbers if value is not None]


def _area(polygon: Sequence[float]) -> float:
    columns, rows = polygon[::2], polygon[1::2]
    x, y = columns[-1], rows[-1]
    twice = 0.0
    for column, row in zip(columns, rows, strict=True):
        twice += x * row - column * y
        x, y = column, row
    return abs(twice) / 2


def _runs(rle: Mapping[str, Any], size_wh: tuple[int, int]) -> Outline:
    width, height = size_wh
    try:
        counts = run_lengths(rle.get("counts"))
    except ObjectBankError as error:
        raise Unusable(BAD_RUNS, error.problem) from error
    size = rle.get("size")
    if size is not None and size != [height, width]:
        raise Unusable(BAD_RUNS, f"size {str(size)[:40]}, image [{height}, {width}] (h, w)")
    if sum(counts) != height * width:
        raise Unusable(BAD_RUNS, f"{sum(counts)} pixels, image {height * width}")
    ends = np.cumsum(np.asarray(counts, dtype=np.int64))
    starts = ends[:-1:2]
    stops = ends[1::2][: len(starts)]
    nonempty = stops > starts
    starts, last = starts[nonempty], stops[nonempty] - 1
    if not len(starts):
        raise Unusable(NO_INSIDE)
    whole = (starts // height != last // height).any()  # a run that continues in the next column
    top = 0 if whole else int((starts % height).min())
    bottom = height if whole else int((last % height).max()) + 1
    box = (float(starts[0] // height), float(top), float(last[-1] // height + 1), float(bottom))
    return Outline({"size": [height, width], "counts": rle["counts"]}, box, float((last - starts + 1).sum()))


def _check_inside(box: BoxF, size_wh: tuple[int, int]) -> None:
    left, top, right, bottom = box
    width, height = size_wh
    slack_x, slack_y = (max(_SLACK_PX, _SLACK * side) for side in size_wh)
    before = left < -slack_x or top < -slack_y
    behind = right > width + slack_x or bottom > height + slack_y
    if before or behind or right <= 0 or bottom <= 0 or left >= width or top >= height:
        edges = ", ".join(f"{value:.6g}" for value in box)
        scaled = behind and not before and right <= _MOST_SCALE * width and bottom <= _MOST_SCALE * height
        raise Unusable(LARGER if scaled else OUTSIDE, f"from {edges} in {width}x{height}")


def _overlap(a: BoxF, b: BoxF) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = width * height
    return inside / (_size(a) + _size(b) - inside)


def _size(box: BoxF) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
