"""The report and the progress of warming."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from poc_aug.cli.progress import print_report
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import Frames
from tests.helpers.warming_cases import pipeline

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def test_progress_is_reported(tmp_path: Path) -> None:
    made_so_far: list[int] = []

    def on_progress(report: WarmReport) -> None:
        made_so_far.append(report.made)
        assert 0 < report.acceptance <= 1

    warm_cache(Frames(3), tmp_path / "a.cache", pipeline(), num_variants=2, workers=0, on_progress=on_progress)
    assert made_so_far == [1, 2, 3, 4, 5, 6]


def test_the_report_tells_what_was_tried(tmp_path: Path) -> None:
    report = warm_cache(Frames(8), tmp_path / "a.cache", pipeline(), num_variants=2, workers=0)
    statistics = report.statistics
    assert statistics.accepted.total() == report.objects
    assert statistics.attempts.total() == report.objects + sum(report.rejections.values())
    reasons: Counter[str] = Counter()
    for (_, reason), count in statistics.rejections.items():
        reasons[reason] += count
    assert reasons == report.rejections
    assert statistics.seconds["scene"] > 0
    assert "statistics" not in repr(report)


def test_the_report_is_printed(tmp_path: Path) -> None:
    def printed(report: WarmReport) -> str:
        out = io.StringIO()
        console = Console(file=out, width=200, soft_wrap=True, markup=False, emoji=False, color_system=None)
        print_report(console, report, "[/out]")
        return " ".join(out.getvalue().split())

    report = warm_cache(Frames(8), tmp_path / "a.cache", pipeline(), num_variants=2, workers=0)
    text = printed(report)
    for name, count in report.statistics.attempts.items():
        assert f"{name} {count} {report.statistics.accepted[name]} " in text
    rejected = sum(report.rejections.values())
    assert f"all {report.objects + rejected} {report.objects} {report.rejections['black']} black" in text
    report.statistics.seconds["insert"] = 12.34
    report.statistics.count("[red]:cat:", "[too] small")
    report.failed = [("[/data/x]", 3, "[red]:cat:")]
    text = printed(report)
    assert "insert 12.3" in text
    assert "[red]:cat: 1 0 1 [too] small" in text
    assert "failed: [/data/x], variant 3: [red]:cat:" in text
    assert "cache: [/out]" in text
    assert "failed" in printed(WarmReport(total=1, failed=[("a", 0, "b")]))
    assert "nothing to do" in printed(WarmReport(total=1, present=1))
    out = io.StringIO()
    print_report(Console(file=out, width=200, force_terminal=True, color_system="standard"), report, "a.cache")
    assert "\x1b[33m  failed" in out.getvalue()
