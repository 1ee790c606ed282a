"""Caches as a stranger could write them: any bytes, under any names."""

from __future__ import annotations

from pathlib import Path

import lmdb

from poc_aug.cache import Manifest
from poc_aug.cache.record_keys import encode_key
from poc_aug.recipe import Recipe
from tests.helpers.cache_cases import PARTS


def write_cache(path: Path, records: dict[str, bytes], names: list[bytes] | None = None) -> None:
    """A cache that holds these bytes as variant 0 of these keys, as a stranger would write it."""
    shards = path / "shards"
    shards.mkdir(parents=True)
    objects = [{"name": "gnu", "prompts": ["a gnu"], "parts": PARTS}]
    recipe = Recipe.from_dict({"objects": objects, "max_sigma_px": 3.0}).to_dict()
    Manifest.create(recipe, {"inserter": {"inserter": "fuzz"}}, {"schema": "fuzz"}).write(path)
    env = lmdb.open(str(shards / "a.lmdb"), subdir=False, lib_version=0, map_size=64 << 20, sync=False)
    with env.begin(write=True) as transaction:
        for name, data in zip(names or [encode_key(key, 0) for key in records], records.values(), strict=True):
            transaction.put(name, data)
    env.close()
    (shards / "a.lmdb-lock").unlink(missing_ok=True)
