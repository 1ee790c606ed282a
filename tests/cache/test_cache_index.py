"""The index of a cache: it says what listing the shards says, whatever became of them, or it is not used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cache.index_building import MIN_RECORDS, update_index
from poc_aug.cache.index_file import INDEX, IndexFile
from poc_aug.cache.shard import SHARDS
from poc_aug.errors import CacheCorruptError, CacheFormatError
from poc_aug.types import Variant
from tests.helpers.cache_cases import RECORDS, Records, contents, make_cache, make_manifest
from tests.helpers.index_cases import Name, add_shard, begin, index_always, indexed_shards, without_index

pytestmark = pytest.mark.usefixtures(index_always.__name__)
__all__ = ["index_always"]

KEYS = ["a.png", "b/ä.png", "b/ä.pn", "", "\udc80.png", "x" * 499, "x" * 600, "x" * 601, "00000001"]
NAMES = st.sets(st.tuples(st.sampled_from(KEYS), st.sampled_from([0, 1, 2, 7, 2**32 - 1])), max_size=12)


def check_same(path: Path) -> None:
    """What a cache says with its index is what it says without."""
    with Cache.open(path) as cache, without_index(path) as plain:
        every = [*KEYS, "unknown"]
        assert [cache.variants(key) for key in every] == [plain.variants(key) for key in every]
        assert cache.held(every).tolist() == plain.held(every).tolist() == [bool(plain.variants(key)) for key in every]
        assert (len(cache), cache.samples, cache.indices()) == (len(plain), plain.samples, plain.indices())
        assert (cache.keys(), list(cache)) == (plain.keys(), list(plain))
        assert (len(plain), plain.samples) == (len(list(plain)), len(plain.keys()))
        for key, index in plain:
            assert (key, index) in cache
            assert cache.get(key, index) == plain.get(key, index) is not None
            numbers = [one._listing().variants(key)[index] for one in (cache, plain)]
            assert cache._names[numbers[0]] == plain._names[numbers[1]]
        assert cache.get("a.png", 5) is cache.get("unknown", 0) is None


@given(shards=st.lists(NAMES, min_size=1, max_size=4), later=NAMES, indexed=st.integers(0, 4), gone=st.booleans())
@settings(max_examples=25)
def test_it_says_what_the_shards_say(shards: list[set[Name]], later: set[Name], indexed: int, gone: bool) -> None:
    with TemporaryDirectory() as folder:
        path = begin(Path(folder) / "a.cache")
        for number, names in enumerate(shards):
            add_shard(path, f"local-{number}", names)
            if number < indexed:
                update_index(path)
        if indexed and any(shards[:indexed]):
            assert (path / INDEX).is_file()
        check_same(path)
        if gone:
            (path / SHARDS / "local-0.lmdb").unlink()
        else:
            add_shard(path, "local-0", later)
        check_same(path)
        update_index(path)
        check_same(path)
        made_at_once = shutil.copytree(path, Path(folder) / "b.cache")
        (made_at_once / INDEX).unlink(missing_ok=True)
        assert update_index(made_at_once) == update_index(path) == (path / INDEX).is_file()
        if (path / INDEX).is_file():
            with IndexFile(path / INDEX) as one, IndexFile(made_at_once / INDEX) as other:
                assert one.shards.names == other.shards.names
                for name in ("hashes", "variants", "shards"):
                    assert np.array_equal(getattr(one.arrays(), name), getattr(other.arrays(), name))
                assert one.counts() == other.counts()
        with Cache.open(path) as cache:
            assert cache.verify().problems == ()


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_a_writer_leaves_an_index_that_covers_its_shard(tmp_path: Path, records: Records) -> None:
    path = records.cache(tmp_path / "a.cache", 12, 3)
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == ["local-0.lmdb", "local-1.lmdb", "local-2.lmdb"]
        assert len(cache) == 12
        for number in range(12):
            want = records.make(number)
            assert want.index in cache.variants(want.key)
            assert cache.get(want.key, want.index) is not None
        assert cache.verify().ok


def test_a_small_cache_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poc_aug.cache.index_building.MIN_RECORDS", MIN_RECORDS)
    path = make_cache(tmp_path / "a.cache")
    assert not (path / INDEX).exists()
    assert update_index(path) is False
    with CacheWriter(path, make_manifest(), writer="b-1") as writer:
        writer.put_many(Variant("many", index, b"", ()) for index in range(MIN_RECORDS))
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == ["b-1.lmdb", "local-0.lmdb"]


def test_only_new_shards_are_read(tmp_path: Path) -> None:
    path = begin(tmp_path / "a.cache")
    read: list[tuple[int, int]] = []
    for number in range(3):
        add_shard(path, f"local-{number}", [("a", number), ("b", number)])
        assert update_index(path, lambda done, total: read.append((done, total)))
    assert read == [(2, 2)] * 3
    assert update_index(path, lambda done, total: read.append((done, total)))
    assert len(read) == 3


def test_a_copy_keeps_it_and_a_shard_copied_in_is_listed(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 12, 3)
    copy = tmp_path / "b.cache"
    shutil.copytree(path, copy, copy_function=shutil.copy)  # with other times
    for file in (copy / SHARDS).iterdir():
        os.utime(file, ns=(0, 1_000_000_000))
    with Cache.open(copy) as cache:
        assert len(indexed_shards(cache)) == 3
    add_shard(copy, "other-1", [("copied in", 4)])
    with Cache.open(copy) as cache:
        assert len(indexed_shards(cache)) == 3
        assert cache.variants("copied in") == (4,)
        assert cache.held(["copied in", "not"]).tolist() == [True, False]
        assert len(cache) == 13
    assert contents(copy).items() > contents(path).items()


def test_another_shard_of_the_same_name_is_not_taken_for_the_indexed_one(tmp_path: Path) -> None:
    path, other = begin(tmp_path / "a.cache"), begin(tmp_path / "b.cache")
    file = add_shard(path, "local-0", [(f"{number:04d}", 0) for number in range(400)])
    assert update_index(path)
    theirs = add_shard(other, "local-0", [(f"{number:04d}", 1) for number in range(400)])
    assert theirs.stat().st_size == file.stat().st_size
    shutil.copyfile(theirs, file)
    with Cache.open(path) as cache:
        assert indexed_shards(cache) == []
        assert cache.variants("0001") == (1,)
    check_same(path)


@pytest.mark.parametrize("harm", ["truncate", "remove"])
def test_a_shard_that_is_harmed_raises_what_it_did_without_an_index(tmp_path: Path, harm: str) -> None:
    path = make_cache(tmp_path / "a.cache", 12, 2)
    file = path / SHARDS / "local-1.lmdb"
    with Cache.open(path) as cache:
        assert len(cache) == 12
        if harm == "truncate":
            os.truncate(file, file.stat().st_size // 2)
            with pytest.raises(CacheFormatError, match=r"local-1\.lmdb"):
                Cache.open(path)
            with pytest.raises(CacheFormatError, match=r"local-1\.lmdb"):
                cache.get("street/0000", 1)
        else:
            file.unlink()
            with Cache.open(path) as rest:
                assert len(rest) == 6
                assert 1 not in rest.variants("street/0000")


def test_a_damaged_record_is_named_and_verify_finds_it(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 6)
    file = path / SHARDS / "local-0.lmdb"
    with Cache.open(path) as cache:
        raw = cache.raw("street/0001", 1)
    assert raw is not None
    data = file.read_bytes()
    file.write_bytes(data.replace(raw[-16:], bytes(16)))
    with Cache.open(path) as cache:
        assert 1 in cache.variants("street/0001")
        with pytest.raises(CacheCorruptError, match="variant 1 of 'street/0001'"):
            cache.get("street/0001", 1)
        assert [problem.variant for problem in cache.verify().problems] == [1]


def test_a_refresh_sees_what_was_added_and_get_new_too(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 6)
    with Cache.open(path) as cache:
        assert cache.variants("new") == ()
        add_shard(path, "other-1", [("new", 0), ("new", 3)])
        assert cache.get("new", 3) is None
        assert cache.get_new("new", 3) is not None
        assert cache.variants("new") == (3,)
        cache.refresh()
        assert cache.variants("new") == (0, 3)
        add_shard(path, "local-0", [("newer", 1)])  # a shard that the index covers goes on
        assert cache.get_new("newer", 1) is not None
        assert update_index(path)
        cache.refresh()
        assert cache.variants("newer") == (1,)
        assert len(indexed_shards(cache)) == 2
