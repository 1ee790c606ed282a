"""Tables of one number per group and column: filled, spread and smoothed along the columns."""

from __future__ import annotations

import numpy as np

from poc_aug.scenes.weather.column_runs import Floats


def filled(table: Floats, *, linear: bool) -> Floats:
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


def reached(table: Floats, reach: Floats) -> Floats:
    """The greatest value in reach of each entry: values spread as far as they reach, to both sides.

    Args:
        table: float32 ``[n, columns]``, NaN where nothing is known.
        reach: how many columns far each value counts, ``[n, columns]``; rounded down to a power of 2, less 1.

    Example:
        >>> reached(np.array([[5, np.nan, np.nan, np.nan, 3]], np.float32), np.full((1, 5), 2, np.float32))
        array([[ 5.,  5., nan,  3.,  3.]], dtype=float32)
    """
    values = np.where(np.isnan(table), np.float32(-np.inf), table)
    with np.errstate(invalid="ignore", divide="ignore"):
        classes = np.floor(np.log2(np.nan_to_num(reach, nan=0.0, posinf=0.0).clip(0) + 1e-9))
    most = int(min(classes.max(initial=0), np.log2(max(1, table.shape[1]))))
    out = np.full_like(values, -np.inf)
    for exponent in range(max(0, most), -1, -1):
        here = (classes >= exponent) if exponent == most else (classes == exponent)
        out = np.where(here, np.maximum(out, values), out)
        # The radii of all rounds from here on add up to 2 ** exponent - 1, and 1 for the last.
        out = _spread(out, max(1, 2 ** (exponent - 1)))
    out = np.maximum(out, values)
    out[np.isneginf(out)] = np.nan
    return out


def _spread(values: Floats, radius: int) -> Floats:
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


def smoothed(table: Floats) -> Floats:
    """Median of 5 columns, then mean of 3: single wrong columns go, steps stay.

    Example:
        >>> smoothed(np.array([[1, 1, 9, 1, 1, 1, 5, 5, 5]], np.float32)).round(1)
        array([[1. , 1. , 1. , 1. , 1. , 2.3, 3.7, 5. , 5. ]], dtype=float32)
    """
    if table.shape[1] < 3:
        return table
    median = np.median(_windows(table, 2), axis=0)
    return np.asarray(_windows(median, 1).mean(axis=0), dtype=np.float32)


def _windows(table: Floats, radius: int) -> Floats:
    padded = np.pad(table, ((0, 0), (radius, radius)), mode="edge")
    return np.stack([padded[:, i : i + table.shape[1]] for i in range(2 * radius + 1)])
