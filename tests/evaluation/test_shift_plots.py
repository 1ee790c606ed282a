"""The plot over severity: what is drawn, where, and in which colours."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult
from poc_aug.evaluation.closed_set import ClassResult
from poc_aug.evaluation.shift_plots import plot_shifts, shift_figure
from poc_aug.evaluation.shift_report import ShiftReport, ShiftResult


def _result(domain: str, severity: int, *, anomalies: bool = False) -> ShiftResult:
    worse = severity / 10
    known = ClassResult("streets", 4, {"road": 0.9 - worse}, (), 1.0, {"ECE": 0.1 + worse, "AUROC": 0.9 - worse})
    score = ScoreResult({"AuPRC": 0.8 - worse, "FPR95": 0.1 + worse, "AUROC": 0.9 - worse})
    found = EvaluationResult("streets", 4, 0, {"msp": score}, 1.0) if anomalies else None
    return ShiftResult(domain, severity, 0, known, found)


def test_each_figure_has_a_panel_with_a_line_per_domain_and_the_clean_frames() -> None:
    shifts = [("clean", 0), ("fog", 1), ("fog", 5), ("night", 3)]
    figure = shift_figure(ShiftReport("streets", tuple(_result(*shift, anomalies=True) for shift in shifts)))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "mIoU (higher is better)",
        "ECE (lower is better)",
        "AUROC of confidence (higher is better)",
        "AuPRC, msp (higher is better)",
        "FPR95, msp (lower is better)",
        "AUROC, msp (higher is better)",
    ]
    clean, fog, night = figure.axes[0].get_lines()
    assert list(clean.get_ydata()) == pytest.approx([90, 90])
    assert list(fog.get_xdata()) == [1, 5]
    assert list(fog.get_ydata()) == pytest.approx([80, 40])
    assert list(night.get_xdata()) == [3]
    assert list(night.get_ydata()) == pytest.approx([60])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["clean frames", "fog", "night"]
    assert all(axes.get_xlabel() == "severity" for axes in figure.axes)


def test_the_legend_lies_outside_of_the_panels_and_no_two_lines_look_alike(tmp_path: Path) -> None:
    domains = ["fog", "night", "rain", "snow", "low-sun"]
    domains += [f"corruption:jpeg_compression_{number}" for number in range(19)]
    shifts = [("clean", 0), *((domain, severity) for domain in domains for severity in range(1, 6))]
    report = ShiftReport("streets", tuple(_result(*shift) for shift in shifts))
    figure = shift_figure(report)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert all(axes.get_window_extent().x1 < legend.x0 for axes in figure.axes)
    assert legend.x1 <= figure.bbox.x1 + 1
    assert legend.y0 >= 0
    assert legend.y1 <= figure.bbox.y1
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in figure.axes[0].get_lines()[1:]}
    assert len(looks) == len(domains)
    plot_shifts(report, tmp_path / "shifts.png")
    with Image.open(tmp_path / "shifts.png") as picture:
        assert min(picture.size) > 400


def test_a_domain_without_a_figure_leaves_a_gap() -> None:
    undefined = ClassResult("streets", 4, {"road": 0.5}, (), 1.0, {"ECE": 0.2, "AUROC": float("nan")})
    report = ShiftReport("streets", (_result("clean", 0), ShiftResult("fog", 2, 0, undefined), _result("fog", 3)))
    lines = shift_figure(report).axes[2].get_lines()
    assert str(lines[1].get_ydata()[0]) == "nan"
    assert lines[1].get_ydata()[1] == pytest.approx(60)
