"""The path of a cache, and whether there is one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.shard import read_error
from poc_aug.errors import CacheError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # more than one letter: drives have one


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a cache, without resolving links.

    Raises:
        CacheError: a path that no file can have: with a NUL, or characters that the file system's encoding lacks; or
            an address on a store.
    """
    _check_no_address(path)
    absolute = os.path.abspath(path)
    try:
        usable = b"\0" not in os.fsencode(absolute)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise CacheError(f"no file can have the path {absolute!a}", expected="the path of a cache", hint="correct it")
    return Path(absolute)


def _check_no_address(path: str | os.PathLike[str]) -> None:
    # pathlib has made one slash of two.
    found = _ADDRESS.match(os.fspath(path))
    if found is not None and not os.path.lexists(found[0]):
        raise CacheError(
            f"{found[1]}://... is an address on a store, not a path",
            expected="the path of a local cache",
            hint="read it with POCAugmentedDataset(base, cache=URL), or copy it here first: poc_aug.stores.pull(URL, "
            "PATH); send one there with poc_aug.stores.push(PATH, URL)",
            command="copy it here first: poc-aug pull URL --out PATH; send one there with poc-aug push PATH URL",
        )


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
