"""``poc-aug verify``: check every record of a cache."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from poc_aug.cache import Cache
from poc_aug.cli.cache_argument import CacheToRead, cache_to_read
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report


@with_report("verify")
def verify_command(*, cache: CacheToRead, reported: dict[str, Any]) -> None:
    """Read every record of a cache and check its hash."""
    with Cache.open(cache_to_read(cache)) as opened, progress(console, "records") as show:
        report = opened.verify(show)
    reported.update(asdict(report), ok=report.ok)
    for problem in report.problems:
        console.print(f"corrupt: {problem}", style="red")
    console.print(f"{report.records} records in {report.shards} shards checked, {len(report.problems)} corrupt")
    if report.problems:
        raise typer.Exit(1)
