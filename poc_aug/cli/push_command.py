"""``poc-aug push``: send a cache to an object store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from poc_aug.cli.cache_argument import byte_progress
from poc_aug.cli.console import console
from poc_aug.cli.run_report import with_report
from poc_aug.cli.shared_options import CachePath
from poc_aug.counting import count_of
from poc_aug.stores import TransferSettings, push

MOST_TRANSFERS = 64

Transfers = Annotated[int, typer.Option("--transfers", min=1, max=MOST_TRANSFERS, help="Files at a time.")]


@with_report("push")
def push_command(
    *,
    cache: CachePath,
    url: Annotated[str, typer.Argument(metavar="URL", help="Address for it: s3://bucket/name.cache")],
    rejected: Annotated[bool, typer.Option("--rejected", help="Send the pictures of rejected attempts, too.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take what this cache does not hold off the list there: a repaired cache.")
    ] = False,
    transfers: Transfers = 4,
    reported: dict[str, Any],
) -> None:
    """Send a cache, or what the store lacks of it; run it again after an interruption."""
    settings = TransferSettings(parallel=transfers)
    with byte_progress() as show:
        report = push(cache, url, rejected=rejected, replace=replace, settings=settings, progress=show)
    reported.update(asdict(report))
    console.print(
        f"{len(report.sent)} of {count_of(report.files, 'file')} sent ({report.sent_nbytes / 1e6:.1f} MB); "
        f"{report.place} has {report.nbytes / 1e6:.1f} MB",
        markup=False,
    )
    if report.only_there:
        are, they = ("is", "it stays") if len(report.only_there) == 1 else ("are", "they stay")
        console.print(f"{count_of(len(report.only_there), 'file')} there {are} not in {cache}; {they}", markup=False)
    for name in report.being_written:
        console.print(f"  left out, since it is being written: {name}; push again later", style="yellow", markup=False)
