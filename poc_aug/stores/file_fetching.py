"""Fetching one file: it continues at the bytes that are there, and counts only if its hash fits."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from poc_aug.cache.regular_files import open_regular
from poc_aug.errors import PocAugError, StoreError
from poc_aug.stores.copy_folder import file_sha256
from poc_aug.stores.store_contents import StoredFile
from poc_aug.stores.store_errors import failure_kind, plain, transfer_disk_error
from poc_aug.stores.store_files import StoreFiles
from poc_aug.stores.transfer_attempts import Attempts, TransferStopped
from poc_aug.stores.transfer_pool import ByteCount

_logger = logging.getLogger("poc_aug")


class RefusedFileError(StoreError):
    """A file on a store that is not what the list of its cache says."""


class _EndedEarly(EOFError):
    """A store ended a file before its size."""


def fetch_file(store: StoreFiles, file: StoredFile, part: Path, attempts: Attempts, count: ByteCount) -> None:
    """Fetch a file of a cache into ``part``, which may hold its beginning.

    Args:
        store: where the cache is.
        file: what its list says of the file.
        part: where the bytes go; whatever happens, it stays and the next call continues, unless its hash is wrong.
        attempts: tries requests again.
        count: counts the bytes.

    Raises:
        RefusedFileError: truncated, gone, or with another hash; ``part`` is removed then.
        StoreError: the store cannot be used, or failed too often.
        CacheDiskError: the disk takes no more.
    """
    resumed = part.exists() and part.stat().st_size > 0
    counted = _Counted(count)
    while True:
        resumed = _fetch(store, file, part, attempts, counted) or resumed
        digest = _hash(part)
        if digest == file.sha256:
            return
        part.unlink()
        counted.at(0)
        if not resumed:
            raise RefusedFileError(
                f"{file.what} of {store.address.shown} is not what its list says: SHA-256 {digest[:16]}... instead "
                f"of {file.sha256[:16]}...; it was not taken",
                expected="the bytes that were pushed",
                hint="push the cache again from its source, or tell whoever published it; the next pull fetches it",
            )
        resumed = False  # what was there before was wrong, or the file was replaced meanwhile: once more, at one go


class _Counted:
    """The part of a `ByteCount` that is one file's."""

    def __init__(self, count: ByteCount) -> None:
        self._count = count
        self._offset = 0

    def at(self, offset: int) -> None:
        """The file has so many bytes now."""
        if offset != self._offset:
            self._count.add(offset - self._offset)
            self._offset = offset


def _fetch(store: StoreFiles, file: StoredFile, part: Path, attempts: Attempts, counted: _Counted) -> bool:
    """Append what is missing; whether more than one request was needed."""
    try:
        fd = open_regular(part, os.O_WRONLY | os.O_CREAT)
    except OSError as error:
        raise transfer_disk_error(part, error) from error
    failures, furthest, requests = 0, -1, 0
    try:
        offset = os.fstat(fd).st_size
        if offset > file.nbytes:
            os.ftruncate(fd, offset := 0)
        counted.at(offset)
        while offset < file.nbytes:
            attempts.check_stopped()
            requests += 1
            try:
                chunk = attempts.settings.chunk_after(failures)
                begin, pieces = store.pieces(file.path, offset, file.nbytes, chunk)
                if begin != offset:
                    os.ftruncate(fd, offset := begin)
                    counted.at(offset)
                for piece in _bounded(pieces, file.nbytes - offset):
                    attempts.check_stopped()
                    _write(fd, piece, offset, part)
                    counted.at(offset := offset + len(piece))
                    if offset > furthest:
                        failures, furthest = 0, offset
                if offset < file.nbytes:
                    raise _EndedEarly(f"the store ended the file after {offset} of {file.nbytes} bytes")
            except (PocAugError, TransferStopped):
                raise
            except Exception as error:
                failures += 1
                _check_there(store, file, part, error)
                attempts.after_failure(f"read {file.what} of", error, failures)
        os.fsync(fd)
    except OSError as error:  # of the local disk: the store's are dealt with above
        raise transfer_disk_error(part, error) from error
    finally:
        os.close(fd)
    return requests > 1


def _bounded(pieces: Iterator[bytes], nbytes: int) -> Iterator[bytes]:
    """Pieces of so many bytes in all, whatever the store sends."""
    for piece in pieces:
        yield piece[:nbytes]
        nbytes -= len(piece)
        if nbytes <= 0:
            return


def _write(fd: int, piece: bytes, offset: int, part: Path) -> None:
    view = memoryview(piece)
    try:
        while view:
            written = os.pwrite(fd, view, offset)
            offset += written
            view = view[written:]
    except OSError as error:
        raise transfer_disk_error(part, error) from error


def _check_there(store: StoreFiles, file: StoredFile, part: Path, error: Exception) -> None:
    """Refuse a file that is missing or too short on the store; another attempt would not change it."""
    kind = failure_kind(error)
    if kind == "missing":
        problem = "is not there"
    elif kind == "range" or isinstance(error, _EndedEarly):
        nbytes = _nbytes(store, file)
        if kind != "range" and (nbytes is None or nbytes >= file.nbytes):
            return
        problem = f"is truncated: {'fewer than its' if nbytes is None else f'{nbytes} of its'} {file.nbytes} bytes"
    else:
        return
    part.unlink(missing_ok=True)
    raise RefusedFileError(
        f"{file.what} of {store.address.shown} {problem}; its list has it",
        expected="every file of the list, whole",
        hint="push the cache again from its source, or tell whoever published it",
    ) from None


def _nbytes(store: StoreFiles, file: StoredFile) -> int | None:
    """Size of a file on a store; ``None`` if it cannot be asked, which is no fault of the file."""
    try:
        return store.nbytes(file.path)
    except Exception as error:
        _logger.debug("The size of %s cannot be asked: %s", file.name, plain(error))
        return None


def _hash(part: Path) -> str:
    try:
        return file_sha256(part)
    except OSError as error:
        raise transfer_disk_error(part, error) from error
