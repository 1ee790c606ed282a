"""``poc-aug compact``: write a cache without what was dropped."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.cli.shared_options import CachePath
from poc_aug.counting import count_of
from poc_aug.upkeep import compact_cache


@with_report("compact")
def compact_command(
    *,
    cache: CachePath,
    out: Annotated[Path, typer.Option("--out", help="Path of the new cache.")],
    reported: dict[str, Any],
) -> None:
    """Write a cache without what was dropped, and without records that are stored twice."""
    with progress(console, "records") as show:
        report = compact_cache(cache, out, on_progress=show)
    reported.update(asdict(report))
    left_out = f"; recipes left out: {', '.join(report.dropped_recipes)}" if report.dropped_recipes else ""
    console.print(
        f"{out}: {count_of(report.records, 'record')} in {count_of(report.shards, 'shard')}, "
        f"{report.nbytes_before / 1e6:.2f} MB -> {report.nbytes / 1e6:.2f} MB; left out: "
        f"{count_of(report.dropped, 'insertion or frame', 'insertions or frames')}, "
        f"of {count_of(report.cut, 'variant')}; stored twice before: {report.doubles}" + left_out
    )
