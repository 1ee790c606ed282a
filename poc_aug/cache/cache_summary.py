"""What a cache holds, from the counts in its index; only records that the index does not know are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from poc_aug.cache import registry
from poc_aug.cache.index_building import Progress, counted, read_shard, record_counts, update_index
from poc_aug.cache.index_file import RecordArrays, ignore_index, open_index
from poc_aug.cache.manifest import Manifest
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import decode_key, name_hash
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.cache.shard import SHARDS, ShardState, scan_shards
from poc_aug.cache.verify import lmdb_keys
from poc_aug.errors import CacheCorruptError


def summarize_cache(path: Path, progress: Progress | None = None) -> RecordSummary:
    """Count what a cache holds; brings its index up to date first. Records that several shards hold count once.

    Args:
        path: the ``NAME.cache`` directory, or that of a member.
        progress: called with the number of records that were read and their total.

    Raises:
        CacheCorruptError: a shard cannot be listed.
        CacheError: the cache cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     summarize_cache(Path(folder) / "a.cache").empty
        1
    """
    update_index(path, progress)
    states, kind, summary = scan_shards(path), Manifest.read(path).kind, RecordSummary()
    names = list(states)
    parts, known = _from_index(path, states, summary)
    shards = {number: registry.acquire(path / SHARDS / name) for number, name in enumerate(names) if name not in known}
    try:
        tell = counted(list(shards.values()), progress)
        for number, shard in shards.items():
            try:
                one = read_shard(shard, kind, tell)
            except (RecordError, lmdb.Error) as error:
                raise _corrupt(path, shard.path.name, error) from error
            summary.merge(one.summary)
            parts.append((one.hashes, one.variants, np.full(len(one.hashes), number, np.uint32)))
    finally:
        for shard in shards.values():
            registry.release(shard)
    if parts:
        joined: Any = [np.concatenate(column) for column in zip(*parts, strict=True)]
        arrays = RecordArrays(*joined) if not shards else RecordArrays.sorted_by_key(*joined)  # the index is sorted
        _remove_doubles(path, names, arrays, kind, summary)
    return summary


def _from_index(
    path: Path, states: Mapping[str, ShardState], summary: RecordSummary
) -> tuple[list[tuple[Any, Any, Any]], set[str]]:
    """Add the counts of the shards that the index knows; gives their records, and their names."""
    index = open_index(path)
    if index is None:
        return [], set()
    with index:
        unchanged = index.shards.unchanged(path, states)
        try:
            arrays, counts = index.arrays(), index.counts()
            found = [RecordSummary.from_json(counts[number]) for number in unchanged.values()]
        except ValueError as error:
            ignore_index(path, error)
            return [], set()
        for one in found:
            summary.merge(one)
    place = {name: number for number, name in enumerate(states)}
    numbers = np.array([place[name] if name in unchanged else -1 for name in index.shards.names], np.int64)
    shards = numbers[arrays.shards]
    kept = shards >= 0
    return [(arrays.hashes[kept], arrays.variants[kept], shards[kept].astype(np.uint32))], set(unchanged)


def _remove_doubles(path: Path, names: list[str], arrays: RecordArrays, kind: str, summary: RecordSummary) -> None:
    """Take away what later shards hold again; only those shards' names are read."""
    hashes, variants = arrays.hashes, arrays.variants
    again = np.flatnonzero((hashes[1:] == hashes[:-1]) & (variants[1:] == variants[:-1])) + 1
    doubles: dict[int, set[tuple[int, int]]] = {}
    for hashed, variant, number in zip(hashes[again], variants[again], arrays.shards[again], strict=True):
        doubles.setdefault(int(number), set()).add((int(hashed), int(variant)))
    for number, wanted in doubles.items():
        shard = registry.acquire(path / SHARDS / names[number])
        try:
            for name in lmdb_keys(shard):
                if (name_hash(name), decode_key(name)[1]) in wanted:
                    summary.remove(record_counts(shard.record(name) or b"", kind))
        except (RecordError, lmdb.Error, ValueError) as error:
            raise _corrupt(path, shard.path.name, error) from error
        finally:
            registry.release(shard)


def _corrupt(path: Path, name: str, error: Exception) -> CacheCorruptError:
    return CacheCorruptError(
        f"cache {str(path)!r}: shard {name!r} cannot be listed: {error}",
        expected="the bytes that were written",
        hint=f"list all damage with `poc-aug verify {path}`",
    )
