"""Members: a cache may hold several recipes, each as a cache of its own in its folder ``recipes``.

::

    NAME.cache/
      manifest.json
      shards/
      recipes/
        3f2a.../             a member: another recipe, named after its fingerprint
          manifest.json
          shards/

The recipe that the cache was begun with is at the top, where versions without members read it. A member can be opened
by its own path, copied, and verified, like any cache.
"""

from __future__ import annotations

from pathlib import Path

from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.shard import read_error
from poc_aug.files.stray_files import is_stray

RECIPES = "recipes"
"""Folder of a cache that holds its members."""


def member_paths(cache: Path) -> list[Path]:
    """The cache itself and its members, sorted by name: each has a manifest and shards.

    Raises:
        CacheError: a folder that cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     [path == Path(folder) for path in member_paths(Path(folder))]
        [True]
    """
    folder = cache / RECIPES
    try:
        if not folder.is_dir():
            return [cache]
        found = [path for path in folder.iterdir() if not is_stray(path.name) and (path / MANIFEST).is_file()]
    except OSError as error:
        raise read_error(folder, error) from error
    return [cache, *sorted(found)]


def member_path(cache: Path, fingerprint: str) -> Path:
    """Where the member of a recipe is, or would be."""
    return cache / RECIPES / fingerprint
