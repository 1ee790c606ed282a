"""Uniting the journals of two caches: files of one name are one file, of which one copy may have more lines."""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from poc_aug.cache.journal_files import JOURNAL, JOURNAL_SUFFIX, journal_bytes, journal_paths
from poc_aug.cache.lock import directory_lock
from poc_aug.cache.manifest import fsync_directory
from poc_aug.upkeep.shard_records import disk_errors


def unite_journals(source: Path, target: Path) -> int:
    """Copy the journal of one cache into another; returns how many files were added or became longer.

    Args:
        source: a ``NAME.cache`` directory, or a member's.
        target: another one.

    Raises:
        CacheError: it cannot be read or written.

    Example:
        >>> unite_journals(Path("no such folder"), Path("another"))
        0
    """
    paths = journal_paths(source)
    if not paths:
        return 0
    folder = target / JOURNAL
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
        # Two merges at once may bring different files of one name.
        with directory_lock(folder):
            return sum(_unite(path, folder) for path in paths)


def _unite(path: Path, folder: Path) -> bool:
    """Copy one file; whether anything was added."""
    data = journal_bytes(path)
    place = folder / path.name
    if place.exists():
        there = journal_bytes(place)
        if there.startswith(data):
            return False
        if not data.startswith(there):  # another file of that name: merging again finds the same place
            digest = xxhash.xxh3_64_hexdigest(data.partition(b"\n")[0])
            place = place.with_name(f"{path.stem}-{digest}{JOURNAL_SUFFIX}")
            if place.exists() and journal_bytes(place).startswith(data):
                return False
    _write(place, data)
    return True


def _write(place: Path, data: bytes) -> None:
    with disk_errors(place):
        hidden = place.with_name(f".{place.name}")
        try:
            with hidden.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(hidden, place)
        finally:
            hidden.unlink(missing_ok=True)
        fsync_directory(place.parent)
