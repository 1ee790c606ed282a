"""The journal of a cache: which insertions are left out, accepted, or relabelled. Records are never changed.

::

    NAME.cache/journal/<writer>.jsonl

One line per decision, a JSON object::

    {"by":"anna","hash":"0f...","op":"drop","time":"2026-11-28T18:30:00.123Z","where":{"class":"cow"}}

Each writing process has a file of its own, so journals are united by copying their files into one folder. Decisions
are ordered by time, then by who made them and by line; what those come to that select an insertion is in
`poc_aug.cache.review_state`. An "undo" names one decision by its hash, which then counts nowhere: wherever the lines
are, and in whatever order they arrive, the same decisions are undone.

A line is appended in one piece and is on disk before the writer goes on. What follows the last line end of a file is
what a killed writer left of a line, and is ignored. Any other line that is not as it was written is an error, and so is
one that only a newer version understands: a decision that is skipped would show what somebody has taken out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from heapq import merge
from pathlib import Path
from typing import Any

from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import journal_paths, read_journal_file
from poc_aug.cache.review_state import ReviewState, review_state
from poc_aug.cache.selection import StoredThings, things_of
from poc_aug.types import Insertion, Rejection, Variant


class Journal:
    """The decisions of a cache, in order.

    Args:
        entries: from first to last.
        fingerprint: of the cache's recipe: decisions about another one do not count; ``None``: all do.

    Attributes:
        entries: all of them.
        counting: those about this recipe that were not undone, without the "undo" themselves.

    Example:
        >>> from poc_aug.cache.selection import Selection
        >>> drop = JournalEntry("drop", Selection(key="a.png"), time_ms=0)
        >>> things = StoredThings(("a.png",), 0, (frozenset({"cow"}), frozenset({"dog"})), (("cow",), ("dog",)))
        >>> restore = JournalEntry("restore", Selection(class_name="cow"), time_ms=1)
        >>> undo = JournalEntry("undo", Selection(), time_ms=2, of=restore.id)
        >>> journals = [Journal([drop]), Journal([drop, restore]), Journal([drop, restore, undo])]
        >>> [list(journal.dropped(things)) for journal in journals]
        [[0, 1], [1], [0, 1]]
    """

    def __init__(self, entries: Sequence[JournalEntry], fingerprint: str | None = None) -> None:
        self.entries, self.fingerprint = tuple(entries), fingerprint
        undone = {entry.of for entry in entries if entry.op == "undo"}
        self.counting = tuple(
            entry
            for entry in entries
            if entry.op != "undo"
            and (fingerprint is None or entry.where.recipe in (None, fingerprint))
            and not (undone and entry.id in undone)
        )
        self._general: list[int] = []
        self._by_key: dict[str, list[int]] = defaultdict(list)
        self._by_variant: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, entry in enumerate(self.counting):
            key, variant = entry.where.key, entry.where.variant
            if key is None:
                self._general.append(number)
            elif variant is None:
                self._by_key[key].append(number)
            else:
                self._by_variant[key, variant].append(number)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __reduce__(self) -> tuple[Any, ...]:
        return Journal, (self.entries, self.fingerprint)

    @cached_property
    def class_names(self) -> frozenset[str]:
        """Class names that parts were relabelled to; a label policy needs an id for each.

        Of decisions about the same insertions, only the last one counts.
        """
        last = {(entry.where, entry.part): entry.to for entry in self.counting if entry.to is not None}
        return frozenset(last.values())

    def may_concern(self, keys: Iterable[str], variant: int) -> bool:
        """Whether a decision can be about a variant, as far as its names say: of others, nothing need be read.

        Args:
            keys: the variant's key; of a frame that of its sample, too.
            variant: its number.
        """
        if self._general:
            return True
        return any(key in self._by_key or (key, variant) in self._by_variant for key in keys)

    def decisions(self, things: StoredThings) -> list[list[JournalEntry]]:
        """All decisions about each insertion of a variant that were not undone, from first to last."""
        made: list[list[JournalEntry]] = [[] for _ in things.names]
        named = [self._by_key.get(key, ()) for key in things.keys]
        named += [self._by_variant.get((key, things.variant), ()) for key in things.keys]
        for entry in (self.counting[number] for number in merge(self._general, *named)):
            for number in entry.where.of(things):
                made[number].append(entry)
        return made

    def states(self, things: StoredThings) -> list[ReviewState]:
        """What the decisions about each insertion of a variant come to."""
        return [review_state(*pair) for pair in zip(self.decisions(things), things.parts, strict=True)]

    def dropped(self, things: StoredThings) -> dict[int, JournalEntry]:
        """Numbers of the insertions of a variant that are left out, and the decisions that say so."""
        states = enumerate(self.states(things))
        return {number: state.entry for number, state in states if state.is_dropped and state.entry is not None}

    def kept(self, variant: Variant) -> Variant:
        """The variant without what is left out, each of which becomes a rejection with the reason "dropped".

        What was relabelled has its new class names.

        Example:
            >>> variant = Variant("a.png", 0, digest=b"", insertions=())
            >>> Journal([]).kept(variant) is variant
            True
        """
        if not self.counting or variant.is_empty:
            return variant
        states = self.states(things_of(variant))
        if not any(state.is_dropped or state.names for state in states):
            return variant
        dropped = {n: state.entry for n, state in enumerate(states) if state.is_dropped and state.entry is not None}
        if (frame := variant.frame) is not None:
            reason = rejection_of(frame.domain, frame.provenance, dropped[0])
            return replace(variant, rejections=(*variant.rejections, reason), frame=None)
        gone = ((variant.insertions[number], entry) for number, entry in dropped.items())
        reasons = [rejection_of(one.object_name, one.provenance, entry) for one, entry in gone]
        pairs = zip(variant.insertions, states, strict=True)
        insertions = tuple(_renamed(one, state.names) for one, state in pairs if not state.is_dropped)
        return replace(variant, insertions=insertions, rejections=(*variant.rejections, *reasons))

    @classmethod
    def read(cls, cache: Path, fingerprint: str | None = None) -> Journal:
        """Read the journal of a cache; an empty one if there is none.

        Args:
            cache: the ``NAME.cache`` directory.
            fingerprint: that of its manifest.

        Raises:
            CacheCorruptError: a line is damaged.
            CacheFormatError: a line is of a newer version, or a file is a link, or larger than any journal.
            CacheDiskError: a file cannot be read.
        """
        files = ((path.name, read_journal_file(path, cache)) for path in journal_paths(cache))
        return cls(in_order(files), fingerprint)


def in_order(files: Iterable[tuple[str, Iterable[tuple[int, JournalEntry]]]]) -> list[JournalEntry]:
    """The decisions of several files, given by name and line, from first to last; each once, also if two files have it.

    Those of one moment are in the order of who made them, which is the same in all copies of a cache.
    """
    lines = [(entry.time_ms, entry.by, name, number, entry) for name, file in files for number, entry in file]
    lines.sort(key=lambda line: line[:4])
    return list({line[-1].id: line[-1] for line in reversed(lines)}.values())[::-1]


def _renamed(insertion: Insertion, names: Mapping[str, str]) -> Insertion:
    if not names:
        return insertion
    parts = (replace(part, name=names.get(part.name, part.name)) for part in insertion.parts)
    return replace(insertion, parts=tuple(parts))


def rejection_of(name: str, provenance: Mapping[str, Any], entry: JournalEntry) -> Rejection:
    """What is left of an insertion, or a frame, that was dropped.

    Args:
        name: name of its object, or its domain.
        provenance: how it was made.
        entry: the decision.

    Example:
        >>> from poc_aug.cache.selection import Selection
        >>> rejection_of("cow", {"attempt": 2}, JournalEntry("drop", Selection(), time_ms=0, by="anna"))
        Rejection(reason='dropped', object_name='cow', attempt=2, detail='by anna')
    """
    attempt = provenance.get("attempt")
    known = attempt if type(attempt) is int and 0 <= attempt < 1 << 63 else 0
    return Rejection("dropped", name, known, f"by {entry.by}" if entry.by else "")
