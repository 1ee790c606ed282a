"""Uniting caches: those of one recipe as shards of one cache, those of others as its members; see `merge_caches`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import lmdb

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cache.beginning import remove_left_overs
from poc_aug.cache.cache_path import absolute_path, has_manifest
from poc_aug.cache.index_building import update_index
from poc_aug.cache.lock import directory_lock, is_locked
from poc_aug.cache.manifest import Manifest
from poc_aug.cache.members import member_path, member_paths
from poc_aug.cache.record import split_record
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.registry import Environment
from poc_aug.cache.shard import SHARDS
from poc_aug.cache.shard_names import is_unique
from poc_aug.cache.verify import listed_name
from poc_aug.errors import CacheDatasetMismatchError, CacheMismatchError, SettingError
from poc_aug.items.image_digest import DIGEST_BYTES, describe, matches
from poc_aug.upkeep.journal_union import unite_journals
from poc_aug.upkeep.new_shard import new_shard
from poc_aug.upkeep.shard_records import (
    damaged,
    disk_errors,
    filled_shards,
    names_by_shard,
    opened_shards,
    same_content,
    says_less,
    stored_record,
)

OnMerged = Callable[[int, int], None]
"""Called with the number of shards done and their total."""


@dataclass
class MergeReport:
    """What `merge_caches` did.

    Attributes:
        recipes: recipes of the caches that were read.
        shards: shards that were copied, whole or without what was there already.
        records: records that were added.
        doubles: records that were there already.
        decisions: files of journals that were added.
        being_written: shards that were left out, since a process writes them; merge again once it has ended.
    """

    recipes: int = 0
    shards: int = 0
    records: int = 0
    doubles: int = 0
    decisions: int = 0
    being_written: tuple[str, ...] = ()


@dataclass
class _Group:
    """Everything of one recipe.

    Attributes:
        manifest: of the result.
        target: where it is to be.
        origin: where the manifest is from.
        sources: caches, or members, that hold some of it, besides ``target`` itself.
    """

    manifest: Manifest
    target: Path
    origin: Path
    sources: list[Path] = field(default_factory=list)


@dataclass
class _Copy:
    """One shard to be copied: whole, or only these records."""

    path: Path
    group: _Group
    names: list[bytes] | None = None


def merge_caches(
    caches: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    on_progress: OnMerged | None = None,
) -> MergeReport:
    """Unite caches of one dataset in one cache; the caches themselves stay as they are.

    Caches of one recipe become one, without the records that several hold. Those of other recipes become members
    (`poc_aug.cache.members`). Journals are united. Shards that a process writes are left out, and so are pictures of
    rejected attempts. All checks come before anything is written. Shards are added one at a time, whole: the same call
    continues a merge that was killed.

    Args:
        caches: ``NAME.cache`` directories; the recipe of the first is that of a new ``out``.
        out: the cache to write; one that exists is continued, and may be one of ``caches``.
        dry_run: only check and count.
        on_progress: called with the number of shards done and their total, first of the checks, then of the copies.

    Returns:
        What was added.

    Raises:
        SettingError: no cache.
        CacheMismatchError: caches of one recipe have different codecs, or some hold frames, and others insertions; or
            one is a compacted copy of another.
        CacheDatasetMismatchError: they are of different datasets, or hold different images under one key.
        CacheCorruptError: two hold different content under one name, or a damaged record.
        CacheDiskError: the disk is full; what was added remains.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("a", "b"):
        ...         with CacheWriter(f"{folder}/{name}.cache", Manifest.create({}, {}, {})) as writer:
        ...             _ = writer.put(Variant(name, 0, digest=b"", insertions=()))
        ...     report = merge_caches([f"{folder}/a.cache", f"{folder}/b.cache"], f"{folder}/c.cache")
        ...     report.records, Cache.open(f"{folder}/c.cache").keys()
        (2, ['a', 'b'])
    """
    target = absolute_path(out)
    sources = [absolute_path(cache) for cache in caches]
    if not sources:
        raise SettingError("there is no cache to merge", expected="at least one", hint="name the caches")
    groups = _groups(sources, target)
    report = MergeReport(recipes=len(groups))
    copies = _checked(groups, report, on_progress)
    if dry_run:
        report.shards = len(copies)
        return report
    for group in groups:
        CacheWriter.create(group.target, group.manifest)
        remove_left_overs(group.target)
    for number, copy in enumerate(copies, start=1):
        _add(copy)
        report.shards += 1
        if on_progress is not None:
            on_progress(number, len(copies))
    for group in groups:
        for source in group.sources:
            report.decisions += unite_journals(source, group.target)
        _count_samples(group)
        update_index(group.target)
    return report


def _groups(sources: Sequence[Path], target: Path) -> list[_Group]:
    """What is to be where, after the manifests were compared."""
    groups: dict[str, _Group] = {}
    first: tuple[Path, Manifest] | None = None
    found = [target] if has_manifest(target) else []
    for source in [*found, *(source for source in sources if not _same(source, target))]:
        Cache.open(source, journal=False).close()  # before its recipes are looked for: it may be none, or hold links
        for path in member_paths(source):
            with Cache.open(path, journal=False) as cache:
                manifest = cache.manifest
            first = first or (path, manifest)
            _check_kin(*first, path, manifest)
            name = manifest.fingerprint
            if name not in groups:
                place = target if not groups else member_path(target, name)
                groups[name] = _Group(manifest, path if source == target else place, path)
            group = groups[name]
            _check_same_recipe(group, manifest, path)
            samples = [one.samples for one in (group.manifest, manifest) if one.samples is not None]
            group.manifest = replace(group.manifest, samples=max(samples, default=None))
            if not any(_same(path, known) for known in (group.target, *group.sources)):
                group.sources.append(path)
    return list(groups.values())


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _check_kin(first: Path, known: Manifest, path: Path, manifest: Manifest) -> None:
    """Check that two caches are of one kind and dataset."""
    if manifest.kind != known.kind:
        raise CacheMismatchError(
            f"{str(path)!r} holds {manifest.kind}, and {str(first)!r} holds {known.kind}",
            expected="caches of one kind",
            hint="merge the caches of frames by themselves",
        )
    if dict(manifest.dataset) != dict(known.dataset):
        raise CacheDatasetMismatchError(
            f"{str(path)!r} was made from {dict(manifest.dataset)}, and {str(first)!r} from {dict(known.dataset)}",
            expected="caches of one dataset",
            hint="merge the caches of each dataset by themselves",
        )


def _check_same_recipe(group: _Group, manifest: Manifest, path: Path) -> None:
    """Check what a cache of one fingerprint may have of its own."""
    known = group.manifest
    if manifest.codec != known.codec:
        raise CacheMismatchError(
            f"{str(path)!r} stores pictures as {manifest.codec!r}, and {str(group.origin)!r} as {known.codec!r}, of "
            f"one recipe ({known.fingerprint})",
            expected="one codec for each recipe",
            hint="leave one of them out, or read both: POCAugmentedDataset(base, [a, b])",
            command="leave one of them out, or make it again with the other's --codec",
        )
    if (manifest.recipe, manifest.backends) != (known.recipe, known.backends):
        raise CacheMismatchError(
            f"the manifests of {str(path)!r} and {str(group.origin)!r} name one fingerprint, {known.fingerprint}, and "
            "different recipes",
            expected="a fingerprint that is the hash of the recipe",
            hint="check both with `poc-aug verify`: one of the manifests was changed",
        )


def _checked(groups: Sequence[_Group], report: MergeReport, on_progress: OnMerged | None) -> list[_Copy]:
    """The shards to copy, after their records were compared."""
    shards = {path: _sealed(path, report) for group in groups for path in (group.target, *group.sources)}
    total, done = sum(map(len, shards.values())), 0
    copies: list[_Copy] = []
    images = _Images()
    for group in groups:
        holders: dict[bytes, Environment] = {}
        everything = [(source, path) for source in (group.target, *group.sources) for path in shards[source]]
        with opened_shards([path for _, path in everything]) as opened:
            for (source, path), shard in zip(everything, opened, strict=True):
                new, doubles = _new_names(shard, holders, images, group.manifest.kind == "frames")
                if source != group.target and new:
                    copies.append(_Copy(path, group, new if doubles else None))
                    report.records += len(new)
                report.doubles += doubles if source != group.target else 0
                done += 1
                if on_progress is not None:
                    on_progress(done, total)
    return copies


def _sealed(cache: Path, report: MergeReport) -> list[Path]:
    if not has_manifest(cache):
        return []
    sealed = []
    for path in filled_shards(cache):
        if is_locked(path.with_suffix(".lock")):
            report.being_written += (str(path),)
        else:
            sealed.append(path)
    return sealed


class _Images:
    """Digests of the base images that were seen, by the keys of their samples, and where."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[Path, bytes]] = {}

    def check(self, sample: str, shard: Environment, name: bytes) -> None:
        """Compare a record's digest with that of another cache; one record per sample and cache is looked at."""
        cache = shard.path.parent.parent
        known = self.seen.get(sample)
        if known is not None and known[0] == cache:
            return
        try:
            digest = bytes.fromhex(split_record(stored_record(shard, name))[0]["digest"])
        except RecordError as error:
            raise damaged(shard.path, f"holds a damaged record: {error}") from error
        if len(digest) != DIGEST_BYTES:
            return  # a record without an insertion need not have one
        if known is not None and not matches(known[1], digest):
            raise CacheDatasetMismatchError(
                f"sample {sample!r} is {describe(known[1])} in {str(known[0])!r}, and {describe(digest)} in "
                f"{str(cache)!r}",
                expected="caches of one dataset, whose samples have the same keys",
                hint="leave one of them out: their keys name different images",
            )
        self.seen[sample] = cache, digest


def _new_names(
    shard: Environment, holders: dict[bytes, Environment], images: _Images, frames: bool
) -> tuple[list[bytes], int]:
    """Names that no shard before this one holds, and how many others it has, whose content was compared."""
    new: list[bytes] = []
    doubles = 0
    for name, _ in names_by_shard([shard]):
        try:
            key, index = listed_name(shard, name)
        except (RecordError, lmdb.Error) as error:
            raise damaged(shard.path, f"holds a damaged record: {error}") from error
        images.check(key.rpartition("@")[0] if frames else key, shard, name)
        holder = holders.setdefault(name, shard)
        if holder is shard:
            new.append(name)
            continue
        doubles += 1
        one, other = stored_record(holder, name), stored_record(shard, name)
        try:
            if not same_content(one, other):
                raise _different(key, index, {holder.path: one, shard.path: other})
            if says_less(one, other):
                raise _without_licences(key, index, holder.path.parent.parent, shard.path.parent.parent)
        except RecordError as error:
            raise damaged(shard.path, f"holds a damaged record: {error}") from error
    return new, doubles


def _without_licences(key: str, index: int, kept: Path, other: Path) -> CacheMismatchError:
    """The error if the record that would be kept, of two equal ones, is the one that says less."""
    return CacheMismatchError(
        f"{str(kept)!r} does not say under which licence the pictures of variant {index} of {key!r} are, and "
        f"{str(other)!r} does",
        expected="the cache first whose records say more: of equal records, the first is kept",
        hint=f"name {str(other)!r} before {str(kept)!r}, and merge into a new cache",
    )


def _different(key: str, index: int, records: Mapping[Path, bytes]) -> CacheMismatchError:
    """The error for two records of one name, by the paths of their shards."""
    (first, more), (second, less) = sorted(records.items(), key=lambda record: _cut_out_of(record[1]))
    if _cut_out_of(more) < _cut_out_of(less):
        original, copy = (str(path.parent.parent) for path in (first, second))
        return CacheMismatchError(
            f"{copy!r} lacks what was dropped of variant {index} of {key!r}, and {original!r} holds it: one was "
            "compacted or packed, and the other not, or at another time",
            expected="a cache, or its copy without what was dropped, not both",
            hint=f"leave out {copy!r}: the journal of the cache that it was made of leaves out the same; or compact "
            f"{original!r}, too, and merge what comes out",
        )
    return CacheMismatchError(
        f"{str(first)!r} and {str(second)!r} hold different content under variant {index} of {key!r}",
        expected="equal records under one name: one recipe makes the same ones on every machine",
        hint="check both with `poc-aug verify`; leave one of the caches out",
    )


def _cut_out_of(record: bytes) -> int:
    """How many insertions, or frames, a copy without what was dropped lacks of a variant."""
    return sum(reason == "dropped" for reason, *_ in split_record(record)[0]["rejections"])


def _add(copy: _Copy) -> None:
    """Add one shard to its cache."""
    name = copy.path.stem
    keeps_name = copy.names is None and is_unique(name) and not (copy.group.target / SHARDS / copy.path.name).exists()
    with new_shard(copy.group.target, "merged", name if keeps_name else None) as place:
        if copy.names is not None:
            with opened_shards([copy.path]) as (shard,):
                place.build((name, stored_record(shard, name)) for name in copy.names)
            return
        with disk_errors(place.hidden):
            with copy.path.open("rb") as source, place.hidden.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
        place.publish()


def _count_samples(group: _Group) -> None:
    """State in the manifest how many samples the dataset has, as far as the caches say."""
    with Cache.open(group.target, journal=False) as cache:
        held = cache.samples
    stated = group.manifest.samples
    manifest = replace(group.manifest, samples=None if stated is None else max(stated, held))
    with disk_errors(group.target), directory_lock(group.target):
        stored = Manifest.read(group.target)
        if stored.samples != manifest.samples:
            replace(stored, samples=manifest.samples).write(group.target)
