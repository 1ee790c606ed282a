"""Variants that hold no object are counted wherever a cache is reported on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cli.progress import print_report
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.inspection.empty_variants import count_without_object
from poc_aug.types import Variant
from tests.helpers.cache_cases import make_manifest, stored_variant
from tests.helpers.command_line import FRAMES, run
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe


def warmed(path: Path, share: float) -> WarmReport:
    recipe = make_recipe(attempts=1, objects_per_variant=[1, 1])
    frames = Frames(3, size_hw=(60, 81))
    return warm_cache(frames, path, InsertionPipeline(recipe, EllipseInserter(reject=share)), num_variants=4, workers=0)


@pytest.mark.parametrize(("share", "most"), [(0.2, False), (0.65, True), (0.0, None)])
def test_they_are_counted_everywhere(tmp_path: Path, share: float, most: bool | None) -> None:
    path = tmp_path / "a.cache"
    report = warmed(path, share)
    with Cache.open(path) as cache:
        count = sum(not stored_variant(cache, *name).insertions for name in cache)
        assert count_without_object(cache) == count
    assert report.without_object == count == report.to_dict()["without_object"]
    assert json.dumps(report.to_dict())
    out = io.StringIO()
    print_report(Console(file=out, width=300), report, path)
    preview = run("preview", path, *FRAMES, "--out", tmp_path / "a.png", "--width", 400)
    for text in (out.getvalue(), run("info", path), preview):
        assert ("no object" in text) == (most is not None)
        if most is not None:
            assert 0 < count < 12
            assert f"{count} of 12 variants hold{'s' if count == 1 else ''} no object" in text
            assert ("warning: " in text) == most


def test_a_damaged_record_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as writer:
        writer.put_many([Variant("a", number, b"", ()) for number in range(5)])
    (shard,) = path.glob("shards/*.lmdb")
    data = shard.read_bytes()
    with Cache.open(path) as cache:
        assert count_without_object(cache) == 5
        raw = cache.raw("a", 3)
    assert raw is not None
    last = data.index(raw) + len(raw) - 1
    shard.write_bytes(data[:last] + bytes([data[last] ^ 1]) + data[last + 1 :])
    with Cache.open(path) as cache:
        assert count_without_object(cache) == 4


def test_the_counts_of_one_are_singular() -> None:
    out = io.StringIO()
    print_report(Console(file=out, width=300), WarmReport(total=1, made=1, objects=1), "a.cache")
    assert "1 variant with 1 object in" in out.getvalue()


def test_a_cache_of_one_variant_is_complete(tmp_path: Path) -> None:
    out = io.StringIO()
    print_report(Console(file=out, width=300), WarmReport(total=1, present=1, accepted_before=True), "a.cache")
    assert out.getvalue() == "nothing to do: the only variant is in a.cache\n"
