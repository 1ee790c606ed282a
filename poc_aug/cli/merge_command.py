"""``poc-aug merge``: unite caches in one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.console import console, errors
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.counting import count_of
from poc_aug.upkeep import merge_caches


@with_report("merge")
def merge_command(
    *,
    caches: Annotated[list[Path], typer.Argument(help="Paths of the caches.")],
    out: Annotated[Path, typer.Option("--out", help="The cache to write; one that exists is continued.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check them, and say what would be added.")] = False,
    reported: dict[str, Any],
) -> None:
    """Unite caches of one dataset: those of one recipe become one, those of others are kept beside it."""
    with progress(console, "shards") as show:
        report = merge_caches(caches, out, dry_run=dry_run, on_progress=show)
    reported.update(asdict(report), dry_run=dry_run)
    for shard in report.being_written:
        errors.print(f"left out, a process writes it: {shard}; merge again when it has ended", style="yellow")
    console.print(
        f"{out}: {count_of(report.records, 'record')} of {count_of(report.shards, 'shard')} "
        f"{'would be ' * dry_run}added, {report.doubles} were there already; {count_of(report.recipes, 'recipe')}"
    )
