"""``poc-aug info``: what a cache holds."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
import yaml
from rich.table import Table

from poc_aug.cache import Cache
from poc_aug.cli.console import console
from poc_aug.cli.shared_options import CachePath
from poc_aug.inspection.empty_variants import without_object_text

_MAX_CHARS = 10_000


def info_command(
    cache: CachePath,
    recipe: Annotated[bool, typer.Option("--recipe", help="Print the recipe that made it, as YAML.")] = False,
) -> None:
    """Show what a cache holds."""
    with Cache.open(cache) as opened:
        if recipe:
            text = yaml.safe_dump(dict(opened.manifest.recipe), sort_keys=False, allow_unicode=True)
            typer.echo(text, nl=False)
            return
        console.print(_table(opened))


def _table(cache: Cache) -> Table:
    rejections: Counter[str] = Counter()
    horizons: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    empty = 0
    for key, index in cache:
        variant = cache.get(key, index)
        assert variant is not None  # just listed
        empty += not variant.insertions
        for insertion in variant.insertions:
            objects[insertion.object_name] += 1
            source = insertion.provenance.get("horizon_from")
            if isinstance(source, str):
                horizons[source] += 1
        rejections.update(rejection.reason for rejection in variant.rejections)
    samples, manifest = len(cache.keys()), cache.manifest
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in (
        ("cache", str(cache.path)),
        ("samples", str(samples)),
        ("variants", f"{len(cache)} ({len(cache) / max(samples, 1):.1f} per sample)"),
        ("size", f"{cache.nbytes / 1e6:.2f} MB, {cache.nbytes / 1e3 / max(samples, 1):.1f} kB per sample"),
        ("dataset", str(manifest.dataset)),
        ("inserter", str(manifest.backends.get("inserter", {}).get("inserter", "?"))),
        ("fingerprint", manifest.fingerprint),
        ("objects", ", ".join(f"{count} {object_}" for object_, count in objects.most_common()) or "none"),
        ("without object", without_object_text(empty, len(cache)) or "none"),
        (
            "horizon from",
            ", ".join(f"{source} ({n} object{'' if n == 1 else 's'})" for source, n in horizons.items()) or "none",
        ),
        ("rejections", ", ".join(f"{count} {reason}" for reason, count in rejections.items()) or "none"),
    ):
        table.add_row(name, _plain(value))
    return table


def _plain(text: str) -> str:
    """Text of a cache, which a stranger may have written, without what a terminal would act upon."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_MAX_CHARS])
    return shown if len(text) <= _MAX_CHARS else f"{shown}... ({len(text)} characters)"
