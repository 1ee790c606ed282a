"""What a bank leaves out: counted by reason, the first few of each named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

OTHER_SIZE = "whose image has another size than the annotations say"
LARGER = "whose outline is of a larger picture than its image"
UNCLEAR_EXIF = "whose image has an EXIF orientation that sizes do not settle (exif=apply or exif=ignore does)"

_NAMED = 3
_RESIZED = "take the images that were annotated, or export the annotations again together with these images"
_STEPS = {
    OTHER_SIZE: _RESIZED,
    LARGER: _RESIZED,
    UNCLEAR_EXIF: "look at one in a viewer that follows EXIF: exif='apply' where the outlines fit what is seen there, "
    "else exif='ignore'",
}
"""What to do about a reason that empties a bank, where it is no filter."""


class Unusable(Exception):
    """A candidate that cannot be used: caught where candidates are gathered, and counted in a `LeftOut`.

    Args:
        reason: how it goes on after a count: "2 without an alpha channel". Equal for equal faults.
        name: the file or row, with figures where they explain it.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        self.reason, self.name = reason, name
        super().__init__(f"{name}: {reason}" if name else reason)


class LeftOut:
    """Counts by reason.

    Attributes:
        counts: how many candidates, by reason.
        names: the first few of them, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str = "") -> None:
        """Count one candidate."""
        self.counts[reason] += 1
        names = self.names.setdefault(reason, [])
        if name and len(names) < _NAMED and name not in names:
            names.append(name)


def next_step(counts: Mapping[str, int]) -> str:
    """What to do about a bank that is empty, by what most candidates were left out for, filters aside."""
    most = max((reason for reason in counts if reason in _STEPS), key=lambda reason: counts[reason], default="")
    return _STEPS.get(most, "loosen the filters named above, or check the path" if counts else "check the path")


def counts_text(counts: Mapping[str, int], names: Mapping[str, Sequence[str]] | None = None) -> str:
    """The counts as text, with names where they are given: "2 unreadable (a.png: ...; b.png: ...), 1 ..."."""
    parts = []
    for reason, count in sorted(counts.items()):
        some = (names or {}).get(reason, ())
        more = "; ..." if some and len(some) < count else ""
        parts.append(f"{count} {reason}" + (f" ({'; '.join(some)}{more})" if some else ""))
    return ", ".join(parts)


def printable(name: str) -> str:
    r"""A file's name as text that can be encoded and printed: bytes that are not UTF-8 become ``\udc..``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
