"""A folder that appears when it is complete: what is written first is a hidden folder next to it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poc_aug.errors import CacheBusyError
from poc_aug.upkeep.shard_records import disk_errors


@contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """An empty hidden folder next to a new one, to be renamed when it is complete; one process at a time has it.

    What a killed run left there is removed first, and the folder itself after an error.

    Args:
        target: the new folder.

    Raises:
        CacheBusyError: another process has it.
        CacheDiskError: it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as parent:
        ...     with unfinished_folder(Path(parent) / "a.cache") as folder:
        ...         folder.name
        '.a.cache.unfinished'
    """
    folder = target.with_name(f".{target.name}.unfinished")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        fd = _locked(folder, target)
    try:
        with disk_errors(target):
            for entry in folder.iterdir():
                _remove(entry)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    finally:
        os.close(fd)  # and with it goes the lock


def _locked(folder: Path, target: Path) -> int:
    while True:
        folder.mkdir(exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(folder) and os.path.samestat(os.stat(folder), os.fstat(fd)):
                return fd
            os.close(fd)  # another run has just completed, or removed, this one
        except BlockingIOError:
            os.close(fd)
            raise CacheBusyError(
                f"another process writes {str(target)!r} now",
                expected="one process that writes a new cache",
                hint="wait for it, or give another path",
            ) from None


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
