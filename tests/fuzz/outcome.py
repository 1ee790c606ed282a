"""What became of the fuzzed cases, and the clock that ends a process in which one takes too long."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_CPU_S = 5.0


@dataclass
class Outcome:
    """What became of some cases."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, 0, "")
    peak_nbytes: int = 0

    def add(self, other: Outcome) -> None:
        """Add other cases to these."""
        self.counts += other.counts
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)
        self.peak_nbytes = max(self.peak_nbytes, other.peak_nbytes)


@contextlib.contextmanager
def watched(outcome: Outcome, number: int, what: str) -> Iterator[None]:
    """Time a step; SIGPROF ends the process if it takes more than `MOST_CPU_S` of processor time."""
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome.slowest = max(outcome.slowest, (time.process_time() - started, number, what))
