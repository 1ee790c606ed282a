"""Whether the index of a cache says what its shards hold; part of `Cache.verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poc_aug.cache.index_file import INDEX, IndexFile, RecordArrays
from poc_aug.cache.record_keys import name_hash
from poc_aug.cache.shard import scan_shards
from poc_aug.counting import count_of
from poc_aug.errors import CacheError


class IndexCheck:
    """Compares an index with the names that are found in the shards.

    Args:
        cache: the ``NAME.cache`` directory.

    Attributes:
        problems: what is wrong.

    Example:
        >>> IndexCheck(Path("no such folder")).problems
        []
    """

    def __init__(self, cache: Path) -> None:
        self.problems: list[str] = []
        self._numbers: dict[str, int] = {}
        self._first: list[int] = [0]
        try:
            with IndexFile(cache / INDEX) as index:
                arrays = index.arrays()
                index.counts()
                self._numbers = index.shards.unchanged(cache, scan_shards(cache))
                shards = len(index.shards.names)
        except FileNotFoundError:
            return
        except (ValueError, OSError, CacheError) as error:
            self.problems.append(f"it is of no use: {error}; reading ignores it, and it may be deleted")
            return
        by_shard = np.argsort(arrays.shards, kind="stable")
        self._arrays = RecordArrays(arrays.hashes[by_shard], arrays.variants[by_shard], arrays.shards[by_shard])
        self._first = self._arrays.shards.searchsorted(np.arange(shards + 1)).tolist()

    @property
    def shards(self) -> list[str]:
        """The shards that the index covers."""
        return list(self._numbers)

    def compare(self, shard: str, names: Sequence[bytes]) -> None:
        """Compare what the index has of a shard with all names in it; nothing if the index does not cover it."""
        number = self._numbers.get(shard)
        if number is None:
            return
        part = slice(self._first[number], self._first[number + 1])
        known: Any = self._arrays.hashes[part], self._arrays.variants[part]
        found = RecordArrays.sorted_by_key(
            list(map(name_hash, names)), [int.from_bytes(name[-4:], "big") for name in names], [0] * len(names)
        )
        if len(known[0]) != len(names) or (found.hashes != known[0]).any() or (found.variants != known[1]).any():
            self.problems.append(
                f"it has {count_of(len(known[0]), 'record')} of shard {shard!r}, not the {len(names)} in it, so "
                "reading may miss some; delete it, and `poc-aug info` makes a new one"
            )
