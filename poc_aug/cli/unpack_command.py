"""``poc-aug unpack``: a verified cache from an archive."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.counting import count_of
from poc_aug.sharing.pack_unpacking import unpack_cache


@with_report("unpack")
def unpack_command(
    *,
    archive: Annotated[Path, typer.Argument(help="What `poc-aug pack` made: a .tar, a .zip, or a folder.")],
    out: Annotated[Path, typer.Option("--out", help="Path of the cache to make.")],
    sha256: Annotated[
        str | None, typer.Option("--checksum", help="SHA-256 of the archive, as its source published it.")
    ] = None,
    reported: dict[str, Any],
) -> None:
    """Unpack a shared cache: checks every hash, and verifies every record."""
    with progress(console, "bytes") as show:
        report = unpack_cache(archive, out, sha256=sha256, progress=show)
    reported.update(asdict(report))
    recipes = f" of {report.recipes} recipes" if report.recipes > 1 else ""
    console.print(f"{count_of(report.records, 'record')}{recipes} verified: {out}", markup=False)
