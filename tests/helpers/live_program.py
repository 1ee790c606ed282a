"""A training program for tests that kill it: prints the ids of its processes, then trains until it is stopped.

tests/helpers/live_program.py fork|spawn|none what-it-does
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from multiprocessing import active_children
from typing import Any

from torch.utils.data import DataLoader

from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.fakes import EllipseInserter
from tests.helpers.live_cases import keep, live, pipeline

MORE_THAN_IT_CAN_MAKE = LiveSettings(num_variants=50_000)


class SteadyInserter(EllipseInserter):
    """Takes a while for each batch."""

    def insert(self, crops: Any) -> Any:
        import time

        time.sleep(0.05)
        return super().insert(crops)


def main() -> None:
    start, what = sys.argv[1:3]
    warnings.simplefilter("ignore")
    ds = live(pipeline=pipeline(SteadyInserter()), variants="all", live=MORE_THAN_IT_CAN_MAKE)
    workers: dict[str, Any] = {} if start == "none" else {"num_workers": 2, "multiprocessing_context": start}
    loader = DataLoader(ds, batch_size=2, collate_fn=keep, **workers)
    batches = iter(loader)
    next(batches)
    assert ds._live is not None
    processes = {
        "server": ds._live.pid,
        "workers": [child.pid for child in active_children() if child.pid != ds._live.pid],
        "cache": str(ds.cache.path),
        "parent": os.getpid(),
    }
    print(json.dumps(processes), flush=True)
    if what == "raise":
        raise RuntimeError("the loss is NaN")
    if what == "return":
        return
    if what == "exit":
        os._exit(3)
    for _ in batches:
        pass


if __name__ == "__main__":
    main()
