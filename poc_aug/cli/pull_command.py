"""``poc-aug pull``: fetch a cache from an object store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.cache_argument import byte_progress, print_waiting
from poc_aug.cli.console import console
from poc_aug.cli.push_command import Transfers
from poc_aug.cli.run_report import with_report
from poc_aug.counting import count_of
from poc_aug.stores import TransferSettings, pull


@with_report("pull")
def pull_command(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the cache: s3://bucket/name.cache")],
    out: Annotated[Path, typer.Option("--out", help="Path of the cache to make or to update.")],
    transfers: Transfers = 4,
    reported: dict[str, Any],
) -> None:
    """Fetch a cache, or what is missing of it, and check every file; run it again after an interruption."""
    with byte_progress() as show:
        settings = TransferSettings(parallel=transfers)
        report = pull(url, out, settings=settings, progress=show, on_wait=print_waiting)
    reported.update(asdict(report))
    console.print(
        f"{len(report.sent)} of {count_of(report.files, 'file')} fetched and checked "
        f"({report.sent_nbytes / 1e6:.1f} MB)",
        markup=False,
    )
    console.print(f"cache: {out}", markup=False)
