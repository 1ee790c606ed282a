"""Shard files on disk: their paths, their sizes, and whether they may be mapped at all.

LMDB maps a file and trusts its meta pages: if the file ends before the last page that they name, reading kills the
process with SIGBUS, which no ``except`` can catch. So the sizes are compared before a file is opened.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import lmdb.verify
import xxhash

from poc_aug.errors import CacheDiskError, CacheError, CacheFormatError, CacheNotFoundError

SHARDS = "shards"
SUFFIX = ".lmdb"
COMPACT_SUFFIX = ".compact"

# mdb.c (LMDB 0.9, 64 bit): a 16 byte page header, then MDB_meta: magic, version, address, map size, two MDB_db of
# 48 bytes (the first one's md_pad is the page size), last page, transaction.
_META = struct.Struct("=16xII8x8xI92xQQ")
_MAIN = struct.Struct("=QQ")  # of the second MDB_db, which holds the records: entries and root page
_MAIN_AT = 16 + 24 + 48 + 32
_NO_PAGE = 2**64 - 1
_SETTLED_S = 2.0
_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Meta:
    """The newest meta page of a shard: page size in bytes, last page in use, last transaction."""

    page_nbytes: int
    last_page: int
    transaction: int

    @property
    def nbytes(self) -> int:
        """Bytes of the file that are in use."""
        return (self.last_page + 1) * self.page_nbytes


@dataclass(frozen=True, slots=True)
class ShardState:
    """What a folder says of a shard: bytes of the file, and when it was last changed, in nanoseconds."""

    nbytes: int
    mtime_ns: int

    def is_settled(self, seen_at: float) -> bool:
        """Whether it was last changed long before it was seen, so that another change would show: times are coarse."""
        return seen_at - self.mtime_ns / 1e9 > _SETTLED_S


def scan_shards(cache: Path) -> dict[str, ShardState]:
    """Shards of a cache, sorted by name; one look at the folder, and one at each file, without opening it.

    Files that a writer has only just created (0 bytes), and files that operating systems and tools leave behind
    (``._a.lmdb``, ``.ipynb_checkpoints``), are not among them.

    Raises:
        OSError: the folder cannot be read.
    """
    found: dict[str, ShardState] = {}
    try:
        with os.scandir(cache / SHARDS) as entries:
            for entry in entries:
                name = entry.name
                if not name.endswith(SUFFIX) or name.startswith(".") or not entry.is_file():
                    continue
                try:
                    stat = entry.stat()
                except FileNotFoundError:  # a writer has removed what it had only just created
                    continue
                if stat.st_size:
                    found[name] = ShardState(stat.st_size, stat.st_mtime_ns)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict(sorted(found.items()))


def shard_paths(cache: Path) -> list[Path]:
    """Paths of the shards that `scan_shards` finds."""
    return [cache / SHARDS / name for name in scan_shards(cache)]


def used_nbytes(cache: Path) -> int:
    """Bytes of a cache's shards that are in use.

    Raises:
        CacheFormatError: as `read_meta`.
        OSError: one cannot be read.
    """
    return sum(read_meta(path).nbytes for path in shard_paths(cache))


def read_meta(path: Path) -> Meta:
    """Read the newest meta page without LMDB.

    Raises:
        CacheFormatError: not an LMDB file of the format that poc_aug writes, or its meta pages are cut off.
    """
    with path.open("rb", buffering=0) as file:
        return _newest_meta(file.fileno(), path)[0]


def shard_mark(path: Path) -> int:
    """A number that changes whenever records are added to a shard, and differs between shards with other names in them.

    It is made of the newest meta page and the root of the page tree, so that reading it takes as long for any shard. It
    stays the same if the file is copied.

    Raises:
        CacheFormatError: as `read_meta`.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        meta, data = _newest_meta(file.fileno(), path)
        entries, root = _MAIN.unpack_from(data, _MAIN_AT)
        at = min(root * meta.page_nbytes, 2**62)  # the root that somebody may have written there
        page = b"" if root == _NO_PAGE else os.pread(file.fileno(), meta.page_nbytes, at)
    own = struct.pack("<5Q", meta.page_nbytes, meta.last_page, meta.transaction, entries, root)
    return xxhash.xxh3_64_intdigest(own + page)


def _newest_meta(fd: int, path: Path) -> tuple[Meta, bytes]:
    data = os.pread(fd, _META.size, 0)
    first = _meta(data)
    if first is None:
        raise _unusable(path, "is not a shard: no LMDB 0.9 meta page at its beginning")
    other = os.pread(fd, _META.size, first.page_nbytes)
    second = _meta(other)
    if second is None:
        raise _unusable(path, f"is cut off: {os.fstat(fd).st_size} bytes do not hold its two meta pages")
    return max(((first, data), (second, other)), key=lambda found: found[0].transaction)


def check_shard(path: Path) -> Meta:
    """Check that a shard may be mapped, from its first pages and its size alone.

    Raises:
        CacheFormatError: not a shard, or truncated; the message holds both sizes.
        CacheNotFoundError: it is gone.
        CacheDiskError: it cannot be read.
    """
    try:
        meta = read_meta(path)
        nbytes = path.stat().st_size
    except OSError as error:
        raise read_error(path, error) from error
    # The last pages may never have been written, if a transaction allocated and freed them. The file is shorter only
    # then, or if it was cut off; the slow walk over all pages distinguishes the two.
    if nbytes < meta.nbytes and (problems := structure_problems(path)):
        raise _unusable(path, f"is truncated: {nbytes} bytes of {meta.nbytes} ({problems[0]})")
    return meta


def structure_problems(path: Path) -> list[str]:
    """Problems in a shard's tree of pages, found by reading the file without mapping it; slow, sealed shards only."""
    try:
        return list(lmdb.verify.verify(str(path), subdir=False))  # type: ignore[no-untyped-call]
    except lmdb.verify.VerifyError as error:
        return [str(error)]


def is_blank(path: Path) -> bool:
    """Whether a writer was killed while it created this file, before anything was stored in it."""
    with path.open("rb") as file:
        data = file.read(_META.size)
    meta = _meta(data)
    return not data or (meta is not None and meta.transaction == 0 and path.stat().st_size < 2 * meta.page_nbytes)


def read_error(path: Path, error: OSError) -> CacheError:
    """The error for a cache, or a file of it, that cannot be read."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    problem = f"{str(path)!r} cannot be read: {reason}"
    if error.filename is not None and str(error.filename) != str(path):
        problem += f" ({error.filename})"
    if error.errno == errno.ENAMETOOLONG:
        return CacheNotFoundError(
            problem, expected="a path with names of up to 255 bytes, the limit of file systems", hint="correct the path"
        )
    # A file on a share that was detached is stale, or its device no longer exists.
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN):
        return CacheNotFoundError(
            problem,
            expected="a cache that stays at its path for as long as it is read",
            hint="put it back or mount its disk again; if it was moved, make the dataset again with its new path",
        )
    return CacheDiskError(
        problem,
        expected="a disk that works, and files that this user may read",
        hint="check the disk and the permissions of the folder; a cache is best copied to a local disk",
    )


def _meta(data: bytes) -> Meta | None:
    if len(data) < _META.size:
        return None
    magic, version, page_nbytes, last_page, transaction = _META.unpack(data)
    if magic != _MAGIC or version != _DATA_VERSION or page_nbytes not in (2**n for n in range(9, 17)):
        return None
    return Meta(page_nbytes, last_page, transaction)


def _unusable(path: Path, problem: str) -> CacheFormatError:
    return CacheFormatError(
        f"{str(path)!r} {problem}",
        expected="a whole shard as CacheWriter leaves it",
        hint="copy this file again from its source, or delete it and run the same warm_cache command: "
        "only its records are made again",
    )
