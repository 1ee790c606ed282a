"""Generation while training: one process beside the training makes insertions for all workers.

::

    worker --- sample (shared memory) --> generation process: pipeline, models, accelerator
    worker <-- insertion (a record) ----- stored in the cache first

Nothing of CUDA ever crosses into a worker, whatever its start method; requests of all workers share batches.

Rooms: ``handle`` (what a dataset holds), ``client`` (a worker's side), ``keeper`` (the training process's side: start,
end, failure), ``server`` (the process), ``doorman`` (its sockets), ``feed`` (its jobs), ``claims`` (several processes
on one cache), ``messages``, ``board`` and ``statistics`` (shared memory), ``settings``.
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
