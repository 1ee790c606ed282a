"""Warming that is killed, interrupted or out of disk space: nothing committed is lost, and it can be resumed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.errors import CacheDiskError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.warming_cases import content, pipeline

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def test_a_run_killed_before_its_manifest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    (path / "shards").mkdir(parents=True)
    assert warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0).made == 2


class Slow(EllipseInserter):
    """How slowly an inserter works is no part of its description."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        time.sleep(0.005)
        return super()._one(crop)


def job(path: str, workers: int, ready: Any, file_limit: int | None = None) -> None:
    """What the processes run that these tests kill."""
    torch.set_num_threads(1)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    os.setpgrp()
    ready.set()
    try:
        warm_cache(
            Frames(40), path, InsertionPipeline(make_recipe(), Slow(reject=0.3)), num_variants=3, workers=workers
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except CacheDiskError as error:
        sys.exit(28 if path in str(error) else 1)


def start(path: Path, workers: int = 0, file_limit: int | None = None) -> Any:
    context = multiprocessing.get_context("fork")  # starts in milliseconds: torch is imported already
    ready = context.Event()
    process = context.Process(target=job, args=(str(path), workers, ready, file_limit))
    process.start()
    assert ready.wait(60)
    return process


def kill(process: Any) -> None:
    """Kill the process itself; its loader workers live on for a moment."""
    process.kill()
    process.join()


def end_workers(process: Any) -> None:
    """End the loader workers of a killed process: `job` leads a process group."""
    with contextlib.suppress(ProcessLookupError):  # they may have ended by themselves
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_shard(path: Path) -> None:
    deadline = time.monotonic() + 250
    while not list(path.glob("shards/*.lmdb")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_twenty_moments_and_resumed_equals_one_run(tmp_path: Path) -> None:
    whole = tmp_path / "whole.cache"
    warm_cache(Frames(40), whole, pipeline(), num_variants=3, workers=0)
    expected = content(whole)

    # Moments are shares of the time that a whole run takes here and now, whatever else the machine does.
    began = time.monotonic()
    start(tmp_path / "timed.cache").join()
    whole_s = time.monotonic() - began
    path = tmp_path / "killed.cache"
    moments = random.Random(7)
    sizes: set[int] = set()
    for number in range(20):
        process = start(path, workers=number % 3)
        time.sleep(moments.uniform(0.0, 0.6) * whole_s)
        kill(process)
        end_workers(process)
        if (path / "manifest.json").exists():
            stored = content(path)
            assert stored.items() <= expected.items()
            sizes.add(len(stored))
    assert any(0 < size < len(expected) for size in sizes)  # some of them fell into the middle
    last = start(path)
    last.join()
    assert last.exitcode == 0
    assert content(path) == expected


def test_interrupt_keeps_what_was_made(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(path, workers=1)
    wait_for_shard(path)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    assert 0 < len(content(path)) < 120


def test_a_full_disk_is_reported_and_nothing_committed_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(path, file_limit=150_000)
    process.join()
    assert process.exitcode == 28
    kept = content(path)
    warm_cache(Frames(40), path, pipeline(), num_variants=3, workers=0)
    assert kept.items() <= content(path).items()
    assert len(content(path)) == 120


def test_no_lock_is_left_by_a_killed_job(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(path, workers=2)
    wait_for_shard(path)
    kill(process)
    try:
        assert warm_cache(Frames(40), path, pipeline(), num_variants=3, workers=0).total == 120
    finally:
        end_workers(process)
