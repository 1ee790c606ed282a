"""What a cache of shifted frames holds: frames, rejections and agreement of the labels by domain and severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poc_aug.cache import Cache
from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.record_summary import MeanOf, RecordSummary, ShiftCounts


@dataclass(frozen=True)
class ShiftSummary:
    """The frames of one domain at one severity.

    Attributes:
        domain: the domain.
        severity: 1 to 5.
        counts: what there is of it.
    """

    domain: str
    severity: int
    counts: ShiftCounts


def summaries_of(cache: Cache, summary: RecordSummary | None = None) -> list[ShiftSummary]:
    """What a cache of frames holds, by domain and severity, in the order of its recipe.

    Args:
        cache: an opened cache of frames.
        summary: what was counted in it before, if it was.
    """
    counted = summarize_cache(cache.path) if summary is None else summary
    found = [ShiftSummary(*shift, counts) for shift, counts in counted.shifts.items()]
    domains = cache.manifest.recipe.get("domains", ())
    order = {str(domain): number for number, domain in enumerate(domains)}
    return sorted(found, key=lambda one: (order.get(one.domain, len(order)), one.domain, one.severity))


def class_agreements(summaries: Sequence[ShiftSummary]) -> dict[str, float]:
    """Mean agreement of each class over all frames in which it was found, the lowest first.

    Example:
        >>> one, other = ShiftSummary("fog", 1, ShiftCounts()), ShiftSummary("fog", 5, ShiftCounts())
        >>> one.counts.by_class["pole"] = MeanOf(1.25, 2)
        >>> other.counts.by_class |= {"pole": MeanOf(0.25, 1), "car": MeanOf(0.125, 1)}
        >>> class_agreements([one, other])
        {'car': 0.125, 'pole': 0.5}
    """
    means: dict[str, MeanOf] = {}
    for one in summaries:
        for name, own in one.counts.by_class.items():
            means.setdefault(name, MeanOf()).add(own)
    values = {name: mean.value for name, mean in means.items() if mean.value is not None}
    return dict(sorted(values.items(), key=lambda item: (item[1], item[0])))
