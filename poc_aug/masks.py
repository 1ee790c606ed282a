"""Boolean masks: their bounds, feathered, grown, and split into connected components.

Components are exact, in NumPy, by runs of pixels: kornia's ``connected_components`` spreads labels by one pixel per
iteration and stops after a given number of them, so it is exact only for components that are short enough. SciPy is
not a core dependency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from kornia.filters import get_gaussian_kernel1d

from poc_aug.types import Box

_Ints = npt.NDArray[np.int64]


def bounds(mask: torch.Tensor) -> Box:
    """Bounding box ``(y, x, h, w)`` of the pixels of a mask or a map ``[h, w]`` that are not zero.

    ``(0, 0, 0, 0)`` if there are none.

    Example:
        >>> mask = torch.zeros(4, 6, dtype=torch.bool)
        >>> mask[1:3, 2:6] = True
        >>> bounds(mask)
        (1, 2, 2, 4)
    """
    pixels = mask.numpy(force=True)  # NumPy: on patches 3x faster than torch's any and nonzero
    rows, cols = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if rows.size == 0:
        return 0, 0, 0, 0
    y, x = int(rows[0]), int(cols[0])
    return y, x, int(rows[-1]) + 1 - y, int(cols[-1]) + 1 - x


def window(box_yxhw: Box) -> tuple[slice, slice]:
    """The rows and the columns of a box, as indices of the last two dimensions.

    Example:
        >>> torch.zeros(3, 8, 8)[:, *window((1, 2, 2, 4))].shape
        torch.Size([3, 2, 4])
    """
    y, x, h, w = box_yxhw
    return slice(y, y + h), slice(x, x + w)


def with_margin(
    box_yxhw: Box, mask: torch.Tensor, margin_px: int, size_hw: tuple[int, int]
) -> tuple[Box, torch.Tensor]:
    """A box grown by ``margin_px`` to each side, within a frame of ``size_hw``, and its mask padded to match."""
    y, x, h, w = box_yxhw
    top, left = max(0, y - margin_px), max(0, x - margin_px)
    bottom, right = min(size_hw[0], y + h + margin_px), min(size_hw[1], x + w + margin_px)
    padding = (x - left, right - x - w, y - top, bottom - y - h)
    return (top, left, bottom - top, right - left), torch.nn.functional.pad(mask, padding)


@dataclass(frozen=True, slots=True)
class Runs:
    """Horizontal runs of a mask's pixels in reading order, int64 ``[n]`` each.

    Attributes:
        rows: row of each run.
        starts: its first column.
        stops: one past its last column.
        numbers: number of its component, from 0 in the order of their first pixel.
        count: number of components.
    """

    rows: _Ints
    starts: _Ints
    stops: _Ints
    numbers: _Ints
    count: int


def connected_components(mask: torch.Tensor, *, diagonal: bool = True) -> tuple[torch.Tensor, int]:
    """Number the connected components of a mask.

    Args:
        mask: bool ``[H, W]``.
        diagonal: whether pixels that touch at a corner are connected (8 neighbours), or not (4).

    Returns:
        int32 ``[H, W]`` (0 outside, components from 1 in the order of their first pixel, row by row), and how
        many there are.
    """
    height, width = mask.shape
    runs = component_runs(mask, diagonal=diagonal)
    # Runs are in reading order and a root is the least run of its component, so numbers are in reading order.
    values = np.repeat(runs.numbers.astype(np.int32) + 1, runs.stops - runs.starts)
    labels = np.zeros(height * width, dtype=np.int32)
    labels[np.flatnonzero(mask.cpu().numpy())] = values
    return torch.from_numpy(labels.reshape(height, width)), runs.count


def component_runs(mask: torch.Tensor, *, diagonal: bool = True) -> Runs:
    """The connected components of a mask as horizontal runs: boxes and outlines without a look at every pixel.

    Args:
        mask: bool ``[H, W]``.
        diagonal: see `connected_components`.
    """
    pixels = mask.cpu().numpy()
    rows, starts, stops = _runs(pixels)
    if rows.size == 0:
        return Runs(rows, starts, stops, rows, 0)
    roots = least_members(*touching_runs(rows, starts, stops, pixels.shape[1], int(diagonal)), rows.size)
    _, numbers = np.unique(roots, return_inverse=True)
    return Runs(rows, starts, stops, numbers.ravel(), int(numbers.max()) + 1)


def _runs(pixels: npt.NDArray[np.bool_]) -> tuple[_Ints, _Ints, _Ints]:
    """Row, first column and one past the last column of every horizontal run."""
    padded = np.zeros((pixels.shape[0], pixels.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = pixels
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    return rows.astype(np.int64), starts.astype(np.int64), stops.astype(np.int64)


def touching_runs(rows: _Ints, starts: _Ints, stops: _Ints, width: int, reach: int) -> tuple[_Ints, _Ints]:
    """Pairs of runs in neighbouring rows that touch; ``reach`` is 1 if corners count."""
    # One sorted key for all rows: the wide stride keeps a row's runs apart from its neighbours'.
    stride = width + 4
    first = np.searchsorted(rows * stride + stops, (rows + 1) * stride + starts - reach, side="right")
    last = np.searchsorted(rows * stride + starts, (rows + 1) * stride + stops + reach, side="left")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(rows.size, dtype=np.int64), counts)
    offsets = np.arange(counts.sum(), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + offsets


def least_members(a: _Ints, b: _Ints, count: int) -> _Ints:
    """Least member of each node's component, by hooking roots and jumping pointers until nothing changes."""
    parent = np.arange(count, dtype=np.int64)
    while True:
        root_a, root_b = parent[a], parent[b]
        differ = root_a != root_b
        if not differ.any():
            return parent
        low, high = np.minimum(root_a, root_b)[differ], np.maximum(root_a, root_b)[differ]
        np.minimum.at(parent, high, low)
        while True:
            jumped = parent[parent]
            if np.array_equal(jumped, parent):
                break
            parent = jumped


def feather_radius_px(sigma_px: float) -> int:
    """How far beyond the mask a feather of ``sigma_px`` reaches, in pixels."""
    return math.ceil(3 * sigma_px)


def feather(mask: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """``max(mask, G_sigma(mask))``: 1 on the object, falling to 0 within `feather_radius_px` around it.

    Args:
        mask: bool ``[h, w]``.
        sigma_px: standard deviation of the Gaussian in pixels; 0 gives the mask itself.

    Returns:
        float32 ``[h, w]`` in [0, 1].
    """
    hard = mask.to(torch.float32)
    if sigma_px == 0:
        return hard
    weights = _half_kernel(sigma_px)
    return torch.maximum(hard, _blurred(_blurred(hard, weights, 0), weights, 1))


@lru_cache(maxsize=16)
def _half_kernel(sigma_px: float) -> tuple[float, ...]:
    """The Gaussian's weights from its centre to its end; they sum to 1 with those of the other half."""
    # kornia's own kernel, so that `poc_aug.reading.compose_tensors`, which uses its filter, feathers alike.
    radius = feather_radius_px(sigma_px)
    return tuple(get_gaussian_kernel1d(2 * radius + 1, sigma_px)[0, radius:].tolist())


def _blurred(values: torch.Tensor, weights: tuple[float, ...], dim: int) -> torch.Tensor:
    # Shifted sums, on the CPU: benchmarks/blending.py compares them with kornia's gaussian_blur2d, whose convolution
    # has one channel to work on: masks of 100 px take it 2 to 5 times as long, masks of 400 px about twice.
    size = values.shape[dim]
    out = values * weights[0]
    for shift, weight in enumerate(weights[1:size], start=1):
        rest = size - shift
        out.narrow(dim, shift, rest).add_(values.narrow(dim, 0, rest), alpha=weight)
        out.narrow(dim, 0, rest).add_(values.narrow(dim, shift, rest), alpha=weight)
    return out


def dilate(mask: torch.Tensor, radius_px: int) -> torch.Tensor:
    """Grow a mask by a square of ``radius_px``: bool ``[h, w]``."""
    if radius_px == 0:
        return mask
    grown = mask
    for dim in (0, 1):  # separable: 2 k instead of k^2 reads
        source, size = grown, mask.shape[dim]
        grown = source.clone()
        for shift in range(1, min(radius_px, size - 1) + 1):
            rest = size - shift
            grown.narrow(dim, shift, rest).logical_or_(source.narrow(dim, 0, rest))
            grown.narrow(dim, 0, rest).logical_or_(source.narrow(dim, shift, rest))
    return grown
