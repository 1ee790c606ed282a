"""The process's open LMDB environments: one per shard, shared by every reader and the writer, safe over ``fork``.

LMDB does not allow opening a file twice in one process (lmdb 3 raises) or using an environment after ``fork()``.
`acquire` therefore counts users per file, and fork hooks close what a child inherited; it is opened again on first use.

**Why readers need no lock file.** Readers open shards with ``lock=False``, so that a cache works on read-only
media and for any number of workers. A writer of LMDB knows readers only by the lock file, and reuses pages
that it freed two commits ago: for a reader without lock they would change while they are read (listing 20,000 names
during writes at full speed failed 144 times of 148; with pins, never). The writer
therefore holds read transactions of its own, *pins*, which keep every page that was reachable since the last pin
but one. Pins are renewed every `PIN_S` seconds, so whatever a reader can reach when its transaction begins stays
in place for at least that long; its transactions take microseconds (one record, or 1000 names). The remaining case is
a process that is stopped for `PIN_S` during one lookup while a writer runs, or while a writer is killed and started
again: the record's hash and one retry catch all of this except a torn page tree. Sealing replaces a shard by renaming,
and open readers keep their old file.

**A thousand shards** are not kept open all at once: see `most_open`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb

from poc_aug.cache.record_header import MAX_RECORD_NBYTES, RecordError
from poc_aug.cache.shard import check_shard, read_error
from poc_aug.errors import CacheNotFoundError

PIN_S = 10.0
INITIAL_MAP_NBYTES = 64 << 20
"""Size of a writer's first map: address space, not disk; doubled when it is full."""

_LEAST_OPEN, _MOST_OPEN = 8, 1024

# One lock for all shards: transactions are short, finalizers may run in any thread, and a fork (which takes the lock)
# must not happen during a transaction. With a lock per shard, those three could wait for each other.
_lock = threading.RLock()
_environments: dict[str, Environment] = {}
_used: OrderedDict[Environment, None] = OrderedDict()  # those that are open for reading, the last used one last
_forks = 0  # number of forks between the first process and this one
_forking: list[Environment] = []


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Keep every other thread, and forks, away from the environments of this process."""
    with _lock:
        yield


class Environment:
    """One shard in this process, from `acquire`; to be returned with `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.writing = False
        self._reading = 0  # transactions of `read` that are open now
        self._env: lmdb.Environment | None = None
        self._inode = 0
        self._pins: list[lmdb.Transaction[bytes]] = []
        self._pinned_at = 0.0

    @contextlib.contextmanager
    def read(self, *, buffers: bool = False) -> Iterator[lmdb.Transaction[Any]]:
        """A read transaction on the newest state; keep it short. With ``buffers``, it gives views and copies nothing.

        Raises:
            CacheFormatError: the file is not a whole shard (checked when it is opened).
            CacheNotFoundError: it no longer exists, and was not open in this process.
            CacheDiskError: it cannot be read.
            lmdb.Error: its pages are damaged.
        """
        with _lock:
            env = self._env or self._open_for_reading()
            _used[self] = None  # now the last one
            _used.move_to_end(self)
            transaction: lmdb.Transaction[Any]
            try:
                transaction = env.begin(buffers=True) if buffers else env.begin()
            except lmdb.MapResizedError:  # a writer in another process has grown its map
                env.set_mapsize(0)
                transaction = env.begin(buffers=True) if buffers else env.begin()
            self._reading += 1
            try:
                with transaction:
                    yield transaction
            finally:
                self._reading -= 1

    def record(self, name: bytes) -> bytes | None:
        """A record by its LMDB key; ``None`` if there is none.

        Raises:
            RecordError: it is larger than any record; nothing of it was copied.
            CacheFormatError, CacheNotFoundError, CacheDiskError, lmdb.Error: as `read`.
        """
        with self.read(buffers=True) as transaction:
            view = transaction.get(name)
            if view is not None and len(view) > MAX_RECORD_NBYTES:
                raise RecordError(f"a record of {len(view)} bytes; none has more than {MAX_RECORD_NBYTES}")
            return None if view is None else bytes(view)

    def write(self, change: Callable[[lmdb.Transaction[bytes]], int]) -> int:
        """Run ``change`` in one write transaction and commit it to disk; the map grows as needed.

        Raises:
            lmdb.Error: the disk is full or failed; nothing of this transaction is stored.
        """
        with _lock:
            assert self._env is not None
            assert self.writing
            if time.monotonic() - self._pinned_at > PIN_S:
                self._pin()
            while True:
                try:
                    with self._env.begin(write=True) as transaction:
                        return change(transaction)
                except lmdb.MapFullError:
                    self._unpin()  # a map can only be replaced when no transaction uses it
                    self._env.set_mapsize(2 * self._env.info()["map_size"])
                    self._pin()

    def start_writing(self) -> None:
        """Open for writing (the caller holds the shard's `FileLock`), creating the file if there is none.

        Raises:
            CacheFormatError: the file is there but not a whole shard.
            lmdb.Error: it cannot be opened or created.
        """
        with _lock:
            used = check_shard(self.path).nbytes if self.path.exists() else 0
            self._close()
            self._env = self._open(readonly=False, map_size=max(INITIAL_MAP_NBYTES, 2 * used))
            self.writing = True
            self._pin()

    def stop_writing(self, seal: Callable[[lmdb.Environment], None]) -> None:
        """Close the writer's environment; readers open the shard again on next use.

        ``seal`` gets the environment, free of transactions, and may put a copy in the shard's place.
        """
        with _lock:
            assert self._env is not None
            self._unpin()
            try:
                seal(self._env)
            finally:
                self._close()

    def reopen_if_replaced(self) -> None:
        """Close a file that a writer in another process has replaced since it was opened.

        Raises:
            CacheNotFoundError: it is gone.
            CacheDiskError: its disk fails.
        """
        with _lock:
            if not self.writing and self._env is not None and self._inode_now() != self._inode:
                self._close()

    def is_in_place(self) -> bool:
        """Whether the open file is still the one at its path: it may have been removed, or moved with its cache."""
        try:
            return self._inode_now() == self._inode
        except CacheNotFoundError:
            return False

    def _inode_now(self) -> int:
        try:
            return self.path.stat().st_ino
        except OSError as error:
            raise read_error(self.path, error) from error

    def _open_for_reading(self) -> lmdb.Environment:
        _make_room()
        check_shard(self.path)
        # Map size 0 means as large as the writer's, so that added records are seen without mapping the file again.
        self._env = self._open(readonly=True, lock=False, create=False, map_size=0)
        return self._env

    def _open(self, **options: Any) -> lmdb.Environment:
        # lib_version=0: lmdb 3 bundles two formats that cannot read each other; 0 is LMDB 0.9's.
        options |= {"subdir": False, "readahead": False, "lib_version": 0}
        try:
            env = lmdb.open(str(self.path), **options)
        except lmdb.Error as error:
            if "already open in this process" not in str(error):
                raise
            # lmdb knows open files by their inodes, and takes the lock file beside a shard into account even if it is
            # opened without lock. Another process that seals a shard removes its lock file, and the inode may be given
            # to the file that is opened now. Environments opened after that do not know the removed lock file.
            _close_idle()
            env = lmdb.open(str(self.path), **options)
        try:
            self._inode = self._inode_now()
        except (
            BaseException
        ):  # also Ctrl-C: an environment without a reference could not be opened again in this process
            env.close()
            raise
        return env

    def _close(self) -> None:
        _used.pop(self, None)
        self._unpin()
        self.writing = False
        if self._env is not None:
            self._env.close()
            self._env = None

    def _pin(self) -> None:
        assert self._env is not None
        for old in self._pins[:-1]:
            old.abort()
        self._pins = [*self._pins[-1:], self._env.begin()]
        self._pinned_at = time.monotonic()

    def _unpin(self) -> None:
        for pin in self._pins:
            pin.abort()
        self._pins = []


def acquire(path: Path) -> Environment:
    """The process's one environment of a shard file, to be returned with `release`; opens nothing yet."""
    return acquire_resolved(os.path.realpath(path))


def acquire_resolved(name: str) -> Environment:
    """As `acquire`, of a path that is absolute and holds no link."""
    with _lock:
        environment = _environments.get(name)
        if environment is None:
            environment = _environments[name] = Environment(Path(name))
        environment.users += 1
        return environment


def release(environment: Environment) -> None:
    """Return an environment; the last user closes it."""
    with _lock:
        environment.users -= 1
        if environment.users == 0:
            _environments.pop(str(environment.path))
            environment._close()


def _close_idle() -> None:
    """Close every environment that neither writes nor is being read; it is opened again on its next use."""
    for environment in _environments.values():
        if not environment.writing and not environment._reading:
            environment._close()


def most_open() -> int:
    """How many shards a process keeps open for reading: a quarter of the files that it may open, 1024 at most.

    Those that were used least recently are closed for others, and opened again on their next use.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN if soft == resource.RLIM_INFINITY else max(_LEAST_OPEN, min(_MOST_OPEN, soft // 4))


def _make_room() -> None:
    most = most_open()
    for environment in list(_used):
        if len(_used) < most:
            return
        if not environment.writing and not environment._reading:
            environment._close()


def open_count() -> int:
    """Number of shards that this process has in use."""
    return len(_environments)


def forks() -> int:
    """A number that differs in each process of a chain of forks, since checks in one may not be valid in the next."""
    return _forks


def _before_fork() -> None:
    _lock.acquire()
    _forking[:] = _environments.values()
    for environment in _forking:
        # A child that closes its copy of a read transaction also clears the parent's entry in the shared reader
        # table (observed with lmdb 3.0.0), and with it the pin. So none is open while forking.
        environment._unpin()


def _after_fork_in_parent() -> None:
    for environment in _forking:
        if environment.writing:
            environment._pin()
    _forking.clear()
    _lock.release()


def _after_fork_in_child() -> None:
    global _lock, _forks
    _lock = threading.RLock()
    _forks += 1
    for environment in _forking:
        environment._close()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
