"""Connected components of a boolean mask: exact, in NumPy, by runs of pixels.

kornia's ``connected_components`` spreads labels one pixel an iteration and stops after a given number, so it is
exact only for components that are short enough; SciPy is not a core dependency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

_Ints = npt.NDArray[np.int64]


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
    roots = _unite(*_touching(rows, starts, stops, pixels.shape[1], int(diagonal)), rows.size)
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


def _touching(rows: _Ints, starts: _Ints, stops: _Ints, width: int, reach: int) -> tuple[_Ints, _Ints]:
    """Pairs of runs in neighbouring rows that touch; ``reach`` is 1 where corners count."""
    # One sorted key for all rows: the wide stride keeps a row's runs apart from its neighbours'.
    stride = width + 4
    first = np.searchsorted(rows * stride + stops, (rows + 1) * stride + starts - reach, side="right")
    last = np.searchsorted(rows * stride + starts, (rows + 1) * stride + stops + reach, side="left")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(rows.size, dtype=np.int64), counts)
    offsets = np.arange(counts.sum(), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + offsets


def _unite(a: _Ints, b: _Ints, count: int) -> _Ints:
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
