"""Setting aside what is damaged in a cache, so that the same warm_cache fills the holes: see `repair`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import lmdb

from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.entries import SET_ASIDE, unknown_entries, wrong_entries
from poc_aug.cache.index_building import update_index
from poc_aug.cache.index_file import INDEX
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import JOURNAL, JOURNAL_SUFFIX, journal_lines, journal_paths
from poc_aug.cache.lock import directory_lock
from poc_aug.cache.manifest import MANIFEST, TEMPORARY_MANIFEST, Manifest, fsync_directory
from poc_aug.cache.members import RECIPES, member_paths
from poc_aug.cache.opening import check_opening
from poc_aug.cache.record import record_hash, record_name
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.record_keys import decode_key
from poc_aug.cache.shard import COMPACT_SUFFIX, SHARDS, check_shard, shard_paths, structure_problems
from poc_aug.cache.verify import check_stored, index_problems, listed_name, lmdb_keys
from poc_aug.errors import CacheFormatError, CacheNotFoundError
from poc_aug.files.stray_files import is_stray
from poc_aug.upkeep.compacting import check_not_written
from poc_aug.upkeep.new_shard import new_shard
from poc_aug.upkeep.page_salvage import salvaged
from poc_aug.upkeep.shard_records import disk_errors, opened_shards


@dataclass(frozen=True)
class SetAside:
    """One file or folder that was set aside.

    Attributes:
        path: where it was, within the cache.
        reason: what is wrong with it.
        kept: sound records, or lines, of it that the cache keeps in a new file.
        lost: records that were damaged, as far as their number is known; warm_cache makes them again.
    """

    path: str
    reason: str
    kept: int = 0
    lost: int | None = None


@dataclass
class RepairReport:
    """What `repair` did.

    Attributes:
        set_aside: what was taken out of the cache.
        folder: where it is now, within the cache; empty if nothing was damaged.
    """

    set_aside: list[SetAside] = field(default_factory=list)
    folder: str = ""

    @property
    def kept(self) -> int:
        """Sound records that were moved to new shards."""
        return sum(one.kept for one in self.set_aside if SHARDS in Path(one.path).parts)


def repair(
    cache: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> RepairReport:
    """Set aside what `poc_aug.upkeep.verify_cache` finds damaged; nothing is deleted.

    A shard with damaged records is moved to the cache's folder ``set-aside``, its sound records to a new shard. A shard
    whose page tree is damaged, or that was cut off, is read page by page without LMDB. What does not belong into the
    cache is moved, too, and so is a file of the journal with a damaged line, whose other lines are kept. Afterwards the
    same ``warm_cache`` makes what is missing, with equal content.

    It may be killed at any moment: a new shard appears before the damaged one is moved, and what was moved stays so.

    Args:
        cache: the ``NAME.cache`` directory.
        dry_run: only say what would be done.
        on_progress: called with the number of shards done and their total.

    Returns:
        What was set aside.

    Raises:
        CacheNotFoundError: there is no cache.
        CacheFormatError: its manifest is missing or cannot be read: without it no record can be checked.
        CacheBusyError: a process fills the cache.
        CacheDiskError: the disk is full or cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = (writer.path / "shards" / "notes.txt").write_text("not ours")
        ...     [(one.path, one.reason) for one in repair(writer.path).set_aside]
        [('shards/notes.txt', 'a file, which is no shard of a cache')]
    """
    path = absolute_path(cache)
    if not path.is_dir():
        check_opening(path, None)
        raise CacheNotFoundError(f"no cache at {str(path)!r}", hint="check the path")
    started = datetime.now(UTC)
    folder = f"{SET_ASIDE}/{started:%Y%m%dT%H%M%S}{started.microsecond // 1000:03d}-{os.getpid()}"
    report = RepairReport()
    with disk_errors(path):
        _Repair(path, "", folder, dry_run, report, on_progress).run()
        recipes = path / RECIPES
        for name in sorted(os.listdir(recipes)) if recipes.is_dir() and not recipes.is_symlink() else []:
            member = recipes / name
            if is_stray(name) or member.is_symlink() or not (member / MANIFEST).exists():
                continue
            try:
                Manifest.read(member)
            except CacheFormatError as error:
                _Repair(path, "", folder, dry_run, report, None).move(f"{RECIPES}/{name}", error.problem)
                continue
            _Repair(member, f"{RECIPES}/{name}/", folder, dry_run, report, on_progress).run()
    if not dry_run:
        for member in member_paths(path):
            update_index(member)
    report.folder = folder if report.set_aside else ""
    return report


class _Repair:
    """The repair of a cache, or of one of its members."""

    def __init__(
        self,
        cache: Path,
        prefix: str,
        folder: str,
        dry_run: bool,
        report: RepairReport,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.cache, self.prefix, self.aside = cache, prefix, cache / folder
        self.dry_run, self.report, self.on_progress = dry_run, report, on_progress
        self.manifest = Manifest.read(cache)
        self.gone: set[str] = set()  # what was set aside; in a dry run it is still there
        self.held: set[bytes] = set()  # names that undamaged shards hold, and new ones

    def run(self) -> None:
        """Set aside whatever is damaged."""
        # Whoever begins to write the cache waits for the folder's lock; whoever writes it has locked a shard.
        with nullcontext() if self.dry_run else directory_lock(self.cache):
            check_not_written(self.cache, "repaired")
            self._entries()
            if not self._is_gone(SHARDS):
                self._left_overs()
                self._shards()
                self._index()
            self._journal()

    def _index(self) -> None:
        """Set the index aside if it does not say what the shards hold; it is made again from them."""
        if problems := index_problems(self.cache):
            self.move(INDEX, problems[0])

    def move(self, name: str, reason: str, kept: int = 0, lost: int | None = None) -> None:
        """Set one entry aside."""
        self.report.set_aside.append(SetAside(self.prefix + name, reason, kept, lost))
        self.gone.add(name)
        if self.dry_run:
            return
        source, target = self.cache / name, self.aside / name
        if name == SET_ASIDE:  # something else in the place of that folder
            source = self.cache / f".{SET_ASIDE}.moved"
            os.rename(self.cache / name, source)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
        for folder in (target.parent, (self.cache / name).parent):
            fsync_directory(folder)

    def _entries(self) -> None:
        wrong = list(wrong_entries(self.cache, rejected=True))
        for name, kind in sorted(wrong, reverse=True):
            if name == MANIFEST:
                Manifest.read(self.cache)  # raises
            self.move(name, kind)
        if not self.dry_run:
            (self.cache / SHARDS).mkdir(exist_ok=True)
        if self._is_gone(SHARDS):
            return
        for name, kind in unknown_entries(self.cache):
            if name != SHARDS and not self._is_gone(name):
                self.move(name, kind)

    def _is_gone(self, name: str) -> bool:
        """Whether an entry, or the folder that it is in, is set aside in a dry run, and so still there."""
        return self.dry_run and (name in self.gone or name.partition("/")[0] in self.gone)

    def _left_overs(self) -> None:
        for path in sorted(self.cache.glob(f"{TEMPORARY_MANIFEST}*")):
            self.move(path.name, "a manifest that was not completed")
        for path in sorted((self.cache / SHARDS).glob(f".*{COMPACT_SUFFIX}*")):
            self.move(f"{SHARDS}/{path.name}", "a shard that was not completed")

    def _shards(self) -> None:
        paths = [path for path in shard_paths(self.cache) if not self._is_gone(f"{SHARDS}/{path.name}")]
        bad: list[tuple[Path, str, dict[bytes, bytes], int | None]] = []
        seen: dict[bytes, bytes] = {}  # the hash of what the first shard holds under a name
        for number, path in enumerate(paths, start=1):
            reason, sound, lost = self._examined(path, seen)
            if reason:
                bad.append((path, reason, sound, lost))
            else:
                self.held |= sound.keys()
            if self.on_progress is not None:
                self.on_progress(number, len(paths))
        for path, reason, sound, lost in bad:
            kept = self._keep(path, sound, lost)
            self.move(f"{SHARDS}/{path.name}", reason, kept, lost)
            lock_file = f"{SHARDS}/{path.name}-lock"
            if os.path.lexists(self.cache / lock_file) and not self.dry_run:
                (self.cache / lock_file).unlink()  # LMDB's own, of no content

    def _examined(self, path: Path, seen: dict[bytes, bytes]) -> tuple[str, dict[bytes, bytes], int | None]:
        """What is wrong with a shard, or ""; names and hashes of its sound records; how many are not."""
        try:
            meta = check_shard(path)
            faults = structure_problems(path) if meta.transaction else []
        except CacheFormatError as error:
            faults = [error.problem]
        if faults:
            return faults[0], {}, None
        sound: dict[bytes, bytes] = {}
        problems: list[str] = []
        if not meta.transaction:
            return "", {}, None
        with opened_shards([path]) as (shard,):
            try:
                for name in lmdb_keys(shard):
                    try:
                        key, index = listed_name(shard, name)
                        data = shard.record(name) or b""
                        check_stored(name, key, index, data, self.manifest)
                        digest = record_hash(data)
                        if seen.setdefault(name, digest) != digest:
                            raise RecordError("another shard holds other content under this name")
                        sound[name] = digest
                    except (RecordError, lmdb.Error) as error:
                        problems.append(f"{_shown(name)}: {error}")
            except (RecordError, lmdb.Error) as error:  # cannot be listed
                return str(error), {}, None
        if not problems:
            return "", sound, None
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return problems[0] + more, sound, len(problems)

    def _keep(self, path: Path, sound: dict[bytes, bytes], lost: int | None) -> int:
        """Store the sound records of a damaged shard in a new one, but for those that other shards hold."""
        records = self._salvaged(path) if lost is None else self._listed(path, sound)
        if self.dry_run:
            return sum(1 for _ in records)
        with new_shard(self.cache, "repaired") as place:
            return place.build(records)

    def _listed(self, path: Path, sound: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
        with opened_shards([path]) as (shard,):
            for name in sound.keys() - self.held:
                data = shard.record(name)
                assert data is not None  # it was read before
                self.held.add(name)
                yield name, data

    def _salvaged(self, path: Path) -> Iterator[tuple[bytes, bytes]]:
        for name, data in salvaged(path):
            if name in self.held:
                continue
            try:
                check_stored(name, *record_name(data), data, self.manifest)
            except RecordError:
                continue  # another copy of it may be sound
            self.held.add(name)
            yield name, data

    def _journal(self) -> None:
        for path in [] if self._is_gone(JOURNAL) else journal_paths(self.cache):
            name = f"{JOURNAL}/{path.name}"
            if self._is_gone(name):
                continue
            try:
                lines = journal_lines(path)
            except CacheFormatError as error:
                self.move(name, error.problem)
                continue
            problems = {number: problem for number, line in enumerate(lines, 1) if (problem := _damage(line))}
            if not problems:
                continue
            sound = [line for number, line in enumerate(lines, 1) if number not in problems]
            if sound and not self.dry_run:
                self._new_journal(path, sound)
            number, problem = next(iter(problems.items()))
            self.move(name, f"line {number} is damaged: {problem}", len(sound), len(problems))

    def _new_journal(self, path: Path, lines: list[bytes]) -> None:
        number = 1
        while (target := path.with_name(f"{path.stem}-repaired{number}{JOURNAL_SUFFIX}")).exists():
            number += 1
        hidden = target.with_name(f".{target.name}")
        with hidden.open("wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, target)
        fsync_directory(target.parent)


def _damage(line: bytes) -> str:
    try:
        JournalEntry.parse(line)
    except LookupError:
        return ""  # a newer version reads it
    except ValueError as error:
        return str(error)
    return ""


def _shown(name: bytes) -> str:
    try:
        key, index = decode_key(name)
    except ValueError:
        return f"a record named {name[:40]!r}"
    return f"a record named {name[:40]!r}" if key is None else f"variant {index} of {key[:200]!r}"
