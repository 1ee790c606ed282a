"""One horizon from the estimates of several objects, with or without a known pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

# Objects this many standard deviations off have a reduced weight; Geman-McClure's weights fall towards zero beyond.
_OFF = 2.5
# Objects that are more standard deviations from the pose are ignored.
_MAX_DEVIATION = 2.5
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class RowEstimate:
    """A row and its standard deviation in pixels."""

    row: float
    sigma_px: float


def robust_row(rows: Sequence[float], sigmas_px: Sequence[float]) -> RowEstimate:
    """The row that most of the evidence agrees on, by weight; outliers have little weight.

    Args:
        rows: the estimate of each; at least one.
        sigmas_px: their standard deviations.
    """
    values, sigmas = np.asarray(rows, np.float64), np.asarray(sigmas_px, np.float64)
    # Reweighting finds only the nearest local optimum, so it starts at the best of the rows themselves.
    loss = [float(np.sum(_loss(values - start, sigmas))) for start in values]
    row = float(values[int(np.argmin(loss))])
    for _ in range(_ROUNDS):
        weights = _weights(values - row, sigmas)
        row = float(np.sum(weights * values) / np.sum(weights))
    return RowEstimate(row, float(1 / np.sqrt(np.sum(_weights(values - row, sigmas)))))


def combine(pose: RowEstimate, objects: RowEstimate) -> RowEstimate | None:
    """The pose, corrected by the objects (mean weighted by precision); ``None`` if they are too far from it."""
    if abs(pose.row - objects.row) > _MAX_DEVIATION * float(np.hypot(pose.sigma_px, objects.sigma_px)):
        return None
    share = pose.sigma_px**2 / (pose.sigma_px**2 + objects.sigma_px**2)
    row = pose.row + share * (objects.row - pose.row)
    return RowEstimate(row, float(np.sqrt(share)) * objects.sigma_px)


def _loss(off: _Floats, sigmas: _Floats) -> _Floats:
    squared: _Floats = (off / (_OFF * sigmas)) ** 2
    return -1 / (1 + squared) / sigmas**2


def _weights(off: _Floats, sigmas: _Floats) -> _Floats:
    squared: _Floats = (off / (_OFF * sigmas)) ** 2
    return 1 / (1 + squared) ** 2 / sigmas**2
