"""What is sent, fetched and refused, over the memory file system of fsspec: no server is needed for it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.errors import StoreError
from poc_aug.stores import local_copy, pull, push
from poc_aug.upkeep.dropping import drop
from tests.helpers.kinds import INSERTIONS, KINDS, Kind
from tests.helpers.store_cases import add_shard, content, copied, make_cache


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """An address of the test's own."""
    return f"memory://caches/{request.node.name.replace('[', '-').replace(']', '')}.cache"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_local_copy_reads_as_the_cache(kind: Kind, url: str, tmp_path: Path) -> None:
    kind.warm(tmp_path / "a.cache", 2)
    push(tmp_path / "a.cache", url)
    path = local_copy(url)
    assert path.parent == tmp_path / "home" / "caches"
    assert content(path) == content(tmp_path / "a.cache")
    assert len(kind.read(path, 2)) == 2


def test_only_what_is_new_is_transferred(url: str, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "a.cache", shards=1)
    push(cache, url)
    assert push(cache, url).sent == ()
    pull(url, tmp_path / "b.cache")
    add_shard(cache, "node7-0of2-1")
    assert push(cache, url).sent == ("shards/node7-0of2-1.lmdb",)
    assert pull(url, tmp_path / "b.cache").sent == ("shards/node7-0of2-1.lmdb",)
    assert pull(url, tmp_path / "b.cache").sent == ()
    assert content(tmp_path / "b.cache") == content(cache)


def test_two_machines_push_to_one_address(url: str, tmp_path: Path) -> None:
    first = make_cache(tmp_path / "a.cache", shards=1)
    second = make_cache(tmp_path / "b.cache", shards=0)
    add_shard(second, "elsewhere-1")
    push(first, url)
    report = push(second, url)
    assert report.sent == ("shards/elsewhere-1.lmdb",)
    assert report.only_there == ("shards/node0-0of2-4711.lmdb",)
    pull(url, tmp_path / "both.cache")
    assert content(tmp_path / "both.cache") == content(first) | content(second)


def test_another_recipe_is_refused(url: str, shared_cache: Path, tmp_path: Path) -> None:
    push(shared_cache, url)
    other = tmp_path / "other.cache"
    CacheWriter.create(other, Manifest.create({"seed": 9}, {}, {}))
    with pytest.raises(StoreError, match="holds a cache of another recipe than"):
        push(other, url)
    with pytest.raises(StoreError, match="holds a cache of another recipe than"):
        pull(url, other)
    assert Cache.open(other).manifest.recipe == {"seed": 9}


def test_a_shard_that_is_written_is_left_out(url: str, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "a.cache", shards=1)
    with CacheWriter(cache, Manifest.read(cache), writer="busy-1") as writer:
        with Cache.open(tmp_path / "a.cache") as opened:
            variant = opened.get(*next(opened.items()))
        assert variant is not None
        writer.put(variant)
        report = push(cache, url)
        assert report.being_written == ("shards/busy-1.lmdb",)
    assert push(cache, url).sent == ("shards/busy-1.lmdb",)
    pull(url, tmp_path / "b.cache")
    assert content(tmp_path / "b.cache") == content(cache)


def test_another_shard_of_the_same_name(url: str, tmp_path: Path) -> None:
    first = make_cache(tmp_path / "a.cache", shards=1)
    push(first, url)
    pull(url, tmp_path / "c.cache")
    second = make_cache(tmp_path / "b.cache", shards=0)
    add_shard(second, "node0-0of2-4711", keys=2)
    with pytest.raises(StoreError, match=r"has shard 'node0-0of2-4711\.lmdb' with other content"):
        push(second, url)
    pull(url, tmp_path / "c.cache")
    assert content(tmp_path / "c.cache") == content(first)
    assert push(second, url, replace=True).only_there == ()
    assert pull(url, tmp_path / "c.cache").sent == ("shards/node0-0of2-4711.lmdb",)
    assert content(tmp_path / "c.cache") == content(second)
    with pytest.raises(StoreError, match="is another file than shard"):
        pull(url, copied(first, tmp_path / "d.cache"))


def test_threads_of_one_process_wait_too(url: str, shared_cache: Path, tmp_path: Path) -> None:
    push(shared_cache, url)
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(local_copy(url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert len(set(paths)) == 1
    assert content(paths[0]) == content(shared_cache)


def test_a_repaired_cache_takes_the_place_of_the_damaged_one(url: str, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "a.cache")
    push(cache, url)
    pull(url, tmp_path / "b.cache")
    (cache / "shards" / "node0-0of2-4711.lmdb").rename(tmp_path / "set-aside.lmdb")
    add_shard(cache, "repaired-1")
    assert push(cache, url).only_there == ("shards/node0-0of2-4711.lmdb",)
    report = push(cache, url, replace=True)
    assert (report.sent, report.only_there, report.files) == ((), (), 3)
    assert pull(url, tmp_path / "b.cache").sent == ("shards/repaired-1.lmdb",)
    assert content(tmp_path / "b.cache") == content(cache)


def test_journals_and_rejected_pictures(url: str, tmp_path: Path) -> None:
    """What is left out is left out of the copy too; later decisions follow."""
    cache = tmp_path / "a.cache"
    INSERTIONS.warm(cache, 2, keep_rejected=2)
    with Cache.open(cache) as opened:
        key, index = next(name for name in opened if read(cache, name))
    push(cache, url)
    pull(url, tmp_path / "b.cache")
    assert not (tmp_path / "b.cache" / "rejected").exists()
    drop(cache, key=key, variant=index)
    report = push(cache, url, rejected=True)
    pictures = len(list(cache.glob("rejected/*/*.png")))
    assert pictures
    assert len(report.sent) == 1 + pictures
    pull(url, tmp_path / "b.cache")
    assert read(tmp_path / "b.cache", (key, index)) == read(cache, (key, index)) == ()
    drop(tmp_path / "b.cache", key=key, variant=index, restore=True)  # a decision about the copy
    assert read(tmp_path / "b.cache", (key, index))
    pull(url, tmp_path / "b.cache")
    assert read(tmp_path / "b.cache", (key, index))


def read(cache: Path, name: tuple[str, int]) -> tuple[str, ...]:
    """Names of the objects of a variant."""
    with Cache.open(cache) as opened:
        variant = opened.get(*name)
        assert variant is not None
        return tuple(insertion.object_name for insertion in variant.insertions)
