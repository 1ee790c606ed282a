"""What a run did and where its time went: counts by object and reason, seconds by stage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

STAGE_NAMES = ("read", "scene", "locate", "region", "insert", "annotate", "cut out", "wait", "write")
"""Reading; camera and digest; valid areas; regions and crops; models; acceptance and cutting out.

``insert``, ``annotate`` and a locator's part of ``locate`` run in the accelerator's thread, alongside all others.
``wait`` is the caller's thread waiting for them; ``write`` is the time that the caller of the engine takes."""


@dataclass
class Statistics:
    """Counts and times of a run.

    Attributes:
        attempts: attempts by object name.
        accepted: those that placed an object.
        rejections: those that did not, by (object name, reason).
        seconds: time by stage, see `STAGE_NAMES`. Each stage is written by one thread only; they do not add up to the
            time that passed, since two threads run.
        batches: runs of the inserter, by number of crops.

    Example:
        >>> statistics = Statistics()
        >>> statistics.count("dog", None)
        >>> statistics.count("dog", "no room")
        >>> statistics.to_dict()["classes"]
        {'dog': {'attempts': 2, 'accepted': 1, 'rejections': {'no room': 1}}}
    """

    attempts: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    rejections: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGE_NAMES, 0.0))
    batches: Counter[int] = field(default_factory=Counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started

    def count(self, object_name: str, reason: str | None) -> None:
        """Count an attempt; ``reason`` is ``None`` if it placed an object."""
        self.attempts[object_name] += 1
        if reason is None:
            self.accepted[object_name] += 1
        else:
            self.rejections[object_name, reason] += 1

    def to_dict(self) -> dict[str, Any]:
        """JSON values; may be called during the run."""
        classes: dict[str, Any] = {
            name: {"attempts": count, "accepted": self.accepted[name], "rejections": {}}
            for name, count in sorted(self.attempts.items())
        }
        for (name, reason), count in sorted(self.rejections.items()):
            classes[name]["rejections"][reason] = count
        return {
            "classes": classes,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "batches": {str(size): count for size, count in sorted(dict(self.batches).items())},
        }
