"""`OtherWriters`: what other processes add to a cache while this one fills it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import lmdb

from poc_aug.cache import registry
from poc_aug.cache.lock import is_locked
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.shard import SHARDS, SUFFIX
from poc_aug.cache.shard_names import is_unique
from poc_aug.errors import CacheCorruptError
from poc_aug.files.stray_files import is_stray


def sealed_shards(cache: Path) -> frozenset[str]:
    """Names of the shard files that no run will ever add to: of a unique name, and their writer has ended.

    Example:
        >>> sealed_shards(Path("no such folder"))
        frozenset()
    """
    folder = cache / SHARDS
    unique = (name for name in _shard_files(folder) if is_unique(name.removesuffix(SUFFIX)))
    return frozenset(name for name in unique if not is_locked((folder / name).with_suffix(".lock")))


class OtherWriters:
    """Looks for records in the shards that other processes write, or have written since the cache was listed.

    A lookup takes one directory listing, and a few microseconds per shard that is not passed over.

    Args:
        cache: the ``NAME.cache`` directory; it need not exist yet.
        passed: shards that are not looked at: those that were sealed (`sealed_shards`) before the cache was listed.
    """

    def __init__(self, cache: Path, passed: Iterable[str] = ()) -> None:
        self._folder = cache / SHARDS
        self._passed = set(passed)
        self._shards: dict[str, registry.Environment] = {}

    def add_own(self, name: str) -> None:
        """Pass over a shard of this process, too."""
        self._passed.add(f"{name}{SUFFIX}")

    def hold(self, key: str, index: int) -> bool:
        """Whether one of these shards holds a record now.

        Raises:
            CacheCorruptError: a shard cannot be read.
        """
        for name in _shard_files(self._folder):
            if name not in self._passed and name not in self._shards:
                self._shards[name] = registry.acquire(self._folder / name)
        record = encode_key(key, index)
        return any(self._holds(shard, record) for shard in self._shards.values())

    def close(self) -> None:
        """Close the shards."""
        while self._shards:
            registry.release(self._shards.popitem()[1])

    def _holds(self, shard: registry.Environment, record: bytes) -> bool:
        try:
            if not shard.path.exists() or not shard.path.stat().st_size:  # just begun, or a blank one that was removed
                return False
            shard.reopen_if_replaced()
            with shard.read() as transaction:
                return transaction.get(record) is not None
        except lmdb.Error as error:
            raise CacheCorruptError(
                f"shard {shard.path.name!r} of cache {str(shard.path.parent.parent)!r} cannot be read: {error}",
                expected="a sound shard, which another process writes",
                hint=f"check it with `poc-aug verify {shard.path.parent.parent}`",
            ) from error


def _shard_files(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(SUFFIX) and entry.is_file()]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if not is_stray(name))
