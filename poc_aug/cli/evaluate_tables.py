"""Tables of ``poc-aug evaluate`` for components, instances and the open set, and which datasets have the latter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from poc_aug.errors import SettingError
from poc_aug.evaluation.figure_values import percent

if TYPE_CHECKING:
    from poc_aug.evaluation.anomalies import EvaluationResult

_COLUMNS = {
    "components and instances": ("sIoU", "PPV", "component F1", "instance AP", "instance AP50"),
    "open set": ("open-IoU TPR95", "open-IoU FPR5", "closed-set mIoU"),
}


def classes_shared(
    datasets: Sequence[Any], schema: str | None, channels: Sequence[str], classes: str | None, labelled: Sequence[str]
) -> list[Sequence[str]]:
    """The model's classes for each dataset with anomalies; none for one that has no such class.

    Args:
        datasets: those of ``--dataset``.
        schema: ``--schema``.
        channels: names of the model's channels.
        classes: ``--classes``.
        labelled: ``--labelled``.

    Raises:
        SettingError: no dataset has one, and there is no labelled dataset either, so ``--classes`` has no use.

    Example:
        >>> from poc_aug.cli.evaluate_tables import classes_shared
        >>> classes_shared([[]], "cityscapes-trainIds", ["road", "lava"], "channels.yaml", [])
        [['road', 'lava']]
        >>> classes_shared([[]], "fishyscapes", ["road"], None, [])
        [()]
    """
    from poc_aug.labels.detect import find_schema

    shared: list[Sequence[str]] = []
    for dataset in datasets:
        known = find_schema(dataset, schema) if channels else None
        some = known is not None and any(known.known_id(name) is not None for name in channels)
        shared.append(channels if some else ())
    if classes is not None and not labelled and not any(shared):
        raise SettingError(
            f"--classes {classes} without --labelled",
            expected="a dataset of known classes to compare the channels with, or a --dataset that has them as well as "
            "anomalies",
            hint="give it (--labelled 'module:callable key=value'), or leave --classes out",
        )
    return shared


def further_tables(results: Sequence[EvaluationResult]) -> list[Table]:
    """Tables of the figures that were asked for besides those of pixels, in percent.

    Example:
        >>> from poc_aug.cli.evaluate_tables import further_tables
        >>> from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult
        >>> result = ScoreResult({"AuPRC": 0.75}, open_set={"open-IoU TPR95": 0.5})
        >>> tables = further_tables([EvaluationResult("streets", 4, 0, {"msp": result}, 1.0)])
        >>> [(table.title, [column.header for column in table.columns]) for table in tables]
        [('open set, %', ['dataset', 'score', 'open-IoU TPR95'])]
    """
    figures = [
        (result.dataset, name, {**score.components, **score.open_set})
        for result in results
        for name, score in result.scores.items()
    ]
    tables = []
    for title, columns in _COLUMNS.items():
        shown = [column for column in columns if any(column in row for _, _, row in figures)]
        if not shown:
            continue
        table = Table(title=f"{title}, %", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in ("dataset", "score"):
            table.add_column(column, no_wrap=True)
        for column in shown:
            table.add_column(column, justify="right")
        for dataset, name, row in figures:
            # A dataset without known classes has no open-IoU.
            table.add_row(dataset, name, *(percent(row.get(column)) for column in shown))
        tables.append(table)
    return tables
