"""The beginning of a cache: its folder and manifest, and what runs that stored nothing leave of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poc_aug.cache.cache_path import has_manifest
from poc_aug.cache.entries import REJECTED, check_entries
from poc_aug.cache.lock import FileLock, directory_lock, is_locked
from poc_aug.cache.manifest import MANIFEST, TEMPORARY_MANIFEST, Manifest
from poc_aug.cache.regular_files import kind_of
from poc_aug.cache.shard import COMPACT_SUFFIX, SHARDS, check_shard, shard_paths
from poc_aug.errors import CacheBusyError, CacheDatasetMismatchError, CacheError, CacheFormatError, CacheMismatchError
from poc_aug.files.stray_files import is_litter


@contextmanager
def begun_cache(path: Path, manifest: Manifest) -> Iterator[Manifest]:
    """Create an empty cache, or check that an existing one can be continued; its folder is locked inside.

    The manifest of a run that stored nothing refuses no other run: it is replaced, unless a writer has the cache open.
    Gives the cache's manifest.

    Args:
        path: the ``NAME.cache`` directory, absolute.
        manifest: the manifest of this run.

    Raises:
        CacheFormatError: ``path`` is something else, a cache of another schema version, or one that holds links.
        CacheMismatchError, CacheDatasetMismatchError: made with another recipe, or from another dataset.
        OSError: it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for seed in (0, 1):
        ...         with begun_cache(Path(folder) / "a.cache", Manifest.create({"seed": seed}, {}, {})) as manifest:
        ...             print(manifest.recipe)
        {'seed': 0}
        {'seed': 1}
    """
    if path.exists() and not path.is_dir():
        raise CacheFormatError(
            f"{str(path)!r} is {kind_of(path, path.stat().st_mode)}",
            expected="a path for a new cache, or a cache directory",
            hint="another path",
        )
    path.mkdir(parents=True, exist_ok=True)
    # If two writers create the same cache at once, the second finds the manifest of the first.
    with directory_lock(path):
        foreign = [
            entry.name
            for entry in path.iterdir()
            if entry.name != SHARDS and not entry.name.startswith(TEMPORARY_MANIFEST) and not is_litter(entry.name)
        ]
        if foreign and not os.path.lexists(path / MANIFEST):
            raise CacheFormatError(
                f"{str(path)!r} is not a cache and not empty; it holds: {', '.join(sorted(foreign)[:10])}",
                expected="a path for a new cache, or a cache directory",
                hint="write to another path",
            )
        check_entries(path, rejected=True)
        _remove_temporary(path)
        if has_manifest(path):
            stored = Manifest.read(path)
            try:
                manifest.check_continues(stored, path)
            except (CacheMismatchError, CacheDatasetMismatchError):
                if not _is_unused(path):
                    raise
                _remove_rejected(path)
            else:
                yield stored
                return
        (path / SHARDS).mkdir(exist_ok=True)  # first: a cache without them has lost them
        manifest.write(path)
        yield manifest


def remove_left_overs(path: Path) -> None:
    """Remove temporary manifests and compact copies that killed runs left; a read-only cache stays as it is.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / ".manifest.json.4711").touch()
        ...     remove_left_overs(Path(folder))
        ...     list(Path(folder).iterdir())
        []
    """
    check_entries(path)
    if any(path.glob(f"{TEMPORARY_MANIFEST}*")):
        with directory_lock(path):
            _remove_temporary(path)
    for copy in (path / SHARDS).glob(f".*{COMPACT_SUFFIX}"):
        with suppress(OSError, CacheBusyError):  # read-only, or its writer makes it at this moment
            lock = FileLock(copy.with_name(copy.name[1 : -len(COMPACT_SUFFIX)] + ".lock"))
            copy.unlink(missing_ok=True)
            copy.with_name(f"{copy.name}-lock").unlink(missing_ok=True)  # LMDB's, of one that was being built
            lock.release()


def _is_unused(path: Path) -> bool:
    """Whether a cache holds no record, and no writer has it open; needs the folder's lock."""
    if any(is_locked(lock) for lock in (path / SHARDS).glob("*.lock")):
        return False
    try:
        return not any(check_shard(shard).transaction for shard in shard_paths(path))
    except CacheError:  # a damaged shard held something
        return False


def _remove_temporary(path: Path) -> None:
    # They are written under the folder's lock: whoever holds it knows that their writers are dead.
    for temporary in path.glob(f"{TEMPORARY_MANIFEST}*"):
        with suppress(OSError):  # a read-only cache is as good with them as without
            temporary.unlink()


def _remove_rejected(path: Path) -> None:
    if (path / REJECTED).is_dir():
        shutil.rmtree(path / REJECTED)
