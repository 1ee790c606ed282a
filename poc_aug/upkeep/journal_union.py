"""Uniting the journals of two caches: files of one name are one file, of which one copy may have more lines."""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from poc_aug.cache.journal import JOURNAL, JOURNAL_SUFFIX, journal_bytes, journal_paths
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
    changed = 0
    for path in journal_paths(source):
        data = journal_bytes(path)
        place = target / JOURNAL / path.name
        if place.exists():
            there = journal_bytes(place)
            if there.startswith(data):
                continue
            if not data.startswith(there):  # another file of that name: merging again finds the same place
                digest = xxhash.xxh3_64_hexdigest(data.partition(b"\n")[0])
                place = place.with_name(f"{path.stem}-{digest}{JOURNAL_SUFFIX}")
                if place.exists() and journal_bytes(place).startswith(data):
                    continue
        _write(place, data)
        changed += 1
    return changed


def _write(place: Path, data: bytes) -> None:
    with disk_errors(place):
        place.parent.mkdir(exist_ok=True)
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
