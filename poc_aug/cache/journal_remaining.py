"""What remains of a journal in a copy of its cache that lacks what was dropped: who accepted what, and new names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry, JournalOp
from poc_aug.cache.selection import Selection, StoredThings


class RemainingDecisions:
    """Collects the decisions that hold in the copy, with the numbers that insertions have there.

    An "undo" has been carried out in it, and so have decisions to drop and to restore.

    Args:
        journal: of the cache that is copied.
        ops: those that are collected.
        standing: also those to drop that hold for what is stored later (a class, a pattern of keys), and those to
            restore, which may take something out of them.

    Example:
        >>> where = Selection(key="a.png", variant=0, insertion=1)
        >>> remaining = RemainingDecisions(Journal([JournalEntry("accept", where, time_ms=0)]))
        >>> remaining.add(StoredThings(("a.png",), 0, (frozenset(), frozenset()), ((), ())), dropped=[0])
        >>> [str(entry.where) for entry in remaining.entries()]
        ["key 'a.png', variant 0, insertion 0"]
    """

    def __init__(
        self, journal: Journal, ops: Collection[JournalOp] = ("accept", "relabel", "skip"), *, standing: bool = False
    ) -> None:
        drops = [entry.id for entry in journal.counting if standing and entry.op == "drop" and _is_standing(entry)]
        restores: tuple[JournalOp, ...] = ("restore",) if drops else ()
        collected, chosen = (*ops, *restores), {*drops}
        self._journal = Journal([one for one in journal.counting if one.op in collected or one.id in chosen])
        self._numbers = {id(entry): number for number, entry in enumerate(self._journal.counting)}
        self._found: dict[int, list[Selection]] = {number: [] for number in self._numbers.values()}

    def __bool__(self) -> bool:
        """Whether there can be any."""
        return bool(self._numbers)

    def add(self, things: StoredThings, dropped: Collection[int]) -> None:
        """Take note of a variant of the cache.

        Args:
            things: what it holds.
            dropped: numbers of what the copy lacks.
        """
        kept = [number for number in range(len(things.names)) if number not in dropped]
        decisions = self._journal.decisions(things)
        for there, here in enumerate(kept):
            one = Selection(key=things.keys[0], variant=things.variant, insertion=there)
            for entry in decisions[here]:
                self._found[self._numbers[id(entry)]].append(one)

    def entries(self, recipe: str | None = None, *, only_found: bool = False) -> list[JournalEntry]:
        """The decisions in their order.

        Args:
            recipe: fingerprint of the copy.
            only_found: leave out those that select nothing that was added; otherwise those about a class, a sample or
                a variant hold for what is stored later, too.
        """
        made: list[JournalEntry] = []
        for entry, found in zip(self._journal.counting, self._found.values(), strict=True):
            if entry.where.insertion is not None:
                places = [replace(one, recipe=recipe, class_name=entry.where.class_name) for one in found]
            else:
                places = [replace(entry.where, recipe=recipe)] if found or not only_found else []
            made += [replace(entry, where=place, _hash="") for place in places]
        return made


def _is_standing(entry: JournalEntry) -> bool:
    """Whether a decision may be about a variant that is not stored yet."""
    where = entry.where
    return where.insertion is None and (where.key is None or where.variant is None)
