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

from poc_aug.cache.cache_path import has_manifest
from poc_aug.cache.manifest import MANIFEST, Manifest
from poc_aug.cache.shard import read_error
from poc_aug.errors import CacheMismatchError
from poc_aug.files.stray_files import is_stray

RECIPES = "recipes"
"""Folder of a cache that holds its members."""

_FEWEST_CHARS = 4  # of a fingerprint that is abbreviated


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


def member_to_fill(cache: Path, manifest: Manifest, *, add_recipe: bool) -> Path:
    """Where variants of a manifest's recipe are stored: the cache itself, or its member of that recipe.

    Args:
        cache: the ``NAME.cache`` directory; it need not exist yet.
        manifest: of what is to be stored.
        add_recipe: a cache of another recipe takes it as a member, if it has no such member yet.

    Raises:
        CacheMismatchError: the cache holds frames, and the recipe makes insertions, or the other way round; or it is
            of another dataset.
        CacheError: it cannot be read.
    """
    try:
        if not has_manifest(cache):
            return cache
        stored = Manifest.read(cache)
        inside = member_path(cache, manifest.fingerprint)
        if stored.fingerprint == manifest.fingerprint or not (add_recipe or has_manifest(inside)):
            return cache
    except OSError as error:
        raise read_error(cache, error) from error
    if stored.kind != manifest.kind:
        raise CacheMismatchError(
            f"cache {str(cache)!r} holds {stored.kind}, and this recipe makes {manifest.kind}",
            expected="a cache of the same kind",
            hint="write to another path",
            command="write to another path: --out",
        )
    manifest.check_same_dataset(stored, cache)
    return inside


def member_of(cache: Path, fingerprint: str) -> Path | None:
    """The member, or the cache itself, of a recipe; ``None`` if there is none.

    Args:
        cache: the ``NAME.cache`` directory.
        fingerprint: fingerprint of the recipe, or its first characters, at least 4, if they are unique.

    Raises:
        CacheMismatchError: several fingerprints begin with these characters.
        CacheError: the cache cannot be read.
    """
    found = {Manifest.read(path).fingerprint: path for path in member_paths(cache)}
    if len(fingerprint) < _FEWEST_CHARS:
        return found.get(fingerprint)
    matching = [name for name in found if name.startswith(fingerprint)]
    if len(matching) > 1 and fingerprint not in found:
        raise CacheMismatchError(
            f"{len(matching)} recipes of {str(cache)!r} begin with {fingerprint!r}: {', '.join(sorted(matching))}",
            expected="characters that only one fingerprint begins with",
        )
    return found.get(fingerprint, found[matching[0]] if matching else None)
