"""An index that is damaged, that lies, or that somebody made who means harm: never a wrong record, never a crash."""

from __future__ import annotations

import json
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.cache import Cache, CacheWriter, index_file
from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.index_building import update_index
from poc_aug.cache.index_file import INDEX, IndexedShards, IndexFile, RecordArrays, open_index, write_index
from poc_aug.cache.record_keys import key_hash
from poc_aug.cache.shard import SHARDS
from poc_aug.errors import CacheFormatError
from poc_aug.upkeep.repairing import repair
from tests.helpers.cache_cases import make_cache, make_manifest, make_variant
from tests.helpers.index_cases import index_always, indexed_shards, without_index

pytestmark = pytest.mark.usefixtures(index_always.__name__)
__all__ = ["index_always"]

COUNT = 12
ARRAYS = ("hashes", "variants", "shards")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(index_file, "_warned", set())
    return make_cache(tmp_path / "a.cache", COUNT, 2)


def check_right(path: Path) -> None:
    """Every record is found and right, whatever the index says."""
    with Cache.open(path) as cache, without_index(path) as plain:
        for number in range(COUNT):
            want = make_variant(number)
            got = cache.get(want.key, want.index)
            assert got is not None
            assert (got.key, got.index, got.digest) == (want.key, want.index, want.digest)
        assert cache.keys() == plain.keys()
        assert list(cache) == list(plain)
    assert summarize_cache(path) is not None


def read_all(path: Path) -> None:
    with IndexFile(path / INDEX) as index:
        index.arrays()
        index.counts()


@given(data=st.data())
@settings(max_examples=60)
def test_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.cache"
    if not path.exists():
        make_cache(path, COUNT, 2)
    update_index(path)
    whole = (path / INDEX).read_bytes()
    kind = data.draw(st.sampled_from(["bit", "cut", "more", "noise"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = {
        "bit": whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :],
        "cut": whole[:place],
        "more": whole + whole[:1],
        "noise": data.draw(st.binary(max_size=300)),
    }[kind]
    try:
        (path / INDEX).write_bytes(changed)
        with Cache.open(path) as cache:
            problems = cache.verify().problems
            assert [problem.shard for problem in problems] == [INDEX]
            assert len(cache) == COUNT
        with pytest.raises(ValueError, match=r".") as raised:
            read_all(path)
        assert problems[0].problem.startswith(f"it is of no use: {raised.value}")
        check_right(path)  # `summarize_cache` puts a sound one in its place
        with Cache.open(path) as cache:
            assert cache.verify().ok
    finally:
        (path / INDEX).write_bytes(whole)


def test_a_damaged_one_is_warned_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (path / INDEX).write_bytes(b"PAUGIDX1" + bytes(200))
    with caplog.at_level(logging.WARNING, "poc_aug"):
        for _ in range(2):
            with Cache.open(path) as cache:
                assert len(cache) == COUNT
    (message,) = [record.getMessage() for record in caplog.records]
    assert str(path / INDEX) in message
    assert "poc-aug info" in message


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write an index of which every hash fits, and that says something else."""
    with open_index(path) as index:  # type: ignore[union-attr]
        arrays, shards = index.arrays(), index.shards
        parts: dict[str, Any] = {"counts": index.counts(), "names": shards.names}
        parts |= {name: np.array(getattr(arrays, name)) for name in ARRAYS}
        parts |= {name: np.array(getattr(shards, name)) for name in ("nbytes", "mtimes", "marks", "records")}
    change(parts)
    lied = IndexedShards(parts["names"], *(parts[name] for name in ("nbytes", "mtimes", "marks", "records")))
    write_index(path, lied, RecordArrays(parts["hashes"], parts["variants"], parts["shards"]), parts["counts"])


def swap_shards(parts: dict[str, Any]) -> None:
    parts["shards"] = 1 - parts["shards"]


def invent_records(parts: dict[str, Any]) -> None:
    added: list[Any] = [np.uint64(key_hash("street/0002")), np.uint32(9), np.uint32(0)]
    columns = [
        np.append(parts[name], value) for name, value in zip(("hashes", "variants", "shards"), added, strict=True)
    ]
    arrays = RecordArrays.sorted_by_key(*columns)
    parts |= {"hashes": arrays.hashes, "variants": arrays.variants, "shards": arrays.shards}
    parts["records"] = parts["records"] + np.array([1, 0], np.uint64)


def name_others(parts: dict[str, Any]) -> None:
    parts["names"] = tuple(reversed(parts["names"]))


@pytest.mark.parametrize("lie", [swap_shards, invent_records, name_others])
def test_a_lie_gives_no_wrong_record(path: Path, lie: Callable[[dict[str, Any]], None]) -> None:
    rewritten(path, lie)
    with Cache.open(path) as cache:
        assert cache.get("street/0002", 9) is None
        assert cache.get("street/0002", 2**32 - 1) is None
    check_right(path)


def test_a_record_that_is_not_where_it_says_is_found_all_the_same(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rewritten(path, swap_shards)
    with caplog.at_level(logging.WARNING, "poc_aug"), Cache.open(path) as cache:
        assert len(indexed_shards(cache)) == 2
        assert cache.get("street/0000", 0) is not None
        assert indexed_shards(cache) == []  # it is not believed again
        cache.refresh()
        assert indexed_shards(cache) == []
    assert "not where it says" in caplog.text
    with Cache.open(path) as cache:
        problems = cache.verify().problems
        assert [problem.shard for problem in problems] == [INDEX, INDEX]
        assert "local-0.lmdb" in problems[0].problem
        assert "delete it" in problems[0].problem


def test_verify_finds_what_it_hides(path: Path) -> None:
    def hide(parts: dict[str, Any]) -> None:
        kept = np.arange(len(parts["hashes"])) != 3
        shard = parts["shards"][3]
        parts |= {name: parts[name][kept] for name in ARRAYS}
        parts["records"][shard] -= np.uint64(1)

    rewritten(path, hide)
    with Cache.open(path) as cache:
        assert len(cache) == COUNT - 1
        (problem,) = cache.verify().problems
        assert problem.shard == INDEX
        assert "may miss some; delete it" in problem.problem
    (path / INDEX).unlink()
    check_right(path)


def shard_out_of_range(parts: dict[str, Any]) -> None:
    parts["shards"][-1] = 2


def out_of_order(parts: dict[str, Any]) -> None:
    parts["hashes"] = parts["hashes"][::-1]


def wrong_sums(parts: dict[str, Any]) -> None:
    parts["records"] = parts["records"] + np.array([2**63, 2**63], np.uint64)


def path_as_name(parts: dict[str, Any]) -> None:
    parts["names"] = ("../../etc/passwd", "local-1.lmdb")


def name_twice(parts: dict[str, Any]) -> None:
    parts["names"] = ("local-1.lmdb", "local-1.lmdb")


def too_few_counts(parts: dict[str, Any]) -> None:
    parts["counts"] = parts["counts"][:1]


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        (shard_out_of_range, "shards that it does not name"),
        (out_of_order, "not in order"),
        (wrong_sums, "do not add up"),
        (path_as_name, "not those of shards"),
        (name_twice, "a shard twice"),
        (too_few_counts, "not those of its shards"),
    ],
)
def test_what_no_index_says_is_refused(path: Path, lie: Callable[[dict[str, Any]], None], problem: str) -> None:
    rewritten(path, lie)
    with pytest.raises(ValueError, match=problem):
        read_all(path)
    check_right(path)


@pytest.mark.parametrize(
    "counts",
    [3, [], [1] * 8, [-1, 0, 0, {}, {}, {}, {}, []], [0, 0, 0, {}, {}, {}, {}, [["dusk", 9, 1, 1, {}, [0, 0], {}]]]],
)
def test_counts_that_are_none_are_made_again(path: Path, counts: object) -> None:
    rewritten(path, lambda parts: parts.update(counts=[counts, counts]))
    assert summarize_cache(path).objects["gnu"] == sum(len(make_variant(n).insertions) for n in range(COUNT))


def test_sizes_that_nothing_has_are_refused_before_anything_is_allocated(path: Path) -> None:
    whole = (path / INDEX).read_bytes()
    head = struct.Struct("<8s16s16s16s5Q8x")
    magic, *digests, names, shards, records, counts, plain = head.unpack_from(whole)
    for sizes in (
        (2**63, shards, records, counts, plain),
        (names, 2**58, records, counts, plain),
        (names, shards, 2**60, counts, plain),
        (names, shards, records, 2**64 - 1, plain),
    ):
        (path / INDEX).write_bytes(head.pack(magic, *digests, *sizes) + whole[head.size :])
        with pytest.raises(ValueError, match="bytes instead of"):
            IndexFile(path / INDEX)
    bomb = zstandard.compress(json.dumps([0] * 1_000_000).encode())
    assert len(bomb) < 1000
    rewritten_counts(path, whole, bomb)
    with IndexFile(path / INDEX) as index, pytest.raises(ValueError, match="declares"):
        index.counts()
    check_right(path)


def rewritten_counts(path: Path, whole: bytes, packed: bytes) -> None:
    """Other counts in an index, which keeps the size that they had once decompressed."""
    import xxhash

    head = struct.Struct("<8s16s16s16s5Q8x")
    magic, _, records_digest, _, names, shards, records, counts, plain = head.unpack_from(whole)
    body = whole[head.size : len(whole) - counts]
    digest = xxhash.xxh3_128_digest(packed)
    sizes = names, shards, records, len(packed), plain
    made = head.pack(magic, bytes(16), records_digest, digest, *sizes)
    own = xxhash.xxh3_128_digest(made[24:] + body[: len(body) - 16 * records])
    (path / INDEX).write_bytes(head.pack(magic, own, records_digest, digest, *sizes) + body + packed)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_refused(path: Path, tmp_path: Path, kind: str) -> None:
    index = path / INDEX
    index.rename(tmp_path / "index")
    if kind == "link":
        index.symlink_to(tmp_path / "index")
    elif kind == "folder":
        index.mkdir()
    else:
        os.mkfifo(index)
    with pytest.raises(CacheFormatError, match=INDEX):
        Cache.open(path)
    assert update_index(path) == (kind != "folder")  # a file of its own takes its place


def test_an_index_that_cannot_be_written_ends_no_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = (path / INDEX).read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.WARNING, "poc_aug"), CacheWriter(path, make_manifest(), writer="b-1") as writer:
        writer.put(make_variant(90))
        monkeypatch.setattr("poc_aug.cache.index_file.os.fsync", full)
    assert "No space left" in caplog.text
    assert (path / INDEX).read_bytes() == before
    assert sorted(entry.name for entry in path.iterdir()) == [INDEX, "manifest.json", SHARDS]
    with Cache.open(path) as cache:
        assert len(cache) == COUNT + 1
        assert "b-1.lmdb" not in indexed_shards(cache)
    monkeypatch.undo()
    monkeypatch.setattr("poc_aug.cache.index_building.MIN_RECORDS", 1)
    (path / f"{index_file.TEMPORARY_INDEX}4711").write_bytes(b"of a process that was killed")
    assert update_index(path)
    assert sorted(entry.name for entry in path.iterdir()) == [INDEX, "manifest.json", SHARDS]


def test_repair_makes_another_one_in_the_place_of_one_that_lies(path: Path) -> None:
    assert not repair(path).set_aside
    rewritten(path, swap_shards)
    assert [one.path for one in repair(path).set_aside] == [INDEX]
    with Cache.open(path) as cache:
        assert len(indexed_shards(cache)) == 2
        assert cache.verify().ok
