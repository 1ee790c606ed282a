"""A training program for tests that kill it: prints the ids of its processes, then trains until it is stopped.

tests/helpers/live_program.py fork|spawn|none what-it-does [insertions|frames]
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from multiprocessing import active_children
from typing import Any

from torch.utils.data import DataLoader

from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.kinds import FRAMES, INSERTIONS
from tests.helpers.live_cases import LENGTH, keep, tensors

MORE_THAN_IT_CAN_MAKE = LiveSettings(num_variants=50_000)


def take_a_while() -> None:
    time.sleep(0.02)


def main() -> None:
    start, what, *kinds = sys.argv[1:]
    kind = FRAMES if kinds == ["frames"] else INSERTIONS
    warnings.simplefilter("ignore")
    pipeline = kind.pipeline(reject=0, on_each=take_a_while)
    ds = kind.live(None, LENGTH, pipeline=pipeline, variants="all", live=MORE_THAN_IT_CAN_MAKE, transforms=tensors)
    workers: dict[str, Any] = {} if start == "none" else {"num_workers": 2, "multiprocessing_context": start}
    loader = DataLoader(ds, batch_size=2, collate_fn=keep, **workers)
    batches = iter(loader)
    next(batches)
    assert ds._live is not None
    assert ds.cache is not None
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
