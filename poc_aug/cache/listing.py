"""Which records a cache holds, and in which shard: from its index, and for other shards as listed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poc_aug.cache.index_file import RecordArrays, ignore_index, open_index
from poc_aug.cache.record_keys import key_hash
from poc_aug.cache.shard import ShardState

_FEW = 1 << 20
ReadNames = Callable[[int], Iterable[tuple[str, int]]]
"""Reads keys and variants of a shard by its number."""


class Listing:
    """The records of a cache in one process; shards are numbered, and of a record stored twice the first counts.

    What an index covers is looked up by hash in its arrays. The rest is in a dictionary.

    Args:
        arrays: of the index, the numbers of shards being the index's; ``None``: no index.
        numbers: the number here of each of the index's shards; -1: not one that the index covers now.
        read_names: reads a shard, for what only its own names can tell.

    Example:
        >>> names = [("a.png", 0), ("b.png", 2)]
        >>> listing = Listing(None, (), lambda number: names)
        >>> listing.add_shard(0, names)
        >>> listing.variants("b.png"), listing.samples, listing.held(["b.png", "c.png"]).tolist()
        ({2: 0}, 2, [True, False])
    """

    def __init__(self, arrays: RecordArrays | None, numbers: Sequence[int], read_names: ReadNames) -> None:
        self._read_names = read_names
        self._numbers = np.asarray(numbers, np.int64)
        self._listed: dict[str, dict[int, int]] = {}
        if arrays is None:
            arrays = RecordArrays.sorted_by_key([], [], [])
        elif (self._numbers < 0).any():  # a copy, without the records of shards that are gone or were changed
            kept = self._numbers[arrays.shards] >= 0
            arrays = RecordArrays(arrays.hashes[kept], arrays.variants[kept], arrays.shards[kept])
        self._arrays = arrays
        views: list[Any] = [arrays.hashes, arrays.variants, arrays.shards]
        self._views = [memoryview(view) for view in views]
        self._own_numbers: list[int] = self._numbers.tolist()
        self._totals: tuple[int, int] | None = None
        self._indexed: frozenset[int] | None = None  # variants
        self.indexed = frozenset(self._numbers[self._numbers >= 0].tolist())

    def add_shard(self, number: int, names: Iterable[tuple[str, int]]) -> None:
        """List a shard that the index does not cover; shards come in the order of their numbers."""
        for key, variant in names:
            self.add(key, variant, number)

    def add(self, key: str, variant: int, number: int) -> None:
        """List a record."""
        self._listed.setdefault(key, {}).setdefault(variant, number)
        self._totals = None

    def variants(self, key: str) -> dict[int, int]:
        """The number of the shard by variant, of a sample."""
        found: dict[int, int] = {}
        for variant, number in self._of(key):
            found[variant] = min(number, found.get(variant, number))
        if key in self._listed:
            if not found:
                return self._listed[key]
            for variant, shard in self._listed[key].items():
                found[variant] = min(shard, found.get(variant, shard))
        return found

    def number_of(self, key: str, variant: int) -> int | None:
        """The number of the shard of one record; ``None`` if there is none."""
        listed = self._listed[key].get(variant) if key in self._listed else None
        for other, number in self._of(key):
            if other == variant:  # the first one is that of the first shard
                return number if listed is None else min(number, listed)
        return listed

    def _of(self, key: str) -> Iterator[tuple[int, int]]:
        """Variants and shards that the index has of a sample."""
        # NumPy takes five times as long for a single key as `bisect`.
        hashes, variants, shards = self._views
        hashed = key_hash(key) if len(hashes) else 0
        at = bisect_left(hashes, hashed)
        while at < len(hashes) and hashes[at] == hashed:
            yield variants[at], self._own_numbers[shards[at]]
            at += 1

    def held(self, keys: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which samples have a record, for many keys at once."""
        hashes = self._arrays.hashes
        if not len(hashes):
            return np.fromiter((key in self._listed for key in keys), np.bool_, len(keys))
        asked = np.fromiter(map(key_hash, keys), np.uint64, len(keys))
        found: np.ndarray[Any, np.dtype[np.bool_]] = self._known(asked)
        if self._listed:
            found |= np.fromiter((key in self._listed for key in keys), np.bool_, len(keys))
        return found

    def _known(self, asked: np.ndarray[Any, np.dtype[np.uint64]]) -> Any:
        hashes, found = self._arrays.hashes, np.empty(len(asked), np.bool_)
        order = asked.argsort()  # so that neighbours are looked up one after the other, in memory that is at hand
        sought = asked[order]
        found[order] = hashes[np.minimum(hashes.searchsorted(sought), len(hashes) - 1)] == sought
        return found

    def __len__(self) -> int:
        return self._counted()[0]

    @property
    def samples(self) -> int:
        """How many samples have a record."""
        return self._counted()[1]

    def indices(self) -> frozenset[int]:
        """All variants that some sample has."""
        if self._indexed is None:
            variants = self._arrays.variants
            few = not len(variants) or variants.max() < _FEW
            self._indexed = frozenset((np.flatnonzero(np.bincount(variants)) if few else np.unique(variants)).tolist())
        return self._indexed.union(*self._listed.values())

    def keys(self) -> list[str]:
        """Keys of all samples with a record, sorted; reads the shards."""
        return sorted({key for key, _ in self._all()})

    def items(self) -> Iterator[tuple[str, int]]:
        """All ``(key, variant)``, sorted; reads the shards."""
        yield from sorted(set(self._all()))

    def _all(self) -> Iterator[tuple[str, int]]:
        for number in sorted(self.indexed):
            yield from self._read_names(number)
        for key, variants in self._listed.items():
            for variant in variants:
                yield key, variant

    def _counted(self) -> tuple[int, int]:
        if self._totals is None:
            hashes, variants = self._arrays.hashes, self._arrays.variants
            records = samples = 0
            if len(hashes):
                other = hashes[1:] != hashes[:-1]
                samples = 1 + int(other.sum())
                records = 1 + int((other | (variants[1:] != variants[:-1])).sum())
            keys = list(self._listed)
            known = np.zeros(len(keys), np.bool_)
            if len(hashes) and keys:
                asked = np.fromiter(map(key_hash, keys), np.uint64, len(keys))
                known = self._known(asked)
            for key, is_known in zip(keys, known.tolist(), strict=True):
                samples += not is_known
                records += len(self.variants(key)) - (len({variant for variant, _ in self._of(key)}) if is_known else 0)
            self._totals = records, samples
        return self._totals


def indexed_records(cache: Path, states: Mapping[str, ShardState]) -> tuple[RecordArrays, list[int]] | None:
    """What the index of a cache knows of its shards; ``None`` if there is none of use.

    Args:
        cache: the ``NAME.cache`` directory.
        states: its shards; their order gives them numbers.

    Returns:
        The records, and the number of each of the index's shards; -1 if it was changed, or is gone.
    """
    index = open_index(cache)
    if index is None:
        return None
    with index:
        unchanged = index.shards.unchanged(cache, states)
        if not unchanged:
            return None
        try:
            arrays = index.arrays()
        except (ValueError, OSError) as error:
            ignore_index(cache, error)
            return None
    numbers = {name: number for number, name in enumerate(states)}
    return arrays, [numbers[name] if name in unchanged else -1 for name in index.shards.names]
