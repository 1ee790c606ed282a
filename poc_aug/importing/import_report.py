"""`ImportReport`: what a run of `poc_aug.importing.import_edits.import_pairs` did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from poc_aug.importing.edit_reach import EditReach

_LISTED = 20


@dataclass
class ImportReport:
    """What a run did.

    Attributes:
        total: edited frames that were asked for; those that cannot be imported included.
        present: those that the cache held before.
        stored: those that this run stored.
        objects: objects in those.
        without_object: those of ``stored`` without an object.
        by_object: number of objects by name.
        skipped: files that cannot be imported (path, reason), with ``on_error="skip"``.
        changed: pixels that this run's frames have changed.
        beyond: those beyond the objects and their soft edges.
        lost: pixels that composing shows otherwise than the edited frames.
        farthest: the frames with the largest share of changed pixels beyond: name, and their figures.
        seconds: time taken.

    Example:
        >>> report = ImportReport(total=2)
        >>> report.count("a.png", ["dog"], EditReach(1000, 50, 30, 10, 10, 2.0))
        >>> report.objects, report.share_beyond
        (1, 0.2)
    """

    total: int = 0
    present: int = 0
    stored: int = 0
    objects: int = 0
    without_object: int = 0
    by_object: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    changed: int = 0
    beyond: int = 0
    lost: int = 0
    farthest: list[tuple[str, EditReach]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def share_beyond(self) -> float:
        """Share of the changed pixels that lie beyond objects and soft edges."""
        return self.beyond / self.changed if self.changed else 0.0

    def count(self, name: str, objects: list[str], reach: EditReach) -> None:
        """Add a frame that this run stored."""
        self.stored += 1
        self.objects += len(objects)
        self.without_object += not objects
        self.by_object.update(objects)
        self.changed += reach.changed
        self.beyond += reach.beyond
        self.lost += reach.lost
        if reach.beyond:
            self.farthest.append((name, reach))
            self.farthest.sort(key=lambda one: (-one[1].share_beyond, one[0]))
            del self.farthest[_LISTED:]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "total": self.total,
            "present": self.present,
            "stored": self.stored,
            "objects": self.objects,
            "without_object": self.without_object,
            "by_object": dict(sorted(self.by_object.items())),
            "skipped": [{"file": name, "reason": reason} for name, reason in self.skipped],
            "changed_px": self.changed,
            "beyond_px": self.beyond,
            "share_beyond": round(self.share_beyond, 6),
            "lost_px": self.lost,
            "farthest": [{"file": name, **reach.to_dict()} for name, reach in self.farthest],
            "seconds": round(self.seconds, 3),
        }
