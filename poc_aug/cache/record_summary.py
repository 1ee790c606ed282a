"""What the records of a shard hold, counted: figures that an index keeps, so that nobody reads the records again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poc_aug.types import MAX_SEVERITY

OTHERS = "(others)"
"""What names are counted under from the `MAX_NAMES`-th on: whoever made a cache may have put any into it."""
MAX_NAMES = 1000
_MAX_SHIFTS = 1000


@dataclass
class MeanOf:
    """A mean that can be added up: a sum and how many values are in it."""

    total: float = 0.0
    count: int = 0

    @property
    def value(self) -> float | None:
        """The mean; ``None`` of no values.

        Example:
            >>> MeanOf(3.0, 2).value
            1.5
        """
        return self.total / self.count if self.count else None

    def add(self, other: MeanOf) -> None:
        """Add what another one holds."""
        self.total, self.count = self.total + other.total, self.count + other.count


@dataclass
class ShiftCounts:
    """The shifted frames of one domain at one severity.

    Attributes:
        frames: frames that were accepted.
        rejected: samples and variants without a frame, since all attempts were rejected.
        rejections: rejected attempts by reason.
        agreement: agreement of the labels, over the frames for which it was checked.
        by_class: the same by class name.
    """

    frames: int = 0
    rejected: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    agreement: MeanOf = field(default_factory=MeanOf)
    by_class: dict[str, MeanOf] = field(default_factory=dict)


@dataclass
class RecordSummary:
    """Counts over records.

    Attributes:
        records: how many were counted, without the unreadable ones.
        empty: those without an object or a frame.
        unreadable: records whose header is damaged; `poc-aug verify` names them.
        objects: inserted objects by name.
        horizons: objects by where the horizon came from that they were placed with.
        rejections: rejected attempts by reason.
        rejected_objects: rejected attempts by object and reason.
        shifts: of shifted frames: counts by domain and severity.

    Example:
        >>> summary = RecordSummary()
        >>> summary.add({"key": "a", "insertions": [], "rejections": [["dark", "cow", 0, ""]]})
        >>> summary.empty, summary.rejections["dark"], summary == RecordSummary.from_json(summary.to_json())
        (1, 1, True)
    """

    records: int = 0
    empty: int = 0
    unreadable: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    horizons: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    rejected_objects: dict[str, Counter[str]] = field(default_factory=dict)
    shifts: dict[tuple[str, int], ShiftCounts] = field(default_factory=dict)

    def add(self, header: Mapping[str, Any], shift: tuple[str, int] | None = None) -> None:
        """Count a record by its header (`header_of_record`).

        Args:
            header: checked before.
            shift: in a cache of frames: domain and severity that its key names.
        """
        self.records += 1
        frame = header.get("frame")
        self.empty += not header["insertions"] and frame is None
        for insertion in header["insertions"]:
            _count(self.objects, insertion["name"])
            if isinstance(source := insertion["provenance"].get("horizon_from"), str):
                _count(self.horizons, source)
        for reason, name, _, _ in header["rejections"]:
            _count(self.rejections, reason)
            _count(_entry(self.rejected_objects, name, Counter, OTHERS), reason)
        if shift is None:
            return
        counts = _entry(self.shifts, shift, ShiftCounts, (OTHERS, 1), _MAX_SHIFTS)
        for reason, *_ in header["rejections"]:
            _count(counts.rejections, reason)
        counts.rejected += frame is None
        counts.frames += frame is not None
        if frame is not None:
            value, by_class = (frame["provenance"].get(name) for name in ("agreement", "agreement_by_class"))
            _add_number(counts.agreement, value)
            for name, own in by_class.items() if isinstance(by_class, Mapping) else ():
                _add_number(_entry(counts.by_class, name, MeanOf, OTHERS), own)

    def merge(self, other: RecordSummary) -> None:
        """Add the counts of other records."""
        self._combine(other, 1)

    def remove(self, other: RecordSummary) -> None:
        """Take away the counts of records that are stored twice."""
        self._combine(other, -1)

    def _combine(self, other: RecordSummary, sign: int) -> None:
        self.records += sign * other.records
        self.empty += sign * other.empty
        self.unreadable += sign * other.unreadable
        for own, theirs in (
            (self.objects, other.objects),
            (self.horizons, other.horizons),
            (self.rejections, other.rejections),
        ):
            _combine_counts(own, theirs, sign)
        for name, reasons in other.rejected_objects.items():
            _combine_counts(_entry(self.rejected_objects, name, Counter, OTHERS), reasons, sign)
        for shift, counts in other.shifts.items():
            mine = _entry(self.shifts, shift, ShiftCounts, (OTHERS, 1), _MAX_SHIFTS)
            mine.frames += sign * counts.frames
            mine.rejected += sign * counts.rejected
            _combine_counts(mine.rejections, counts.rejections, sign)
            mine.agreement.add(MeanOf(sign * counts.agreement.total, sign * counts.agreement.count))
            for name, mean in counts.by_class.items():
                own_mean = _entry(mine.by_class, name, MeanOf, OTHERS)
                own_mean.add(MeanOf(sign * mean.total, sign * mean.count))

    def to_json(self) -> list[Any]:
        """Plain lists and objects."""
        shifts = [
            [
                *shift,
                counts.frames,
                counts.rejected,
                dict(counts.rejections),
                [counts.agreement.total, counts.agreement.count],
                {name: [mean.total, mean.count] for name, mean in counts.by_class.items()},
            ]
            for shift, counts in self.shifts.items()
        ]
        own = [dict(counter) for counter in (self.objects, self.horizons, self.rejections)]
        rejected = {name: dict(reasons) for name, reasons in self.rejected_objects.items()}
        return [self.records, self.empty, self.unreadable, *own, rejected, shifts]

    @classmethod
    def from_json(cls, value: Any) -> RecordSummary:
        """What `to_json` gave; a stranger may have written it.

        Raises:
            ValueError: it is something else.
        """
        try:
            records, empty, unreadable, objects, horizons, rejections, rejected, shifts = value
            return cls(
                _natural(records),
                _natural(empty),
                _natural(unreadable),
                _counter(objects),
                _counter(horizons),
                _counter(rejections),
                {name: _counter(reasons) for name, reasons in rejected.items()},
                dict(_shift(*shift) for shift in shifts),
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not the counts of a shard: {error}") from error


def _shift(
    domain: Any, severity: Any, frames: Any, rejected: Any, rejections: Any, agreement: Any, by_class: Any
) -> tuple[tuple[str, int], ShiftCounts]:
    if type(domain) is not str or not 1 <= _natural(severity) <= MAX_SEVERITY:
        raise ValueError("not a domain and a severity")
    means = {str(name): _mean(*mean) for name, mean in by_class.items()}
    counts = ShiftCounts(_natural(frames), _natural(rejected), _counter(rejections), _mean(*agreement), means)
    return (domain, severity), counts


def _mean(total: Any, count: Any) -> MeanOf:
    if type(total) not in (int, float):
        raise ValueError("not a sum")
    return MeanOf(float(total), _natural(count))


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("not a count")
    return value


def _counter(value: Any) -> Counter[str]:
    return Counter({str(name): _natural(count) for name, count in value.items()})


def _entry(owner: dict[Any, Any], name: Any, make: Any, others: Any, most: int = MAX_NAMES) -> Any:
    if name not in owner and len(owner) >= most:
        name = others
    return owner.setdefault(name, make())


def _count(counter: Counter[str], name: str, number: int = 1) -> None:
    counter[name if name in counter or len(counter) < MAX_NAMES else OTHERS] += number


def _combine_counts(own: Counter[str], other: Counter[str], sign: int) -> None:
    for name, number in other.items():
        _count(own, name, sign * number)
        if sign < 0 and not own[name]:
            del own[name]


def _add_number(mean: MeanOf, value: Any) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        mean.add(MeanOf(float(value), 1))
