"""`LiveCounters`: what a generation process reports of itself, in shared memory."""

from __future__ import annotations

import torch

from poc_aug.reading.shared_numbers import SharedNumbers

COUNTERS = (
    "ready",  # for requests
    "queue",  # requests that are not answered
    "made",  # variants
    "attempts",  # to place an object
    "accepted",  # attempts that placed one
    "failed",  # variants that could not be made
    "batches",  # that the inserter filled
    "crops",  # in these batches
    "insert_s",  # seconds inside the inserter
    "stored",  # requested variants that another process had stored
    "over",  # the process has ended for good
)


class LiveCounters:
    """Named figures; the generation process alone writes them, any process that was sent them reads, without a lock."""

    def __init__(self) -> None:
        self._figures = SharedNumbers(len(COUNTERS), torch.float64)

    def __getitem__(self, name: str) -> float:
        return float(self._figures.values[COUNTERS.index(name)])

    def __setitem__(self, name: str, value: float) -> None:
        self._figures.values[COUNTERS.index(name)] = value
