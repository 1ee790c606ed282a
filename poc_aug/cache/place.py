"""The path of a cache: made absolute, and looked at."""

from __future__ import annotations

import os
from pathlib import Path

from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.shard import read_error
from poc_aug.errors import CacheError


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a cache, its links kept.

    Raises:
        CacheError: a path that no file can have: with a NUL, or letters that the file system's encoding lacks.
    """
    place = os.path.abspath(path)
    try:
        usable = b"\0" not in os.fsencode(place)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise CacheError(f"no file can have the path {place!a}", expected="the path of a cache", hint="correct it")
    return Path(place)


def has_manifest(cache: Path) -> bool:
    """Whether a cache was begun at a path; ``False`` also where no folder is, or a file.

    Raises:
        CacheNotFoundError: a name that is too long for a file system.
        CacheDiskError: it cannot be told, since a folder above may not be read.
    """
    try:
        return (cache / MANIFEST).exists()
    except OSError as error:
        raise read_error(cache, error) from error
