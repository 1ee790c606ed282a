"""``poc-aug evaluate --shift``: the evaluation itself, its tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.shift_tables import shift_tables
from poc_aug.errors import SchemaError

if TYPE_CHECKING:
    from poc_aug.evaluation.shift_report import ShiftReport
    from poc_aug.evaluation.shift_request import ShiftRequest


class ShiftedBase(NamedTuple):
    """A dataset whose frames are shifted.

    Attributes:
        name: its name in the report.
        base: the dataset.
        classes: the model's classes that it has.
        scores: the scores of its anomalies; empty: it is evaluated on known classes.
        schema: what was given as its schema.
    """

    name: str
    base: Any
    classes: Sequence[str]
    scores: tuple[str, ...]
    schema: str | None


@contextmanager
def labelled_schema_named() -> Iterator[None]:
    """``--schema`` is that of the datasets with anomalies; the others have an option of their own."""
    try:
        yield
    except SchemaError as error:
        step = error.command.replace("--schema", "--labelled-schema")
        raise SchemaError(error.problem, expected=error.expected, hint=error.hint, command=step) from error


def evaluate_shifted(
    network: Any,
    bases: Sequence[ShiftedBase],
    requests: Sequence[ShiftRequest],
    *,
    camera: str | None,
    seed: int,
    of_anomalies: dict[str, Any],
    settings: dict[str, Any],
) -> list[ShiftReport]:
    """Evaluate a model on each dataset, clean and shifted, and print the tables.

    Args:
        network: the model.
        bases: the datasets.
        requests: the shifts.
        camera: the frames' camera.
        seed: seed of the shifts.
        of_anomalies: arguments of `evaluate_shifts` for datasets with anomalies.
        settings: its arguments for all of them.

    Raises:
        PocAugError: see `evaluate_shifts`; that a shift does not fit a dataset is said before the first evaluation.
    """
    from poc_aug.evaluation.shift_evaluation import evaluate_shifts, shifted_datasets

    made: dict[str, Any] = {"camera": camera, "seed": seed}
    for each in bases:  # before hours of evaluation
        shifted_datasets(each.base, requests, schema=each.schema, **made)
    reports = []
    for each in bases:
        given = {**settings, **made, **(of_anomalies if each.scores else {})}
        with progress(console, f"frames of {each.name}, clean and shifted") as show:
            report = evaluate_shifts(
                network,
                each.base,
                requests,
                each.classes,
                each.scores,
                name=each.name,
                schema=each.schema,
                on_progress=show,
                **given,
            )
        for table in shift_tables(report):
            console.print(table)
        reports.append(report)
    return reports


def write_shift_plots(reports: Sequence[ShiftReport], folder: Path, names: Sequence[str]) -> None:
    """Draw the plot of each report into a folder."""
    from poc_aug.evaluation.shift_plots import plot_shifts

    for report, name in zip(reports, names, strict=True):
        plot_shifts(report, folder / name)
