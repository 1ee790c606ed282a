"""Objects of known height in a label map, and the horizon by each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.labels.schema import LabelSchema
from poc_aug.masks import Runs, component_runs
from poc_aug.presets.object_sizes import known_sizes


@dataclass(frozen=True, slots=True)
class KnownHeight:
    """A class of objects of nearly equal height; trucks, trees and signs are not.

    Attributes:
        spread: standard deviation of their height, over the height (Cityscapes' "car" has vans and SUVs).
        aspect: smallest and largest width over height of an object that is seen whole. A row of parked cars is one wide
            component; its box is about as high as the nearest car, which reaches both lowest and highest in the picture
            as long as the camera is below the roofs.
    """

    spread: float
    aspect: tuple[float, float]


KNOWN_HEIGHTS: dict[str, KnownHeight] = {
    "car": KnownHeight(spread=0.10, aspect=(1.0, 3.2)),
    "person": KnownHeight(spread=0.10, aspect=(0.25, 0.7)),
}
"""Such classes by the name of their height in ``sizes.yaml``."""

_NAMES = {"car": "car", "person": "person", "pedestrian": "person"}
# Smaller components are mostly parts of hidden objects, and labelling errors matter most there.
_SMALLEST, _FEWEST_PX = 0.016, 12
# Outlines are off by about two pixels at 2048x1024.
_OUTLINE = 0.002
# Share of the lowest part's outline that must have ground below it, and the height of that part.
_ON_GROUND, _LOWEST_PART = 0.7, 0.25
# An object that another one cuts into covers less of its box than this; legs leave gaps.
_FILL = 0.4


@dataclass(frozen=True, slots=True)
class Sighting:
    """An object of known height that is seen whole and stands on the ground.

    Attributes:
        kind: "car" or "person".
        box_yxhw: its box.
        horizon_row: the horizon if it is as high as its kind: ``foot - h * camera height / height``.
        sigma_px: standard deviation of that row, by its height and its outline; far objects are more precise.
    """

    kind: str
    box_yxhw: tuple[int, int, int, int]
    horizon_row: float
    sigma_px: float


def find_sightings(labels: torch.Tensor, schema: LabelSchema, camera_height_m: float) -> list[Sighting]:
    """The objects of known height in a label map; connected components serve as instances.

    Objects are left out if the frame cuts them, if they do not stand on a ground class, if something hides them (the
    box does not have the shape of its kind, or is hardly filled), or if they are too small.

    Args:
        labels: integer ``[H, W]``.
        schema: names the classes.
        camera_height_m: height of the camera over the ground.
    """
    if not schema.ground:
        return []
    kinds = {schema.id_of(name): kind for name, kind in _NAMES.items() if schema.known_id(name) is not None}
    ground: npt.NDArray[np.bool_] | None = None
    sightings: list[Sighting] = []
    for label_id, name in kinds.items():
        mask = labels == label_id
        if not bool(mask.any()):
            continue
        if ground is None:
            ground = schema.mask(labels, schema.ground).numpy()
        sightings += _of_kind(component_runs(mask, diagonal=False), name, ground, camera_height_m)
    return sightings


def _of_kind(runs: Runs, name: str, ground: npt.NDArray[np.bool_], camera_height_m: float) -> Iterator[Sighting]:
    kind, height_m = KNOWN_HEIGHTS[name], known_sizes()[name][0]
    frame_h, frame_w = ground.shape
    boxes = _boxes(runs)
    top, left, bottom, right = boxes.T
    high, wide = bottom - top, right - left
    whole = (top > 0) & (left > 0) & (right < frame_w) & (bottom < frame_h - 1)
    fits = (wide >= kind.aspect[0] * high) & (wide <= kind.aspect[1] * high)
    for number in np.flatnonzero(whole & fits & (high >= max(_FEWEST_PX, _SMALLEST * frame_h))).tolist():
        y, x, h, w = int(top[number]), int(left[number]), int(high[number]), int(wide[number])
        own = np.flatnonzero(runs.numbers == number)
        if np.sum(runs.stops[own] - runs.starts[own]) < _FILL * h * w or not _stands(runs, own, (y, x, h, w), ground):
            continue
        reach = h * camera_height_m / height_m
        sigma = float(np.hypot(reach * kind.spread, max(1.0, _OUTLINE * frame_h)))
        yield Sighting(name, (y, x, h, w), y + h - 0.5 - reach, sigma)


def _boxes(runs: Runs) -> npt.NDArray[np.int64]:
    """Top, left, one past the bottom and one past the right of each component, int64 ``[n, 4]``."""
    boxes = np.empty((runs.count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(boxes[:, 0], runs.numbers, runs.rows)
    np.minimum.at(boxes[:, 1], runs.numbers, runs.starts)
    np.maximum.at(boxes[:, 2], runs.numbers, runs.rows + 1)
    np.maximum.at(boxes[:, 3], runs.numbers, runs.stops)
    return boxes


def _stands(
    runs: Runs, own: npt.NDArray[np.int64], box_yxhw: tuple[int, int, int, int], ground: npt.NDArray[np.bool_]
) -> bool:
    """Whether there is ground directly below the lowest part of a component."""
    y, x, h, w = box_yxhw
    lowest = np.full(w, -1, np.int64)
    for run in own.tolist():  # in reading order: lower runs come later
        lowest[runs.starts[run] - x : runs.stops[run] - x] = runs.rows[run]
    columns = np.flatnonzero(lowest >= y + h - max(2, _LOWEST_PART * h))
    # Use the second row below: labels often have a line of another class along an outline.
    below = np.minimum(lowest[columns] + 2, ground.shape[0] - 1)
    return bool(np.mean(ground[below, columns + x]) >= _ON_GROUND)
