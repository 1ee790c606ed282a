"""Tables of one number per group and column: filled, spread and smoothed along the columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poc_aug.scenes.weather.column_runs import RunFloats


def filled(table: RunFloats, *, linear: bool) -> RunFloats:
    """Fill NaN along each row, from the nearest columns that are known; rows without any stay NaN.

    Args:
        table: float32 ``[n, columns]``.
        linear: interpolate between them (1 / depth of a plane is linear over the columns), or take the nearer one.

    Example:
        >>> filled(np.array([[np.nan, 4, np.nan, np.nan, 10]], np.float32), linear=True)
        array([[ 4.,  4.,  6.,  8., 10.]], dtype=float32)
    """
    width = table.shape[1]
    columns = np.arange(width)
    known = ~np.isnan(table)
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], axis=1)[:, ::-1]
    left = np.take_along_axis(table, np.maximum(before, 0), axis=1)
    right = np.take_along_axis(table, np.minimum(after, width - 1), axis=1)
    gap = np.maximum(after - before, 1)
    share = (columns - before) / gap
    if not linear:
        share = (share > 0.5).astype(np.float64)
    between = left + (right - left) * share.astype(np.float32)
    return np.where(before < 0, right, np.where(after >= width, left, between)).astype(np.float32)


def reached(table: RunFloats, reach: RunFloats) -> RunFloats:
    """The greatest value in reach of each entry: values spread as far as they reach, to both sides.

    Args:
        table: float32 ``[n, columns]``, NaN where nothing is known.
        reach: how many columns far each value counts, ``[n, columns]``; rounded down to a power of 2.

    Example:
        >>> reached(np.array([[5, np.nan, np.nan, np.nan, 3]], np.float32), np.full((1, 5), 2, np.float32))
        array([[5., 5., 5., 3., 3.]], dtype=float32)
    """
    values = np.where(np.isnan(table), np.float32(-np.inf), table)
    with np.errstate(invalid="ignore", divide="ignore"):
        classes = np.floor(np.log2(np.nan_to_num(reach, nan=0.0, posinf=1e9).clip(0) + 1e-9))
    most = int(min(classes.max(initial=0), np.log2(max(1, table.shape[1]))))
    out = np.full_like(values, -np.inf)
    for exponent in range(max(0, most), -1, -1):
        here = (classes >= exponent) if exponent == most else (classes == exponent)
        out = np.where(here, np.maximum(out, values), out)
        # The radii of all rounds from here on add up to 2 ** exponent.
        out = _spread(out, max(1, 2 ** (exponent - 1)))
    out = np.maximum(out, values)
    out[np.isneginf(out)] = np.nan
    return out


def _spread(values: RunFloats, radius: int) -> RunFloats:
    """The greatest value within a radius, by shifts that double."""
    done = 0
    while done < radius:
        step = min(max(1, done), radius - done, values.shape[1] - 1)
        if step < 1:
            break
        out = values.copy()
        np.maximum(out[:, step:], values[:, :-step], out=out[:, step:])
        np.maximum(out[:, :-step], values[:, step:], out=out[:, :-step])
        values, done = out, done + step
    return values


def opened(mask: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Only the runs of a mask ``[n, columns]`` that are at least ``length`` columns long.

    Example:
        >>> opened(np.array([[True, False, True, True, True]]), 2)
        array([[False, False,  True,  True,  True]])
    """
    columns = np.arange(mask.shape[1])
    last_off = np.maximum.accumulate(np.where(mask, -1, columns), axis=1)
    next_off = np.minimum.accumulate(np.where(mask, mask.shape[1], columns)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(mask & (next_off - last_off > length))


def beyond(table: RunFloats) -> RunFloats:
    """How many columns each entry is beyond the first or the last one known of its row; 0 between them.

    Example:
        >>> beyond(np.array([[np.nan, np.nan, 4, np.nan, 4, np.nan]], np.float32))
        array([[2., 1., 0., 0., 0., 1.]], dtype=float32)
    """
    known, numbers = ~np.isnan(table), np.arange(table.shape[1])
    first = np.where(known, numbers, table.shape[1]).min(axis=1, keepdims=True)
    last = np.where(known, numbers, -1).max(axis=1, keepdims=True)
    columns: RunFloats = np.maximum(np.maximum(first - numbers, numbers - last), 0).astype(np.float32)
    return columns


def farthest(table: RunFloats, radius: int) -> RunFloats:
    """The least known value within a radius of columns, where there is one.

    Example:
        >>> farthest(np.array([[np.nan, 7, 4, np.nan, np.nan]], np.float32), 1)
        array([[ 7.,  4.,  4.,  4., nan]], dtype=float32)
    """
    out: RunFloats = -_spread(np.where(np.isnan(table), np.float32(-np.inf), -table), radius)
    out[np.isinf(out)] = np.nan
    return out


def smoothed(table: RunFloats, origin: float, radius: int = 2, near: float = 0.15) -> RunFloats:
    """Median of 5 columns, then mean of those around each that are near its value: single wrong columns go, steps stay.

    Args:
        table: float32 ``[n, columns]``.
        origin: nearness is in parts of a value's distance to it.
        radius: the mean is that of ``2 * radius + 1`` columns.
        near: how far a value may be from the one in the middle.

    Example:
        >>> smoothed(np.array([[1, 1, 9, 1, 1, 1, 5, 5, 5]], np.float32), 0.0).round(2)
        array([[1., 1., 1., 1., 1., 1., 5., 5., 5.]], dtype=float32)
    """
    if table.shape[1] < 3:
        return table
    median: RunFloats = np.median(_windows(table, 2), axis=0)
    around = _windows(median, radius)
    counts = np.abs(around - median) <= near * np.abs(median - origin) + 1e-6
    return np.asarray(np.where(counts, around, 0).sum(axis=0) / counts.sum(axis=0).clip(1), dtype=np.float32)


def averaged(table: RunFloats, radius: int) -> RunFloats:
    """Mean of ``2 * radius + 1`` columns.

    Example:
        >>> averaged(np.array([[0, 0, 3, 0, 0]], np.float32), 1)
        array([[0., 1., 1., 1., 0.]], dtype=float32)
    """
    padded = np.pad(table, ((0, 0), (radius + 1, radius)), mode="edge").astype(np.float64)
    sums = padded.cumsum(axis=1)
    return np.asarray((sums[:, 2 * radius + 1 :] - sums[:, : -2 * radius - 1]) / (2 * radius + 1), dtype=np.float32)


def _windows(table: RunFloats, radius: int) -> RunFloats:
    padded = np.pad(table, ((0, 0), (radius, radius)), mode="edge")
    return np.stack([padded[:, i : i + table.shape[1]] for i in range(2 * radius + 1)])
