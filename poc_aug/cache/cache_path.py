"""The path of a cache, and whether there is one."""

from __future__ import annotations

import os
from pathlib import Path

from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.shard import read_error
from poc_aug.errors import CacheError


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a cache, without resolving links.

    Raises:
        CacheError: a path that no file can have: with a NUL, or characters that the file system's encoding lacks.
    """
    absolute = os.path.abspath(path)
    try:
        usable = b"\0" not in os.fsencode(absolute)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise CacheError(f"no file can have the path {absolute!a}", expected="the path of a cache", hint="correct it")
    return Path(absolute)


def has_manifest(cache: Path) -> bool:
    """Whether a cache was begun at a path; ``False`` also if there is no folder, or a file.

    Raises:
        CacheNotFoundError: a name that is too long for a file system.
        CacheDiskError: unknown, since a folder above cannot be read.

    Example:
        >>> has_manifest(Path("no such folder/a.cache"))
        False
    """
    try:
        return (cache / MANIFEST).exists()
    except OSError as error:
        raise read_error(cache, error) from error
