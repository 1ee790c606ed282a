"""What is sent, fetched and refused, over the memory file system of fsspec: no server is needed for it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.errors import StoreError
from poc_aug.stores import local_copy, pull, push
from tests.helpers.kinds import KINDS, Kind
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
    push(second, url, replace=True)
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
