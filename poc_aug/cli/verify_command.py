"""``poc-aug verify``: check every record of a cache."""

from __future__ import annotations

import typer

from poc_aug.cache import Cache
from poc_aug.cli.console import console
from poc_aug.cli.shared_options import CachePath


def verify_command(cache: CachePath) -> None:
    """Read every record of a cache and check its hash."""
    with Cache.open(cache) as opened:
        report = opened.verify()
    for problem in report.problems:
        console.print(f"corrupt: {problem}", style="red")
    console.print(f"{report.records} records in {report.shards} shards checked, {len(report.problems)} corrupt")
    if report.problems:
        raise typer.Exit(1)
