"""Decisions about many insertions at once: leave them out, take them in again, accept or relabel them; see `drop`."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry, JournalOp, check_relabel
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.manifest import Manifest
from poc_aug.cache.members import member_of, member_paths
from poc_aug.cache.record import split_record
from poc_aug.cache.record_header import RecordError
from poc_aug.cache.review_state import ReviewState, review_state
from poc_aug.cache.selection import Selection, StoredThings, things_in_header
from poc_aug.errors import CacheCorruptError, CacheMissError, SettingError

_MOST_NAMES = 20


@dataclass
class DropReport:
    """What a decision changes, within what it selects.

    Attributes:
        recipes: number of recipes in which something is selected.
        insertions: insertions, or frames, that are selected.
        variants: variants that they are in.
        kept_before: how many of the insertions were kept before.
        kept_after: how many are kept from now on.
        empty_before: how many of the variants had nothing left before.
        empty_after: how many have nothing left from now on.
        frames: the cache holds frames.
        changed: insertions about which something else holds from now on.
        stored_as: stored names of what was relabelled to the class, and is not selected by its new name.
    """

    recipes: int = 0
    insertions: int = 0
    variants: int = 0
    kept_before: int = 0
    kept_after: int = 0
    empty_before: int = 0
    empty_after: int = 0
    frames: bool = False
    changed: int = 0
    stored_as: frozenset[str] = frozenset()


def drop(
    cache: str | os.PathLike[str],
    *,
    class_name: str | None = None,
    key: str | None = None,
    variant: int | None = None,
    insertion: int | None = None,
    recipe: str | None = None,
    restore: bool = False,
    accept: bool = False,
    relabel: str | None = None,
    part: str | None = None,
    by: str = "",
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> DropReport:
    """Leave out insertions that fit everything given, or take them in again, accept or relabel them.

    No record is changed. It also holds for insertions of these recipes that are stored later if they fit. A decision
    that would change nothing, now or later, is not written. If the cache holds several recipes, ``variant`` is its
    number in its own recipe, whereas datasets, previews and exports count those of all recipes: give ``recipe``, too.

    Args:
        cache: the ``NAME.cache`` directory.
        class_name: name of the object or of one of its parts; in a cache of frames, the domain.
        key: key of the sample, or a pattern: ``*`` is any text, ``?`` any character, ``[ab]`` one of them. A key that
            the cache holds is never taken as a pattern.
        variant: number of the variant.
        insertion: number of the insertion in its stored variant, from 0.
        recipe: fingerprint of the recipe, or its first characters; ``None``: all recipes of the cache.
        restore: take in again instead.
        accept: note that somebody looked at them and keeps them instead; what was dropped of them is taken in again.
        relabel: give them this class name instead; whether they are left out stays as it is. A label policy then needs
            an id for it.
        part: name of the part that is relabelled, as it is stored, of objects that have several.
        by: name of whoever decides.
        dry_run: only count.
        on_progress: called with the number of records looked at and their total.

    Returns:
        What changes.

    Raises:
        SettingError: nothing is given, or a value out of its range; frames are relabelled, or an object of several
            parts without ``part``.
        CacheMissError: nothing fits; lists what there is.
        CacheError: the cache cannot be read.
        CacheDiskError: its journal cannot be written.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, Recipe, RenderedInserter, SyntheticStreet, warm_cache
        >>> pipeline = InsertionPipeline(Recipe(objects=("barrel",)), RenderedInserter())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = warm_cache(SyntheticStreet(size=(64, 128), length=2), f"{folder}/a.cache", pipeline, workers=0)
        ...     report = drop(f"{folder}/a.cache", class_name="barrel")
        ...     report.kept_before == report.insertions, report.kept_after
        (True, 0)
    """
    path = absolute_path(cache)
    if all(value is None for value in (class_name, key, variant, insertion, recipe)):
        raise SettingError(
            "nothing says what to drop",
            expected="a class, a key, a variant, an insertion or a recipe",
            hint="pass class_name=, key=, variant=, insertion= or recipe=",
            command="--class, --key, --variant, --insertion or --recipe",
        )
    decision = _Decision.of(restore, accept, relabel, part, by)
    where = Selection(class_name=class_name, key=key, variant=variant, insertion=insertion)
    try:
        Selection.from_dict(where.to_dict())
    except ValueError as error:
        raise SettingError(f"no insertion can be selected so: {error}", expected="values that a cache holds") from error
    Cache.open(path).close()  # whatever is wrong with it
    members = member_paths(path) if recipe is None else [_member(path, recipe)]
    found = _Found()
    report = DropReport()
    chosen: list[tuple[Path, Selection]] = []
    others: list[tuple[Path, Selection]] = []
    adds = False
    for member in members:
        with Cache.open(member) as opened:
            own = _exact_or_pattern(replace(where, recipe=opened.manifest.fingerprint), opened)
            report.frames = opened.manifest.kind == "frames"
            own_adds = decision.adds_to(opened.journal, own)
            adds = own_adds or adds
            if _count(opened, own, decision, report, found, on_progress) or (own_adds and decision.takes_in):
                chosen.append((member, own))
            else:
                others.append((member, own))
    if not chosen:
        raise _nothing(path, where, found, report)
    decision.check(found.parts, report.frames)
    report.recipes = len(chosen)
    if class_name is not None and key is None:
        chosen += others  # what they will hold of this class is decided, too
    if (report.changed or adds) and not dry_run:
        for member, own in chosen:
            with JournalWriter(member, by=by) as writer:
                writer.append(decision.op, own, to=decision.to, part=decision.part)
    return report


def decisions(cache: str | os.PathLike[str]) -> list[tuple[str, JournalEntry]]:
    """The journal of a cache, with those of its members: fingerprints and decisions, from first to last.

    Raises:
        CacheError: it cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(Path(folder) / "a.cache", Manifest.create({}, {}, {})) as writer:
        ...         decisions(writer.path)
        []
    """
    path = absolute_path(cache)
    Cache.open(path).close()
    made = []
    for member in member_paths(path):
        with Cache.open(member) as opened:
            made += [(opened.manifest.fingerprint, entry) for entry in opened.journal.entries]
    return sorted(made, key=lambda decision: decision[1].time_ms)


@dataclass(frozen=True)
class _Decision:
    """What is decided about everything that is selected."""

    op: JournalOp
    by: str
    to: str | None = None
    part: str | None = None

    @property
    def takes_in(self) -> bool:
        return self.op in ("restore", "accept")

    @classmethod
    def of(cls, restore: bool, accept: bool, relabel: str | None, part: str | None, by: str) -> _Decision:
        if restore + accept + (relabel is not None) > 1:
            raise SettingError(
                "several decisions at once",
                expected="one of restore, accept and relabel; without them, it is left out",
                hint="call it once for each",
                command="run it once with each option",
            )
        if part is not None and relabel is None:
            raise SettingError(
                f"part={part[:60]!a} without a new name",
                expected="the part that is relabelled, and its new class name",
                hint="pass relabel=, too",
                command="--relabel, too",
            )
        if relabel is None:
            return cls("restore" if restore else "accept" if accept else "drop", by)
        try:
            check_relabel(relabel, part)
        except ValueError as error:
            raise SettingError(f"nothing can be relabelled so: {error}", expected="a class name") from error
        return cls("relabel", by, relabel, part)

    def changes(self, before: ReviewState, parts: tuple[str, ...], where: Selection) -> ReviewState | None:
        """What holds of an insertion afterwards; ``None`` if that is what holds already."""
        entry = JournalEntry(self.op, where, 0, self.by, self.to, self.part)
        after = review_state([*before.decisions, entry], parts)
        same_reviewer = before.entry is not None and before.entry.by == self.by
        is_same = (after.outcome, after.names) == (before.outcome, before.names)
        return None if is_same and (same_reviewer or self.op != "accept") else after

    def adds_to(self, journal: Journal, where: Selection) -> bool:
        """Whether it says something about what will be stored, which the journal does not say already."""
        if where.variant is not None or self.to == where.class_name is not None:
            return False
        ops = ("relabel",) if self.op == "relabel" else ("drop", "restore", "accept")
        said = [one for one in journal.counting if one.where == where and one.op in ops and one.part == self.part]
        if self.takes_in:  # in a compacted cache, nothing else is left of what was dropped
            return bool(said) and said[-1].op == "drop"
        return not said or (said[-1].op, said[-1].to) != (self.op, self.to)

    def check(self, parts: Collection[tuple[str, ...]], frames: bool) -> None:
        """Check that what is selected can be relabelled."""
        if self.op != "relabel":
            return
        if frames:
            raise SettingError(
                f"relabel={self.to!r} of shifted frames",
                expected="a cache of insertions: a frame has the labels of its base frame",
                hint="leave frames out, or accept them",
            )
        several = sorted(names for names in parts if len(names) > 1)
        if self.part is None and several:
            problem = f"relabel={self.to!r} of objects with several parts"
        elif self.part is not None and not any(self.part in names for names in parts):
            problem, several = f"part={self.part!r}, which none of these objects has", sorted(parts)
        else:
            return
        known = list(dict.fromkeys(name for names in several for name in names))
        raise SettingError(
            problem,
            expected=f"one of their parts, as it is stored: {_listed(known)}",
            hint=f"pass part={known[0]!r}, say" if known else "choose others",
            command=f"--part {shlex.quote(known[0])}, say" if known else "choose others",
        )


class _Found:
    """What a cache holds, for the message if nothing fits."""

    def __init__(self) -> None:
        self.parts: set[tuple[str, ...]] = set()  # of what is selected
        self.names: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.variants: set[int] = set()


def _member(cache: Path, recipe: str) -> Path:
    found = member_of(cache, recipe)
    if found is None:
        known = [Manifest.read(path).fingerprint for path in member_paths(cache)]
        raise CacheMissError(
            f"cache {str(cache)!r} holds no recipe {recipe[:80]!a}",
            expected=f"one of its fingerprints, or the first characters of one: {_listed(known)}",
            hint=f"`poc-aug info {cache}` lists its recipes",
        )
    return found


def _exact_or_pattern(where: Selection, cache: Cache) -> Selection:
    if where.key is None or not set("*?[") & set(where.key):
        return where
    keys = set(cache.keys())
    if where.key in keys or where.key in {key.rpartition("@")[0] for key in keys}:
        return where
    pattern = replace(where, key=None, keys=where.key)
    try:
        return Selection.from_dict(pattern.to_dict())
    except ValueError as error:
        raise SettingError(f"pattern {where.key[:80]!a}: {error}", expected="a shorter one") from error


def _count(
    cache: Cache,
    where: Selection,
    decision: _Decision,
    report: DropReport,
    found: _Found,
    on_progress: Callable[[int, int], None] | None,
) -> int:
    """Count what a decision changes in one member; returns how many insertions it selects."""
    before, total = report.insertions, len(cache)
    for number, (key, index) in enumerate(cache.items(), start=1):
        found.keys.add(key)
        found.variants.add(index)
        if _may_hold(where, key, index, cache.manifest.kind == "frames"):
            things = _things(cache, key, index)
            for names in things.names:
                found.names.update(names)
            if where.class_name is not None:
                names_now = [pair for state in cache.journal.states(things) for pair in state.names.items()]
                report.stored_as |= {old for old, new in names_now if where.class_name == new != old}
            if selected := where.of(things):
                states = cache.journal.states(things)
                changes = [decision.changes(states[one], things.parts[one], where) for one in selected]
                pairs = list(zip(selected, changes, strict=True))
                dropped = {one for one, state in enumerate(states) if state.is_dropped}
                after = {one for one, change in pairs if (change or states[one]).is_dropped} | (dropped - {*selected})
                found.parts.update(things.parts[one] for one in selected)
                report.changed += sum(change is not None for change in changes)
                report.variants += 1
                report.insertions += len(selected)
                report.kept_before += len({*selected} - dropped)
                report.kept_after += len({*selected} - after)
                report.empty_before += len(dropped) == len(things.names)
                report.empty_after += len(after) == len(things.names)
        if on_progress is not None:
            on_progress(number, total)
    return report.insertions - before


def _may_hold(where: Selection, key: str, index: int, frames: bool) -> bool:
    """Whether a variant can hold what is selected, as far as its name says: others are not read."""
    keys = (key, key.rpartition("@")[0]) if frames else (key,)
    is_key = where.key is None or where.key in keys
    is_like = where.keys is None or any(fnmatchcase(one, where.keys) for one in keys)
    return where.variant in (None, index) and is_key and is_like


def _things(cache: Cache, key: str, index: int) -> StoredThings:
    data = cache.raw(key, index)
    assert data is not None  # just listed
    try:
        return things_in_header(split_record(data)[0])
    except RecordError as error:
        raise CacheCorruptError(
            f"variant {index} of {key!r} in cache {str(cache.path)!r} is damaged: {error}",
            expected="a sound cache",
            hint=f"set damaged records aside with `poc-aug repair {cache.path}`",
        ) from error


def _nothing(cache: Path, where: Selection, found: _Found, report: DropReport) -> CacheMissError:
    """The error if nothing fits: the first field that alone fits nothing, and what there is of it."""
    what = "frame" if (frames := report.frames) else "insertion"
    problem = f"no {what} of cache {str(cache)!r} fits {where}"
    samples = found.keys | ({key.rpartition("@")[0] for key in found.keys} if frames else set())
    if not found.keys:
        return CacheMissError(problem, expected="a cache that holds something", hint="fill it with warm_cache first")
    if where.key is not None and not any(where.key == key or fnmatchcase(key, where.key) for key in samples):
        return _unknown(problem, "key", where.key, sorted(found.keys), samples)
    if where.variant is not None and where.variant not in found.variants:
        known = [str(number) for number in sorted(found.variants)]
        return CacheMissError(problem, expected=f"one of the variants {_listed(known)}", hint="correct the number")
    if where.class_name is not None and where.class_name not in found.names:
        names = [name for name, _ in found.names.most_common()]
        if report.stored_as:
            hint = f"that was relabelled; decisions select by stored names: {_listed(sorted(report.stored_as))}"
            return CacheMissError(problem, expected=f"a class of the cache: {_listed(names)}", hint=hint)
        if names:
            return _unknown(problem, "domain" if frames else "class", where.class_name, names, names)
    return CacheMissError(
        problem,
        expected=f"{'a frame' if frames else 'an insertion'} that fits all of it at once",
        hint=f"leave a part of it out; `poc-aug info {cache}` says what there is",
    )


def _unknown(problem: str, what: str, given: str, known: list[str], similar: Iterable[str]) -> CacheMissError:
    close = get_close_matches(given, sorted(similar), n=3)
    return CacheMissError(
        problem,
        expected=f"a {what} of the cache: {_listed(known)}",
        hint=f"did you mean {' or '.join(map(repr, close))}?" if close else f"correct the {what}",
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    return shown + (f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
