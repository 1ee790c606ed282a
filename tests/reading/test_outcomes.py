"""The ledger of outcomes, shared with other processes, counts an epoch's items once."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest

from poc_aug.live.counters import COUNTERS, LiveCounters
from poc_aug.reading.outcomes import Ledger, Outcome
from poc_aug.reading.reading_statistics import ReadingStatistics
from tests.helpers.live_cases import is_alive
from tests.helpers.waiting import wait_until


def test_the_ledger_counts_an_epochs_items_once() -> None:
    ledger = Ledger(5)
    for index, outcome in enumerate([Outcome.HIT, Outcome.PLAIN, Outcome.GENERATED]):
        ledger.write(index, 4, outcome, 0.5)
    ledger.write(0, 4, Outcome.GENERATED, 0.25)
    ledger.write(3, 3, Outcome.MISSED, 9.0)
    counts, wait_s = ledger.count(4)
    assert (counts[Outcome.GENERATED], counts[Outcome.PLAIN], counts[Outcome.HIT], counts[Outcome.MISSED]) == (
        2,
        1,
        0,
        0,
    )
    assert wait_s == 1.25
    counters = LiveCounters()
    counters["made"], counters["attempts"], counters["accepted"] = 3, 4, 1
    stats = ReadingStatistics.of(ledger, 4, counters)
    assert (stats.items, stats.augmented, stats.made, stats.acceptance) == (3, 2 / 3, 3, 0.25)
    assert set(stats.to_dict()) >= {"augmented", "wait_s", "queue"}
    assert np.isnan(ReadingStatistics.of(ledger, 9, None).augmented)


def test_rates_that_are_not_known_yet_are_not_printed() -> None:
    ledger, counters = Ledger(2), LiveCounters()
    assert str(ReadingStatistics.of(ledger, 3, None)) == "epoch 3: nothing was read yet"
    counters["queue"] = 2  # requested, and nothing attempted yet
    waiting = "generation process: 0 variants made, 0 failed, 2 queued"
    assert str(ReadingStatistics.of(ledger, 0, counters)) == f"epoch 0: nothing was read yet; {waiting}"
    counters["made"], counters["attempts"], counters["accepted"], counters["crops"], counters["batches"] = 1, 2, 1, 2, 1
    ledger.write(0, 0, Outcome.GENERATED, 0.5)
    assert str(ReadingStatistics.of(ledger, 0, counters)) == (
        "epoch 0: 1 item, 100% augmented; 0 from the cache; 1 generated while they waited (0.5 s in all); "
        "0 without what they drew; generation process: 1 variant made, 0 failed, 2 queued, "
        "50% of the attempts accepted, 2.0 crops per batch"
    )


def _write(ledger: Ledger, counters: LiveCounters) -> None:
    ledger.write(2, 0, Outcome.MISSED, 1.0)
    counters["queue"] = 7


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_ledger_and_counters_are_shared_with_other_processes(method: str) -> None:
    ledger, counters = Ledger(3), LiveCounters()
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=_write, args=(ledger, counters))
    process.start()
    process.join()
    assert ledger.count(0)[0][Outcome.MISSED] == 1
    assert counters["queue"] == 7
    assert all(counters[name] == 0 for name in COUNTERS if name != "queue")
    assert wait_until(lambda: not is_alive(process.pid or 0))
