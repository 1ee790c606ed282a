"""Verifying a cache with all of its recipes."""

from __future__ import annotations

import os
from collections.abc import Callable

from poc_aug.cache import Cache, Problem, VerifyReport
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.members import RECIPES, member_paths
from poc_aug.cache.shard import SHARDS, SUFFIX
from poc_aug.errors import CacheError


def verify_cache(cache: str | os.PathLike[str], on_progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Check a cache and its members (`poc_aug.cache.members`) with `Cache.verify`, in one report.

    Args:
        cache: the ``NAME.cache`` directory.
        on_progress: called with the number of records checked and their total, for one recipe after the other.

    Raises:
        CacheError: the cache itself cannot be opened; of a member, that is a problem of the report.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         verify_cache(writer.path).ok
        True
    """
    path = absolute_path(cache)
    with Cache.open(path, journal=False) as opened:
        report = opened.verify(on_progress)
    shards, records, nbytes = report.shards, report.records, report.nbytes
    problems, being_written = [*report.problems], [*report.being_written]
    for member in member_paths(path)[1:]:
        place = f"{RECIPES}/{member.name}"
        try:
            with Cache.open(member, journal=False) as opened:
                fingerprint = opened.manifest.fingerprint
                report = opened.verify(on_progress)
        except CacheError as error:
            problems.append(Problem(place, None, None, error.problem))
            continue
        if fingerprint != member.name:
            problems.append(Problem(place, None, None, f"the recipe in it has the fingerprint {fingerprint!r}"))
        shards, records, nbytes = shards + report.shards, records + report.records, nbytes + report.nbytes
        problems += [
            Problem(f"{place}/{_within(one.shard)}", one.key, one.variant, one.problem) for one in report.problems
        ]
        being_written += [f"{place}/{_within(name)}" for name in report.being_written]
    return VerifyReport(shards, records, nbytes, tuple(problems), tuple(being_written))


def _within(shard: str) -> str:
    return f"{SHARDS}/{shard}" if shard.endswith(SUFFIX) and "/" not in shard else shard
