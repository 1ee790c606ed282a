"""Live generation: one process alongside the training makes insertions for all of its workers.

In it: the process and its owner, the connections of workers, requests, messages, statistics in shared memory.
May import: cache, camera_model, errors, generation, labels, reading, seeding, types.
Gives: `Live`.

::

    worker --- sample (shared memory) --> generation process: pipeline, models, accelerator
    worker <-- insertion (a record) ----- stored in the cache first

Nothing of CUDA ever crosses into a worker, whatever its start method; requests of all workers share batches.
"""

from __future__ import annotations

from poc_aug.live.handle import Live, Schedule
from poc_aug.reading.live_settings import LiveSettings, OnTrouble, ServerSettings
from poc_aug.reading.outcomes import Ledger, Outcome, ReadingStatistics

__all__ = [
    "Ledger",
    "Live",
    "LiveSettings",
    "OnTrouble",
    "Outcome",
    "ReadingStatistics",
    "Schedule",
    "ServerSettings",
]
