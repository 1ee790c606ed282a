"""Waiting for an event, with a bound that a busy machine does not reach either."""

from __future__ import annotations

import time
from collections.abc import Callable

WATCHDOG_S = 1500.0  # less than pytest's own limit, so that what hangs is named by the test


def wait_until(holds: Callable[[], bool], seconds: float = WATCHDOG_S, *, pause_s: float = 0.01) -> bool:
    """Whether something came to hold; what never does costs the whole bound. What is dear to look at has pauses."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True
