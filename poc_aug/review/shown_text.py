"""Texts as a page may show them: without the paths of this machine, in one line, of bounded length."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

_ABSOLUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[\\/]|~|[A-Za-z]:")
_ROOT = r"(?:[A-Za-z][A-Za-z0-9+.\-]*:/?/?|~[\w.\-]*|\.{1,2})?[/\\]+"
_PATH = re.compile(rf"(?<![\w\-]){_ROOT}(?:[^/\\\s'\"<>|:;,()\[\]{{}}]+[/\\])+")
_QUOTED = re.compile(rf"(['\"]){_ROOT}(?:[^/\\'\"\n]+[/\\])+(?=[^/\\'\"\n]*\1)")  # which may hold blanks
_MOST_CHARS = 2000
_MOST_CLASS_CHARS = 1024
_TAIL_PARTS = 2


def shown_key(key: str) -> str:
    """A sample's key for a page: of a path that begins at the root of a machine, its last two parts.

    Example:
        >>> shown_key("aachen/000001.png"), shown_key("/home/anna/data/aachen/000001.png")
        ('aachen/000001.png', 'aachen/000001.png')
    """
    parts = [part for part in re.split(r"[\\/]+", key) if part]
    if _ABSOLUTE.match(key) or ".." in parts:
        key = "/".join(part for part in parts[-_TAIL_PARTS:] if part != "..")
    return shown_line(key)


@lru_cache(maxsize=4096)
def shown_class(name: str) -> str:
    """A class name for a page, and what a page calls the class by."""
    return shown_line(name, _MOST_CLASS_CHARS)


def shown_line(text: str, most: int = _MOST_CHARS) -> str:
    r"""A text without paths, in one line: what is not printable is written as an escape.

    Example:
        >>> shown_line("cannot read /data/private/frames/a.png:\n no such file")
        'cannot read a.png:\\n no such file'
    """
    plain = cut_paths(text[: 2 * most])
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in plain)
    return line if len(line) <= most else f"{line[:most]}..."


def cut_paths(text: str, known: Sequence[Path] = ()) -> str:
    """A text in which of each path, from a machine's root on, only the last part is left.

    Args:
        text: such as the message of an error.
        known: paths that may occur in it and hold blanks; each is replaced by its name.

    Example:
        >>> cut_paths("the cache '/mnt/my data/street.cache' is gone")
        "the cache 'street.cache' is gone"
    """
    for path in known:
        for spelled in {str(path), os.path.realpath(path)}:
            text = text.replace(spelled, path.name)
    return _PATH.sub("", _QUOTED.sub(r"\1", text))
