"""Counts of a cache respect its journal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from poc_aug.cache import Cache
from poc_aug.cache.kept_summary import summarize_kept
from poc_aug.upkeep import drop
from tests.helpers.kinds import KINDS, Kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_counts_are_those_of_what_is_read(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    kind.warm(path, 4)
    with Cache.open(path) as cache:
        key = cache.keys()[0]
        names = sorted(summarize_kept(cache).objects) or ["dusk"]
    drop(path, key=key)
    assert _check(path) > 0
    drop(path, class_name=names[0])
    assert _check(path) > 0
    drop(path, class_name=names[0], restore=True)
    _check(path)


def _check(path: Path) -> int:
    """Compare the counts with those of the variants that `Cache.get` gives; how many things are left out."""
    with Cache.open(path) as cache:
        variants = [variant for name in cache if (variant := cache.get(*name)) is not None]
        shown: list[tuple[int, int]] = []
        counted = summarize_kept(cache, lambda done, total: shown.append((done, total)))
    assert counted.records == len(variants)
    assert counted.empty == sum(variant.is_empty for variant in variants)
    objects = Counter(one.object_name for variant in variants for one in variant.insertions)
    assert +counted.objects == objects
    assert +counted.rejections == Counter(one.reason for variant in variants for one in variant.rejections)
    frames = Counter((one.frame.domain, one.frame.severity) for one in variants if one.frame is not None)
    assert {shift: counts.frames for shift, counts in counted.shifts.items() if counts.frames} == frames
    assert shown
    return counted.rejections["dropped"]
