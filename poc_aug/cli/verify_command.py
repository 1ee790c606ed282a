"""``poc-aug verify``: check every record of a cache."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import typer

from poc_aug.cli.cache_argument import CacheToRead, cache_to_read
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.counting import count_of
from poc_aug.upkeep import verify_cache


@with_report("verify")
def verify_command(*, cache: CacheToRead, reported: dict[str, Any]) -> None:
    """Read every record of a cache, of all its recipes, and check its hash."""
    path = cache_to_read(cache)
    with progress(console, "records") as show:
        report = verify_cache(path, show)
    reported.update(asdict(report), ok=report.ok)
    for problem in report.problems:
        console.print(f"corrupt: {problem}", style="red")
    console.print(
        f"{count_of(report.records, 'record')} in {count_of(report.shards, 'shard')} checked, "
        f"{len(report.problems)} corrupt"
    )
    if report.problems:
        console.print(f"set what is damaged aside with: poc-aug repair {shlex.quote(str(path))}")
        raise typer.Exit(1)
