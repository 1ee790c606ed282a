"""Shards whose bytes depend on their records alone: not on who wrote them, when, or into how many files."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import lmdb
import xxhash

from poc_aug.cache.record import record_hash
from poc_aug.cache.shard import SUFFIX, read_meta
from poc_aug.errors import CacheDiskError

SHARD_NBYTES = 1 << 30
"""Bytes of records per packed shard: small enough to transfer again, and few of them."""

_BATCH_NBYTES = 32 << 20
_PAGE = struct.Struct("<QHHHH")  # MDB_page: number, pad, flags, lower, upper (or, of overflow pages, their count)
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_PAD = slice(8, 10)


def write_shards(
    records: Iterable[tuple[bytes, bytes]], folder: Path, *, shard_nbytes: int = SHARD_NBYTES
) -> Iterator[Path]:
    """Write records, sorted by name, into shards of about ``shard_nbytes``; each is given as soon as it is complete.

    A shard's name is made from the hash of its records: shards of several packed caches fit into one folder.

    Args:
        records: LMDB keys and records.
        folder: where the shards are written.
        shard_nbytes: a shard ends with the record that reaches this.

    Raises:
        CacheDiskError: the disk is full.
        OSError: as above, where the system says so.
    """
    remaining = iter(records)
    number = 0
    for first in remaining:
        yield _write_shard(first, remaining, folder, number, shard_nbytes)
        number += 1


def _write_shard(
    first: tuple[bytes, bytes], others: Iterator[tuple[bytes, bytes]], folder: Path, number: int, shard_nbytes: int
) -> Path:
    growing, compact = folder / ".growing", folder / ".compact"
    content = xxhash.xxh3_64()
    try:
        env = lmdb.open(
            str(growing), map_size=_BATCH_NBYTES, subdir=False, lock=False, sync=False, lib_version=0, readahead=False
        )
        try:
            nbytes, batch = 0, [first]
            while batch:
                _put(env, batch)
                for name, data in batch:
                    content.update(name + record_hash(data))
                    nbytes += len(data)
                batch = list(_batch(others, min(_BATCH_NBYTES, shard_nbytes - nbytes)))
            # A map of another size would be another meta page, and the largest is what every reader maps.
            env.set_mapsize((env.info()["last_pgno"] + 1) * env.stat()["psize"])
            with compact.open("wb") as file:
                env.copyfd(file.fileno(), compact=True)
        finally:
            env.close()
        clear_unused_bytes(compact)
        path = folder / f"packed-{content.hexdigest()}-{number}{SUFFIX}"
        return compact.replace(path)
    except lmdb.Error as error:
        raise CacheDiskError(
            f"cannot write a shard in {str(folder)!r}: {error}; {shutil.disk_usage(folder).free} bytes are free there",
            expected="room for two shards, or for all of a packed folder",
            hint="make room, or choose another disk for the archive",
            command="make room, or choose another disk: --out",
        ) from error
    finally:
        growing.unlink(missing_ok=True)
        compact.unlink(missing_ok=True)


def _batch(records: Iterator[tuple[bytes, bytes]], nbytes: int) -> Iterator[tuple[bytes, bytes]]:
    while nbytes > 0 and (record := next(records, None)) is not None:
        nbytes -= len(record[1])
        yield record


def _put(env: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with env.begin(write=True) as transaction:
                for name, data in batch:
                    transaction.put(name, data, append=True)
                return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])


def clear_unused_bytes(path: Path) -> None:
    """Set to zero what LMDB leaves unset in a file's pages: bytes of its memory, other ones each time.

    Args:
        path: a shard that nobody has open.
    """
    page_nbytes = read_meta(path).page_nbytes
    with path.open("r+b") as file:
        size, place = os.fstat(file.fileno()).st_size, 0
        while place < size:
            file.seek(place)
            page = bytearray(file.read(page_nbytes))
            _, _, flags, lower, upper = _PAGE.unpack_from(page)
            page[_PAD] = b"\0\0"
            if flags & (_BRANCH | _LEAF):
                page[lower:upper] = bytes(upper - lower)
            file.seek(place)
            file.write(page)
            place += page_nbytes * (lower | upper << 16 if flags & _OVERFLOW else 1)
        file.flush()
        os.fsync(file.fileno())
