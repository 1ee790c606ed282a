"""``poc-aug report``: a page about a cache, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poc_aug.cache import UnitedCaches
from poc_aug.cache.several_caches import open_caches
from poc_aug.cli.arguments import load_dataset, parse_arguments, split_caches
from poc_aug.cli.cache_argument import CacheToRead
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.shared_options import DatasetArguments, DatasetName, KeysName, RecipeNames
from poc_aug.errors import SettingError
from poc_aug.reporting import write_report
from poc_aug.reporting.cache_report import check_report_path


def report_command(
    cache: CacheToRead,
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    keys: KeysName = None,
    out: Annotated[Path, typer.Option("--out", help="Where the page goes; an earlier report is replaced.")] = Path(
        "report.html"
    ),
    samples: Annotated[int, typer.Option("--samples", min=0, max=200, help="Pictures of each class.")] = 6,
    recipe: RecipeNames = None,
) -> None:
    """Write a page about a cache: counts, acceptance, sizes, places, brightness, samples; one file, no network.

    With --dataset, samples show objects in their frames; without it, on grey, and the page holds no pixel of the
    dataset. Several caches of one dataset may be given, one after the other.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"--out {str(out)!r}", expected="the name of a page: one that ends in .html")
    caches, pairs = split_caches(cache, arguments or [])
    check_report_path(out)
    base = None
    if dataset is not None:
        base = load_dataset(dataset, parse_arguments(pairs))
    elif pairs:
        raise SettingError(
            f"arguments without --dataset: {' '.join(pairs)}",
            expected="--dataset with its arguments, or neither",
            hint="--dataset module:callable root=...",
        )
    with open_caches(caches, recipes=recipe) as opened, progress(console, "variants") as show:
        sources = opened.caches if isinstance(opened, UnitedCaches) else (opened,)
        reports = write_report(sources, out, dataset=base, keys=keys, samples=samples, progress=show)
    shown = sum(report.accepted for report in reports)
    kind = "frame" if reports[0].kind == "frames" else "object"
    console.print(f"{shown} {kind}{'' if shown == 1 else 's'}: {out}", markup=False)
