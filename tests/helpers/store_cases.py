"""Caches to push and pull, of both kinds and of several recipes; made once."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.members import member_path, member_paths
from poc_aug.stores import TransferSettings, pull
from poc_aug.types import Rejection, Variant

QUICK = TransferSettings(first_wait_s=0.01, chunk_nbytes=64 << 10)
"""Settings with which cut connections cost no time."""


def add_shard(cache: Path, name: str, keys: int = 3, *, records: int = 40) -> None:
    """Add one more shard, of keys of its own, to a cache."""
    with CacheWriter(cache, Manifest.read(cache), writer=name) as writer:
        words = random.Random(name)
        writer.put_many(
            Variant(
                f"{name}-{key}", index, b"", (), rejections=(Rejection("black", detail=words.randbytes(700).hex()),)
            )
            for key in range(keys)
            for index in range(records)
        )


def make_cache(path: Path, *, recipes: int = 1, shards: int = 2) -> Path:
    """A cache of a few shards of 100 kB, with further recipes."""
    for number in range(recipes):
        manifest = Manifest.create({"seed": number}, {"inserter": {"inserter": "test"}}, {"schema": "test"})
        at = path if number == 0 else member_path(path, manifest.fingerprint)
        CacheWriter.create(at, manifest)
        for shard in range(shards):
            add_shard(at, f"node{shard}-0of2-{4711 + shard}")
    return path


def content(cache: Path) -> dict[tuple[str, str, int], bytes | None]:
    """All records of a cache, of all of its recipes; each was verified."""
    found: dict[tuple[str, str, int], bytes | None] = {}
    for member in member_paths(cache):
        with Cache.open(member) as opened:
            report = opened.verify()
            assert report.ok, report.problems
            found |= {(opened.manifest.fingerprint, *name): opened.raw(*name) for name in opened}
    return found


def pull_in_child(url: str, path: Path, environment: dict[str, str]) -> None:
    """For a process of its own."""
    os.environ.update(environment)
    pull(url, path, settings=QUICK)


def copied(cache: Path, to: Path) -> Path:
    """A copy of a cache, to be changed."""
    shutil.copytree(cache, to)
    return to
