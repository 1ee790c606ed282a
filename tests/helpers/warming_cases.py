"""What the tests of warming share."""

from __future__ import annotations

from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.generation.pipeline import InsertionPipeline
from tests.helpers.fakes import EllipseInserter, make_recipe


def pipeline(**changes: object) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(**changes), EllipseInserter(reject=0.3))


def content(path: Path) -> dict[tuple[str, int], bytes]:
    with Cache.open(path) as cache:
        assert cache.verify().ok
        records = {}
        for key, index in cache:
            raw = cache.raw(key, index)
            assert raw is not None
            records[key, index] = raw
        return records
