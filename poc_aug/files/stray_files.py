"""Files that operating systems and tools leave in folders of data, which are neither pictures nor shards of a cache."""

from __future__ import annotations

from pathlib import PurePath

_LITTER = frozenset(
    {".ds_store", ".ipynb_checkpoints", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"}
)


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name was left by an operating system or a tool: ``._a.png``, ``Thumbs.db``.

    Example:
        >>> is_litter("Thumbs.db"), is_litter("a.png")
        (True, False)
    """
    return name.startswith("._") or name.lower() in _LITTER


def is_stray(path: str | PurePath) -> bool:
    """Whether a path, relative to a folder of data, is not data: litter or hidden, at any depth.

    Example:
        >>> is_stray("dog/._1.png"), is_stray("__MACOSX/1.png"), is_stray("dog/1.png")
        (True, True, False)
    """
    return any((part.startswith(".") and part != "..") or is_litter(part) for part in PurePath(path).parts)
