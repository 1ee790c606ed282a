"""A claim on a variant is of one process, and ends with it."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

from poc_aug.live.claims import Claims
from tests.helpers.live_cases import is_alive, kill


def _claim(path: Path, key: str, told: Any) -> None:
    claims = Claims(path)
    told.send(claims.take(key, 0))
    time.sleep(60)


def test_a_claim_is_one_processes_and_ends_with_it(tmp_path: Path) -> None:
    mine = Claims(tmp_path)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    other = context.Process(target=_claim, args=(tmp_path, "a", there))
    other.start()
    try:
        assert here.recv()
        assert not mine.take("a", 0)
        assert mine.take("a", 1)
        assert mine.take("b", 0)
        assert other.pid is not None
        kill(other.pid)
        other.join()
        assert mine.take("a", 0)
        mine.give_back("a", 0)
        mine.give_back("never taken", 0)
    finally:
        if is_alive(other.pid or 0):
            other.kill()
        mine.close()
