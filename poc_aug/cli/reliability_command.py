"""``poc-aug reliability``: do models' results on synthetic data agree with those on real data?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.errors import SettingError
from poc_aug.files.outputs import check_outputs


@with_report("reliability")
def reliability_command(
    *,
    results: Annotated[
        Path, typer.Argument(help="A .csv with the columns model, synthetic, real, or .json with those keys.")
    ],
    label: Annotated[str, typer.Option("--label", help="What was measured, for the plot's axes: mIoU.")] = "",
    confidence: Annotated[float, typer.Option("--confidence", help="Level of the intervals.")] = 0.95,
    resamples: Annotated[
        int, typer.Option("--resamples", min=1, max=1_000_000, help="Bootstrap resamples of the models.")
    ] = 5000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resamples.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for reliability.json and the scatter plot.")] = None,
    reported: dict[str, Any],
) -> None:
    """Correlate models' results on synthetic and on real data: Pearson, Spearman, Kendall, with intervals (GenVal)."""
    from poc_aug.evaluation.reliability import reliability

    if label and out is None:
        raise SettingError("--label without --out", expected="a folder for the plot that it labels: --out report")
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise SettingError(f"--label {label!a}", expected="text in UTF-8, such as mIoU") from error
    if out is not None:
        check_outputs(out, "reliability.json", "reliability.png")
    with progress(console, "resamples"):
        report = reliability(results, confidence=confidence, resamples=resamples, seed=seed)
    reported.update(report.to_dict())
    table = Table(title=f"{report.n} models", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("correlation")
    table.add_column("value", justify="right")
    table.add_column(f"{report.confidence:.0%} interval", justify="right")
    for name, correlation in report.correlations.items():
        table.add_row(name, f"{correlation.value:.3f}", correlation.interval_text(3))
    console.print(table)
    if report.degenerate:
        console.print(
            f"{report.degenerate} of {report.resamples} resamples left out: all their results on one side are equal"
        )
    if out is not None:
        from poc_aug.environment import write_json

        picture = report.plot(out / "reliability.png", label=label)
        write_json(out / "reliability.json", report.to_dict())
        console.print(f"written: {out}/reliability.json, {picture.name}")
