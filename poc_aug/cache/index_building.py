"""Making the index of a cache, and bringing it up to date: only shards that it does not know are read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from poc_aug.cache import registry
from poc_aug.cache.index_file import INDEX, IndexedShards, RecordArrays, ignore_index, open_index, write_index
from poc_aug.cache.lock import directory_lock, is_locked
from poc_aug.cache.manifest import Manifest
from poc_aug.cache.record import header_of_record
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import decode_key, name_hash
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.cache.registry import Environment
from poc_aug.cache.shard import SHARDS, ShardState, check_shard, scan_shards, shard_mark
from poc_aug.errors import CacheError, PocAugError
from poc_aug.scenes.scene_recipe import split_key

Progress = Callable[[int, int], None]
"""Called with the number of records that were read and their total."""

MIN_RECORDS = 1000
"""A cache of fewer records is listed in less time than it takes to tell, and gets no index."""

_logger = logging.getLogger("poc_aug")
_RECORDS_PER_TRANSACTION = 200  # short transactions, see registry: "Why readers need no lock file"


@dataclass(frozen=True)
class ShardContents:
    """One shard as an index knows it: its state and mark, hash and variant of each record, and what they hold."""

    state: ShardState
    mark: int
    hashes: np.ndarray[Any, np.dtype[np.uint64]]
    variants: np.ndarray[Any, np.dtype[np.uint32]]
    summary: RecordSummary


def update_index(path: Path, progress: Progress | None = None) -> bool:
    """Bring the index of a cache up to date with its sealed shards, reading only those that it does not know.

    It is an aid, so nothing is raised if it cannot be written or a shard cannot be read: that is logged, and the shards
    are listed as without it. Shards that a writer has open are left out. Any number of processes may do this at once.

    Args:
        path: the ``NAME.cache`` directory, or that of a member.
        progress: called with the number of records that were read and their total.

    Returns:
        Whether the index covers all sealed shards now; `False` too for a cache that is too small to need one.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put_many(Variant("a.png", i, digest=b"", insertions=()) for i in range(MIN_RECORDS))
        ...     update_index(Path(folder) / "a.cache")
        True
    """
    try:
        return _update(path, progress)
    except (OSError, CacheError) as error:
        _logger.warning("the index of the cache %s was not written, so opening it takes longer: %s", path, error)
        return False


def _update(path: Path, progress: Progress | None) -> bool:
    states = scan_shards(path)
    known = _known(path, states)
    added, is_whole = _read_new(path, states, known, progress)
    if not added and len(known) == _indexed(path):
        return is_whole and bool(known)
    with directory_lock(path):
        states = scan_shards(path)  # another process may have written the index, or sealed a shard, in the meantime
        index = open_index(path)
        if index is None:
            return _write(path, {}, None, [], added) and is_whole
        with index:
            unchanged = index.shards.unchanged(path, states)
            try:
                return _write(path, unchanged, index.arrays(), index.counts(), added, index.shards) and is_whole
            except ValueError as error:
                ignore_index(path, error)
                return False


def _write(
    path: Path,
    unchanged: dict[str, int],
    arrays: RecordArrays | None,
    counts: Sequence[Any],
    added: dict[str, ShardContents],
    old: IndexedShards | None = None,
) -> bool:
    """Write what an index had of the shards in ``unchanged``, and what was read of others."""
    added = {name: contents for name, contents in added.items() if name not in unchanged}
    names = sorted({*unchanged, *added})
    numbers = {name: number for number, name in enumerate(names)}
    columns: list[list[int]] = [[], [], [], []]
    new_counts = []
    for name in names:
        if name in added:
            one = added[name]
            values = one.state.nbytes, one.state.mtime_ns, one.mark, len(one.hashes)
            new_counts.append(one.summary.to_json())
        else:
            assert old is not None
            at = unchanged[name]
            values = tuple(int(column[at]) for column in (old.nbytes, old.mtimes, old.marks, old.records))
            new_counts.append(counts[at])
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    parts = [
        (one.hashes, one.variants, np.full(len(one.hashes), numbers[name], np.uint32)) for name, one in added.items()
    ]
    if arrays is not None and old is not None:
        renumbered = np.full(len(old.names), len(names), np.uint32)
        for name, at in unchanged.items():
            renumbered[at] = numbers[name]
        shards = renumbered[arrays.shards]
        kept = shards < len(names)
        parts.append((arrays.hashes[kept], arrays.variants[kept], shards[kept]))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [[], [], []]
    if len(joined[0]) < MIN_RECORDS:
        (path / INDEX).unlink(missing_ok=True)
        return False
    shards_now = IndexedShards(
        tuple(names),
        np.array(columns[0], np.uint64),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.uint64),
        np.array(columns[3], np.uint64),
    )
    write_index(path, shards_now, RecordArrays.sorted_by_key(*joined), new_counts)
    return True


def _known(path: Path, states: dict[str, ShardState]) -> dict[str, int]:
    index = open_index(path)
    if index is None:
        return {}
    with index:
        return index.shards.unchanged(path, states)


def _indexed(path: Path) -> int:
    index = open_index(path)
    if index is None:
        return 0
    with index:
        return len(index.shards.names)


def _read_new(
    path: Path, states: dict[str, ShardState], known: dict[str, int], progress: Progress | None
) -> tuple[dict[str, ShardContents], bool]:
    """Read sealed shards that an index does not know; whether all could be read."""
    kind, found, is_whole = Manifest.read(path).kind, {}, True
    with _sealed(path, [name for name in states if name not in known]) as shards:
        if not known and sum(map(_count, shards)) < MIN_RECORDS:
            return {}, False
        tell = counted(shards, progress)
        for shard in shards:
            try:
                found[shard.path.name] = read_shard(shard, kind, tell)
            except (RecordError, lmdb.Error, CacheError) as error:
                is_whole = False
                _logger.warning("shard %s is left out of the index: %s", shard.path, error)
    return found, is_whole


@contextmanager
def _sealed(path: Path, names: Sequence[str]) -> Iterator[list[Environment]]:
    """Those of the shards that hold records and that no writer has open."""
    files = [path / SHARDS / name for name in names if not is_locked((path / SHARDS / name).with_suffix(".lock"))]
    shards = [registry.acquire(file) for file in files if check_shard(file).transaction]
    try:
        yield shards
    finally:
        for shard in shards:
            registry.release(shard)


def counted(shards: Sequence[Environment], progress: Progress | None) -> Callable[[int], None]:
    """What is called with a number of records that were read, and tells ``progress``."""
    total, done = sum(map(_count, shards)), 0

    def tell(records: int) -> None:
        nonlocal done
        done += records
        if progress is not None:
            progress(done, max(done, total))

    return tell


def read_shard(shard: Environment, kind: str, tell: Callable[[int], None]) -> ShardContents:
    """Read the names and headers of a shard's records.

    Raises:
        RecordError: its names are none, or not in order.
        CacheError: it was changed meanwhile, or cannot be read.
        lmdb.Error: damaged pages.
    """
    state, mark = _state_of(shard.path)
    hashes, variants, summary = [], [], RecordSummary()
    for names, counts in _batches(shard, kind):
        for name in names:
            hashes.append(name_hash(name))
            variants.append(decode_key(name)[1])
        summary.merge(counts)
        tell(len(names))
    if _state_of(shard.path) != (state, mark):
        raise CacheError(f"shard {str(shard.path)!r} was changed while it was read", expected="a sealed shard")
    return ShardContents(state, mark, np.array(hashes, np.uint64), np.array(variants, np.uint32), summary)


def _batches(shard: Environment, kind: str) -> Iterator[tuple[list[bytes], RecordSummary]]:
    last: bytes | None = None
    while True:
        names: list[bytes] = []
        counts = RecordSummary()
        with shard.read(buffers=True) as transaction, transaction.cursor() as cursor:
            has_next = cursor.first() if last is None else cursor.set_range(last)
            if has_next and bytes(cursor.key()) == last:
                has_next = cursor.next()
            for key, view in islice(cursor.iternext(), _RECORDS_PER_TRANSACTION if has_next else 0):
                names.append(bytes(key))
                add_record(counts, view, kind)
        if not names:
            return
        _check_names(names, last)
        yield names, counts
        last = names[-1]


def add_record(counts: RecordSummary, data: bytes | memoryview, kind: str) -> None:
    """Count one record; one whose header is damaged as unreadable."""
    try:
        header = header_of_record(data)
        counts.add(header, split_key(header["key"])[1:] if kind == "frames" else None)
    except PocAugError:
        counts.unreadable += 1


def _check_names(names: list[bytes], last: bytes | None) -> None:
    if last is not None and names[0] <= last:
        raise RecordError(f"its names are not in order: {names[0][:40]!r} comes after {last[:40]!r}")
    for name in (names[0], names[-1]):
        try:
            decode_key(name)
        except ValueError as error:
            raise RecordError(str(error)) from error


def _state_of(path: Path) -> tuple[ShardState, int]:
    stat = path.stat()
    return ShardState(stat.st_size, stat.st_mtime_ns), shard_mark(path)


def _count(shard: Environment) -> int:
    with shard.read() as transaction:
        return int(transaction.stat()["entries"])
