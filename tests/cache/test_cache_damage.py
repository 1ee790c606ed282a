from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from poc_aug.cache import Cache, CacheWriter, Problem, encode_record, registry
from poc_aug.cache.shard import check_shard, is_blank
from poc_aug.errors import (
    CacheCorruptError,
    CacheFormatError,
)
from poc_aug.types import Variant
from tests.helpers.cache_cases import (
    RECORDS,
    Records,
    contents,
    make_cache,
    make_frame_variant,
    make_insertion,
    make_manifest,
    make_variant,
)

SHARD = "shards/local-0.lmdb"


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    gc.collect()
    assert registry.open_count() == 0


def flip(path: Path, record: bytes, at: int = -1) -> None:
    """Flip one byte of a record where it lies in the file (larger records are contiguous)."""
    data = bytearray(path.read_bytes())
    start = data.find(record)
    assert start > 0
    data[start + (at % len(record))] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
@pytest.mark.parametrize("at", [0, 4, 5, 30, -1])
def test_flipped_byte(tmp_path: Path, records: Records, at: int) -> None:
    path = tmp_path / "a.cache"
    if records.name == "insertions":  # larger than a page: contiguous in the file
        big = Variant("big", 1, b"d", (make_insertion(3, (57, 51)),))
    else:
        big = replace(make_frame_variant(1, (57, 51)), key="big@dusk-2")
    with CacheWriter(path, records.manifest()) as writer:
        writer.put_many([records.make(i) for i in range(7)] + [big])
    flip(path / SHARD, encode_record(big, "delta-zstd"), at)
    with Cache.open(path) as cache:
        report = cache.verify()
        assert not report.ok
        assert [(p.shard, p.key, p.variant) for p in report.problems] == [("local-0.lmdb", big.key, 1)]
        assert report.records == 8
        assert f"shard 'local-0.lmdb', variant 1 of {big.key!r}: " in str(report.problems[0])
        for read in (cache.get, cache.raw):
            with pytest.raises(CacheCorruptError) as caught:
                read(big.key, 1)
            for part in (f"variant 1 of {big.key!r}", "'local-0.lmdb'", f"poc-aug verify {path}"):
                assert part in str(caught.value)
        assert cache.get(records.make(4).key, 1) is not None


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_verify_reports_progress(tmp_path: Path, records: Records) -> None:
    calls: list[tuple[int, int]] = []
    with Cache.open(records.cache(tmp_path / "a.cache", 5, 2)) as cache:
        report = cache.verify(lambda done, total: calls.append((done, total)))
        assert report.nbytes + (tmp_path / "a.cache/manifest.json").stat().st_size == cache.nbytes
    assert report.ok
    assert (report.shards, report.records, report.being_written) == (2, 5, ())
    assert calls == [(i, 5) for i in range(1, 6)]


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_every_damage_that_matters_is_found(tmp_path: Path, records: Records) -> None:
    # Anywhere in the file: either verify finds it, or every record still reads the same.
    path = records.cache(tmp_path / "a.cache", 7)
    good = contents(path)
    data = (path / SHARD).read_bytes()
    found = 0
    for at in range(0, len(data), 97):
        (path / SHARD).write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        try:
            with Cache.open(path) as cache:
                sound = cache.verify().ok
        except CacheFormatError:
            sound = False
        if sound:
            assert contents(path) == good
        found += not sound
    assert found > 10


def test_wrong_key_in_a_branch_page(tmp_path: Path) -> None:
    # lmdb's own check of the page tree does not see this; a search goes to the wrong leaf.
    path = make_cache(tmp_path / "a.cache", 7)  # two leaves, one key between them
    data = bytearray((path / SHARD).read_bytes())
    pages = [data[i : i + 4096] for i in range(0, len(data), 4096)]
    (branch,) = [i for i in range(2, len(pages)) if pages[i][10] & 1]
    data[branch * 4096 + pages[branch].find(b"tstreet/") + 11] = ord("p")
    (path / SHARD).write_bytes(data)
    with Cache.open(path) as cache:
        found = "\n".join(map(str, cache.verify().problems))
        assert "listed but not found: a damaged page tree" in found
        assert "its names are not in order" in found  # else listing would go in a circle for ever
        with pytest.raises(CacheCorruptError, match="not in order"):
            len(cache)


def test_record_under_another_name_and_in_two_versions(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    name = lambda i: b"tstreet/0000" + i.to_bytes(4, "big")  # noqa: E731
    env = lmdb.open(str(path / SHARD), subdir=False, lib_version=0)
    with env.begin(write=True) as transaction:
        record = transaction.get(name(0))
        assert record is not None
        transaction.put(name(7), record)
        transaction.put(b"?", b"")
    env.close()
    with Cache.open(path) as cache:
        problems = cache.verify().problems
        assert [problem.key for problem in problems] == [None, "street/0000"]
        assert "not a record's name" in str(problems[0])
        assert "the record is that of variant 0" in str(problems[1])
        with pytest.raises(CacheCorruptError, match="cannot be listed: not a record's name"):
            len(cache)


def test_two_shards_that_disagree(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    other = replace(make_variant(1), digest=make_variant(2).digest)
    with CacheWriter(path, make_manifest(), writer="z") as writer:
        writer.put_many([make_variant(0), other])
    with Cache.open(path) as cache:
        assert cache.verify().problems == (
            Problem("z.lmdb", "street/0000", 1, "shard 'local-0.lmdb' holds other content under this name"),
        )
        assert cache.raw("street/0000", 1) == encode_record(make_variant(1), "delta-zstd")
        assert len(cache) == 3


def test_record_that_vanished(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        make_cache(tmp_path / "b.cache", 1)
        (tmp_path / "b.cache" / SHARD).replace(path / SHARD)
        cache._shards[0].reopen_if_replaced()
        with pytest.raises(CacheCorruptError, match="the record no longer exists"):
            cache.get("street/0000", 2)


def test_verify_beside_a_writer(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 7, 2)
    with CacheWriter(path, make_manifest()) as writer, Cache.open(path) as cache:
        writer.put(make_variant(9))
        report = cache.verify()
        assert report.ok
        assert report.being_written == ("local-0.lmdb",)
        assert report.records == 8


@pytest.mark.parametrize("nbytes", [1, 100, 4096, 8191, 8192, -4096, -1])
def test_truncated_shard(tmp_path: Path, nbytes: int) -> None:
    path = make_cache(tmp_path / "a.cache", 20)
    data = (path / SHARD).read_bytes()
    (path / SHARD).write_bytes(data[:nbytes])
    with pytest.raises(CacheFormatError, match=r"local-0\.lmdb' is (truncated|cut off|not a shard)"):
        Cache.open(path)
    if not is_blank(path / SHARD):  # else nothing is left in it: the writer begins it again
        with CacheWriter(path, make_manifest()) as writer:
            with pytest.raises(CacheFormatError, match="delete it"):
                writer.done()
            with pytest.raises(CacheFormatError, match=r"local-0\.lmdb"):
                writer.put(make_variant(30))
        assert (path / SHARD).read_bytes() == data[:nbytes]
        (path / SHARD).unlink()
    assert contents(make_cache(path, 20)) == contents(make_cache(tmp_path / "b.cache", 20))


def test_truncated_after_opening(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 20)
    with Cache.open(path) as cache:
        os.truncate(path / SHARD, 12288)
        with pytest.raises(CacheFormatError, match="truncated"):
            len(cache)


def test_last_pages_that_were_never_written_are_no_damage(tmp_path: Path) -> None:
    # LMDB may count pages at the end that a transaction took and gave back; nothing refers to them.
    path = make_cache(tmp_path / "a.cache", 7)
    env = lmdb.open(str(path / SHARD), subdir=False, lib_version=0)
    with env.begin(write=True) as transaction:
        transaction.put(b"filler", b"x" * 20000)
    with env.begin(write=True) as transaction:
        transaction.delete(b"filler")
    for _ in range(4):  # the list of free pages moves off the end
        with env.begin(write=True) as transaction:
            transaction.put(b"filler", b"x")
            transaction.delete(b"filler")
    env.close()
    meta = check_shard(path / SHARD)
    os.truncate(path / SHARD, meta.nbytes - 4096)
    assert len(contents(path)) == 7


def test_other_files_as_shards(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    (path / "shards/x.lmdb").write_bytes(os.urandom(10000))
    with pytest.raises(CacheFormatError, match=r"x\.lmdb' is not a shard"):
        Cache.open(path)
    (path / "shards/x.lmdb").unlink()
    env = lmdb.open(str(path / "shards/x.lmdb"), subdir=False, lib_version=1)  # LMDB 1.0's format
    env.close()
    with pytest.raises(CacheFormatError, match=r"x\.lmdb' is not a shard: no LMDB 0\.9"):
        Cache.open(path)
    (path / "shards/x.lmdb").write_bytes(b"")  # a writer in another process has only just created it
    assert len(contents(path)) == 3


def test_a_record_larger_than_any_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A shard may be a sparse file: a record of gigabytes takes no room on disk.
    path = make_cache(tmp_path / "a.cache", 2)
    with Cache.open(path) as cache:
        largest = max(len(data) for data in (cache.raw("street/0000", i) for i in range(2)) if data is not None)
    monkeypatch.setattr(registry, "MAX_RECORD_NBYTES", largest - 1)
    with Cache.open(path) as cache:
        problems = cache.verify().problems
        assert problems
        for problem in problems:
            assert f"none has more than {largest - 1}" in str(problem)
            assert problem.key is not None
            assert problem.variant is not None
            with pytest.raises(CacheCorruptError, match=f"none has more than {largest - 1}"):
                cache.get(problem.key, problem.variant)
