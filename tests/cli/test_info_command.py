"""``poc-aug info``: counts from the index, without reading records; several caches, and the recipes of one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from poc_aug.cache import Cache, CacheWriter, index_building
from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.index_file import INDEX
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.members import member_path
from poc_aug.cache.selection import Selection
from poc_aug.cache.shard import SHARDS
from tests.helpers.cache_cases import RECORDS, Records, make_cache, make_manifest, make_variant, stored_variant
from tests.helpers.command_line import run
from tests.helpers.index_cases import add_shard, begin, index_always

__all__ = ["index_always"]


def refused(*args: object) -> NoReturn:
    raise AssertionError("a record was read")


@pytest.mark.usefixtures(index_always.__name__)
@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_records_are_read_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: Records) -> None:
    path = records.cache(tmp_path / "a.cache", 24, 3)
    indexed = run("info", path)
    (path / INDEX).unlink()
    assert run("info", path) == indexed  # and makes it again
    monkeypatch.setattr(index_building, "header_of_record", refused)
    monkeypatch.setattr(Cache, "get", refused)
    assert run("info", path) == indexed
    assert "24 (3.0 per sample)" in indexed
    assert ("18 gnu" if records.name == "insertions" else "6 labels do not hold") in indexed


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_it_counts_what_reading_each_variant_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: Records, always: bool
) -> None:
    if always:
        monkeypatch.setattr(index_building, "MIN_RECORDS", 1)
    path = records.cache(tmp_path / "a.cache", 20, 2)
    with CacheWriter(path, records.manifest(), writer="again-1") as writer:  # what other shards hold, too
        writer.put_many([records.make(number) for number in range(7, 15)])
    with CacheWriter(path, records.manifest(), writer="open-1") as writer:  # one that is being written
        writer.put_many([records.make(number) for number in range(13, 30)])
        summary = summarize_cache(path)
    assert (path / INDEX).exists() == always
    with Cache.open(path) as cache:
        variants = [stored_variant(cache, *name) for name in cache]
    assert len(variants) == summary.records == 30
    assert summary.empty == sum(not variant.insertions and variant.frame is None for variant in variants)
    assert summary.objects == Counter(one.object_name for variant in variants for one in variant.insertions)
    rejections = [rejection for variant in variants for rejection in variant.rejections]
    assert summary.rejections == Counter(rejection.reason for rejection in rejections)
    assert sum(map(Counter.total, summary.rejected_objects.values())) == len(rejections) > 0
    if records.name == "frames":
        (counts,) = summary.shifts.values()
        assert (counts.frames, counts.rejected) == (30 - summary.empty, summary.empty)
    again = summarize_cache(path)
    assert (again.to_json()) == (summary.to_json())


def test_damaged_records_are_counted_apart(tmp_path: Path) -> None:
    path = begin(tmp_path / "a.cache")
    file = add_shard(path, "local-0", [("a", number) for number in range(5)])
    with Cache.open(path) as cache:
        raw = cache.raw("a", 3)
    assert raw is not None
    file.write_bytes(file.read_bytes().replace(raw[25:], raw[25:][::-1]))
    assert summarize_cache(path).unreadable == 1
    assert "1 record, not counted above: `poc-aug verify" in " ".join(run("info", path).split())


def test_several_caches_and_the_recipes_of_one(tmp_path: Path) -> None:
    one = make_cache(tmp_path / "a.cache", 6)
    other = RECORDS[1].cache(tmp_path / "b.cache", 6)
    manifest = make_manifest(seed=5)
    member = member_path(one, manifest.fingerprint)
    with CacheWriter(member, manifest) as writer:
        writer.put_many([make_variant(number) for number in range(9)])
    shown = run("info", one, other)
    fingerprints = [make_manifest().fingerprint, manifest.fingerprint, RECORDS[1].manifest().fingerprint]
    places = [shown.index(fingerprint) for fingerprint in fingerprints]
    assert places == sorted(places)
    assert [line.split()[1:] for line in shown.splitlines() if line.split()[:1] == ["recipe"]] == [
        ["1", "of", "2"],
        ["2", "of", "2"],
    ]
    assert "9 (3.0 per sample)" in shown
    recipes = list(yaml.safe_load_all(run("info", one, other, "--recipe")))
    assert [recipe["seed"] for recipe in recipes] == [0, 5, 0]
    assert recipes[2]["kind"] == "frames"


def test_a_journal_is_said(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 6)
    assert "decision" not in run("info", path)
    write_journal(path)
    assert "1 decision" in run("info", path)
    assert (path / SHARDS).is_dir()


def write_journal(path: Path) -> None:
    (path / "journal").mkdir()
    line = JournalEntry("drop", Selection(class_name="gnu"), time_ms=0).line()
    (path / "journal" / "a.jsonl").write_bytes(line + b"\n")
