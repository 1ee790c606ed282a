"""Writing a cache: one shard per writing process, each batch of records one durable transaction."""

from __future__ import annotations

import errno
import os
import re
import shutil
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import lmdb

from poc_aug.cache import registry
from poc_aug.cache.beginning import begun_cache
from poc_aug.cache.cache_path import absolute_path, has_manifest
from poc_aug.cache.index_building import update_index
from poc_aug.cache.lock import FileLock, is_locked
from poc_aug.cache.manifest import Manifest, fsync_directory
from poc_aug.cache.network_files import warn_on_network_files
from poc_aug.cache.reader import Cache
from poc_aug.cache.record import decode_record, encode_record, same_variant
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.shard import COMPACT_SUFFIX, SHARDS, SUFFIX, is_blank
from poc_aug.cache.shard_names import is_unique
from poc_aug.errors import CacheCorruptError, CacheDiskError, CacheError, CacheNotFoundError
from poc_aug.files.outputs import unwritable
from poc_aug.types import Variant

_WRITER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_BLANK_NBYTES = 1 << 17  # two pages of the largest size
_SEAL_ABOVE_FREE = 1 / 8  # share of unused pages from which closing is worth a copy of the shard


class CacheWriter:
    """Creates a cache, or continues one, as one of any number of writing processes.

    Records are only ever added. Each `put_many` is one transaction that is on disk when it returns, so the
    process may be killed at any moment: what was put remains, and the next writer of the same name continues.
    Closing seals the shard: if much of it is unused pages, a compact copy replaces it.

    Args:
        path: the ``NAME.cache`` directory.
        manifest: the manifest of this run; an existing cache must have been made with an equal one. That of a cache
            without a record, which no writer has open, is replaced.
        writer: name of this process's shard.

    Raises:
        CacheFormatError: ``path`` is something else, or a cache of another schema version.
        CacheMismatchError: made with another recipe, other backends or another codec.
        CacheDatasetMismatchError: made from another dataset.
        CacheBusyError: another process writes this shard.
        CacheDiskError: the disk is full, or cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> variants = [Variant("a.png", index, digest=b"", insertions=()) for index in range(3)]
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         writer.put_many(variants), writer.put(variants[0]), len(writer.done())
        (3, False, 3)
    """

    def __init__(self, path: str | os.PathLike[str], manifest: Manifest, *, writer: str = "local-0") -> None:
        if not _WRITER_NAME.fullmatch(writer):
            raise CacheError(
                f"writer name {writer!r}", expected="up to 100 letters, digits, '.', '_' or '-', such as 'local-0'"
            )
        self.path = absolute_path(path)
        warn_on_network_files(self.path, writes=True)
        self.writer = writer
        self._pid = os.getpid()
        self._shards: list[registry.Environment] = []  # this writer's one, once something is put
        self._closed = False
        self._file = self.path / SHARDS / f"{writer}{SUFFIX}"
        try:
            # The shard is locked before the folder's lock ends: no other run replaces the manifest in between.
            with begun_cache(self.path, manifest) as self.manifest:
                self._file.parent.mkdir(exist_ok=True)
                self._lock = FileLock(self._file.with_suffix(".lock"))
            try:
                self._remove_left_overs()
            except OSError:
                self._lock.release()
                raise
        except OSError as error:
            raise _write_error(self.path, error, self.path) from error
        # A writer that is dropped without close() must not keep its shard busy; only sealing is skipped.
        self._finalizer = weakref.finalize(self, _release, self._lock, self._shards, os.getpid())

    @staticmethod
    def create(path: str | os.PathLike[str], manifest: Manifest) -> Manifest:
        """Create an empty cache, or check that an existing one can be continued; no shard is created.

        Returns:
            The cache's manifest.

        Raises:
            CacheError: as the constructor, except for a busy shard.
        """
        absolute = absolute_path(path)
        try:
            with begun_cache(absolute, manifest) as stored:
                return stored
        except OSError as error:
            raise _write_error(absolute, error, absolute) from error

    def put(self, variant: Variant) -> bool:
        """Store one variant; see `put_many`. Returns whether it was new."""
        return self.put_many([variant]) == 1

    def put_many(self, variants: Iterable[Variant]) -> int:
        """Store variants in one transaction, on disk when it returns: all of them, or, after an error, none.

        Variants that this shard holds already are skipped.

        Returns:
            The number of new ones.

        Raises:
            CacheError: the shard holds other content under the same key and index, a variant is not consistent,
                or the writer is closed.
            CacheDiskError: the disk is full or failed; everything that was stored before remains.
            CacheNotFoundError: the shard was removed, or the cache moved, while it was written.
        """
        return self.put_records([(variant, encode_record(variant, self.manifest.codec)) for variant in variants])

    def put_records(self, records: Sequence[tuple[Variant, bytes]]) -> int:
        """Store variants that are already encoded (`encode_record`, with the manifest's codec); see `put_many`."""
        self._check_usable()
        if not records:
            return 0

        def change(transaction: lmdb.Transaction[bytes]) -> int:
            new = 0
            for variant, data in records:
                name = encode_key(variant.key, variant.index)
                if transaction.put(name, data, overwrite=False):
                    new += 1
                elif (stored := transaction.get(name)) != data:
                    self._check_same(stored or b"", data, variant)
            return new

        try:
            shard = self._opened()
            new = shard.write(change)
        except (OSError, lmdb.Error) as error:
            if not has_manifest(self.path):  # it existed when this writer was made
                raise _gone(self._file) from error
            raise _write_error(self._file, error, self.path) from error
        # A file that was unlinked can still be written, and all of it is lost when it is closed.
        if not shard.is_in_place():
            raise _gone(self._file)
        return new

    def done(self) -> set[tuple[str, int]]:
        """All ``(key, variant index)`` that are stored now, in all shards.

        Raises:
            CacheFormatError: a truncated shard.
            CacheCorruptError: a damaged one.
        """
        self._check_usable()
        with Cache.open(self.path) as cache:
            return set(cache.items())

    def close(self) -> None:
        """Seal the shard, release its lock, and bring the cache's index up to date; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._pid:  # a forked child: the fork hooks have already closed everything
            return
        has_written = bool(self._shards)
        try:
            for shard in self._shards:
                shard.stop_writing(self._seal)
                self._file.with_name(self._file.name + "-lock").unlink(missing_ok=True)
        finally:
            self._finalizer()
            if is_unique(self.writer):  # nobody will ever lock this file again
                with suppress(OSError):
                    self._file.with_suffix(".lock").unlink(missing_ok=True)
        if has_written:
            update_index(self.path)

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        raise CacheError(
            f"the writer {self.writer!r} of cache {str(self.path)!r} cannot be pickled",
            expected="a writer that stays in its process",
            hint="open a CacheWriter with its own writer= name in each process",
        )

    def __repr__(self) -> str:
        return f"CacheWriter({str(self.path)!r}, writer={self.writer!r})"

    def _check_usable(self) -> None:
        if self._closed or os.getpid() != self._pid:
            state = "is closed" if self._closed else f"belongs to process {self._pid}, this is {os.getpid()}"
            raise CacheError(
                f"the writer {self.writer!r} of cache {str(self.path)!r} {state}",
                expected="an open writer in the process that opened it",
                hint="open a CacheWriter with its own writer= name in each process",
            )

    def _opened(self) -> registry.Environment:
        # Not before the first put: a resumed job that finds nothing to do leaves no empty shard behind.
        if not self._shards:
            existed = self._file.exists()
            shard = registry.acquire(self._file)
            try:
                shard.start_writing()
                fsync_directory(self._file.parent)
            except BaseException:
                registry.release(shard)
                if not existed:  # a half-written file would stop the next writer
                    self._file.unlink(missing_ok=True)
                raise
            self._shards.append(shard)
        return self._shards[0]

    def _remove_left_overs(self) -> None:
        # Left by a writer of this name that was killed while it created or sealed the shard; they hold no records.
        self._compact_file.unlink(missing_ok=True)
        if self._file.exists() and is_blank(self._file):
            self._file.unlink()
        for shard in self._file.parent.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                _remove_if_blank(shard)

    @property
    def _compact_file(self) -> Path:
        return self._file.with_name(f".{self.writer}{COMPACT_SUFFIX}")

    def _seal(self, env: lmdb.Environment) -> None:
        stat = env.stat()
        used = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] + 2
        pages = env.info()["last_pgno"] + 1
        # A compact file is optional: if the copy fails, the shard stays as it is, complete.
        with suppress(OSError, lmdb.Error):
            enough_space = shutil.disk_usage(self.path).free > 2 * used * stat["psize"]
            if pages - used <= _SEAL_ABOVE_FREE * pages or not enough_space:
                return
            try:
                with self._compact_file.open("xb") as copy:
                    env.copyfd(copy.fileno(), compact=True)
                    os.fsync(copy.fileno())
                self._compact_file.replace(self._file)
                fsync_directory(self._file.parent)
            finally:
                self._compact_file.unlink(missing_ok=True)

    def _check_same(self, stored: bytes, data: bytes, variant: Variant) -> None:
        try:
            # Another zstd or WebP library may encode the same content as other bytes.
            same = same_variant(
                decode_record(stored, variant.key, variant.index), decode_record(data, variant.key, variant.index)
            )
            problem = "other content"
        except RecordError as error:
            same, problem = False, f"a damaged record ({error})"
        if not same:
            raise CacheError(
                f"shard {self._file.name!r} of cache {str(self.path)!r} holds {problem} under variant {variant.index} "
                f"of {variant.key!r}",
                expected="the same variant, or one that is not stored yet: records are never replaced",
                hint=f"skip the variants that done() lists; check the cache with `poc-aug verify {self.path}`",
            )


def _release(lock: FileLock, shards: list[registry.Environment], pid: int) -> None:
    while shards:
        shard = shards.pop()
        if shard.writing and os.getpid() == pid:
            shard.stop_writing(lambda env: None)
        registry.release(shard)
    lock.release()


def _remove_if_blank(shard: Path) -> None:
    """Remove the files of a run that was killed before it stored anything: no other run takes its name."""
    lock = shard.with_suffix(".lock")
    if not is_unique(shard.stem) or shard.stat().st_size > _MOST_BLANK_NBYTES or is_locked(lock):
        return
    if is_blank(shard):
        for path in (shard, shard.with_name(f"{shard.name}-lock"), lock):
            path.unlink(missing_ok=True)


def _gone(file: Path) -> CacheNotFoundError:
    return CacheNotFoundError(
        f"shard {str(file)!r} was removed, or its cache was moved, while it was written",
        expected="a cache that stays at its path for as long as a process fills it",
        hint="move it back and run the same command again; the records of a removed cache have to be made again",
    )


def _write_error(path: Path, error: OSError | lmdb.Error, cache: Path) -> CacheError:
    code = (error.errno or 0) if isinstance(error, OSError) else error.code
    if code <= 0 and not isinstance(error, lmdb.PanicError):  # LMDB's own codes are negative
        return CacheCorruptError(
            f"shard {str(path)!r} cannot be written: {error}",
            expected="a sound shard",
            hint=f"check it with `poc-aug verify {cache}`; delete it to have its records made again",
        )
    if isinstance(error, OSError) and (refused := unwritable(cache, cache, code, CacheDiskError)) is not None:
        return refused
    folder = next(parent for parent in (path, *path.parents) if os.path.isdir(parent))
    problem = f"{str(path)!r} cannot be written: {error}; {shutil.disk_usage(folder).free} bytes are free there"
    # LMDB reports a full disk as EIO if the last write was a short one.
    if code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO) or isinstance(error, lmdb.PanicError):
        return CacheDiskError(
            problem,
            expected="space on a disk that works",
            hint=f"make room, or raise the quota or the file size limit; everything stored in {str(cache)!r} remains, "
            "and the same command continues it",
        )
    return CacheDiskError(
        problem,
        expected="a folder that this user may write to",
        hint="check the path and its permissions; the same command continues",
    )
