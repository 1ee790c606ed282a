"""The index of a cache: a file derived from the sealed shards, so that opening a large cache lists nothing.

::

    NAME.cache/index.bin
      104 bytes  magic, digests, sizes (`_HEAD`)
      JSON       names of the shards
      per shard  bytes, time of its last change, mark (`shard_mark`), number of records
      per record hash of the sample's key (u64), sorted; variant (u32); number of the shard (u32)
      zstd       JSON of the counts per shard (`RecordSummary`)

It may be deleted at any time, and is never believed over the shards: it only says where to look. Shards that it does
not know, or that were changed since, are listed as if there were no index, and a record is found under its own name or
not at all. What is of no use - damaged, or made by somebody who means harm - is ignored. The arrays are mapped, so that
they take no memory of their own, whatever the number of processes.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import zstandard

from poc_aug.cache.delta import decompress
from poc_aug.cache.regular_files import open_regular
from poc_aug.cache.shard import SHARDS, ShardState, shard_mark
from poc_aug.cache.strict_json import load_json
from poc_aug.errors import CacheError

INDEX = "index.bin"
"""File of a cache with the index of its records."""
TEMPORARY_INDEX = ".index.bin."
"""What the names of half-written ones begin with."""

_logger = logging.getLogger("poc_aug")
_MAGIC = b"PAUGIDX1"
# Magic; xxh3_128 of the rest of this, the names and what is stored per shard; xxh3_128 of the records; of the counts;
# bytes of the names, shards, records, bytes of the counts, bytes of the counts once decompressed.
_HEAD = struct.Struct("<8s16s16s16s5Q8x")
_OWN_DIGEST_UNTIL = 24
_CHUNK = 1 << 20  # records that are checked at a time
_MAX_COUNTS_NBYTES = 1 << 30
_warned: set[str] = set()


@dataclass(frozen=True)
class IndexedShards:
    """The shards of an index, as they were when it was made; arrays have one number per shard."""

    names: tuple[str, ...]
    nbytes: np.ndarray[Any, np.dtype[np.uint64]]
    mtimes: np.ndarray[Any, np.dtype[np.int64]]
    marks: np.ndarray[Any, np.dtype[np.uint64]]
    records: np.ndarray[Any, np.dtype[np.uint64]]

    def unchanged(self, cache: Path, states: Mapping[str, ShardState]) -> dict[str, int]:
        """Numbers, by name, of the shards that still are what the index knows.

        A file that was copied has another time: then its mark decides.
        """
        found = {}
        for number, (name, nbytes, mtime) in enumerate(
            zip(self.names, self.nbytes.tolist(), self.mtimes.tolist(), strict=True)
        ):
            state = states.get(name)
            if state is None or state.nbytes != nbytes:
                continue
            if state.mtime_ns != mtime and not self._has_mark(cache / SHARDS / name, number):
                continue
            found[name] = number
        return found

    def _has_mark(self, path: Path, number: int) -> bool:
        try:
            return bool(shard_mark(path) == self.marks[number])
        except (OSError, CacheError):
            return False  # whoever lists it raises the error


@dataclass(frozen=True)
class RecordArrays:
    """Where records are, sorted by key hash and variant; arrays have one number per record, doubles included."""

    hashes: np.ndarray[Any, np.dtype[np.uint64]]
    variants: np.ndarray[Any, np.dtype[np.uint32]]
    shards: np.ndarray[Any, np.dtype[np.uint32]]

    @classmethod
    def sorted_by_key(cls, hashes: Any, variants: Any, shards: Any) -> RecordArrays:
        """Sort records.

        Example:
            >>> RecordArrays.sorted_by_key([7, 3, 7], [1, 0, 0], [0, 0, 1]).shards.tolist()
            [0, 1, 0]
        """
        own = np.asarray(hashes, np.uint64), np.asarray(variants, np.uint32), np.asarray(shards, np.uint32)
        order = np.lexsort((own[1].astype(np.uint64) << np.uint64(32) | own[2], own[0]))
        return cls(own[0][order], own[1][order], own[2][order])


class IndexFile:
    """An index that was opened; `close` it, or use it in a ``with`` statement. Arrays outlive it."""

    def __init__(self, path: Path) -> None:
        """Open an index, and check all but its records.

        Raises:
            ValueError: it is damaged, or something else.
            FileNotFoundError: there is none.
            CacheFormatError: it is no regular file.
            OSError: it cannot be read.
        """
        self.path = path
        self._fd = open_regular(path, os.O_RDONLY)
        try:
            self._read_head()
        except BaseException:
            os.close(self._fd)
            raise

    def _read_head(self) -> None:
        nbytes = os.fstat(self._fd).st_size
        head = os.pread(self._fd, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            raise ValueError(f"{nbytes} bytes are too few")
        magic, digest, self._records_digest, self._counts_digest, *sizes = _HEAD.unpack(head)
        names_nbytes, shards, self.records, self._counts_nbytes, self._counts_plain = sizes
        if magic != _MAGIC:
            raise ValueError(f"it begins with {magic!r} instead of {_MAGIC!r}")
        self._records_at = _HEAD.size + names_nbytes + 32 * shards
        self._counts_at = self._records_at + 16 * self.records
        if self._counts_at + self._counts_nbytes != nbytes:
            raise ValueError(f"it has {nbytes} bytes instead of {self._counts_at + self._counts_nbytes}")
        rest = os.pread(self._fd, self._records_at - _HEAD.size, _HEAD.size)
        if xxhash.xxh3_128_digest(head[_OWN_DIGEST_UNTIL:] + rest) != digest:
            raise ValueError("its hash does not fit its bytes")
        names = load_json(rest[:names_nbytes])
        if type(names) is not list or len(names) != shards or not all(_is_name(name) for name in names):
            raise ValueError("its names are not those of shards")
        if len(set(names)) != shards or shards >= 1 << 32:
            raise ValueError("it names a shard twice")
        numbers = np.frombuffer(rest, np.dtype("<u8"), offset=names_nbytes).reshape(4, shards)
        self.shards = IndexedShards(tuple(names), numbers[0], numbers[1].view(np.int64), numbers[2], numbers[3])
        if sum(numbers[3].tolist()) != self.records:
            raise ValueError("its numbers of records do not add up")

    def arrays(self) -> RecordArrays:
        """Map the records, checked first with reads that leave nothing in memory.

        Raises:
            ValueError: they are damaged, out of order, or of shards that it does not name.
            OSError: they cannot be read.
        """
        count, at = self.records, self._records_at
        if not count:
            return RecordArrays.sorted_by_key([], [], [])
        digest, last = xxhash.xxh3_128(), -1
        for dtype, start in ((np.uint64, at), (np.uint32, at + 8 * count), (np.uint32, at + 12 * count)):
            for first in range(0, count, _CHUNK):
                size = np.dtype(dtype).itemsize
                data = os.pread(self._fd, size * min(_CHUNK, count - first), start + size * first)
                digest.update(data)
                values: Any = np.frombuffer(data, dtype)
                if not len(values):
                    raise ValueError("it ends too early")
                if dtype is np.uint64:
                    if int(values[0]) < last or (values[1:] < values[:-1]).any():
                        raise ValueError("its records are not in order")
                    last = int(values[-1])
                elif start == at + 12 * count and values.max() >= len(self.shards.names):
                    raise ValueError("it has records of shards that it does not name")
        if digest.digest() != self._records_digest:
            raise ValueError("the hash of its records does not fit its bytes")
        mapped = mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)
        hashes = np.frombuffer(mapped, np.dtype("<u8"), count, at)
        variants = np.frombuffer(mapped, np.dtype("<u4"), count, at + 8 * count)
        return RecordArrays(hashes, variants, np.frombuffer(mapped, np.dtype("<u4"), count, at + 12 * count))

    def counts(self) -> list[Any]:
        """The JSON of the counts of each shard.

        Raises:
            ValueError: they are damaged.
            OSError: they cannot be read.
        """
        data = os.pread(self._fd, self._counts_nbytes, self._counts_at)
        if xxhash.xxh3_128_digest(data) != self._counts_digest or self._counts_plain > _MAX_COUNTS_NBYTES:
            raise ValueError("the hash of its counts does not fit its bytes")
        try:
            counts = load_json(decompress(data, self._counts_plain))
        except zstandard.ZstdError as error:
            raise ValueError(f"its counts cannot be decompressed: {error}") from error
        if type(counts) is not list or len(counts) != len(self.shards.names):
            raise ValueError("its counts are not those of its shards")
        return counts

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> IndexFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_index(cache: Path) -> IndexFile | None:
    """The index of a cache; ``None`` if there is none, or none of use, about which a warning is logged."""
    try:
        return IndexFile(cache / INDEX)
    except FileNotFoundError:
        return None
    except (ValueError, OSError, CacheError) as error:
        ignore_index(cache, error)
        return None


def ignore_index(cache: Path, why: object) -> None:
    """Log, once per process, that an index is not used."""
    if str(cache) not in _warned:
        _warned.add(str(cache))
        _logger.warning(
            "the index %s is of no use (%s), so the shards are listed, which takes longer; `poc-aug info %s` makes a "
            "new one",
            cache / INDEX,
            why,
            cache,
        )


def write_index(cache: Path, shards: IndexedShards, arrays: RecordArrays, counts: Sequence[Any]) -> None:
    """Put an index in the place of the former one, in one step; the caller holds the folder's lock.

    Raises:
        OSError: it cannot be written; the former one remains.
    """
    names = json.dumps(shards.names).encode("ascii")
    names += b" " * (-len(names) % 8)
    plain = json.dumps(counts, separators=(",", ":")).encode("ascii")
    packed = zstandard.compress(plain, 3)
    numbers = (shards.nbytes, shards.mtimes, shards.marks, shards.records)
    rest = b"".join([names, *(np.ascontiguousarray(array).tobytes() for array in numbers)])
    digest = xxhash.xxh3_128()
    records: list[Any] = [np.ascontiguousarray(array) for array in (arrays.hashes, arrays.variants, arrays.shards)]
    for array in records:
        digest.update(array.data if len(array) else b"")
    sizes = len(names), len(shards.names), len(arrays.hashes), len(packed), len(plain)
    head = _HEAD.pack(_MAGIC, bytes(16), digest.digest(), xxhash.xxh3_128_digest(packed), *sizes)
    own = xxhash.xxh3_128_digest(head[_OWN_DIGEST_UNTIL:] + rest)
    head = _HEAD.pack(_MAGIC, own, digest.digest(), xxhash.xxh3_128_digest(packed), *sizes)
    for left_over in cache.glob(f"{TEMPORARY_INDEX}*"):  # of a process that was killed: this one holds the lock
        left_over.unlink()
    temporary = cache / f"{TEMPORARY_INDEX}{os.getpid()}"
    try:
        with temporary.open("xb") as file:
            for piece in (head, rest, *(array.data for array in records if len(array)), packed):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(cache / INDEX)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _is_name(name: object) -> bool:
    return type(name) is str and "/" not in name and "\0" not in name and 0 < len(name) <= 255
