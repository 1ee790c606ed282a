"""Timing with warm-up, median and spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of repeated measurements, in whatever unit they had."""

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
    """``value`` to six significant digits: what a timer holds."""
    return float(f"{value:.6g}")


def interleaved(arms: Mapping[str, Callable[[], float]], repeats: int, *, warmup: int = 1) -> dict[str, list[float]]:
    """Measure several things in turn, ``a b c a b c ...``, so that drift of the machine meets all alike.

    Every other round goes backwards (``a b c c b a``), which cancels a linear drift within a round too.

    Args:
        arms: each call measures once and returns its figure.
        repeats: figures of each arm that are kept.
        warmup: rounds that are thrown away first.

    Returns:
        The figures of each arm, those of one round at the same position.
    """
    found: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(-warmup, repeats):
        for name in arms if number % 2 == 0 else reversed(list(arms)):
            figure = arms[name]()
            if number >= 0:
                found[name].append(figure)
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """``above / below``, round by round: what both share, such as a busy machine, drops out."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
