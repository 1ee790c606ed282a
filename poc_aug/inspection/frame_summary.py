"""What a cache of shifted frames holds: frames, rejections and agreement of the labels by domain and severity."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from poc_aug.cache import Cache
from poc_aug.scenes.scene_recipe import split_key
from poc_aug.types import Json, Variant


@dataclass
class ShiftSummary:
    """The frames of one domain at one severity.

    Attributes:
        domain: the domain.
        severity: 1 to 5.
        frames: frames that were accepted.
        rejected: samples and variants without a frame, since all attempts were rejected.
        rejections: rejected attempts by reason.
        agreements: agreement of the labels of each frame, if it was checked.
        by_class: agreements by class name.
    """

    domain: str
    severity: int
    frames: int = 0
    rejected: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    agreements: list[float] = field(default_factory=list)
    by_class: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def agreement(self) -> float | None:
        """Mean agreement of its frames; ``None`` if it was not checked."""
        return fmean(self.agreements) if self.agreements else None

    def add(self, variant: Variant) -> None:
        """Count a stored variant."""
        self.rejections.update(rejection.reason for rejection in variant.rejections)
        if variant.frame is None:
            self.rejected += 1
            return
        self.frames += 1
        value, by_class = (variant.frame.provenance.get(name) for name in ("agreement", "agreement_by_class"))
        if _is_number(value):
            self.agreements.append(float(value))  # type: ignore[arg-type]
        for name, own in by_class.items() if isinstance(by_class, Mapping) else ():
            if _is_number(own):
                self.by_class[name].append(float(own))  # type: ignore[arg-type]


def summaries_of(cache: Cache) -> list[ShiftSummary]:
    """What a cache of frames holds, by domain and severity, in the order of its recipe.

    Args:
        cache: an opened cache of frames.
    """
    found: dict[tuple[str, int], ShiftSummary] = {}
    for key, index in cache:
        variant = cache.get(key, index)
        assert variant is not None  # just listed
        _, domain, severity = split_key(key)
        found.setdefault((domain, severity), ShiftSummary(domain, severity)).add(variant)
    domains = cache.manifest.recipe.get("domains", ())
    order = {str(domain): number for number, domain in enumerate(domains)}
    return sorted(found.values(), key=lambda one: (order.get(one.domain, len(order)), one.domain, one.severity))


def class_agreements(summaries: list[ShiftSummary]) -> dict[str, float]:
    """Mean agreement of each class over all frames in which it was found, the lowest first.

    Example:
        >>> one, other = ShiftSummary("fog", 1), ShiftSummary("fog", 5)
        >>> one.by_class["pole"] += [0.75, 0.5]
        >>> other.by_class["pole"].append(0.25)
        >>> other.by_class["car"].append(0.125)
        >>> class_agreements([one, other])
        {'car': 0.125, 'pole': 0.5}
    """
    values: dict[str, list[float]] = defaultdict(list)
    for one in summaries:
        for name, own in one.by_class.items():
            values[name] += own
    return dict(sorted(((name, fmean(own)) for name, own in values.items()), key=lambda item: (item[1], item[0])))


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
