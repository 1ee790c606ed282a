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
    index = _FormerIndex.read(path)
    known = {} if index is None else index.shards.unchanged(path, states)
    added, is_whole = _read_new(path, states, known, progress)
    if not added and index is not None and len(known) == len(index.shards.names):
        return is_whole
    with directory_lock(path):
        # Another process may have written the index, or sealed a shard, in the meantime.
        return _write(path, _FormerIndex.read(path), added) and is_whole


@dataclass(frozen=True)
class _FormerIndex:
    """The whole of an index, checked."""

    shards: IndexedShards
    arrays: RecordArrays
    counts: Sequence[Any]

    @classmethod
    def read(cls, path: Path) -> _FormerIndex | None:
        index = open_index(path)
        if index is None:
            return None
        with index:
            try:
                read = cls(index.shards, index.arrays(), index.counts())
                for counts in read.counts:
                    RecordSummary.from_json(counts)
            except ValueError as error:
                ignore_index(path, error)
                return None
        return read


def _write(path: Path, former: _FormerIndex | None, added: dict[str, ShardContents]) -> bool:
    """Write what the former index knew of the shards that are as they were, and what was read of others."""
    unchanged = {} if former is None else former.shards.unchanged(path, scan_shards(path))
    added = {name: contents for name, contents in added.items() if name not in unchanged}
    names = sorted({*unchanged, *added})
    numbers = {name: number for number, name in enumerate(names)}
    columns: list[list[int]] = [[], [], [], []]
    counts = []
    for name in names:
        if name in added:
            one = added[name]
            values = one.state.nbytes, one.state.mtime_ns, one.mark, len(one.hashes)
            counts.append(one.summary.to_json())
        else:
            assert former is not None
            at, old = unchanged[name], former.shards
            values = int(old.nbytes[at]), int(old.mtimes[at]), int(old.marks[at]), int(old.records[at])
            counts.append(former.counts[at])
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    parts = [
        (one.hashes, one.variants, np.full(len(one.hashes), numbers[name], np.uint32)) for name, one in added.items()
    ]
    if former is not None:
        renumbered = np.full(len(former.shards.names), len(names), np.uint32)
        for name, at in unchanged.items():
            renumbered[at] = numbers[name]
        shards = renumbered[former.arrays.shards]
        kept = shards < len(names)
        parts.append((former.arrays.hashes[kept], former.arrays.variants[kept], shards[kept]))
    joined: Any = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [[], [], []]
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
    write_index(path, shards_now, RecordArrays.sorted_by_key(*joined), counts)
    return True


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
                contents = read_shard(shard, kind, tell)
                if _state_of(shard.path) == (contents.state, contents.mark):  # no writer has begun meanwhile
                    found[shard.path.name] = contents
                else:
                    is_whole = False
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
    """Read the names and headers of a shard's records; a writer may add some meanwhile.

    Raises:
        RecordError: its names are none, or not in order.
        CacheError: it cannot be read.
        lmdb.Error: damaged pages.
    """
    state, mark = _state_of(shard.path)
    hashes: list[int] = []
    variants: list[int] = []
    summary, last = RecordSummary(), b""
    for names, counts in _batches(shard, kind):
        if last and names[0] <= last:
            raise RecordError(f"its names are not in order: {names[0][:40]!r} comes after {last[:40]!r}")
        last = names[-1]
        try:
            variants += [decode_key(name)[1] for name in names]
        except ValueError as error:
            raise RecordError(str(error)) from error
        hashes += map(name_hash, names)
        summary.merge(counts)
        tell(len(names))
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
                _add_record(counts, view, kind)
        if not names:
            return
        yield names, counts
        last = names[-1]


def record_counts(data: bytes | memoryview, kind: str) -> RecordSummary:
    """The counts of one record; one whose header is damaged counts as unreadable."""
    counts = RecordSummary()
    _add_record(counts, data, kind)
    return counts


def _add_record(counts: RecordSummary, data: bytes | memoryview, kind: str) -> None:
    try:
        header = header_of_record(data)
        counts.add(header, split_key(header["key"])[1:] if kind == "frames" else None)
    except PocAugError:
        counts.unreadable += 1


def _state_of(path: Path) -> tuple[ShardState, int]:
    stat = path.stat()
    return ShardState(stat.st_size, stat.st_mtime_ns), shard_mark(path)


def _count(shard: Environment) -> int:
    with shard.read() as transaction:
        return int(transaction.stat()["entries"])
