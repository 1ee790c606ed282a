from __future__ import annotations

import gc
import os
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, encode_record, registry, same_variant
from poc_aug.cache.codec import Codec
from poc_aug.errors import (
    CacheError,
)
from poc_aug.types import Variant
from tests.helpers.cache_cases import make_cache, make_insertion, make_manifest, make_variant

SHARD = "shards/local-0.lmdb"


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    gc.collect()
    assert registry.open_count() == 0


@pytest.mark.parametrize("writers", [1, 3])
def test_round_trip(tmp_path: Path, writers: int) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache", 20, writers)) as cache:
        assert len(cache) == 20
        assert cache.keys() == [f"street/{i:04d}" for i in range(7)]
        assert list(cache.items()) == list(cache) == [(f"street/{i // 3:04d}", i % 3) for i in range(20)]
        for i in range(20):
            variant = cache.get(f"street/{i // 3:04d}", i % 3)
            assert variant is not None
            assert same_variant(variant, make_variant(i))
        assert cache.variants("street/0000") == (0, 1, 2)
        assert cache.variants("street/0006") == (0, 1)
        assert ("street/0006", 1) in cache
        assert cache.manifest == make_manifest()


@pytest.mark.parametrize("writing", [False, True])
def test_an_inode_of_a_removed_lock_file_may_be_given_to_a_shard(tmp_path: Path, writing: bool) -> None:
    # lmdb 3 remembers the inode of the lock file beside a shard, and takes another file of this inode for open.
    one, two = make_cache(tmp_path / "a.cache", 20), make_cache(tmp_path / "b.cache", 20)
    lock_file = one / f"{SHARD}-lock"
    os.link(two / SHARD, lock_file)
    with Cache.open(one) as first, Cache.open(two) as second:
        assert len(first) == 20
        lock_file.unlink()
        if writing:
            with CacheWriter(two, make_manifest()) as writer:
                writer.put(replace(make_variant(0), key="new"))
        assert len(second) == 20 + writing
        assert first.get("street/0000", 0) is not None
        assert second.get("street/0000", 0) is not None


def test_what_is_not_stored(tmp_path: Path) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache")) as cache:
        assert cache.get("street/0000", 3) is None
        assert cache.get("x", 0) is None
        assert cache.raw("x", 0) is None
        assert cache.variants("x") == ()
        assert ("x", 0) not in cache
        assert "street/0000" not in cache


def test_raw_is_the_record(tmp_path: Path) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache")) as cache:
        assert cache.raw("street/0001", 1) == encode_record(make_variant(4), "delta-zstd")


def test_empty_cache(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 0)
    assert sorted(p.name for p in (path / "shards").iterdir()) == ["local-0.lock"]
    with Cache.open(path) as cache:
        assert len(cache) == 0
        assert cache
        assert cache.keys() == []
        assert cache.verify().ok


LONG = ["k" * 511, "k" * 512, "x" * 3000, "日本/" * 300 + "é.png", "日本/" * 300 + "e\u0301.png", "\udc80", ""]


def test_long_and_strange_keys(tmp_path: Path) -> None:
    digest = make_variant(0).digest
    variants = [Variant(key, 1, digest, (make_insertion(i),)) for i, key in enumerate(LONG)]
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert writer.put_many(variants) == len(LONG)
        assert writer.done() == {(key, 1) for key in LONG}
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.keys() == sorted(LONG)
        for variant in variants:
            got = cache.get(variant.key, 1)
            assert got is not None
            assert same_variant(got, variant)
        assert cache.verify().ok


@pytest.mark.parametrize("codec", ["delta-zstd", "webp", "webp-lossy", "zstd", "raw"])
def test_codec_of_the_manifest(tmp_path: Path, codec: Codec) -> None:
    manifest = replace(make_manifest(), codec=codec)
    with CacheWriter(tmp_path / "a.cache", manifest) as writer:
        writer.put(make_variant(5))
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.raw("street/0001", 2) == encode_record(make_variant(5), codec)


def test_more_names_than_one_transaction_lists(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        writer.put_many(Variant(f"{i:05d}", 0, b"", ()) for i in range(2500))
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.keys() == [f"{i:05d}" for i in range(2500)]


def test_nbytes_is_what_is_used(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 20, 2)
    with Cache.open(path) as cache:
        files = [*(path / "shards").glob("*.lmdb"), path / "manifest.json"]
        assert cache.nbytes == sum(file.stat().st_size for file in files)
        assert cache.nbytes < 200_000 < registry.INITIAL_MAP_NBYTES


# -- several users in one process


def test_two_instances_and_a_writer_in_one_process(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    first, second = Cache.open(path), Cache.open(os.path.relpath(path))
    assert len(first) == len(second) == 3
    writer = CacheWriter(path, make_manifest())
    writer.put(make_variant(4))
    assert registry.open_count() == 1
    third = Cache.open(path)
    assert (len(first), len(third)) == (3, 4)
    first.close()
    assert second.get("street/0000", 0) is not None
    second.refresh()
    assert len(second) == 4
    writer.close()
    assert second.get("street/0001", 1) is not None
    third.close()
    third.close()
    second.close()


def test_symlinked_cache_is_the_same_file(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    (tmp_path / "link.cache").symlink_to(path)
    with Cache.open(path) as a, Cache.open(tmp_path / "link.cache") as b:
        assert len(a) == len(b) == 3
        assert registry.open_count() == 1


def test_refresh_sees_new_shards(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        with CacheWriter(path, make_manifest(), writer="other") as writer:
            writer.put(make_variant(5))
        assert cache.get("street/0001", 2) is None
        cache.refresh()
        assert cache.get("street/0001", 2) is not None


def test_shard_replaced_by_another_process(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    more = make_cache(tmp_path / "b.cache", 6)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        (more / SHARD).replace(path / SHARD)
        assert cache.get("street/0000", 1) is not None  # the old file, still open
        cache.refresh()
        assert len(cache) == 6


def test_threads(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 12)
    got: list[bool] = []
    with Cache.open(path) as cache, CacheWriter(path, make_manifest()) as writer:

        def read() -> None:
            for i in range(12):
                variant = cache.get(f"street/{i // 3:04d}", i % 3)
                got.append(variant is not None and same_variant(variant, make_variant(i)))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        writer.put_many([make_variant(i) for i in range(12, 24)])
        for thread in threads:
            thread.join()
    assert got == [True] * 48


def test_pickle_is_small_and_opens_again(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 12)
    with Cache.open(path) as cache:
        small = len(pickle.dumps(cache))
        assert len(cache) == 12
        data = pickle.dumps(cache)
        assert len(data) == small < 2000
    with pickle.loads(data) as again:
        assert again.manifest == make_manifest()
        assert len(again) == 12


def test_dropped_caches_let_go(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    for _ in range(3):
        assert len(Cache.open(path)) == 3
    gc.collect()
    assert registry.open_count() == 0


def test_closed_cache(tmp_path: Path) -> None:
    cache = Cache.open(make_cache(tmp_path / "a.cache"))
    cache.close()
    for use in (lambda: cache.get("x", 0), cache.keys, cache.verify, cache.refresh, lambda: len(cache)):
        with pytest.raises(CacheError, match="was closed"):
            use()


def test_repr(tmp_path: Path) -> None:
    with Cache.open(make_cache(tmp_path / "a.cache")) as cache:
        assert repr(cache) == f"Cache({str(tmp_path / 'a.cache')!r}, fingerprint={make_manifest().fingerprint!r})"
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert repr(writer) == f"CacheWriter({str(tmp_path / 'a.cache')!r}, writer='local-0')"
