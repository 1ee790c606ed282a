from __future__ import annotations

import gc
import os
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from poc_aug.cache import Cache, CacheWriter, encode_record, registry, writer
from poc_aug.cache.shard import is_blank
from poc_aug.errors import (
    CacheBusyError,
    CacheError,
)
from tests.helpers.cache_cases import contents, make_cache, make_insertion, make_manifest, make_variant

SHARD = "shards/local-0.lmdb"


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    gc.collect()
    assert registry.open_count() == 0


def test_put_again_does_nothing_and_other_content_is_refused(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert writer.put(make_variant(5))
        assert not writer.put(make_variant(5))
        assert writer.put_many([make_variant(5), make_variant(6), make_variant(6)]) == 1
        assert writer.put_many([]) == 0
        other = replace(make_variant(5), digest=b"other")
        with pytest.raises(CacheError, match=r"'local-0\.lmdb'.* holds other content under variant 2 of 'street/0001'"):
            writer.put_many([make_variant(7), other])
        assert writer.done() == {("street/0001", 2), ("street/0002", 0)}  # 7 was in the refused batch
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.raw("street/0001", 2) == encode_record(make_variant(5), "delta-zstd")


def test_same_content_in_other_bytes_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as cache_writer:
        cache_writer.put(make_variant(5))
        monkeypatch.setattr(writer, "encode_record", lambda variant, codec: encode_record(variant, "zstd"))
        assert not cache_writer.put(make_variant(5))


def test_invalid_variant_stores_nothing(tmp_path: Path) -> None:
    wrong = replace(make_variant(5), insertions=(replace(make_insertion(1), box_yxhw=(0, 0, 3, 3)),))
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        with pytest.raises(CacheError, match="patch of 'gnu'"):
            writer.put_many([make_variant(4), wrong])
        assert writer.done() == set()


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    for i in range(12):
        with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
            assert len(writer.done()) == i
            assert writer.put(make_variant(i))
    assert contents(tmp_path / "a.cache") == contents(make_cache(tmp_path / "b.cache", 12))


def test_done_is_over_all_shards(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 9, 3)
    with CacheWriter(path, make_manifest(), writer="ray-1") as writer:
        assert writer.done() == {(f"street/{i // 3:04d}", i % 3) for i in range(9)}


def test_nothing_to_do_leaves_every_file_as_it_is(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in path.rglob("*.[jl][sm]*")}
    with CacheWriter(path, make_manifest()) as writer:
        writer.done()
        writer.put_many([])
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in before} == before


def test_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "INITIAL_MAP_NBYTES", 64 << 10)
    path = tmp_path / "a.cache"
    with CacheWriter(path, replace(make_manifest(), codec="raw")) as writer, Cache.open(path) as reader:
        for i in range(60):  # about 500 kB, one by one
            writer.put(replace(make_variant(5), key=str(i), insertions=(make_insertion(i, (57, 51)),)))
            reader.refresh()
            assert len(reader) == i + 1
        writer.put_many([replace(make_variant(5), key=f"many {i}") for i in range(500)])
    with Cache.open(path) as cache:
        assert len(cache) == 560
        assert cache.verify().ok


@pytest.mark.parametrize("pin_s", [-1.0, 1e9])
def test_sealing_makes_it_compact_and_readers_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin_s: float
) -> None:
    monkeypatch.setattr(registry, "PIN_S", pin_s)
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as writer, Cache.open(path) as early:
        for i in range(40):
            writer.put(make_variant(i))
        assert len(early) == 40
        grown = early.nbytes
        writer.close()
        assert early.nbytes < grown
        assert len(early) == 40
        assert early.get("street/0001", 1) is not None
    assert sorted(p.name for p in (path / "shards").iterdir()) == ["local-0.lmdb", "local-0.lock"]
    assert contents(path) == contents(make_cache(tmp_path / "b.cache", 40))
    with Cache.open(path) as cache:
        assert cache.verify().ok


def test_sealing_without_space_leaves_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as cache_writer:
        for i in range(40):
            cache_writer.put(make_variant(i))
        usage = shutil.disk_usage(path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        before = (path / SHARD).read_bytes()
    assert (path / SHARD).read_bytes() == before


def test_left_over_of_a_killed_sealing_is_removed(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    (path / "shards/.local-0.compact").write_bytes(b"half")
    with CacheWriter(path, make_manifest()) as writer:
        writer.put(make_variant(8))
    assert not (path / "shards/.local-0.compact").exists()
    assert len(contents(path)) == 8


def test_writer_that_was_killed_while_creating_its_file(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 0)
    env = lmdb.open(str(tmp_path / "blank.lmdb"), subdir=False, lib_version=0)
    env.close()
    blank = (tmp_path / "blank.lmdb").read_bytes()
    for data in (b"", blank[:4096]):
        (path / SHARD).write_bytes(data)
        assert is_blank(path / SHARD)
        with CacheWriter(path, make_manifest()) as writer:
            writer.put(make_variant(4))
        assert len(contents(path)) == 1


def test_dropped_writer_lets_go(tmp_path: Path) -> None:
    writer = CacheWriter(tmp_path / "a.cache", make_manifest())
    writer.put(make_variant(4))
    del writer
    gc.collect()
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert len(writer.done()) == 1


def test_closed_writer(tmp_path: Path) -> None:
    writer = CacheWriter(tmp_path / "a.cache", make_manifest())
    writer.close()
    writer.close()
    with pytest.raises(CacheError, match="is closed"):
        writer.put(make_variant(4))
    with pytest.raises(CacheError, match="is closed"):
        writer.done()


def test_writer_cannot_be_pickled(tmp_path: Path) -> None:
    with (
        CacheWriter(tmp_path / "a.cache", make_manifest()) as writer,
        pytest.raises(CacheError, match="cannot be pickled"),
    ):
        pickle.dumps(writer)


@pytest.mark.parametrize("name", ["", "../x", ".x", "a/b", "a b", "x" * 101])
def test_writer_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(CacheError, match="writer name"):
        CacheWriter(tmp_path / "a.cache", make_manifest(), writer=name)


def test_busy_shard_and_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()):
        with pytest.raises(CacheBusyError, match=rf"'local-0' .* written by process {os.getpid()} on "):
            CacheWriter(path, make_manifest())
        with CacheWriter(path, make_manifest(), writer="local-1") as other:
            other.put(make_variant(4))
    assert len(contents(path)) == 1
