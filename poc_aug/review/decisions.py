"""Decisions of a review: written to the journals of the caches, and read again when somebody else decides."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from poc_aug.cache import Cache
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry, JournalOp
from poc_aug.cache.journal_following import JournalFollower
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.review_state import ReviewState
from poc_aug.cache.selection import Selection
from poc_aug.cache.shard import is_blank, scan_shards, shard_paths
from poc_aug.errors import CacheNotFoundError, PocAugError, SettingError
from poc_aug.review.review_index import ATTEMPTS, ReviewIndex
from poc_aug.review.review_things import Thing
from poc_aug.review.shown_text import shown_class

OPS: Mapping[str, JournalOp] = {"accept": "accept", "reject": "drop", "relabel": "relabel", "skip": "skip"}
"""Decisions of a page, and what a journal calls them."""
SHOWN_OPS: Mapping[str, str] = {stored: shown for shown, stored in OPS.items()}

Written = tuple[int, JournalEntry]
"""A decision, and the number of its cache."""


class DecideReport(NamedTuple):
    """What came of a decision.

    Attributes:
        things: what it changed.
        conflicts: things about which somebody else has decided meanwhile: nothing was written.
        written: what was written, for `ReviewDecisions.undo`.
    """

    things: list[Thing]
    conflicts: list[Thing]
    written: list[Written]


@dataclass
class ReviewDecisions:
    """The journals of a review's caches; safe in several threads, alongside any number of other processes.

    Args:
        caches: the caches, members counted.
    """

    caches: Sequence[Cache]
    _journals: list[Journal] = field(default_factory=list)
    _writers: dict[tuple[int, str], JournalWriter] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._followers = [JournalFollower(cache.path, cache.manifest.fingerprint) for cache in self.caches]
        self._journals = [follower.read() for follower in self._followers]
        # Without those of killed runs that hold nothing: a run that goes on removes them.
        self._shards = [{path.name for path in shard_paths(cache.path) if not is_blank(path)} for cache in self.caches]

    def state_of(self, thing: Thing) -> ReviewState:
        """What was decided about an insertion or a frame."""
        return self._journals[thing.source].states(thing.stored)[thing.insertion]

    def poll(self, index: ReviewIndex) -> list[Thing]:
        """Read what others have decided meanwhile; gives the things that changed.

        Raises:
            CacheError: a journal cannot be read, or is damaged.
        """
        changed: list[Thing] = []
        with self._lock:
            for source, follower in enumerate(self._followers):
                before, now = self._journals[source], follower.read()
                if now is before:
                    continue
                self._journals[source] = now
                keys = _changed_keys(before, now)
                named = [key for key in keys if key is not None]
                changed += index.renew(source, named if len(named) == len(keys) else None)
        return changed

    def decide(
        self,
        index: ReviewIndex,
        things: Sequence[Thing],
        op: str,
        by: str,
        *,
        to: str | None = None,
        part: str | None = None,
        seen: Mapping[str, str],
        force: bool = False,
        late: bool = False,
    ) -> DecideReport:
        """Write a decision about things; it is on disk when this returns.

        Args:
            index: where the things are.
            things: what is decided about.
            op: one of `OPS`.
            by: who decides.
            to: of "relabel": the new class.
            part: of "relabel": the part that gets it, as it is stored; ``None``: the only one.
            seen: by id, what stood for a thing's last decision when whoever decides saw it.
            force: decide also about things that somebody else has decided about meanwhile.
            late: the decision was made some time ago: whoever decided since, also the same person, decided later, and
                is not overruled, with ``force`` neither.

        Raises:
            SettingError: a decision that these things cannot have.
            CacheError: it cannot be written; nothing was decided, in other caches neither.
        """
        _check(things, op, to, part)
        with self._lock:
            changed = self.poll(index)
            # A page whose server was killed before it could answer sends its decision again.
            again = [
                thing
                for thing in things
                if _is_there(thing, OPS[op], by, to, _stored_part(thing, part), seen.get(thing.id, ""))
            ]
            there = {thing.id for thing in again}
            others = [] if force and not late else [thing for thing in things if thing.id not in there]
            conflicts = [thing for thing in others if _is_news(thing, None if late else by, seen.get(thing.id, ""))]
            left_out = there | {thing.id for thing in conflicts}
            by_source: dict[int, list[JournalEntry]] = {}
            for thing in things:
                if thing.id not in left_out:
                    where = Selection(
                        recipe=self.caches[thing.source].manifest.fingerprint,
                        key=thing.key,
                        variant=thing.variant,
                        insertion=None if thing.kind == "frames" else thing.insertion,
                    )
                    entries = by_source.setdefault(thing.source, [])
                    if op == "relabel" and thing.state.is_dropped:  # a new class alone would leave it dropped
                        entries.append(JournalEntry("restore", where, 0))
                    entries.append(JournalEntry(OPS[op], where, 0, to=to, part=_stored_part(thing, part)))
            written = self._write(index, by_source, by)
            changed += self.poll(index)
        return DecideReport(list(dict.fromkeys([*changed, *conflicts])), conflicts, written)

    def undo(self, index: ReviewIndex, written: Iterable[Written], by: str) -> list[Thing]:
        """Take decisions back; what others decided meanwhile stays. Gives the things that changed.

        Raises:
            CacheError: it cannot be written.
        """
        with self._lock:
            by_source: dict[int, list[JournalEntry]] = {}
            for source, entry in written:
                by_source.setdefault(source, []).append(entry)
            for source, entries in by_source.items():
                self._writer(source, by).undo(entries)
            return self.poll(index)

    def undo_seen(self, index: ReviewIndex, things: Sequence[Thing], seen: Mapping[str, str], by: str) -> list[Thing]:
        """Take back the last decisions about things, as far as they are those that were seen, and of this reviewer.

        What was taken back before stays so: a page may ask again. Gives the things that changed.

        Raises:
            CacheError: it cannot be written.
        """
        with self._lock:
            changed = self.poll(index)
            wrote = [
                (thing.source, entry)
                for thing in things
                if (last := thing.last) is not None and last.id == seen[thing.id] and last.by == by
                for entry in _written_with(thing, last)
            ]
            changed += self.undo(index, wrote, by)
        return list(dict.fromkeys(changed))

    def close(self) -> None:
        """Close the journals' files."""
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()

    def _write(self, index: ReviewIndex, by_source: Mapping[int, list[JournalEntry]], by: str) -> list[Written]:
        """Write decisions to the journals of their caches: to all of them, or, if one refuses, to none."""
        written: list[Written] = []
        for source, entries in by_source.items():
            try:
                written += [(source, entry) for entry in self._writer(source, by).append_all(entries)]
            except PocAugError as error:
                try:
                    self.undo(index, written, by)
                except PocAugError:
                    raise error.with_hint(
                        "look at what is chosen again: the decisions about other caches are stored, and could not be "
                        "taken back"
                    ) from error
                raise
        return written

    def _writer(self, source: int, by: str) -> JournalWriter:
        self._check_in_place(source)
        writer = self._writers.get((source, by))
        if writer is None:
            writer = self._writers[source, by] = JournalWriter(self.caches[source].path, by=by)
        writer.follow(self._journals[source])
        return writer

    def _check_in_place(self, source: int) -> None:
        """Check that another cache was not put in the place of one: its insertions have other numbers.

        Raises:
            CacheNotFoundError: shards that were there are gone; while a cache is filled, only some are added.
        """
        path = self.caches[source].path
        if not self._shards[source] <= scan_shards(path).keys():
            raise CacheNotFoundError(
                f"the cache {path.name!r} was removed, moved or replaced while it was reviewed",
                expected="a cache that stays at its path, with its shards",
                hint="start the review again, with the path that the cache has now: nothing was decided",
            )


def _changed_keys(before: Journal, now: Journal) -> list[str | None]:
    """Keys that decisions name which are in one of two journals alone; an "undo" names what it takes back."""
    count = len(before.entries)
    if now.entries[:count] == before.entries:  # usually: only some were added, and those before are the same objects
        return [entry.where.key for entry in now.entries[count:]]
    old, new = ({entry.id: entry.where.key for entry in journal.entries} for journal in (before, now))
    known = old | new
    return [known[name] for name in old.keys() ^ new.keys()]


def _is_news(thing: Thing, by: str | None, seen: str) -> bool:
    """Whether the last decision is somebody else's (``None``: or anybody's), and not the one that was seen."""
    last = thing.last
    return last is not None and last.by != by and last.id != seen


def _stored_part(thing: Thing, part: str | None) -> str | None:
    """The stored name of a part that a page names as it shows it."""
    return next((each.name for each in thing.parts if part in (each.name, shown_class(each.name))), part)


def _written_with(thing: Thing, last: JournalEntry) -> list[JournalEntry]:
    """A thing's last decision, with the "restore" that was written together with a new class for what was rejected."""
    before = thing.state.decisions[-2:-1]
    pair = [each for each in before if (each.op, each.by, each.time_ms) == ("restore", last.by, last.time_ms)]
    return [*(pair if last.op == "relabel" else []), last]


def _is_there(thing: Thing, op: JournalOp, by: str, to: str | None, part: str | None, seen: str) -> bool:
    """Whether the last decision is this one, and was written after what was seen."""
    last = thing.last
    if last is None or last.id == seen:
        return False
    return (last.op, last.by, last.to, last.part) == (op, by, to, part)


def _check(things: Sequence[Thing], op: str, to: str | None, part: str | None) -> None:
    if op not in OPS:
        raise SettingError(f"op {op[:60]!a}", expected=f"one of {', '.join(OPS)}")
    if (to is not None) != (op == "relabel"):
        raise SettingError(f"{op!r} {'without' if to is None else 'with'} a class", expected="'to' for 'relabel' alone")
    if to is not None and not to.strip():
        raise SettingError(f"the new class {to[:60]!a}", expected="a name that can be seen")
    for thing in things:
        if thing.kind == ATTEMPTS:
            raise SettingError(
                f"a decision about a rejected attempt of {thing.class_name[:60]!a}",
                expected="an insertion or a frame: a rejected attempt placed nothing",
            )
        names = [each.name for each in thing.parts]
        if op != "relabel" or (_stored_part(thing, part) in names if part is not None else len(names) == 1):
            continue
        if thing.kind == "frames":
            raise SettingError("a new class for a shifted frame", expected="accept, reject or skip: it has no class")
        raise SettingError(
            f"a new class for an object with {len(names)} parts" + (f", none of them {part[:60]!a}" if part else ""),
            expected=f"the part that gets it: {', '.join(names[:10])}",
        )
