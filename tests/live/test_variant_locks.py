"""A lock on a variant belongs to one process, and ends with it."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path
from typing import Any

from poc_aug.cache.variant_locks import VariantLocks
from tests.helpers.live_cases import is_alive, kill


def _lock(path: Path, key: str, acquired: Any) -> None:
    locks = VariantLocks(path)
    acquired.send(locks.acquire(key, 0))
    signal.pause()  # until it is killed


def test_a_lock_belongs_to_one_process_and_ends_with_it(tmp_path: Path) -> None:
    mine = VariantLocks(tmp_path)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    other = context.Process(target=_lock, args=(tmp_path, "a", there))
    other.start()
    try:
        assert here.recv()
        assert not mine.acquire("a", 0)
        assert mine.acquire("a", 1)
        assert mine.acquire("b", 0)
        assert other.pid is not None
        kill(other.pid)
        other.join()
        assert mine.acquire("a", 0)
        mine.release("a", 0)
        mine.release("never acquired", 0)
    finally:
        if is_alive(other.pid or 0):
            other.kill()
        mine.close()
