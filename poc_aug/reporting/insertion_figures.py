"""`InsertionFigures`: what a report draws of insertions: sizes, places, distances, brightness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.items.image_digest import DIGEST_BYTES, GRID, frame_size_of
from poc_aug.luma import luma
from poc_aug.masks import bounds
from poc_aug.recipe import Recipe
from poc_aug.types import Insertion, Variant

MAP_HW = (36, 72)
"""Rows and columns of the map of places."""
_FARTHEST_M = 500.0


@dataclass
class InsertionFigures:
    """Figures over the insertions of one recipe's variants.

    Attributes:
        heights: height of each object in percent of the frame's.
        areas: area of each object in percent of the frame's.
        heights_px: height of each object in pixels.
        foot_rows: row of each object's lowest pixel in percent of the frame's height, 0 at the top.
        distances_m: distance along the ground, of objects that were placed with a horizon and a known focal length.
        brightness: mean luma of each object and of its scene (16×16 of its pixels), 0 to 255.
        places: in how many of these variants an object covers a place, float ``[36, 72]``.
        frames: number of variants with objects.
        sizes_hw: number of variants by size of the frame.

    Example:
        >>> from poc_aug.types import Part
        >>> mask = torch.ones(2, 4, dtype=torch.bool)
        >>> patch = torch.full((3, 2, 4), 200, dtype=torch.uint8)
        >>> one = Insertion((6, 2, 2, 4), patch, (Part("cup", mask),), None, None, "cup", max_sigma_px=0.0)
        >>> digest = np.array([10, 20], "<u4").tobytes() + bytes([50]) * 768
        >>> figures = InsertionFigures()
        >>> figures.add(Variant("a", 0, digest, (one,)), None)
        >>> figures.heights, figures.areas, figures.foot_rows, figures.brightness
        ([20.0], [4.0], [80.0], [(200.0, 50.0)])
    """

    heights: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    heights_px: list[float] = field(default_factory=list)
    foot_rows: list[float] = field(default_factory=list)
    distances_m: list[float] = field(default_factory=list)
    brightness: list[tuple[float, float]] = field(default_factory=list)
    places: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(MAP_HW))
    frames: int = 0
    sizes_hw: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, variant: Variant, recipe: Recipe | None) -> None:
        """Take a variant's insertions into account.

        Args:
            variant: as the cache returns it.
            recipe: its recipe, which knows the camera; ``None``: no distances.
        """
        if not variant.insertions or len(variant.digest) != DIGEST_BYTES:
            return
        size_hw = frame_size_of(variant.digest)
        grid = torch.from_numpy(np.frombuffer(variant.digest[-3 * GRID * GRID :], np.uint8).reshape(-1, 3).T.copy())
        scene = float(luma(grid.float()).mean())
        self.frames += 1
        self.sizes_hw[size_hw] = self.sizes_hw.get(size_hw, 0) + 1
        covered = np.zeros(MAP_HW, dtype=bool)
        for insertion in variant.insertions:
            self._add_one(insertion, size_hw, scene, recipe, covered)
        self.places += covered

    def _add_one(
        self,
        insertion: Insertion,
        size_hw: tuple[int, int],
        scene: float,
        recipe: Recipe | None,
        covered: npt.NDArray[np.bool_],
    ) -> None:
        mask = insertion.mask
        top, _, height, _ = bounds(mask)
        if not height:
            return
        frame_h, frame_w = size_hw
        y, x = insertion.box_yxhw[:2]
        foot = y + top + height
        self.heights.append(100 * height / frame_h)
        self.heights_px.append(height)
        self.areas.append(100 * int(mask.sum()) / (frame_h * frame_w))
        self.foot_rows.append(100 * foot / frame_h)
        self.brightness.append((float(luma(insertion.patch[:, mask].float()).mean()), scene))
        rows, cols = np.nonzero(mask.numpy())
        covered[(rows + y) * MAP_HW[0] // frame_h, (cols + x) * MAP_HW[1] // frame_w] = True
        distance_m = distance_of(insertion.provenance, foot, frame_w, recipe)
        if distance_m is not None:
            self.distances_m.append(distance_m)


def distance_of(provenance: Mapping[str, Any], foot_row: float, frame_w: int, recipe: Recipe | None) -> float | None:
    """How far away an object stands, in metres, by the horizon that it was placed with; ``None``: not known.

    The focal length is the recipe's; if that is in calibration files, which a cache does not hold, it is not known.
    """
    row = provenance.get("horizon_row")
    if recipe is None or recipe.camera.calibration is not None or isinstance(row, bool):
        return None
    if not isinstance(row, int | float) or foot_row - row < 1:
        return None
    distance_m = recipe.camera.focal * frame_w * recipe.camera.height_m / (foot_row - row)
    return distance_m if distance_m <= _FARTHEST_M else None
