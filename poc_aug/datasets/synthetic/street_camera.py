"""The pinhole camera of a synthetic street, and the picture onto which surfaces are composed.

Metres: ``x`` to the right of the camera, ``y`` above the road, ``z`` ahead. Rows and columns are continuous, with
the centre of pixel ``i`` at ``i + 0.5``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from poc_aug.camera_model import Camera

F32: TypeAlias = NDArray[np.floating[Any]]
"""Floats: float32 in all arrays with one value per pixel."""
U8: TypeAlias = NDArray[np.uint8]

NEAR_M = 0.6
"""Nothing nearer than this is drawn."""


@dataclass(frozen=True, slots=True)
class Rect:
    """Pixels ``[top:bottom, left:right]``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.bottom <= self.top or self.right <= self.left

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array ``[H, W, ...]``."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class StreetCamera:
    """A `Camera` and the size of its picture in pixels."""

    height_px: int
    width_px: int
    pinhole: Camera

    def rect(self, points: Iterable[tuple[float, float, float]]) -> Rect:
        """Pixels that may show the hull of ``points`` ``(x, y, z)``: one pixel wider on each side, clipped."""
        pinhole = self.pinhole
        rows, cols = [], []
        for x, y, z in points:
            z = max(z, NEAR_M)
            rows.append(pinhole.row_of(z, y))
            cols.append(pinhole.centre_col + pinhole.focal_px * x / z)
        return Rect(
            max(int(np.floor(min(rows))) - 1, 0),
            max(int(np.floor(min(cols))) - 1, 0),
            min(int(np.ceil(max(rows))) + 1, self.height_px),
            min(int(np.ceil(max(cols))) + 1, self.width_px),
        )

    def rays(self, rect: Rect, samples: int = 1) -> tuple[F32, F32]:
        """Slopes of the rays through the pixels: metres right ``[1, w]`` and down ``[h, 1]`` per metre ahead.

        Args:
            rect: the pixels.
            samples: rays per pixel along each axis.
        """
        pinhole = self.pinhole
        cols = np.arange(rect.left * samples, rect.right * samples) + 0.5
        rows = np.arange(rect.top * samples, rect.bottom * samples) + 0.5
        right = (cols / samples - pinhole.centre_col) / pinhole.focal_px
        down = (rows / samples - pinhole.horizon_row) / pinhole.focal_px
        return right[None, :].astype(np.float32), down[:, None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Layer:
    """A drawn surface, for `Canvas.over` to compose.

    Attributes:
        rect: its pixels.
        rgb: linear light, float32 ``[h, w, 3]``, already multiplied by ``alpha``.
        alpha: coverage in [0, 1], float32 ``[h, w]``.
        labels: label id of the whole surface, or of each pixel, uint8 ``[h, w]``.
    """

    rect: Rect
    rgb: F32
    alpha: F32
    labels: int | U8

    @classmethod
    def from_samples(cls, rect: Rect, rgb: F32, alpha: F32, labels: int | U8, samples: int) -> Layer:
        """Average ``samples`` × ``samples`` rays per pixel; the label is that of most covered rays."""
        h, w = rect.bottom - rect.top, rect.right - rect.left
        grid = (h, samples, w, samples)
        weighted = (rgb * alpha[..., None]).reshape(*grid, 3).mean(axis=(1, 3), dtype=np.float32)
        covered = alpha.reshape(grid)
        if not isinstance(labels, int):
            votes = labels.reshape(grid)
            best, chosen = np.zeros((h, w), np.float32), np.zeros((h, w), np.uint8)
            for label in np.unique(labels):
                share = np.where(votes == label, covered, np.float32(0)).sum(axis=(1, 3))
                chosen = np.where(share > best, label, chosen).astype(np.uint8)
                best = np.maximum(best, share)
            labels = chosen
        return cls(rect, weighted, covered.mean(axis=(1, 3), dtype=np.float32), labels)


class Canvas:
    """The picture in linear light, float32 ``[H, W, 3]``, and its labels, uint8 ``[H, W]``."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.rgb: F32 = np.zeros((height_px, width_px, 3), dtype=np.float32)
        self.labels: U8 = np.full((height_px, width_px), 255, dtype=np.uint8)

    def over(self, layer: Layer) -> None:
        """Put a surface in front of the picture; a pixel takes its label if it covers at least half of the pixel."""
        where = layer.rect.window
        target, left = self.rgb[where], 1 - layer.alpha
        for channel in range(3):
            target[..., channel] *= left
            target[..., channel] += layer.rgb[..., channel]
        labels = self.labels[where]
        np.copyto(labels, np.asarray(layer.labels, dtype=np.uint8), where=layer.alpha >= 0.5)
