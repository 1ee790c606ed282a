"""The checks when a cache is opened, repeated by every copy of it: in a worker, after `refresh`, after a fork."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping, Set
from pathlib import Path

from poc_aug.cache.entries import check_entries
from poc_aug.cache.index_file import open_index
from poc_aug.cache.manifest import MANIFEST, Manifest
from poc_aug.cache.network_files import warn_on_network_files
from poc_aug.cache.shard import SHARDS, ShardState, check_shard, read_error, scan_shards
from poc_aug.errors import CacheFormatError, CacheMismatchError, CacheNotFoundError
from poc_aug.files.outputs import obstacle


def check_opening(path: Path, fingerprint: str | None) -> tuple[Manifest, dict[str, ShardState]]:
    """Check that there is a cache that can be read.

    Args:
        path: the ``NAME.cache`` directory, absolute.
        fingerprint: the fingerprint that the cache must have; ``None`` takes any.

    Returns:
        Its manifest, and the shards that hold records.

    Raises:
        CacheNotFoundError: there is none; the message lists the caches in the same folder.
        CacheFormatError: not a cache, of another schema version, half-written, or a truncated shard.
        CacheMismatchError: another fingerprint.
        CacheDiskError: it cannot be read.
    """
    try:
        checked = _checked(path, fingerprint)
    except OSError as error:
        raise read_error(path, error) from error
    warn_on_network_files(path, writes=False)
    return checked


def check_still_there(path: Path, opened: Manifest, shards: Set[str]) -> dict[str, ShardState]:
    """Check that a cache is still at its path, with all of the shards that it had.

    Args:
        path: the ``NAME.cache`` directory, absolute.
        opened: the manifest that it was opened with.
        shards: names of the shards that it had. There may be more by now; sealing keeps the name.

    Returns:
        All shards that hold records now.

    Raises:
        CacheNotFoundError: the cache, or one of its shards, is gone.
        CacheFormatError: its manifest is gone, or a shard was truncated.
        CacheMismatchError: another cache is in its place.
        CacheDiskError: it cannot be read.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CacheNotFoundError(
            f"the cache {str(path)!r} is gone: it was removed, renamed or unmounted after it was opened",
            expected="a cache that stays at its path for as long as it is read, in every process that reads it",
            hint="put it back, or create the dataset again with the path that it has now (Cache.open(path))",
        ) from None
    except OSError as error:
        raise read_error(path, error) from error
    manifest, current = check_opening(path, None)
    if (manifest.fingerprint, manifest.dataset) != (opened.fingerprint, opened.dataset):
        raise CacheMismatchError(
            f"another cache is at {str(path)!r} now: fingerprint {manifest.fingerprint}, dataset "
            f"{dict(manifest.dataset)}; the one that was opened there had {opened.fingerprint} and "
            f"{dict(opened.dataset)}",
            expected="a cache that stays at its path for as long as it is read",
            hint="put the first one back, or create the dataset again to read this one",
        )
    if gone := sorted(shards - current.keys()):
        raise CacheNotFoundError(
            f"{len(gone)} of the {len(shards)} shards that the cache {str(path)!r} had when it was opened are gone: "
            f"{', '.join(gone[:5])}",
            expected=f"all its files in {str(path / SHARDS)!r}",
            hint="put them back, or create the dataset again to read the rest; the same warm_cache command makes "
            "their records again",
        )
    return current


def _checked(path: Path, fingerprint: str | None) -> tuple[Manifest, dict[str, ShardState]]:
    if not path.exists():
        raise _not_found(path)
    if not path.is_dir():
        raise CacheFormatError(
            f"{str(path)!r} is a file of {path.stat().st_size} bytes",
            expected="a cache directory as warm_cache makes it",
            hint="pass the NAME.cache directory, not a file of it",
        )
    if os.path.lexists(path / MANIFEST):
        check_entries(path)  # it lists the shards: for glob, a folder that may not be read is empty
    manifest = Manifest.read(path)
    if fingerprint is not None and fingerprint != manifest.fingerprint:
        raise CacheMismatchError(
            f"cache {str(path)!r} was made with fingerprint {manifest.fingerprint}, asked for {fingerprint}",
            expected="the recipe and backends that the cache was made with",
            hint=f"compare with `poc-aug info {path}`, or make a cache of this recipe at another path",
        )
    states = scan_shards(path)
    known = _unchanged(path, states)
    # A writer that was killed while it created its shard leaves one without records, which the next one removes.
    is_used = {name: name in known or check_shard(path / SHARDS / name).transaction > 0 for name in states}
    return manifest, {name: state for name, state in states.items() if is_used[name]}


def _unchanged(path: Path, states: Mapping[str, ShardState]) -> Collection[str]:
    """Shards that are as long as when the index was made, and as old; they are checked again before they are mapped."""
    index = open_index(path)
    if index is None:
        return ()
    with index:
        return index.shards.unchanged(path, states)


def _not_found(path: Path) -> CacheNotFoundError:
    folder = path.parent
    if in_the_way := obstacle(path):
        return CacheNotFoundError(
            f"no cache at {str(path)!r}: {in_the_way}",
            expected="a cache directory as warm_cache makes it",
            hint="check the path; mount or restore the target of the link",
        )
    if not folder.is_dir():
        return CacheNotFoundError(
            f"no cache at {str(path)!r}: there is no folder {str(folder)!r}", hint="check the path"
        )
    # os.path, which does not raise for folders that may not be read (lost+found).
    names = sorted(entry.name for entry in folder.iterdir() if os.path.isfile(entry / MANIFEST))
    close = difflib.get_close_matches(path.name, names, n=1)
    others = f"the caches next to it are: {', '.join(names[:10])}" if names else "there is no cache next to it either"
    return CacheNotFoundError(
        f"no cache at {str(path)!r}; {others}",
        expected="a cache directory as warm_cache makes it",
        hint=(f"did you mean {str(folder / close[0])!r}? Otherwise m" if close else "m")
        + f"ake it with `poc-aug warm-cache ... --out {path}`",
    )
