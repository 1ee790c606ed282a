"""``drop`` and ``--restore``: what they count, what they write, and what they say if nothing fits."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.journal_files import JOURNAL, journal_paths
from poc_aug.cache.members import member_paths
from poc_aug.errors import CacheCorruptError, CacheMismatchError, CacheMissError, CacheNotFoundError, SettingError
from poc_aug.upkeep import DropReport, decisions, drop
from tests.helpers.cache_cases import (
    RECORDS,
    Records,
    contents,
    make_cache,
    make_manifest,
    make_variant,
    stored_variant,
)
from tests.helpers.command_line import run
from tests.helpers.kinds import KINDS, Kind
from tests.helpers.upkeep_cases import damage_record, filled, other_recipe, read_all, with_two_recipes

NUMBERS = range(15)


def kept(path: Path) -> int:
    variants = [variant for variant in read_all(path).values() if variant is not None]
    return sum(len(variant.insertions) + (variant.frame is not None) for variant in variants)


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_the_counts_are_those_that_reading_shows(tmp_path: Path, records: Records) -> None:
    path = filled(tmp_path / "a.cache", records, NUMBERS)
    before = contents(path)
    whole = kept(path)
    choices: list[dict[str, Any]] = [
        {"variant": 1},
        {"key": "street/0000"},
        {"key": "street/000[12]*"},
        {"class_name": "dusk" if records.name == "frames" else "part 1"},
        {"key": "street/000*", "variant": 2},
    ]
    for choice in choices:
        dry = drop(path, **choice, dry_run=True)
        assert kept(path) == whole
        assert not journal_paths(path)
        report = drop(path, **choice, by="anna")
        assert report == dry
        assert report.kept_before - report.kept_after == report.changed == whole - kept(path) > 0
        assert report.empty_after - report.empty_before == sum(
            one is not None and one.is_empty and "dropped" in {r.reason for r in one.rejections}
            for one in read_all(path).values()
        )
        again = drop(path, **choice)
        assert again.changed == 0
        assert len(journal_paths(path)) == 1  # a decision without effect is not written
        restored = drop(path, **choice, restore=True)
        assert restored.changed == report.changed
        assert kept(path) == whole
        for file in journal_paths(path):
            file.unlink()
    assert contents(path) == before


def test_one_insertion_of_several(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with Cache.open(path) as cache:
        boxes = [one.box_yxhw for one in stored_variant(cache, "street/0000", 2).insertions]
    report = drop(path, key="street/0000", variant=2, insertion=0)
    assert report == DropReport(1, 1, 1, 1, 0, 0, 0, changed=1)
    with Cache.open(path) as cache:
        assert [one.box_yxhw for one in stored_variant(cache, "street/0000", 2).insertions] == boxes[1:]


def test_the_sample_of_a_frame_names_all_of_its_frames(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.cache", RECORDS[1], NUMBERS)
    report = drop(path, key="street/0001")
    assert report.frames
    assert report.insertions == len([variant for variant in map(RECORDS[1].make, range(3, 6)) if variant.frame])
    assert drop(path, key="street/0001@dusk-2").changed == 0


def test_a_key_that_looks_like_a_pattern_is_the_key(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as writer:
        writer.put_many([replace(make_variant(1), key=key) for key in ("a[1]", "a1")])
    assert drop(path, key="a[1]").insertions == 1
    with Cache.open(path) as cache:
        assert stored_variant(cache, "a[1]", 1).is_empty
        assert not stored_variant(cache, "a1", 1).is_empty
    assert drop(path, key="a?").changed == 1


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_recipes(tmp_path: Path, records: Records) -> None:
    path = with_two_recipes(tmp_path / "a.cache", records)
    top, member = member_paths(path)
    whole = kept(top)
    other = other_recipe(records).fingerprint
    assert drop(path, recipe=other[:8]).insertions == whole
    assert (kept(top), kept(member)) == (whole, 0)
    assert not (top / JOURNAL).exists()
    both = drop(path, variant=1)
    assert both.recipes == 2
    assert both.changed == both.kept_before
    assert kept(top) == whole - both.changed
    drop(path, recipe=other, restore=True)
    assert kept(member) == whole
    made = decisions(path)
    assert [(fingerprint, entry.op) for fingerprint, entry in made] == [
        (other, "drop"),
        *sorted([(Manifest.read(top).fingerprint, "drop"), (other, "drop")], key=lambda one: one[0] == other),
        (other, "restore"),
    ]
    with pytest.raises(CacheMissError, match="holds no recipe 'abcdef'") as caught:
        drop(path, recipe="abcdef")
    assert other in caught.value.expected
    with pytest.raises((CacheMismatchError, CacheMissError)):
        drop(path, recipe="")


@pytest.mark.parametrize(
    ("choice", "expected", "hint"),
    [
        ({"class_name": "gnus"}, "a class of the cache: .*'gnu'", "did you mean 'gnu'"),
        ({"class_name": "zzz"}, "a class of the cache: .*'gnu'", "correct the class"),
        ({"key": "street/00"}, "a key of the cache: 'street/0000', 'street/0001'", "did you mean 'street/000"),
        ({"key": "avenue/*"}, "a key of the cache: 'street/0000'", "correct the key"),
        ({"variant": 7}, "one of the variants '0', '1', '2'", "correct the number"),
        (
            {"key": "street/0000", "variant": 0, "class_name": "gnu"},
            "insertion that fits all of it",
            "leave a part",
        ),
        ({"insertion": 4000}, "insertion that fits all of it", "leave a part"),
    ],
)
def test_what_fits_nothing_is_an_error_that_lists_what_there_is(
    tmp_path: Path, choice: dict[str, Any], expected: str, hint: str
) -> None:
    path = make_cache(tmp_path / "a.cache")
    with pytest.raises(CacheMissError, match="no insertion of cache") as caught:
        drop(path, **choice)
    assert re.search(expected, caught.value.expected)
    assert hint in caught.value.hint
    assert not (path / JOURNAL).exists()


def test_nothing_given_nothing_there_and_damage(tmp_path: Path) -> None:
    with pytest.raises(CacheNotFoundError):
        drop(tmp_path / "none.cache", variant=1)
    path = make_cache(tmp_path / "a.cache")
    with pytest.raises(SettingError, match="nothing says what to drop") as caught:
        drop(path)
    assert "--class" in caught.value.command
    for wrong in ({"variant": -1}, {"insertion": 2**40}, {"class_name": "x" * 2000}, {"key": "*" * 30}):
        with pytest.raises(SettingError):
            drop(path, **wrong)
    with pytest.raises(SettingError, match="by="):
        drop(path, variant=1, by="a\nb")
    damage_record(path, ("street/0000", 1))
    with pytest.raises(CacheCorruptError):
        drop(path, class_name="gnu")
    empty = make_cache(tmp_path / "b.cache", 0)
    with pytest.raises(CacheMissError) as missed:
        drop(empty, variant=1)
    assert "fill it with warm_cache" in missed.value.hint


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_reading_shows_another_variant_and_warming_makes_nothing_again(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a.cache"
    kind.warm(path, 3)
    drop(path, variant=0)
    with Cache.open(path) as cache:
        assert all(stored_variant(cache, key, 0).is_empty for key in cache.keys())
    with kind.read(path, 3, variant=0, p=1.0) as dataset:
        assert all(dataset[index] is not None for index in range(len(dataset)))
        statistics = dataset.stats()
        assert (statistics.hits, statistics.empty) == (0, len(dataset))
    with kind.read(path, 3, variants="random", p=1.0) as dataset:
        assert all(dataset[index] is not None for index in range(len(dataset)))
        assert dataset.stats().hits > 0  # of the other variants
    report = kind.warm(path, 3)
    assert report.made == 0
    assert report.present == report.total


def test_the_command(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 15)
    assert "journal is empty" in run("drop", path, "--list")
    said = run("drop", path, "--variant", 1, "--by", "anna", "--dry-run")
    assert "would be dropped" in said
    assert not (path / JOURNAL).exists()
    assert "dropped; kept: 4 -> 0" in run("drop", path, "--variant", 1, "--by", "anna")
    assert "restored; kept: 0 -> 1" in run("drop", path, "--key", "street/0000", "--variant", 1, "--restore")
    listed = run("drop", path, "--list")
    assert re.search(r"^\S+Z drop: variant 1 \(recipe [0-9a-f]{12}, by anna, id [0-9a-f]{8}\)$", listed, re.MULTILINE)
    assert re.search(
        r"^\S+Z restore: key 'street/0000', variant 1 \(recipe [0-9a-f]{12}, id [0-9a-f]{8}\)$", listed, re.MULTILINE
    )
    assert "--list alone" in run("drop", path, "--list", "--restore", fails=True)
    assert "--class, --key" in run("drop", path, fails=True)
    assert "did you mean 'gnu'" in run("drop", path, "--class", "gnus", fails=True)
