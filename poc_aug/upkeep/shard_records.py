"""Records of many shards as they are stored: read in the order of their names, written into new shards."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import lmdb

from poc_aug.cache import registry
from poc_aug.cache.manifest import fsync_directory
from poc_aug.cache.record import decode_record, record_hash, record_name, same_variant
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.registry import Environment
from poc_aug.cache.shard import check_shard, shard_paths
from poc_aug.cache.verify import lmdb_keys
from poc_aug.errors import CacheCorruptError, CacheDiskError, CacheError
from poc_aug.types import Variant

_BATCH_NBYTES = 32 << 20
_LICENCE_FIELDS = ("licence", "attribution")


@contextmanager
def opened_shards(paths: Iterable[Path]) -> Iterator[list[Environment]]:
    """The shards of these paths, for reading."""
    shards = [registry.acquire(path) for path in paths]
    try:
        yield shards
    finally:
        for shard in shards:
            registry.release(shard)


def filled_shards(cache: Path) -> list[Path]:
    """Shards of a cache that hold something, sorted by name.

    Raises:
        CacheError: one is truncated.
    """
    return [path for path in shard_paths(cache) if check_shard(path).transaction]


def names_by_shard(shards: Sequence[Environment]) -> Iterator[tuple[bytes, list[Environment]]]:
    """LMDB keys of all shards in their order, and the shards that hold each, in the order given.

    Raises:
        CacheCorruptError: a shard cannot be listed.
    """
    numbered = merge(*(_numbered_names(shard, number) for number, shard in enumerate(shards)))
    for name, found in groupby(numbered, key=itemgetter(0)):
        yield name, [shards[number] for _, number in found]


def stored_record(shard: Environment, name: bytes) -> bytes:
    """The bytes of a record, whose hash fits.

    Raises:
        CacheCorruptError: it is damaged.
    """
    try:
        data = shard.record(name)
        if data is None:
            raise RecordError("the record is listed but not found: a damaged page tree")
        record_name(data)
    except (RecordError, lmdb.Error) as error:
        raise damaged(shard.path, f"holds a damaged record: {error}") from error
    return data


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two records of one name hold equal variants: another zstd library may write other bytes.

    Earlier versions did not record the licences of pictures, so one of them may state one and the other not.

    Raises:
        RecordError: one is damaged.
    """
    if record_hash(one) == record_hash(other) and one == other:
        return True
    key, index = record_name(one)
    first, second = decode_record(one, key, index), decode_record(other, key, index)
    return same_variant(_as_far_as(second, first), _as_far_as(first, second))


def says_less(one: bytes, other: bytes) -> bool:
    """Whether a record lacks licences of pictures that another record of the same content states.

    Raises:
        RecordError: one is damaged.
    """
    if record_hash(one) == record_hash(other) and one == other:
        return False
    key, index = record_name(one)
    pairs = zip(decode_record(one, key, index).insertions, decode_record(other, key, index).insertions, strict=True)
    return any(
        name in there.provenance and name not in own.provenance for own, there in pairs for name in _LICENCE_FIELDS
    )


def _as_far_as(other: Variant, variant: Variant) -> Variant:
    """A variant without what only it says of the licences of its objects' pictures."""
    insertions = list(variant.insertions)
    if len(insertions) == len(other.insertions):
        for number, (own, there) in enumerate(zip(insertions, other.insertions, strict=True)):
            added = {name for name in _LICENCE_FIELDS if name not in there.provenance}
            provenance = {name: value for name, value in own.provenance.items() if name not in added}
            insertions[number] = replace(own, provenance=provenance)
    return replace(variant, insertions=tuple(insertions))


def damaged(shard: Path, problem: str) -> CacheCorruptError:
    """The error for a shard that a command reads and `repair` has to mend first."""
    cache = shard.parent.parent
    return CacheCorruptError(
        f"shard {shard.name!r} of cache {str(cache)!r} {problem}",
        expected="a sound cache",
        hint=f"list all damage with `poc-aug verify {cache}`, and set it aside with `poc-aug repair {cache}`",
    )


def build_shard(path: Path, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Write records into a new shard, which is on disk when this returns; returns their number.

    Args:
        path: of the shard; if it exists, a killed run left it, and it is removed.
        records: LMDB keys and records; best in the order of the keys.

    Raises:
        CacheDiskError: the disk is full or cannot be written; there is no shard then.
    """
    lock_file = path.with_name(f"{path.name}-lock")
    count = 0
    try:
        for left_over in (path, lock_file):
            left_over.unlink(missing_ok=True)
        shard = registry.acquire(path)
        try:
            shard.start_writing()
            for batch in _batches(records):
                count += shard.write(lambda transaction, batch=batch: _put(transaction, batch))  # type: ignore[misc]
        finally:
            if shard.writing:
                shard.stop_writing(lambda env: None)
            registry.release(shard)
        lock_file.unlink(missing_ok=True)
        fsync_directory(path.parent)
    except (OSError, lmdb.Error) as error:
        with suppress(OSError):
            for left_over in (path, lock_file):
                left_over.unlink(missing_ok=True)
        raise write_failure(path, error) from error
    return count


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk refuses into an error that names ``path``."""
    try:
        yield
    except OSError as error:
        raise write_failure(path, error) from error


def write_failure(path: Path, error: OSError | lmdb.Error) -> CacheError:
    """The error for a file that cannot be written."""
    folder = next(parent for parent in (path, *path.parents) if os.path.isdir(parent))
    code = (error.errno or 0) if isinstance(error, OSError) else error.code
    full = code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO) or isinstance(error, lmdb.PanicError)
    return CacheDiskError(
        f"{str(path)!r} cannot be written: {error}; {shutil.disk_usage(folder).free} bytes are free there",
        expected="space on a disk that works" if full else "a folder that this user may write to",
        hint="make room, or check the path and its permissions, and run the same command again: nothing was lost",
    )


def _numbered_names(shard: Environment, number: int) -> Iterator[tuple[bytes, int]]:
    try:
        for name in lmdb_keys(shard):
            yield name, number
    except (RecordError, lmdb.Error) as error:
        raise damaged(shard.path, f"cannot be listed: {error}") from error


def _put(transaction: lmdb.Transaction[bytes], batch: list[tuple[bytes, bytes]]) -> int:
    return sum(transaction.put(name, data, overwrite=False) for name, data in batch)


def _batches(records: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    batch: list[tuple[bytes, bytes]] = []
    nbytes = 0
    for name, data in records:
        batch.append((name, data))
        nbytes += len(data)
        if nbytes >= _BATCH_NBYTES:
            yield batch
            batch, nbytes = [], 0
    if batch:
        yield batch
