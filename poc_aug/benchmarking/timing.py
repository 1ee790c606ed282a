"""Timing with warm-up, median and spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of repeated measurements, in the unit of the measurements.

    Attributes:
        median: the median.
        low: the 25% quantile.
        high: the 75% quantile.
        runs: number of measurements.

    Example:
        >>> from poc_aug.benchmarking.timing import Spread
        >>> Spread.of([1.0, 2.0, 3.0, 4.0, 10.0])
        Spread(median=3.0, low=2.0, high=4.0, runs=5)
    """

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, 25% and 75% quantile of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))

    def to_dict(self) -> dict[str, float]:
        """JSON values, rounded to six significant digits."""
        shown = {"median": self.median, "low": self.low, "high": self.high}
        return {**{name: significant(value) for name, value in shown.items()}, "runs": self.runs}


def significant(value: float) -> float:
    """``value`` to six significant digits, which is as precise as timers are.

    Example:
        >>> from poc_aug.benchmarking.timing import significant
        >>> significant(0.123456789)
        0.123457
    """
    return float(f"{value:.6g}")


def interleaved(arms: Mapping[str, Callable[[], float]], repeats: int, *, warmup: int = 1) -> dict[str, list[float]]:
    """Measure several things in turn, so that drift of the machine affects all of them alike.

    Every other round goes backwards (``a b c c b a``), which also cancels a linear drift within a round.

    Args:
        arms: what is measured, by name; each call measures once and returns the result.
        repeats: results of each arm that are kept.
        warmup: rounds that are discarded first.

    Returns:
        The results of each arm, those of one round at the same position.

    Example:
        >>> from poc_aug.benchmarking.timing import interleaved
        >>> order = iter(range(6))
        >>> interleaved({"a": lambda: next(order), "b": lambda: next(order)}, repeats=2)
        {'a': [2, 5], 'b': [3, 4]}
    """
    results: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(-warmup, repeats):
        for name in arms if number % 2 == 0 else reversed(list(arms)):
            result = arms[name]()
            if number >= 0:
                results[name].append(result)
    return results


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """``above / below``, round by round: what affects both, such as a busy machine, cancels out.

    Example:
        >>> from poc_aug.benchmarking.timing import ratios
        >>> ratios([2.0, 20.0], [1.0, 10.0]).median
        2.0
    """
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call.

    Example:
        >>> from poc_aug.benchmarking.timing import seconds
        >>> seconds(lambda: sum(range(1000))) > 0
        True
    """
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
