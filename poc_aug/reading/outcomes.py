"""What became of an epoch's items, in memory that all workers share."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

from poc_aug.reading.peeking import is_peeking
from poc_aug.reading.shared_numbers import SharedNumbers


class Outcome(IntEnum):
    """What became of one item."""

    PLAIN = 1
    """It was not drawn (``p``)."""
    HIT = 2
    """Its insertions were in the cache."""
    GENERATED = 3
    """They were generated while the item waited."""
    MISSED = 4
    """They were not there, and the item was returned without them."""
    EMPTY = 5
    """Every attempt was rejected in each variant that could be drawn."""


class Ledger:
    """The outcome of each item in shared memory: every worker writes its items, any process reads. There are no locks.

    Args:
        length: number of items.
    """

    def __init__(self, length: int) -> None:
        self._outcomes = SharedNumbers(length)
        self._waits = SharedNumbers(length, torch.float64)

    def write(self, index: int, epoch: int, outcome: Outcome, wait_s: float) -> bool:
        """Record what became of an item in an epoch; an item that is read twice in it counts once.

        Returns:
            Whether it had been read in this epoch before.
        """
        if is_peeking():
            return False
        again = int(self._outcomes.values[index]) // 8 == epoch + 1
        self._waits.values[index] = wait_s
        self._outcomes.values[index] = 8 * (epoch + 1) + outcome
        return again

    def count(self, epoch: int) -> tuple[dict[Outcome, int], float]:
        """Items of an epoch by outcome, and the seconds that they waited in total."""
        outcomes = self._outcomes.values.copy()
        in_epoch = outcomes // 8 == epoch + 1
        counts = np.bincount(outcomes[in_epoch] % 8, minlength=8)
        return {outcome: int(counts[outcome]) for outcome in Outcome}, float(self._waits.values[in_epoch].sum())
