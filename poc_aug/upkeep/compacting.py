"""A cache without what its journal leaves out, in few shards: see `compact_cache`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.entries import REJECTED, check_entries
from poc_aug.cache.index_building import update_index
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_remaining import RemainingDecisions
from poc_aug.cache.journal_writing import write_journal
from poc_aug.cache.lock import is_locked
from poc_aug.cache.manifest import Manifest, fsync_directory
from poc_aug.cache.members import member_path, member_paths
from poc_aug.cache.record import split_record
from poc_aug.cache.record_cutting import cut_record
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.registry import Environment
from poc_aug.cache.selection import things_in_header
from poc_aug.cache.shard import SHARDS, SUFFIX
from poc_aug.cache.shard_names import unique_name
from poc_aug.errors import CacheBusyError, CacheMissError, OutputError
from poc_aug.files.outputs import check_outside_cache
from poc_aug.upkeep.shard_records import (
    build_shard,
    damaged,
    disk_errors,
    filled_shards,
    names_by_shard,
    opened_shards,
    same_content,
    says_less,
    stored_record,
)
from poc_aug.upkeep.unfinished import unfinished_folder

_RECORDS_PER_SHARD = 200_000


@dataclass
class CompactReport:
    """What `compact_cache` wrote.

    Attributes:
        records: records of the new cache.
        shards: its shards.
        cut: records of which something was left out.
        dropped: insertions, or frames, that were left out.
        decisions: decisions that the new cache's journal has.
        doubles: records that were stored more than once.
        recipes: recipes of the new cache.
        dropped_recipes: fingerprints of the recipes that were left out.
        nbytes_before: bytes of the cache.
        nbytes: bytes of the new one.
    """

    records: int = 0
    shards: int = 0
    cut: int = 0
    dropped: int = 0
    decisions: int = 0
    doubles: int = 0
    recipes: int = 0
    dropped_recipes: tuple[str, ...] = ()
    nbytes_before: int = 0
    nbytes: int = 0


def compact_cache(
    cache: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> CompactReport:
    """Write a cache without what the journal of ``cache`` leaves out, which stays as it is.

    The new cache reads as the old one. It has few shards and no record twice, and of the journal what was accepted,
    relabelled and skipped, by whom and when. What was dropped of a variant remains in it as a rejection with the reason
    "dropped", so the same ``warm_cache`` does not make it again. What was dropped of a class, or of a sample, is left
    out of what is stored later, too; recipes that were dropped as a whole are left out. The new cache appears when it
    is complete: of a run that was killed, a hidden folder remains next to it, which the next run replaces.

    Args:
        cache: the ``NAME.cache`` directory.
        out: path of the new one.
        on_progress: called with the number of records done and their total.

    Raises:
        OutputError: there is something at ``out``.
        CacheBusyError: a process fills the cache, or another one compacts to the same path.
        CacheMissError: every recipe was dropped.
        CacheCorruptError: a damaged record, or two different ones of one name.
        CacheDiskError: the disk is full; the cache stays as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     compact_cache(f"{folder}/a.cache", f"{folder}/b.cache").records
        1
    """
    source, target = absolute_path(cache), absolute_path(out)
    Cache.open(source).close()
    _check_target(target)
    report = CompactReport()
    kept: list[Path] = []
    for member in member_paths(source):
        check_not_written(member, "compacted")
        with Cache.open(member) as opened:
            manifest = opened.manifest
        if is_recipe_dropped(Journal.read(member, manifest.fingerprint)):
            report.dropped_recipes += (manifest.fingerprint,)
        else:
            kept.append(member)
    if not kept:
        raise CacheMissError(
            f"every recipe of cache {str(source)!r} was dropped: nothing would be left",
            expected="something to keep",
            hint=f"take one in again with `poc-aug drop {source} --recipe ... --restore`, or delete the cache",
        )
    with unfinished_folder(target) as folder:
        counted = _Counting(on_progress, sum(_length(member) for member in kept))
        for number, member in enumerate(kept):
            # The first one is the new cache itself, also if its own first recipe was dropped.
            inside = folder if number == 0 else member_path(folder, Manifest.read(member).fingerprint)
            _compact_member(member, inside, report, counted)
        with disk_errors(target):
            os.rename(folder, target)
            fsync_directory(target.parent)
    for member in member_paths(target):
        update_index(member)
    return report


def check_not_written(cache: Path, done: str) -> None:
    """Check that no process fills a cache now.

    Args:
        cache: the ``NAME.cache`` directory, or a member's.
        done: what cannot be done to it meanwhile: "repaired".

    Raises:
        CacheBusyError: one does.
    """
    for lock in sorted((cache / SHARDS).glob("*.lock")):
        if is_locked(lock):
            raise CacheBusyError(
                f"cache {str(cache)!r} cannot be {done}: a process writes its shard {lock.stem!r}",
                expected="a cache that no process fills",
                hint="wait for that process, or stop it",
            )


class _Counting:
    def __init__(self, on_progress: Callable[[int, int], None] | None, total: int) -> None:
        self.on_progress, self.total, self.done = on_progress, total, 0

    def add(self) -> None:
        self.done += 1
        if self.on_progress is not None:
            self.on_progress(self.done, max(self.done, self.total))


def _check_target(target: Path) -> None:
    check_outside_cache(target.parent)
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise OutputError(
            f"cannot write {str(target)!r}: it exists",
            expected="a path for a new cache",
            hint="give another path",
        )


def is_recipe_dropped(journal: Journal) -> bool:
    """Whether a recipe was dropped as a whole, and nothing of it taken in again.

    Example:
        >>> is_recipe_dropped(Journal([]))
        False
    """
    dropped = False
    for entry in journal.counting:
        if entry.op in ("restore", "accept"):
            dropped = False
        elif entry.op == "drop" and entry.where.to_dict().keys() <= {"recipe"}:
            dropped = True
    return dropped


def _length(member: Path) -> int:
    with Cache.open(member, journal=False) as cache:
        return len(cache)


def _compact_member(member: Path, inside: Path, report: CompactReport, counted: _Counting) -> None:
    manifest = Manifest.read(member)
    journal = Journal.read(member, manifest.fingerprint)
    paths = filled_shards(member)
    with disk_errors(inside):
        (inside / SHARDS).mkdir(parents=True)
    with opened_shards(paths) as shards:
        remaining = RemainingDecisions(journal, standing=True)
        records = _records(shards, journal, remaining, report, counted)
        while (first := next(records, None)) is not None:
            file = inside / SHARDS / f"{unique_name(inside, 'compact')}{SUFFIX}"
            report.records += build_shard(file, chain([first], islice(records, _RECORDS_PER_SHARD - 1)))
            report.shards += 1
            report.nbytes += file.stat().st_size
    report.nbytes_before += sum(path.stat().st_size for path in paths)
    decisions = remaining.entries(manifest.fingerprint)
    report.decisions += len(decisions)
    with disk_errors(inside):
        write_journal(inside, "compact", decisions)
        if (member / REJECTED).is_dir():
            check_entries(member, rejected=True)
            shutil.copytree(member / REJECTED, inside / REJECTED)
        manifest.write(inside)
    report.recipes += 1


def _records(
    shards: list[Environment],
    journal: Journal,
    remaining: RemainingDecisions,
    report: CompactReport,
    counted: _Counting,
) -> Iterator[tuple[bytes, bytes]]:
    for name, holders in names_by_shard(shards):
        data = stored_record(holders[0], name)
        try:
            for other in holders[1:]:
                again = stored_record(other, name)
                if not same_content(data, again):
                    raise damaged(other.path, f"holds other content than {holders[0].path.name!r} under {name[:60]!r}")
                data = again if says_less(data, again) else data
            cut = cut_record(data, journal)
            if remaining:
                things = things_in_header(split_record(data)[0])
                remaining.add(things, journal.dropped(things))
        except RecordError as error:
            raise damaged(holders[0].path, f"holds a damaged record: {error}") from error
        report.doubles += len(holders) - 1
        if cut is not data:
            report.cut += 1
            report.dropped += _things_in(data) - _things_in(cut)
        counted.add()
        yield name, cut


def _things_in(data: bytes) -> int:
    header = split_record(data)[0]
    return len(header["insertions"]) + ("frame" in header)
