"""The cache over process borders: fork, spawn, forkserver, kill -9, busy shards."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import random
import re
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from poc_aug.cache import Cache, CacheWriter, registry, same_variant
from poc_aug.cache.record_keys import decode_key
from poc_aug.errors import CacheBusyError, CacheDiskError, CacheError
from tests.helpers.cache_cases import (
    RECORDS,
    Records,
    contents,
    in_child,
    make_cache,
    make_insertion,
    make_manifest,
    make_variant,
)

# Forking is what these tests are about; Python 3.12 warns of it wherever a library has threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

COUNT = 12


class CachedVariants(Dataset[tuple[int, bool]]):
    """Item i: process id, and whether variant i of each kind of record was read as it was stored, from two caches."""

    def __init__(self, caches: dict[str, tuple[Cache, Cache]]) -> None:
        self.caches = caches  # by name of the records: functions are not sent to workers that are spawned

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, i: int) -> tuple[int, bool]:
        same = True
        for records in RECORDS:
            want = records.make(i)
            got = [cache.get(want.key, want.index) for cache in self.caches[records.name]]
            same &= all(variant is not None and same_variant(variant, want) for variant in got)
        return os.getpid(), same


@pytest.mark.parametrize(
    ("start_method", "used_before"),
    [("fork", False), ("fork", True), ("forkserver", False), ("forkserver", True), ("spawn", True)],
)
def test_loader_workers(tmp_path: Path, start_method: str, used_before: bool) -> None:
    paths = {records.name: records.cache(tmp_path / f"{records.name}.cache", COUNT, 2) for records in RECORDS}
    with ExitStack() as opened:
        caches = {
            name: (opened.enter_context(Cache.open(path)), opened.enter_context(Cache.open(path)))
            for name, path in paths.items()
        }
        if used_before:
            assert [len(cache) for cache, _ in caches.values()] == [COUNT] * len(RECORDS)
        loader = DataLoader(
            CachedVariants(caches),
            batch_size=3,
            num_workers=2,
            multiprocessing_context=start_method,
            persistent_workers=True,
        )
        pids: set[int] = set()
        for _ in range(2):
            for pid, same in loader:
                pids |= set(pid.tolist())
                assert same.all()
        assert len(pids) == 2
        assert os.getpid() not in pids
        for records in RECORDS:
            assert caches[records.name][0].get(records.make(0).key, 0) is not None
        del loader


def test_child_of_a_child(tmp_path: Path) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", COUNT)) as cache:
        assert len(cache) == COUNT
        assert in_child(lambda: in_child(lambda: (len(cache), cache.get("street/0001", 1) is not None))) == (12, True)
        assert cache.get("street/0001", 1) is not None


def test_child_opens_and_closes_for_itself(tmp_path: Path) -> None:
    gc.collect()  # what other tests in this process have left open
    path = make_cache(tmp_path / "a.cache", COUNT)
    with Cache.open(path) as cache:
        assert len(cache) == COUNT

        def work() -> list[int]:
            with Cache.open(path) as mine:
                counts = [len(mine)]
            cache.close()
            return [*counts, registry.open_count()]

        assert in_child(work) == [COUNT, 0]
        assert cache.get("street/0001", 1) is not None


def test_fork_beside_an_open_writer(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    with CacheWriter(path, make_manifest()) as writer, Cache.open(path) as cache:
        writer.put(make_variant(3))
        assert len(cache) == 4

        def work() -> tuple[int, bool]:
            cache.refresh()
            with pytest.raises(CacheError, match=rf"belongs to process {os.getppid()}, this is {os.getpid()}"):
                writer.put(make_variant(9))
            with pytest.raises(CacheBusyError):
                CacheWriter(path, make_manifest())
            with CacheWriter(path, make_manifest(), writer="child") as mine:
                mine.put(make_variant(20))
            writer.close()  # lets go of nothing that is the parent's
            return len(cache), cache.get("street/0001", 0) is not None

        assert in_child(work) == (5, True)
        writer.put(make_variant(4))
        with pytest.raises(CacheBusyError):
            CacheWriter(path, make_manifest())
        assert len(writer.done()) == 6
    assert len(contents(path)) == 6


def test_pins_survive_a_fork(tmp_path: Path) -> None:
    # A child that closes an inherited environment would clear the parent's reader slots: pages would be used again.
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        writer.put(make_variant(1))
        (shard,) = writer._shards
        assert in_child(lambda: len(writer.path.name)) == 7
        assert shard._env is not None
        # Columns: process, thread, transaction, which is "-" where a reader holds none.
        assert re.search(rf"{os.getpid()} \w+ \d+\n", shard._env.readers())


def test_workers_that_outlive_a_writer_do_not_keep_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    writer = CacheWriter(path, make_manifest())
    writer.put(make_variant(1))
    context = multiprocessing.get_context("fork")
    release = context.Event()
    process = context.Process(target=release.wait)
    process.start()
    try:
        writer.close()
        with CacheWriter(path, make_manifest()) as again:
            again.put(make_variant(2))
    finally:
        release.set()
        process.join()
    assert len(contents(path)) == 2


def test_busy_shard_names_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()), pytest.raises(CacheBusyError, match=f"by process {os.getpid()} on "):
        in_child(lambda: CacheWriter(path, make_manifest()))


def test_shards_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    context = multiprocessing.get_context("fork")

    def work(n: int) -> None:
        with CacheWriter(path, make_manifest(), writer=f"ray-{n}") as writer:
            for i in range(n, 40, 4):
                writer.put(make_variant(i))

    processes = [context.Process(target=work, args=(n,)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert contents(path) == contents(make_cache(tmp_path / "b.cache", 40))


def _fill(records: Records, path: Path, count: int, batch: int) -> None:
    with CacheWriter(path, records.manifest()) as writer:
        done = writer.done()
        missing = [v for v in map(records.make, range(count)) if (v.key, v.index) not in done]
        for start in range(0, len(missing), batch):
            writer.put_many(missing[start : start + batch])


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
@pytest.mark.parametrize("batch", [1, 7])
def test_resume_after_kills(tmp_path: Path, records: Records, batch: int) -> None:
    path, count = tmp_path / "a.cache", 70
    context = multiprocessing.get_context("fork")
    delays = random.Random(batch)
    kills = 0
    for attempt in range(200):
        process = context.Process(target=_fill, args=(records, path, count, batch))
        process.start()
        # Longer and longer, so that a slow machine gets there too.
        process.join(delays.uniform(0, 0.03) * (1 + attempt / 5))
        if process.exitcode is None:
            process.kill()
            process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert process.exitcode == 0
    assert kills > 0
    with Cache.open(path) as cache:
        assert cache.verify().ok
    assert contents(path) == contents(records.cache(tmp_path / "b.cache", count))


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_readers_beside_a_writer_see_whole_records_only(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pages are used again as soon as they may be: every commit renews the pins.
    monkeypatch.setattr(registry, "PIN_S", 0.05)
    path, count = tmp_path / "a.cache", 300
    records.cache(path, 3)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_fill, args=(records, path, count, 1))
    process.start()
    sizes = []
    with Cache.open(path) as cache:
        while process.is_alive():
            cache.refresh()
            sizes.append(len(cache))
            want = records.make(sizes[-1] - 1)
            got = cache.get(want.key, want.index)
            assert got is not None
            assert same_variant(got, want)
    process.join()
    assert process.exitcode == 0
    assert sizes == sorted(sizes)
    assert len(contents(path)) == count


def test_pages_that_a_reader_may_see_stay(tmp_path: Path) -> None:
    # A reader has no lock file to tell the writer of itself: the writer's pins keep its pages (see registry).
    path = make_cache(tmp_path / "a.cache", 60)
    with Cache.open(path) as cache:
        want = list(cache.items())
    context = multiprocessing.get_context("fork")
    parent, child = context.Pipe()

    def read() -> None:
        with Cache.open(path) as cache:
            assert len(cache) == 60
            with cache._shards[0].read() as transaction, transaction.cursor() as cursor:
                assert cursor.first()
                child.send("in the middle")
                child.recv()
                child.send([decode_key(name) for name in cursor.iternext(values=False)])

    process = context.Process(target=read)
    process.start()
    child.close()
    parent.recv()
    with CacheWriter(path, make_manifest()) as writer:
        for i in range(60, 160):
            writer.put(make_variant(i))
    parent.send("go on")
    assert parent.recv() == want
    process.join()
    assert process.exitcode == 0


def test_map_grown_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "INITIAL_MAP_NBYTES", 64 << 10)
    path = make_cache(tmp_path / "a.cache", 1)
    with Cache.open(path) as cache:
        assert len(cache) == 1
        shard = cache._shards[0]

        def work() -> None:
            writer = CacheWriter(path, replace(make_manifest()))
            writer.put_many([replace(make_variant(1), insertions=(make_insertion(i, (90, 90)),)) for i in (1,)])
            for i in range(2, 30):
                writer.put(replace(make_variant(1), key=f"{i}", insertions=(make_insertion(i, (90, 90)),)))
            writer._finalizer()  # not sealed: the file stays the one that is mapped

        in_child(work)
        assert shard._env is not None
        cache.refresh()
        assert len(cache) == 30
        assert cache.get("29", 1) is not None


def test_errors_cross_process_borders() -> None:
    error = CacheDiskError("full", expected="space", hint="make room")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (CacheDiskError, str(error))
