"""Warming that is killed, interrupted or out of disk space: nothing committed is lost, and it can be resumed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.errors import CacheDiskError
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import Frames
from tests.helpers.kinds import KINDS, Kind
from tests.helpers.waiting import wait_until
from tests.helpers.warming_cases import content, pipeline

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def test_a_run_killed_before_its_manifest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    (path / "shards").mkdir(parents=True)
    assert warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0).made == 2


class Counted:
    """Counts crops or frames where another process can read it; holds after so many of them until interrupted."""

    def __init__(self, count: Any, hold_after: int | None) -> None:
        self.count, self.hold_after = count, hold_after
        self.interrupted = threading.Event()

    def __call__(self) -> None:
        if self.count.value == self.hold_after:
            self.interrupted.wait()
        self.count.value += 1


def job(kind: Kind, path: str, workers: int, count: Any, hold_after: int | None, file_limit: int | None) -> None:
    """What the processes run that these tests kill."""
    torch.set_num_threads(1)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    os.setpgrp()
    counted = Counted(count, hold_after)

    def interrupt(number: int, frame: Any) -> None:
        counted.interrupted.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        kind.warm(Path(path), _length(kind), workers=workers, pipeline=kind.pipeline(on_each=counted))
    except KeyboardInterrupt:
        sys.exit(130)
    except CacheDiskError as error:
        sys.exit(28 if path in str(error) else 1)


def _length(kind: Kind) -> int:
    """Samples that make 120 records, three variants of each."""
    return 40 // kind.per_sample


def start(
    kind: Kind, path: Path, workers: int = 0, hold_after: int | None = None, file_limit: int | None = None
) -> Any:
    context = multiprocessing.get_context("fork")  # starts in milliseconds: torch is imported already
    count = context.Value("i", 0, lock=False)
    process: Any = context.Process(target=job, args=(kind, str(path), workers, count, hold_after, file_limit))
    process.count = count
    process.start()
    return process


def wait_for_crops(process: Any, count: int) -> None:
    """Wait until a process has made so many crops, or has ended."""
    assert wait_until(lambda: process.count.value >= count or not process.is_alive())


def kill(process: Any) -> None:
    """Kill the process itself; its loader workers live on for a moment."""
    process.kill()
    process.join()


def end_workers(process: Any) -> None:
    """End the loader workers of a killed process: `job` leads a process group."""
    with contextlib.suppress(ProcessLookupError):  # they may have ended by themselves
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_killed_at_twenty_moments_and_resumed_equals_one_run(kind: Kind, tmp_path: Path) -> None:
    whole = tmp_path / "whole.cache"
    kind.warm(whole, _length(kind))
    expected = content(whole)

    # Moments are counted in crops, whatever else the machine does; the first is in the middle for certain.
    timed = start(kind, tmp_path / "timed.cache")
    timed.join()
    crops = timed.count.value
    path = tmp_path / "killed.cache"
    moments = random.Random(7)
    sizes: set[int] = set()
    for number in range(20):
        after = moments.randrange(crops // 2)
        process = start(kind, path, number % 3, hold_after=crops * 3 // 4 if number == 0 else None)
        wait_for_crops(process, crops * 3 // 4 if number == 0 else after)
        if number == 0:
            assert wait_until(lambda: (path / "manifest.json").exists() and bool(content(path)))
        kill(process)
        end_workers(process)
        if (path / "manifest.json").exists():
            stored = content(path)
            assert stored.items() <= expected.items()
            sizes.add(len(stored))
    assert any(0 < size < len(expected) for size in sizes)  # some of them fell into the middle
    last = start(kind, path)
    last.join()
    assert last.exitcode == 0
    assert content(path) == expected


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_interrupt_keeps_what_was_made(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(kind, path, workers=1, hold_after=60)
    wait_for_crops(process, 60)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    assert 0 < len(content(path)) < 120


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_full_disk_is_reported_and_nothing_committed_is_lost(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(kind, path, file_limit=150_000)
    process.join()
    assert process.exitcode == 28
    kept = content(path)
    kind.warm(path, _length(kind))
    assert kept.items() <= content(path).items()
    assert len(content(path)) == 120


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_lock_is_left_by_a_killed_job(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    process = start(kind, path, workers=2, hold_after=60)
    wait_for_crops(process, 60)
    kill(process)
    try:
        assert kind.warm(path, _length(kind)).total == 120
    finally:
        end_workers(process)
