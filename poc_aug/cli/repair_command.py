"""``poc-aug repair``: set aside what is damaged in a cache."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.cli.shared_options import CachePath
from poc_aug.upkeep import repair


@with_report("repair")
def repair_command(
    *,
    cache: CachePath,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be set aside.")] = False,
    reported: dict[str, Any],
) -> None:
    """Set damaged records and files aside, so that the same warm-cache command makes them again."""
    with progress(console, "shards") as show:
        report = repair(cache, dry_run=dry_run, on_progress=show)
    reported.update(asdict(report), kept=report.kept, dry_run=dry_run)
    for one in report.set_aside:
        kept = f"; {one.kept} sound ones kept" if one.kept else ""
        console.print(f"{'would set aside' if dry_run else 'set aside'}: {one.path!r}: {one.reason}{kept}")
    if not report.set_aside:
        console.print("nothing is damaged")
    elif not dry_run:
        console.print(f"now in {report.folder}; run the same warm-cache command to make what is missing")
