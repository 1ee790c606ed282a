"""An exclusive lock on a file, held by one process; it ends when the process ends, in whatever way."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import weakref
from collections.abc import Iterator
from pathlib import Path

from poc_aug.cache.regular_files import open_regular
from poc_aug.errors import CacheBusyError


class FileLock:
    """Exclusive ``flock`` on ``path``, taken without waiting; released by `release` or the end of the process.

    The file is never deleted: unlinking a locked file lets two processes hold "the" lock.

    Raises:
        CacheBusyError: another process, or another writer in this one, holds it; the message says which.
        CacheFormatError: it is no regular file, such as a link in a cache that a stranger made.
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._fd: int | None = None
        fd = open_regular(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise CacheBusyError(
                f"shard {path.stem!r} of cache {str(path.parent.parent)!r} is being written by {holder}",
                expected="one writer per shard",
                hint="wait for that process or stop it, or write another shard with writer='NAME'",
                command="wait for that process or stop it, or write to another path: --out",
            ) from None
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        _held.add(self)
        owner = f"process {os.getpid()} on {socket.gethostname()}".encode()
        os.ftruncate(fd, 0)
        os.pwrite(fd, owner, 0)

    def release(self) -> None:
        """Release the lock; a second call, or one in a forked child, does nothing."""
        if self._fd is not None:
            # Closing is not enough if a child was forked a moment ago and has not closed its copy yet.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        _held.discard(self)


def is_locked(path: Path) -> bool:
    """Whether any process holds the lock now."""
    try:
        fd = open_regular(path, os.O_RDONLY, or_folder=True)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextlib.contextmanager
def directory_lock(path: Path) -> Iterator[None]:
    """Wait for, and hold, an exclusive lock on a directory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # A forked child shares the open file. If it stayed open, loader workers that outlive a killed writer would keep
    # its lock, and the cache would be busy for the resumed job.
    for lock in list(_held):
        lock._close()  # without unlocking, which would release the parent's lock


os.register_at_fork(after_in_child=_after_fork_in_child)
