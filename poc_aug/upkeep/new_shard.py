"""A new shard in an existing cache: it is built under a hidden name, and appears whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poc_aug.cache.lock import FileLock
from poc_aug.cache.manifest import fsync_directory
from poc_aug.cache.shard import COMPACT_SUFFIX, SHARDS, SUFFIX
from poc_aug.cache.shard_names import unique_name
from poc_aug.errors import CacheDiskError
from poc_aug.upkeep.shard_records import build_shard, disk_errors


@dataclass(frozen=True)
class NewShard:
    """Where a new shard is built, and where it is to be.

    Attributes:
        hidden: the file that is written; of a killed run, it is removed as that of a writer is.
        path: its place.
    """

    hidden: Path
    path: Path

    def build(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records, and publish the shard if there are any; returns their number.

        Raises:
            CacheDiskError: the disk is full or cannot be written; there is no shard then.
        """
        count = build_shard(self.hidden, records)
        if count:
            self.publish()
        return count

    def publish(self) -> None:
        """Put what was written into its place."""
        with disk_errors(self.path):
            os.replace(self.hidden, self.path)
            fsync_directory(self.path.parent)


@contextmanager
def new_shard(cache: Path, job: str, name: str | None = None) -> Iterator[NewShard]:
    """A place for a new shard, of a name that no other has, locked as that of a writer is.

    Args:
        cache: the ``NAME.cache`` directory, or a member's.
        job: what it is made for: "merged".
        name: its name, which is unique and not taken; ``None``: a new one.

    Raises:
        CacheDiskError: the cache cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "shards").mkdir()
        ...     with new_shard(Path(folder), "merged") as place:
        ...         count = place.build([(b"ta", b"data")])
        ...     count, [path == place.path for path in (Path(folder) / "shards").iterdir()]
        (1, [True])
    """
    name = unique_name(cache, job) if name is None else name
    folder = cache / SHARDS
    hidden = folder / f".{name}{COMPACT_SUFFIX}"
    lock_file = folder / f"{name}.lock"
    try:
        with disk_errors(folder):
            lock = FileLock(lock_file)
    except CacheDiskError:
        lock_file.unlink(missing_ok=True)  # it was created, and could not be filled
        raise
    try:
        yield NewShard(hidden, folder / f"{name}{SUFFIX}")
    finally:
        with disk_errors(folder):
            hidden.unlink(missing_ok=True)
            lock_file.unlink(missing_ok=True)
        lock.release()
