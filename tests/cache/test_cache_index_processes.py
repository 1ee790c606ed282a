"""The index over process borders: writers at work, forked and spawned readers, few file descriptors."""

from __future__ import annotations

import os
import pickle
import random
import resource
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, registry
from poc_aug.cache.index_building import update_index
from poc_aug.cache.lock import FileLock
from poc_aug.cache.shard import SHARDS
from tests.helpers.cache_cases import RECORDS, Records, in_child, make_cache, make_manifest, make_variant
from tests.helpers.index_cases import add_shard, begin, index_always, indexed_shards

pytestmark = [
    pytest.mark.usefixtures(index_always.__name__),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
__all__ = ["index_always"]


def test_a_shard_that_is_being_written_is_not_indexed(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 6)
    with CacheWriter(path, make_manifest(), writer="b-1") as writer:
        writer.put(make_variant(90))
        assert update_index(path)
        with Cache.open(path) as cache:
            assert indexed_shards(cache) == ["local-0.lmdb"]
            assert len(cache) == 7
            writer.put(make_variant(91))
            assert cache.get_new("street/0030", 1) is not None
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == ["b-1.lmdb", "local-0.lmdb"]
        assert cache.variants("street/0030") == (0, 1)


def test_a_shard_that_a_writer_goes_on_with_while_it_is_indexed_is_left_out(tmp_path: Path) -> None:
    path = begin(tmp_path / "a.cache")
    file = add_shard(path, "local-0", [("a", number) for number in range(3)])
    assert not update_index(path, lambda done, total: add_late(path))
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == []
        assert cache.variants("late") == (0,)
    lock = FileLock(file.with_suffix(".lock"))
    update_index(path)
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == []
    lock.release()
    assert update_index(path)


def add_late(path: Path) -> None:
    in_child(lambda: add_shard(path, "local-0", [("late", 0)]) and None)


def test_writers_that_end_at_once_are_all_in_it(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)

    def between(done: int, total: int) -> None:
        if done == 4:  # another process ends while this one reads, and is faster
            in_child(lambda: update_other(path))

    add_shard(path, "x-1", [("a", number) for number in range(4)])
    assert update_index(path, between)
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == ["local-0.lmdb", "x-1.lmdb", "y-1.lmdb"]


def update_other(path: Path) -> bool:
    add_shard(path, "y-1", [("b", number) for number in range(5)])
    return update_index(path)


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
@pytest.mark.parametrize("used_before", [False, True])
def test_forked_and_spawned_readers_use_it(tmp_path: Path, records: Records, used_before: bool) -> None:
    path = records.cache(tmp_path / "a.cache", 12, 3)

    def read(cache: Cache) -> tuple[list[str], list[bool], int]:
        wanted = [records.make(number) for number in range(12)]
        found = [cache.get(want.key, want.index) is not None for want in wanted]
        return indexed_shards(cache), found, os.getpid()

    with Cache.open(path) as cache:
        if used_before:
            assert all(read(cache)[1])
        copied = pickle.dumps(cache)  # what a spawned worker gets
        assert len(copied) < 5000
        for work in (lambda: read(cache), lambda: read(pickle.loads(copied))):
            shards, found, pid = in_child(work)
            assert len(shards) == 3
            assert all(found)
            assert pid != os.getpid()
        assert all(read(cache)[1])


@pytest.fixture(scope="module")
def many_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = begin(tmp_path_factory.mktemp("many") / "a.cache")
    for number in range(200):
        add_shard(path, f"n-{number:03d}", [(f"{number:03d}", 0), (f"{number:03d}", 1)])
    return path


@pytest.mark.parametrize("indexed", [False, True])
def test_more_shards_than_files_may_be_open(many_shards: Path, indexed: bool) -> None:
    (many_shards / "index.bin").unlink(missing_ok=True)
    if indexed:
        assert update_index(many_shards)

    def read() -> tuple[int, int]:
        already = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (already + 40, already + 40))
        order = [(f"{number:03d}", index) for number in range(200) for index in (0, 1)]
        random.Random(0).shuffle(order)
        with Cache.open(many_shards) as cache:
            assert all(cache.get(*name) is not None for name in order)
            assert len(cache.keys()) == 200
            assert cache.get_new("none", 0) is None
            most = sum(environment._env is not None for environment in registry._environments.values())
            assert cache.verify().ok
        return most, (already + 40) // 4

    most, allowed = in_child(read)
    assert 1 < most <= max(8, allowed) < 200
    assert in_child(lambda: opened_by_one_read(many_shards)) == (1 if indexed else 200)


def opened_by_one_read(path: Path) -> int:
    with Cache.open(path) as cache:
        assert cache.get("007", 0) is not None
        return len(cache._shards)


def test_the_shard_that_was_used_last_stays_open(many_shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert update_index(many_shards)
    monkeypatch.setattr(registry, "most_open", lambda: 2)
    with Cache.open(many_shards) as cache:
        for key in ("000", "001", "000", "002"):
            assert cache.get(key, 0) is not None
        names = {shard.path.name for shard in cache._shards.values() if shard._env is not None}
        assert names == {"n-000.lmdb", "n-002.lmdb"}
        assert (many_shards / SHARDS / "n-001.lmdb").is_file()
        assert cache.get("001", 0) is not None
