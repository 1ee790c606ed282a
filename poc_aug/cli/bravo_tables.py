"""Tables of `poc-aug evaluate`: confidence against correctness, and the BRAVO index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from poc_aug.evaluation.anomalies import EvaluationResult
    from poc_aug.evaluation.closed_set import ClassResult


def bravo_tables(results: list[EvaluationResult], closed: list[ClassResult]) -> list[Table]:
    """The figures of each labelled dataset's confidence, and the BRAVO index of each score; "-" if undefined."""
    from poc_aug.evaluation.bravo_report import bravo_values
    from poc_aug.evaluation.confidence import confidence_values

    rows = {result.dataset: confidence_values(result.confidence) for result in closed}
    return [
        _table("confidence against correctness, % (BRAVO)", "dataset", rows),
        _table("BRAVO index of all datasets, %", "score", bravo_values(results, closed)),
    ]


def _table(title: str, first: str, rows: dict[str, dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = list(dict.fromkeys(name for row in rows.values() for name in row if name != "undefined"))
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *("-" if row[column] is None else f"{100 * row[column]:.2f}" for column in columns))
    return table
