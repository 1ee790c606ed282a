"""The entries of a cache's folders: regular files and folders only, so that nothing outside of it is read or written.

Whoever made a cache may have put links into it, to files of whoever opens it, or pipes, on which opening a file waits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from poc_aug.cache.index_file import INDEX
from poc_aug.cache.journal_files import JOURNAL, JOURNAL_SUFFIX
from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.members import RECIPES
from poc_aug.cache.regular_files import kind_of
from poc_aug.cache.shard import SHARDS, SUFFIX
from poc_aug.errors import CacheFormatError
from poc_aug.files.stray_files import is_stray

REJECTED = "rejected"
"""Folder of a cache with the pictures of rejected attempts, see `poc_aug.generation.rejected_pictures`."""

CLAIMS = "claims"
"""File next to the shards on whose bytes several processes lock variants, see `poc_aug.cache.variant_locks`."""

SET_ASIDE = "set-aside"
"""Folder of a cache with what `poc_aug.upkeep.repair` took out of it; nothing reads it."""

_OURS = (SUFFIX, ".lock", f"{SUFFIX}-lock")
_FOLDERS = (SHARDS, REJECTED, JOURNAL, RECIPES, SET_ASIDE)
_LISTED = (SHARDS, JOURNAL, RECIPES)
_WRITERS_NAME = re.compile(r".+-[0-9]+(\.lmdb|\.lock|\.lmdb-lock)", re.ASCII)  # such as local-0.lmdb


def check_entries(cache: Path, *, rejected: bool = False) -> None:
    """Check that a cache holds regular files and folders only, each where it belongs.

    The cache itself may be a link: whoever names it chose it.

    Args:
        cache: the ``NAME.cache`` directory.
        rejected: check the pictures of rejected attempts, too; those are many.

    Raises:
        CacheFormatError: names the entries that it may not hold.
        OSError: a folder cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "shards").symlink_to("/var")
        ...     check_entries(Path(folder))
        Traceback (most recent call last):
        poc_aug.errors.CacheFormatError: cache '...' holds 'shards', a link to '/var'
        Expected: regular files and folders: a cache holds no links
        Next step: delete it, or copy the cache again from its source (with `cp -rL` if it consists of links)
    """
    if wrong := sorted(wrong_entries(cache, rejected)):
        listed = ", ".join(f"{name!r}, {kind}" for name, kind in wrong[:10])
        if len(wrong) > 10:
            listed += f", and {len(wrong) - 10} more"
        links = any(kind.startswith("a link") for _, kind in wrong)
        raise CacheFormatError(
            f"cache {str(cache)!r} holds {listed}",
            expected="regular files and folders" + (": a cache holds no links" if links else ", each where it belongs"),
            hint="delete it, or copy the cache again from its source"
            + (" (with `cp -rL` if it consists of links)" * links),
        )


def unknown_entries(cache: Path) -> list[tuple[str, str]]:
    """Entries that nothing of this package makes, and what they are; ``shards`` itself if it is missing.

    Those of the folders of shards, of the journal and of other recipes are looked at. Files that operating systems and
    tools leave, and the left-overs of killed writers, are not among them.

    Example:
        >>> unknown_entries(Path("no such folder"))
        [('shards', 'the folder is missing, and with it every record')]
    """
    folder = cache / SHARDS
    if not folder.is_dir():
        return [(SHARDS, "the folder is missing, and with it every record")]
    with os.scandir(folder) as entries:
        unknown = {entry.name: _kind(entry) for entry in entries if not _is_ours(entry) and not _is_stray(entry)}
    found = [
        (f"{SHARDS}/{name}", f"{kind}, which is no shard of a cache") for name, kind in sorted(unknown.items()) if kind
    ]
    for name in _names_in(cache / JOURNAL):
        if not name.endswith(JOURNAL_SUFFIX):
            found.append((f"{JOURNAL}/{name}", "no file of a journal"))
    for name in _names_in(cache / RECIPES):
        member = cache / RECIPES / name
        if not (member / MANIFEST).exists() and any(True for _ in member.rglob("*.*")):
            found.append((f"{RECIPES}/{name}", f"no recipe of a cache: it has no {MANIFEST}"))
    return found


def _names_in(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():  # `wrong_entries` names what is in the place of a folder
        return []
    return sorted(name for name in os.listdir(folder) if not is_stray(name))


def wrong_entries(cache: Path, rejected: bool) -> Iterator[tuple[str, str]]:
    """Paths within a cache, and what is there in place of a regular file or a folder; see `check_entries`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "journal").touch()
        ...     list(wrong_entries(Path(folder), rejected=False))
        [('journal', 'a file, not a folder')]
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(cache / folder) as scanned:
            entries = list(scanned)
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not entry.is_file(follow_symlinks=False):
                if (kind := _kind(entry)) is not None:
                    yield name, kind
            elif name in _FOLDERS and not is_folder:
                yield name, "a file, not a folder"
            elif is_folder and (name in (MANIFEST, INDEX) or (folder == SHARDS and _is_writers_name(entry.name))):
                yield name, "a folder, not a file"
            elif folder == RECIPES and not is_folder and not is_stray(entry.name):
                yield name, "a file, not a folder"
            elif folder == JOURNAL and is_folder and entry.name.endswith(JOURNAL_SUFFIX):
                yield name, "a folder, not a file"
            elif is_folder and (name in _LISTED or (rejected and REJECTED in (name, folder))):
                folders.append(name)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and _is_name_of_ours(entry.name)


def _is_stray(entry: os.DirEntry[str]) -> bool:
    # LMDB's own form of a database is a folder: another program's, if no writer of ours gives it such a name.
    folder = entry.is_dir(follow_symlinks=False) and entry.name.endswith(SUFFIX)
    return is_stray(entry.name) or (folder and not _is_writers_name(entry.name))


def _is_writers_name(name: str) -> bool:
    return name == CLAIMS or _WRITERS_NAME.fullmatch(name) is not None


def _is_name_of_ours(name: str) -> bool:
    return name == CLAIMS or name.endswith(_OURS)


def _kind(entry: os.DirEntry[str]) -> str | None:
    """What an entry is; ``None`` if it is gone: writers remove their temporary files at any moment."""
    try:
        return kind_of(entry.path, entry.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None
