"""Regions of a mask with their boxes: what light sources are found in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.masks import connected_components

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LightRegions:
    """Connected regions of a mask; all arrays are of ``[n]`` and count pixels of that mask.

    Attributes:
        numbers: int64 ``[h, w]``, each pixel's region from 0; -1 outside of the mask.
        pixels: rows, columns and regions of the mask's pixels.
        area: how many of them.
        top: first row.
        bottom: last row.
        left: first column.
        right: last column.
    """

    numbers: Int64s
    pixels: tuple[Int64s, Int64s, Int64s]
    area: Int64s
    top: Int64s
    bottom: Int64s
    left: Int64s
    right: Int64s

    def __len__(self) -> int:
        return len(self.area)

    @property
    def height(self) -> Int64s:
        """Rows from top to bottom."""
        return self.bottom - self.top + 1

    @property
    def width(self) -> Int64s:
        """Columns from left to right."""
        return self.right - self.left + 1

    def total(self, values: npt.ArrayLike) -> Float64s:
        """Sum of a map ``[h, w]`` over each region."""
        rows, cols, number = self.pixels
        weights = np.asarray(values)[rows, cols]
        return np.bincount(number, weights=weights, minlength=len(self)).astype(np.float64)

    def mean(self, values: npt.ArrayLike) -> Float64s:
        """Mean of a map ``[h, w]`` over each region."""
        return self.total(values) / self.area

    def spread(self, values: npt.ArrayLike, outside: float) -> Float64s:
        """A map with each region's value, and ``outside`` elsewhere."""
        table = np.append(np.asarray(values, dtype=np.float64), outside)
        spread: Float64s = table[self.numbers]
        return spread


def light_regions(mask: torch.Tensor, cells: torch.Tensor | None = None) -> LightRegions:
    """The connected regions of a mask, bool ``[h, w]``.

    Args:
        mask: the pixels.
        cells: integer ``[h, w]``; regions are cut where it changes.

    Example:
        >>> regions = light_regions(torch.tensor([[1, 1, 0, 1], [0, 1, 0, 1]]) == 1)
        >>> regions.area, regions.width
        (array([3, 2]), array([2, 1]))
    """
    found, _ = connected_components(mask, diagonal=False)
    numbers = found.numpy().astype(np.int64) - 1
    rows, cols = np.nonzero(numbers >= 0)
    of_pixel = numbers[rows, cols]
    if cells is not None and of_pixel.size:
        cell = cells.cpu().numpy().astype(np.int64)[rows, cols]
        _, of_pixel = np.unique(of_pixel * (1 << 32) + (cell - cell.min()), return_inverse=True)
        of_pixel = of_pixel.ravel()
        numbers[rows, cols] = of_pixel
    count = int(of_pixel.max()) + 1 if of_pixel.size else 0
    ends = [np.full(count, mask.shape[0] + mask.shape[1]), np.zeros(count, np.int64)]
    top, bottom, left, right = (ends[i % 2].astype(np.int64) for i in range(4))
    np.minimum.at(top, of_pixel, rows)
    np.maximum.at(bottom, of_pixel, rows)
    np.minimum.at(left, of_pixel, cols)
    np.maximum.at(right, of_pixel, cols)
    area = np.bincount(of_pixel, minlength=count)
    return LightRegions(numbers, (rows, cols, of_pixel), area, top, bottom, left, right)
