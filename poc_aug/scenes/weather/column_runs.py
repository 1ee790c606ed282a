"""`ColumnRuns`: a map of small numbers as vertical runs, which is what "what stands on what" is read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poc_aug.masks import least_members, touching_runs

RunInts = npt.NDArray[np.int64]
RunFloats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ColumnRuns:
    """Vertical runs of equal values, column by column, from top to bottom; int64 ``[n]`` each.

    Attributes:
        size_hw: height and width of the map.
        columns: column of each run.
        tops: its first row.
        stops: one past its last row.
        values: the value that it holds.
        components: number of its connected component of equal values (4 neighbours), from 0.
        count: number of components.
    """

    size_hw: tuple[int, int]
    columns: RunInts
    tops: RunInts
    stops: RunInts
    values: RunInts
    components: RunInts
    count: int

    @property
    def at_bottom(self) -> npt.NDArray[np.bool_]:
        """Whether a run ends at the lower border: bool ``[n]``. Below any other run lies the next one."""
        return np.asarray(self.stops == self.size_hw[0])


def column_runs(transposed: npt.NDArray[np.uint8]) -> ColumnRuns:
    """The vertical runs of a map, and their connected components.

    Args:
        transposed: ``[W, H]``, contiguous: columns are read one after another.

    Example:
        >>> runs = column_runs(np.array([[1, 1, 2], [1, 2, 2]], np.uint8))  # two columns of three rows
        >>> runs.values, runs.stops, runs.components
        (array([1, 2, 1, 2]), array([2, 3, 1, 3]), array([0, 1, 0, 1]))
    """
    width, height = transposed.shape
    flat = transposed.ravel()
    begins = np.empty(flat.size, dtype=np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::height] = True
    starts = np.flatnonzero(begins)
    columns = starts // height
    tops = starts - columns * height
    stops = np.append(starts[1:], flat.size) - columns * height
    values = flat[starts].astype(np.int64)
    left, right = touching_runs(columns, tops, stops, height, 0)
    same = values[left] == values[right]
    roots = least_members(left[same], right[same], starts.size)
    _, components = np.unique(roots, return_inverse=True)
    return ColumnRuns(
        (height, width), columns, tops, stops, values, components.astype(np.int64), int(components.max()) + 1
    )
