"""Writing the journal of a cache: a decision is on disk when `JournalWriter.append` returns."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry, JournalOp, check_relabel, check_reviewer
from poc_aug.cache.journal_files import JOURNAL, JOURNAL_SUFFIX, MAX_LINE_NBYTES
from poc_aug.cache.manifest import fsync_directory
from poc_aug.cache.selection import Selection
from poc_aug.errors import CacheDiskError, CacheNotFoundError, SettingError

_MAX_HOST_CHARS = 60


class JournalWriter:
    """Appends decisions to the journal of a cache; any number of processes may do so at once, each in its own file.

    Args:
        cache: the ``NAME.cache`` directory, or that of a member.
        by: name of whoever decides.

    Raises:
        SettingError: a name that is no printable line.
        CacheError: the journal cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with JournalWriter(Path(folder), by="anna") as writer:
        ...         _ = writer.append("drop", Selection(class_name="cow"))
        ...         _ = writer.append("restore", Selection(key="a.png"))
        ...         _ = writer.append("relabel", Selection(key="a.png"), to="horse")
        ...     [(entry.op, str(entry.where)) for entry in Journal.read(Path(folder)).entries]
        [('drop', "class 'cow'"), ('restore', "key 'a.png'"), ('relabel', "key 'a.png'")]
    """

    def __init__(self, cache: Path, *, by: str = "") -> None:
        try:
            check_reviewer(by)
        except ValueError as error:
            raise SettingError(
                f"by={by[:60]!a}", expected="a name, one printable line of at most 200 characters"
            ) from (error)
        self.cache, self.by = cache, by
        entries = Journal.read(cache).entries
        # A decision counts after all that are known, also if this machine's clock is behind.
        self._last_ms = entries[-1].time_ms if entries else 0
        self._file: Path | None = None
        self._fd: int | None = None
        self._pid = os.getpid()

    def append(
        self, op: JournalOp, where: Selection, *, to: str | None = None, part: str | None = None
    ) -> JournalEntry:
        """Write one decision to disk.

        Args:
            op: what it does, see `JournalEntry`; "undo" is written by `undo`.
            where: what it is about.
            to: the class name that a "relabel" gives.
            part: the stored name of the part that it renames; ``None``: the only one.

        Raises:
            SettingError: a selection or a name that no line can hold.
            CacheDiskError: the disk is full or cannot be written; the decision was not made.
            CacheNotFoundError: the cache was removed or moved meanwhile.
        """
        return self.append_all([JournalEntry(op, where, 0, to=to, part=part)])[0]

    def undo(self, entries: Iterable[JournalEntry]) -> list[JournalEntry]:
        """Take decisions back, as if they had not been made; what others decided meanwhile stays.

        Returns:
            The "undo" entries that were written.

        Raises:
            PocAugError: as `append`.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder, JournalWriter(Path(folder)) as writer:
            ...     drop = writer.append("drop", Selection(key="a.png"))
            ...     _ = writer.undo([drop])
            ...     Journal.read(Path(folder)).counting
            ()
        """
        return self.append_all([JournalEntry("undo", entry.where, 0, of=entry.id) for entry in entries])

    def append_all(self, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Write several decisions to disk at once, with one sync: all of them, or, if it raises, none.

        Args:
            entries: what is decided; by whom and when is filled in here.

        Returns:
            The entries that were written.

        Raises:
            PocAugError: as `append`.
        """
        time_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        made = [replace(entry, time_ms=time_ms, by=self.by, _hash="") for entry in entries]
        lines = []
        for entry in made:
            try:
                lines.append(_checked_line(entry))
            except ValueError as error:
                raise SettingError(
                    f"a decision about {str(entry.where)[:200]}: {error}", expected="a decision that a journal can hold"
                ) from error
        if not lines:
            return []
        try:
            self._write(b"".join(lines))
        except OSError as error:
            raise self._refused(error) from error
        self._last_ms = time_ms
        return made

    def follow(self, journal: Journal) -> None:
        """Have what is written from now on count after all decisions of a journal, which others may have added to."""
        self._last_ms = max([self._last_ms, *(entry.time_ms for entry in journal.entries[-1:])])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        if self._fd is None or os.getpid() != self._pid:
            self._begin_file()
        assert self._fd is not None
        assert self._file is not None
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                raise OSError(f"{written} of {len(line)} bytes were written")
            os.fsync(self._fd)
        except OSError:
            # This file is this process's alone. What cannot be cut off stays an unfinished last line: the next decision
            # goes into another file.
            with suppress(OSError):
                os.ftruncate(self._fd, before)
            self.close()
            raise
        if not _is_in_place(self._file, self._fd):
            self.close()
            raise CacheNotFoundError(
                f"the journal {str(self._file)!r} was removed, or its cache was moved, while it was written",
                expected="a cache that stays at its path",
                hint="run the same command again with the path that the cache has now",
            )

    def _begin_file(self) -> None:
        self.close()
        self._pid = os.getpid()
        folder = self.cache / JOURNAL
        folder.mkdir(exist_ok=True)
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip(".-")[:_MAX_HOST_CHARS] or "host"
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        number = 0
        while True:
            name = f"{host}-{started}-{self._pid}" + (f"-{number}" if number else "")
            self._file = folder / f"{name}{JOURNAL_SUFFIX}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._fd = os.open(self._file, flags, 0o666)
                break
            except FileExistsError:
                number += 1
        fsync_directory(folder)
        fsync_directory(self.cache)

    def _refused(self, error: OSError) -> CacheDiskError:
        free = shutil.disk_usage(self.cache).free if self.cache.exists() else 0
        return CacheDiskError(
            f"the journal of {str(self.cache)!r} cannot be written: {error.strerror or error}; {free} bytes are free "
            "there",
            expected="a folder that this user may write to, on a disk with room",
            hint="make room, or check the permissions, and run the same command again: nothing was decided",
        )


def write_journal(cache: Path, name: str, entries: Iterable[JournalEntry]) -> None:
    """Write decisions that were made elsewhere into the journal of a cache, as one new file; nothing if there are none.

    Args:
        cache: the ``NAME.cache`` directory, or that of a member.
        name: of the file, without its suffix.
        entries: from first to last, each with who made it and when.

    Raises:
        OSError: it exists, or cannot be written.
    """
    data = b"".join(entry.line() + b"\n" for entry in entries)
    if not data:
        return
    folder = cache / JOURNAL
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}{JOURNAL_SUFFIX}").open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fsync_directory(folder)


def _checked_line(entry: JournalEntry) -> bytes:
    """The line of a decision, with its end.

    Raises:
        ValueError: it cannot be read again.
    """
    Selection.from_dict(entry.where.to_dict())
    if entry.op == "relabel":
        check_relabel(entry.to, entry.part)
    elif entry.to is not None or entry.part is not None:
        raise ValueError(f"it gives a class name, and its op is {entry.op!r}")
    if (entry.op == "undo") != (entry.of is not None):
        raise ValueError("to undo one, call undo()")
    line = entry.line() + b"\n"
    if len(line) > MAX_LINE_NBYTES:
        raise ValueError(f"its line would have {len(line)} bytes")
    return line


def _is_in_place(file: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(file), os.fstat(fd))
    except FileNotFoundError:
        return False
