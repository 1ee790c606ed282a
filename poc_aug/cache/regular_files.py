"""Opening one file of a cache that a stranger may have made: it is a regular file, or it is not opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NoReturn

from poc_aug.errors import CacheFormatError


def open_regular(path: Path, flags: int, *, or_folder: bool = False) -> int:
    """Open a file of a cache, or a folder too; links are not followed, and opening a pipe does not wait.

    Example:
        >>> open_regular(Path("/dev/null"), os.O_RDONLY)
        Traceback (most recent call last):
        poc_aug.errors.CacheFormatError: '/dev/null' is a device
        Expected: a regular file: a cache holds no links
        Next step: delete it, or copy the cache again from its source

    Raises:
        CacheFormatError: it is no regular file.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError:
        # The codes differ: ELOOP for a link, ENXIO for a socket or a pipe without a reader, EISDIR for a folder.
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            _refuse(path)
        raise
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or (or_folder and stat.S_ISDIR(mode))):
        os.close(fd)
        _refuse(path)
    return fd


def _refuse(path: Path) -> NoReturn:
    raise CacheFormatError(
        f"{str(path)!r} is {kind_of(path, os.lstat(path).st_mode)}",
        expected="a regular file: a cache holds no links",
        hint="delete it, or copy the cache again from its source",
    )


def kind_of(path: str | Path, mode: int) -> str:
    """What an entry of a folder is, in words; ``mode`` is that of ``lstat``.

    Example:
        >>> kind_of("/", os.lstat("/").st_mode)
        'a folder'
    """
    if stat.S_ISLNK(mode):
        return f"a link to {os.readlink(path)!r}"
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
