"""Shards for tests of the index: made with LMDB alone, since nothing in them has to be on disk after a crash."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from poc_aug.cache import Cache, encode_record, index_building
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.shard import SHARDS
from poc_aug.types import Rejection, Variant
from tests.helpers.cache_cases import make_manifest

Name = tuple[str, int]


@pytest.fixture
def index_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few records a cache has, it gets an index."""
    monkeypatch.setattr(index_building, "MIN_RECORDS", 1)


def begin(path: Path) -> Path:
    """A cache without shards."""
    (path / SHARDS).mkdir(parents=True)
    make_manifest().write(path)
    return path


def record_of(name: Name, reason: Any = "dark") -> bytes:
    """A record without insertions."""
    return encode_record(Variant(*name, b"", (), (Rejection(reason, "gnu", 0, ""),)), "delta-zstd")


def add_shard(path: Path, shard: str, names: Iterable[Name]) -> Path:
    """Write a shard, or add to it, with a record of each name."""
    file = path / SHARDS / f"{shard}.lmdb"
    env = lmdb.open(str(file), subdir=False, map_size=1 << 24, sync=False, lock=False, lib_version=0)
    with env.begin(write=True) as transaction:
        for name in names:
            transaction.put(encode_key(*name), record_of(name))
    env.close()
    return file


def without_index(path: Path) -> Cache:
    """The cache as its shards alone say it is."""
    cache = Cache.open(path)
    cache._trusts_index = False
    return cache


def indexed_shards(cache: Cache) -> list[str]:
    """Names of the shards whose records an opened cache did not list."""
    return sorted(cache._names[number] for number in cache._listing().indexed)
