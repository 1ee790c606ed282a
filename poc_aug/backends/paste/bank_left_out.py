"""What a bank leaves out, counted by reason; the first few of each reason are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

OTHER_SIZE = "whose image has another size than the annotations say"
LARGER = "whose outline is of a larger picture than its image"
UNCLEAR_EXIF = "whose image has an EXIF orientation that sizes do not decide (exif=apply or exif=ignore does)"

_NAMED = 3
_RESIZED = "take the images that were annotated, or export the annotations again together with these images"
_STEPS = {
    OTHER_SIZE: _RESIZED,
    LARGER: _RESIZED,
    UNCLEAR_EXIF: "open one in a viewer that follows EXIF: exif='apply' if the outlines fit what it shows, "
    "otherwise exif='ignore'",
}
"""What to do about reasons that are not the user's filters, if they leave a bank empty."""


class Unusable(Exception):
    """A candidate that cannot be used; caught by the code that collects candidates, and counted in a `LeftOut`.

    Args:
        reason: text that continues a count: "2 without an alpha channel". Equal for equal faults.
        name: the file or row, with figures if they explain it.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        self.reason, self.name = reason, name
        super().__init__(f"{name}: {reason}" if name else reason)


class LeftOut:
    """Counts by reason.

    Attributes:
        counts: how many candidates, by reason.
        names: the names of the first few of them, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str = "") -> None:
        """Count one candidate."""
        reason, name = printable(reason), printable(name)  # JSON may hold text that cannot be encoded
        self.counts[reason] += 1
        names = self.names.setdefault(reason, [])
        if name and len(names) < _NAMED and name not in names:
            names.append(name)


def next_step(counts: Mapping[str, int]) -> str:
    """What to do about an empty bank, by the most frequent reason that is not a filter."""
    commonest = max((reason for reason in counts if reason in _STEPS), key=lambda reason: counts[reason], default="")
    return _STEPS.get(commonest, "loosen the filters named above, or check the path" if counts else "check the path")


def counts_text(counts: Mapping[str, int], names: Mapping[str, Sequence[str]] | None = None) -> str:
    """The counts as text, with names if they are given: "2 unreadable (a.png: ...; b.png: ...), 1 ..."."""
    parts = []
    for reason, count in sorted(counts.items()):
        examples = (names or {}).get(reason, ())
        more = "; ..." if examples and len(examples) < count else ""
        parts.append(f"{count} {reason}" + (f" ({'; '.join(examples)}{more})" if examples else ""))
    return ", ".join(parts)


def printable(name: str) -> str:
    r"""A file's name as text that can be encoded and printed: bytes that are not UTF-8 become ``\udc..``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
