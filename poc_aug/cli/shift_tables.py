"""Tables of ``poc-aug evaluate --shift``: figures by domain and severity, and IoU by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from poc_aug.evaluation.figure_values import percent

if TYPE_CHECKING:
    from poc_aug.evaluation.shift_report import ShiftReport, ShiftResult

_SHIFTS_PER_TABLE = 6


def shift_tables(report: ShiftReport) -> list[Table]:
    """The tables of one dataset, in percent.

    Example:
        >>> from poc_aug.cli.shift_tables import shift_tables
        >>> from poc_aug.evaluation.closed_set import ClassResult
        >>> from poc_aug.evaluation.shift_report import ShiftReport, ShiftResult
        >>> known = ClassResult("streets", 4, {"road": 0.9, "car": 0.5}, (), 1.0, {"ECE": 0.1, "AUROC": 0.8})
        >>> report = ShiftReport("streets", tuple(ShiftResult(*s, 0, known) for s in [("clean", 0), ("fog", 3)]))
        >>> [[column.header for column in table.columns] for table in shift_tables(report)]
        [['domain', 'severity', 'mIoU', 'ECE', 'AUROC of confidence'], ['class', 'clean', 'fog 3']]
    """
    tables = []
    known = [name for name in report.clean.figures if "," not in name]
    if known:
        tables.append(_of_figures(f"known classes in shifted frames, % ({_frames(report)})", report, known))
    for score in report.clean.anomalies.scores if report.clean.anomalies is not None else ():
        columns = [name for name in report.clean.figures if name.endswith(f", {score}")]
        title = f"anomalies in shifted frames by {score}, % ({_frames(report)})"
        tables.append(_of_figures(title, report, columns))
    if known:
        tables += _by_class(report)
    return tables


def _frames(report: ShiftReport) -> str:
    of_clean = report.clean.classes or report.clean.anomalies
    count = 0 if of_clean is None else of_clean.frames
    return f"{report.dataset}: {count} frame{'' if count == 1 else 's'}"


def _of_figures(title: str, report: ShiftReport, figures: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("domain", no_wrap=True)
    rejected = any(result.left_out for result in report.results)
    for column in ("severity", *(name.partition(",")[0] for name in figures), *(["left out"] if rejected else [])):
        table.add_column(column, justify="right")
    for place, result in enumerate(report.results):
        following = report.results[place + 1 : place + 2]
        values = [percent(result.figures.get(name)) for name in figures]
        table.add_row(
            result.domain,
            str(result.severity) if result.severity else "–",
            *values,
            *([str(result.left_out)] if rejected else []),
            end_section=bool(following) and following[0].domain != result.domain,
        )
    return table


def _by_class(report: ShiftReport) -> list[Table]:
    """IoU of each class on the clean frames, and at the highest severity of each domain."""
    highest = [[r for r in report.results[1:] if r.domain == domain] for domain in report.domains]
    shown = [max(results, key=lambda result: result.severity) for results in highest]
    parts = [shown[start : start + _SHIFTS_PER_TABLE] for start in range(0, len(shown), _SHIFTS_PER_TABLE)]
    return [_class_part(report, part) for part in parts]


def _class_part(report: ShiftReport, shown: Sequence[ShiftResult]) -> Table:
    title = f"IoU by class at the highest severity, % ({report.dataset})"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class", no_wrap=True)
    for header in ("clean", *(f"{result.domain} {result.severity}" for result in shown)):
        table.add_column(header, justify="right")
    columns = [{} if result.classes is None else result.classes.iou for result in (report.clean, *shown)]
    for name in columns[0]:
        table.add_row(name, *(percent(column.get(name)) for column in columns))
    return table
