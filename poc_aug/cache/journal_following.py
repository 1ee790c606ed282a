"""Following the journal of a cache while others decide: only what was added is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from poc_aug.cache.journal import Journal, in_order
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import journal_bytes, journal_paths, parsed_lines
from poc_aug.cache.shard import read_error


@dataclass
class _File:
    """What was read of a file: bytes up to the end of the last finished line, and its decisions."""

    inode: int
    state: tuple[int, int]
    nbytes: int = 0
    entries: list[tuple[int, JournalEntry]] = field(default_factory=list)


class JournalFollower:
    """Reads the journal of a cache again and again; of files that grew, only the lines that were added.

    Args:
        cache: the ``NAME.cache`` directory, or that of a member.
        fingerprint: that of its manifest.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache.journal_writing import JournalWriter
        >>> from poc_aug.cache.selection import Selection
        >>> with TemporaryDirectory() as folder:
        ...     follower = JournalFollower(Path(folder))
        ...     before = follower.read()
        ...     with JournalWriter(Path(folder)) as writer:
        ...         _ = writer.append("accept", Selection(key="a.png"))
        ...     after = follower.read()
        ...     len(before.entries), len(after.entries), follower.read() is after
        (0, 1, True)
    """

    def __init__(self, cache: Path, fingerprint: str | None = None) -> None:
        self._cache, self._fingerprint = cache, fingerprint
        self._files: dict[str, _File] = {}
        self._journal: Journal | None = None

    def read(self) -> Journal:
        """The journal as it is now; the same object as before if nothing was added.

        Raises:
            CacheError: as `Journal.read`.
        """
        paths = journal_paths(self._cache)
        is_new = [self._update(path) for path in paths]
        names = {path.name for path in paths}
        gone = self._files.keys() - names
        for name in gone:
            del self._files[name]
        if self._journal is None or gone or any(is_new):
            entries = in_order((name, file.entries) for name, file in sorted(self._files.items()))
            self._journal = Journal(entries, self._fingerprint)
        return self._journal

    def _update(self, path: Path) -> bool:
        """Read what was added to a file; whether there was anything."""
        try:
            status = os.stat(path, follow_symlinks=False)
        except OSError as error:
            raise read_error(path, error) from error
        state = status.st_size, status.st_mtime_ns
        known = self._files.get(path.name)
        if known is not None and (known.inode, known.state) == (status.st_ino, state):
            return False
        if known is None or known.inode != status.st_ino or status.st_size < known.state[0]:
            known = _File(status.st_ino, state)  # a file that was replaced is read from its beginning
        lines = journal_bytes(path, known.nbytes).split(b"\n")[:-1]
        added = list(parsed_lines(lines, path, self._cache, first=len(known.entries) + 1))
        known.nbytes += sum(len(line) + 1 for line in lines)
        known.entries += added
        known.state = state
        is_first = path.name not in self._files
        self._files[path.name] = known
        return bool(added) or is_first
