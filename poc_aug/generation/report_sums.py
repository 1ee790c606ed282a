"""Sums of `WarmReport`s: what several processes did that fill one cache together."""

from __future__ import annotations

from collections.abc import Iterable

from poc_aug.generation.statistics import Statistics
from poc_aug.generation.warm_report import WarmReport

_COUNTS = ("made", "elsewhere", "stored", "objects", "without_object")
_TABLES = ("rejections", "rejected", "cutouts")


def copied(report: WarmReport) -> WarmReport:
    """A copy of what a process has done so far; the original may be added to meanwhile, also by another thread."""
    return summed([report])


def summed(reports: Iterable[WarmReport]) -> WarmReport:
    """What several processes did, each with a report of its own; without what was there before.

    Example:
        >>> report = summed([WarmReport(made=2, objects=3, stored=2), WarmReport(made=1, stored=1)])
        >>> report.made, report.objects, report.stored
        (3, 3, 3)
    """
    total = WarmReport()
    for report in reports:
        add_up(total, report)
    return total


def add_up(total: WarmReport, report: WarmReport) -> None:
    """Add to a report what another process did.

    Args:
        total: what is added to.
        report: of the other process.
    """
    for name in _COUNTS:
        setattr(total, name, getattr(total, name) + getattr(report, name))
    for name in _TABLES:
        getattr(total, name).update(dict(getattr(report, name)))
    total.unreadable += list(report.unreadable)
    total.failed += list(report.failed)
    _add_statistics(total.statistics, report.statistics)


def _add_statistics(total: Statistics, part: Statistics) -> None:
    # dict(...) copies in one step, whatever another thread does to the original.
    for name in ("attempts", "accepted", "rejections", "batches"):
        getattr(total, name).update(dict(getattr(part, name)))
    for stage, seconds in dict(part.seconds).items():
        total.seconds[stage] = total.seconds.get(stage, 0.0) + seconds
