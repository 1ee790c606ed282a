"""Several processes fill one cache: together they make what one run makes, and none makes a variant twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.cache import Cache
from poc_aug.cache.other_writers import sealed_shards
from poc_aug.cache.shard import shard_paths
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import Frames
from tests.helpers.kinds import KINDS, Kind
from tests.helpers.waiting import wait_until
from tests.helpers.warming_cases import content, pipeline

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

NAME = re.compile(r".+-[0-9]{8}T[0-9]{9}-[0-9]+\.lmdb")


def length(kind: Kind) -> int:
    return 24 // kind.per_sample


def job(kind: Kind, path: str, part: Any, count: Any, hold_at: int | None) -> None:
    """One of the processes that fill a cache; it may stop in the middle, until it is killed."""
    torch.set_num_threads(1)

    def on_each() -> None:
        if count.value == hold_at:
            signal.pause()
        count.value += 1

    kind.warm(Path(path), length(kind), pipeline=kind.pipeline(on_each=on_each), shard=part)


def start(kind: Kind, path: Path, part: Any = None, hold_at: int | None = None) -> Any:
    context = multiprocessing.get_context("fork")
    count = context.Value("i", 0, lock=False)
    process: Any = context.Process(target=job, args=(kind, str(path), part, count, hold_at))
    process.count = count
    process.start()
    return process


def wait_for(process: Any, count: int) -> None:
    """Wait until a process has made so many crops or frames, or has ended."""
    assert wait_until(lambda: process.count.value >= count or not process.is_alive())


def records_of_shards(path: Path) -> list[int]:
    """Numbers of records per shard: their sum is the number of records if none is there twice."""
    counts = []
    for shard in shard_paths(path):
        alone = path.parent / f"{path.name}-{shard.stem}"
        (alone / "shards").mkdir(parents=True)
        shutil.copy(path / "manifest.json", alone)
        shutil.copy(shard, alone / "shards")
        with Cache.open(alone) as cache:
            counts.append(len(cache))
    return counts


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Any]:
    kind: Kind = request.param
    path = tmp_path_factory.mktemp("whole") / "a.cache"
    kind.warm(path, length(kind))
    return kind, content(path)


@pytest.mark.parametrize("parts", [[(0, 2), (1, 2)], [None, None, None]], ids=["numbered", "without_options"])
def test_processes_at_once_make_what_one_makes(whole: Any, parts: list[Any], tmp_path: Path) -> None:
    kind, expected = whole
    path = tmp_path / "a.cache"
    processes = [start(kind, path, part) for part in parts]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(parts)
    assert content(path) == expected
    assert sum(records_of_shards(path)) == len(expected)  # nothing twice
    assert all(NAME.fullmatch(shard.name) for shard in shard_paths(path))


def test_jobs_that_die_run_again_as_others(whole: Any, tmp_path: Path) -> None:
    kind, expected = whole
    path = tmp_path / "a.cache"
    jobs = [start(kind, path, (number, 4), hold_at=9 + number if number else None) for number in range(4)]
    jobs[0].join()
    for process in jobs[1:]:
        wait_for(process, 9)
        process.kill()
        process.join()
    kept = content(path)
    assert kept.items() <= expected.items()
    again = [start(kind, path, (number, 5)) for number in range(5)]
    for process in again:
        process.join()
    assert kept.items() <= content(path).items()
    assert content(path) == expected
    assert sum(records_of_shards(path)) == len(expected)


def test_numbered_jobs_killed_at_random(whole: Any, tmp_path: Path) -> None:
    kind, expected = whole
    path = tmp_path / "a.cache"
    moments = random.Random(11)
    for number in range(20):
        process = start(kind, path, (number % 3, 3))
        wait_for(process, moments.randrange(20))
        process.kill()
        process.join()
        if (path / "manifest.json").exists():
            assert content(path).items() <= expected.items()
    kind.warm(path, length(kind))
    assert content(path) == expected
    assert sum(records_of_shards(path)) == len(expected)


def test_a_process_takes_over_from_one_that_dies(tmp_path: Path) -> None:
    """The first one stops while it generates; the second one makes all else, waits, and makes that too in the end."""
    kind = KINDS[0]
    path = tmp_path / "a.cache"
    first = start(kind, path, hold_at=30)
    assert wait_until(lambda: first.count.value >= 30)
    second = start(kind, path)

    def waits() -> bool:
        with Cache.open(path) as cache:
            return len(cache) > 40

    assert wait_until(waits)
    assert second.is_alive()
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second.join()
    assert second.exitcode == 0
    kind.warm(tmp_path / "whole.cache", length(kind))
    assert content(path) == content(tmp_path / "whole.cache")


def test_what_another_process_made_is_counted(tmp_path: Path) -> None:
    """A second run that begins when the first has stored nothing yet, and reads its first frame after that."""
    path = tmp_path / "a.cache"

    class Late(Frames):
        def __getitem__(self, index: int) -> Any:
            if index == 0 and not done:
                done.append(warm_cache(Frames(3), path, pipeline(), num_variants=2, workers=0))
            return super().__getitem__(index)

    Late.__name__ = "Frames"
    done: list[Any] = []
    report = warm_cache(Late(4), path, pipeline(), num_variants=2, workers=0)
    assert (done[0].made, report.made, report.elsewhere, report.total) == (6, 2, 6, 8)
    assert report.to_dict()["elsewhere"] == 6
    assert sum(records_of_shards(path)) == 8


def test_copying_shards_into_one_folder_unites_caches(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.cache", "b.cache")]
    for number, path in enumerate(paths):
        warm_cache(Frames(5), path, pipeline(), num_variants=2, workers=0, shard=(number, 2))
    for shard in shard_paths(paths[1]):
        shutil.copy(shard, paths[0] / "shards")
    warm_cache(Frames(5), tmp_path / "whole.cache", pipeline(), num_variants=2, workers=0)
    assert content(paths[0]) == content(tmp_path / "whole.cache")
    assert warm_cache(Frames(5), paths[0], pipeline(), num_variants=2, workers=0).made == 0


def test_a_killed_run_leaves_no_blank_shard_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(1), path, pipeline(), num_variants=1, workers=0)
    dead = path / "shards" / "host-all-20261128T120000000-4711.lmdb"
    dead.touch()
    dead.with_suffix(".lock").touch()
    warm_cache(Frames(1), path, pipeline(), num_variants=2, workers=0)
    assert not dead.exists()
    assert not dead.with_suffix(".lock").exists()
    names = {shard.name for shard in shard_paths(path)}
    assert len(names) == 2
    assert sealed_shards(path) == names
    assert list((path / "shards").glob("*.lock")) == []
