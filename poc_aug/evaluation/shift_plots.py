"""Plots of an evaluation over shifts: each figure over severity, one line per domain."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from poc_aug.evaluation.shift_report import HIGHER_IS_BETTER, ShiftReport
from poc_aug.files.outputs import writing
from poc_aug.optional_imports import require
from poc_aug.types import MAX_SEVERITY

_MOST_COLUMNS = 3
_PANEL_INCHES = (3.6, 2.9)
_MARKERS, _LINES = "osD^vP*X", ("-", "--", ":")


def plot_shifts(report: ShiftReport, path: Path) -> None:
    """Draw each figure over severity, in percent: one line per domain, and the clean frames' figure as a dashed one.

    Args:
        report: result of `evaluate_shifts`.
        path: picture to write; the format follows the suffix.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from poc_aug.evaluation.closed_set import ClassResult
        >>> from poc_aug.evaluation.shift_plots import plot_shifts
        >>> from poc_aug.evaluation.shift_report import ShiftReport, ShiftResult
        >>> clean, foggy = (ClassResult("streets", 4, {"road": iou}, (), 1.0) for iou in (0.9, 0.7))
        >>> report = ShiftReport("streets", (ShiftResult("clean", 0, 0, clean), ShiftResult("fog", 3, 0, foggy)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "shifts.png")
        ...     plot_shifts(report, path)
        ...     path.stat().st_size > 1000
        True
    """
    figure = shift_figure(report)
    with writing(path):
        figure.savefig(path, dpi=150)


def shift_figure(report: ShiftReport) -> Any:
    """The plot of `plot_shifts` as a matplotlib figure: one panel per figure."""
    names = list(dict.fromkeys(name for result in report.results for name in result.figures))
    columns = min(len(names), _MOST_COLUMNS)
    rows = math.ceil(len(names) / columns)
    domains = report.domains
    legend_inches = 0.6 + 0.085 * max(len(name) for name in (*domains, "clean frames"))
    size = (max(columns * _PANEL_INCHES[0], 4.2) + legend_inches, max(rows * _PANEL_INCHES[1], 0.2 * len(domains) + 1))
    figure = require("matplotlib.figure", extra="metrics", purpose="drawing an evaluation").Figure(
        figsize=size, layout="constrained"
    )
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(grid, names, strict=False):
        _draw(axes, report, name)
    for axes in grid[len(names) :]:
        axes.remove()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small", frameon=False)
    figure.suptitle(f"{report.dataset}: figures over severity", fontsize="medium")
    return figure


def _draw(axes: Any, report: ShiftReport, name: str) -> None:
    """Draw one panel."""
    colours = require("matplotlib", extra="metrics", purpose="drawing an evaluation").colormaps["tab10"].colors
    clean = report.clean.figures.get(name, math.nan)
    axes.axhline(100 * clean, color="0.35", linestyle=(0, (4, 3)), linewidth=1.2, label="clean frames", zorder=1)
    for number, domain in enumerate(report.domains):
        points = {r.severity: 100 * r.figures.get(name, math.nan) for r in report.results[1:] if r.domain == domain}
        severities = sorted(points)
        axes.plot(
            severities,
            [points[severity] for severity in severities],
            color=colours[number % len(colours)],
            linestyle=_LINES[number // len(colours) % len(_LINES)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4.5,
            linewidth=1.4,
            label=domain,
        )
    better = "higher" if HIGHER_IS_BETTER[name.partition(",")[0]] else "lower"
    axes.set_title(f"{name} ({better} is better)", fontsize="small")
    axes.set(xlabel="severity", ylabel="%", xticks=range(1, MAX_SEVERITY + 1), xlim=(0.8, MAX_SEVERITY + 0.2))
    axes.tick_params(labelsize="small")
    axes.grid(alpha=0.3)
