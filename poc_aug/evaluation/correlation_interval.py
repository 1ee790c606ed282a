"""`Correlation`: a coefficient with its bootstrap interval, or with the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_LEAST = 5
_EQUAL = 1e-12


@dataclass(frozen=True, slots=True)
class Correlation:
    """One correlation coefficient, in [-1, 1], and its bootstrap interval.

    Attributes:
        value: coefficient over all models.
        low: lower end of the interval; ``None`` if there is none.
        high: upper end of the interval; ``None`` if there is none.
        no_interval: why there is none.

    Example:
        >>> from poc_aug.evaluation.reliability import Correlation
        >>> Correlation(value=0.9, low=0.7, high=0.96)
        Correlation(value=0.9, low=0.7, high=0.96)
        >>> Correlation(value=0.9, low=0.7, high=0.96).interval_text(2)
        '0.70 to 0.96'
    """

    value: float
    low: float | None
    high: float | None
    no_interval: str = field(default="", repr=False)

    def interval_text(self, digits: int) -> str:
        """The interval, or why there is none."""
        if self.low is None or self.high is None:
            return self.no_interval
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        values: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        return values | ({"no_interval": self.no_interval} if self.no_interval else {})


def least_models(confidence: float) -> int:
    """The least number of models for an interval at a level.

    Of n models that have nothing to do with each other, one order of all n! is the same on both sides by chance, and
    one is the reverse. Only if 2 / n! is at most 1 - confidence can even perfect agreement be told from chance at that
    level. At least five: four models have no more than 35 different resamples, and 2.5% of them is less than one.

    Example:
        >>> from poc_aug.evaluation.correlation_interval import least_models
        >>> least_models(0.8), least_models(0.95), least_models(0.99)
        (5, 5, 6)
    """
    count = _LEAST
    while 2 / math.factorial(count) > 1 - confidence and count < 20:
        count += 1
    return count


def with_interval(value: float, over_draws: _Array, models: int, confidence: float) -> Correlation:
    """The coefficient with the percentiles of those of resamples, unless they say nothing.

    Args:
        value: coefficient over all models.
        over_draws: coefficients of the resamples.
        models: number of models.
        confidence: level of the interval.

    Example:
        >>> import numpy as np
        >>> from poc_aug.evaluation.correlation_interval import with_interval
        >>> with_interval(1.0, np.ones(100), 4, 0.95).interval_text(2)
        'none: too few models (4; at least 5)'
        >>> with_interval(1.0, np.ones(100), 9, 0.95).interval_text(2)
        'none: equal in all resamples'
    """
    if models < (least := least_models(confidence)):
        return Correlation(value, None, None, f"none: too few models ({models}; at least {least})")
    low, high = (float(end) for end in np.quantile(over_draws, [(1 - confidence) / 2, (1 + confidence) / 2]))
    if high - low < _EQUAL:
        # Models in one order stay so in every resample, which says nothing about models that were not drawn.
        return Correlation(value, None, None, "none: equal in all resamples")
    return Correlation(value, low, high)
