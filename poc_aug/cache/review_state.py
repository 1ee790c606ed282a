"""What the decisions about one insertion, or one shifted frame, come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from poc_aug.cache.journal_entry import JournalEntry

ReviewOutcome: TypeAlias = Literal["drop", "accept", "relabel", "skip"]
"""What was decided about an insertion, as far as something was."""


@dataclass(frozen=True, slots=True)
class ReviewState:
    """What holds of one insertion, or one frame.

    Attributes:
        decisions: all decisions about it that were not undone, from first to last.
        outcome: "drop": it is left out; otherwise the later one of "accept" and "relabel"; "skip" if somebody has only
            skipped it; ``None`` if nothing holds.
        entry: the decision that says so.
        names: new class names of its parts, by the stored ones.
        is_conflict: reviewers disagree: of the last decisions of each of them, one drops and another keeps, or they
            give different names. Decisions about more than this insertion do not count here.
    """

    decisions: tuple[JournalEntry, ...] = ()
    outcome: ReviewOutcome | None = None
    entry: JournalEntry | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    is_conflict: bool = False

    @property
    def is_dropped(self) -> bool:
        """Whether it is left out."""
        return self.outcome == "drop"

    @property
    def seen(self) -> str:
        """`JournalEntry.id` of the last decision; empty without one."""
        return self.decisions[-1].id if self.decisions else ""


def review_state(decisions: Iterable[JournalEntry], parts: Sequence[str]) -> ReviewState:
    """What decisions about one insertion, or one frame, come to.

    The last one of "drop", "restore" and "accept" says whether it is left out. The last "relabel" of a part gives its
    name, also if it is left out at the moment. "restore" and "undo" bring back what held before.

    Args:
        decisions: those that were not undone, from first to last.
        parts: stored names of its labelled parts; none of a frame.

    Example:
        >>> from poc_aug.cache.selection import Selection
        >>> cow = Selection(class_name="cow")
        >>> relabel = JournalEntry("relabel", cow, time_ms=0, by="anna", to="horse")
        >>> drop, restore = (JournalEntry(op, cow, time_ms=1) for op in ("drop", "restore"))
        >>> state = review_state([relabel, drop], ["cow"])
        >>> state.outcome, review_state([relabel, drop, restore], ["cow"]).outcome, dict(state.names)
        ('drop', 'relabel', {'cow': 'horse'})
    """
    made = tuple(decisions)
    dropped: JournalEntry | None = None
    looked: JournalEntry | None = None
    skipped: JournalEntry | None = None
    names: dict[str, str] = {}
    views: dict[str, tuple[bool, frozenset[tuple[str, str]]]] = {}
    for entry in made:
        match entry.op:
            case "drop":
                dropped = entry
            case "restore":
                dropped = None
            case "accept":
                dropped, looked = None, entry
            case "relabel":
                part = relabelled_part(entry, parts)
                if part is None or entry.to is None:
                    continue
                names[part], looked = entry.to, entry
                if part == entry.to:
                    del names[part]
            case _:
                skipped = entry
                continue
        if _is_about_one(entry):
            kept = entry.op != "drop"
            views[entry.by] = (kept, frozenset(names.items()) if kept else frozenset())
    conflict = len(set(views.values())) > 1
    if dropped is not None:
        return ReviewState(made, "drop", dropped, names, conflict)
    if looked is not None:
        return ReviewState(made, "accept" if looked.op == "accept" else "relabel", looked, names, conflict)
    return ReviewState(made, "skip" if skipped else None, skipped, names, conflict)


def relabelled_part(entry: JournalEntry, parts: Sequence[str]) -> str | None:
    """Stored name of the part that a "relabel" renames; ``None`` if it does not fit these parts.

    Example:
        >>> from poc_aug.cache.selection import Selection
        >>> entry = JournalEntry("relabel", Selection(), time_ms=0, to="horse")
        >>> relabelled_part(entry, ["cow"]), relabelled_part(entry, ["rider", "bicycle"])
        ('cow', None)
    """
    if entry.part is not None:
        return entry.part if entry.part in parts else None
    return parts[0] if len(parts) == 1 else None


def _is_about_one(entry: JournalEntry) -> bool:
    """Whether a decision names one insertion, or one variant of a sample, which a frame is."""
    return entry.where.key is not None and entry.where.variant is not None
