"""``poc-aug info``: what a cache holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
import yaml
from rich.table import Table
from rich.text import Text

from poc_aug.cache import Cache
from poc_aug.cli.cache_argument import CacheToRead, cache_to_read
from poc_aug.cli.console import console
from poc_aug.inspection.empty_variants import without_object_text
from poc_aug.inspection.frame_summary import ShiftSummary, class_agreements, summaries_of
from poc_aug.scenes.scene_recipe import split_key

_MAX_CHARS = 10_000


def info_command(
    cache: CacheToRead,
    recipe: Annotated[bool, typer.Option("--recipe", help="Print the recipe that made it, as YAML.")] = False,
) -> None:
    """Show what a cache holds."""
    with Cache.open(cache_to_read(cache)) as opened:
        if recipe:
            text = yaml.safe_dump(dict(opened.manifest.recipe), sort_keys=False, allow_unicode=True)
            typer.echo(text, nl=False)
            return
        if opened.manifest.kind == "frames":
            summaries = summaries_of(opened)
            console.print(_frames_table(opened, summaries))
            console.print(_shifts_table(summaries))
        else:
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
    samples = len(cache.keys())
    return _two_columns(
        *_head(cache, samples, "variants"),
        ("inserter", str(cache.manifest.backends.get("inserter", {}).get("inserter", "?"))),
        ("fingerprint", cache.manifest.fingerprint),
        ("objects", ", ".join(f"{count} {object_}" for object_, count in objects.most_common()) or "none"),
        ("without object", without_object_text(empty, len(cache)) or "none"),
        (
            "horizon from",
            ", ".join(f"{source} ({n} object{'' if n == 1 else 's'})" for source, n in horizons.items()) or "none",
        ),
        ("rejections", _counted(rejections)),
    )


def _frames_table(cache: Cache, summaries: Sequence[ShiftSummary]) -> Table:
    """What all shifts of a cache of frames have in common."""
    samples = len({split_key(key)[0] for key in cache.keys()})
    by_class = class_agreements(list(summaries))
    rejections: Counter[str] = Counter()
    for one in summaries:
        rejections.update(one.rejections)
    return _two_columns(
        *_head(cache, samples, "frames"),
        ("codec", cache.manifest.codec),
        ("fingerprint", cache.manifest.fingerprint),
        ("agreement", ", ".join(f"{name} {value:.2f}" for name, value in by_class.items()) or "not checked"),
        ("rejected", without_object_text(sum(one.rejected for one in summaries), len(cache), frames=True) or "none"),
        ("rejections", _counted(rejections)),
    )


def _shifts_table(summaries: Sequence[ShiftSummary]) -> Table:
    """One row per domain and severity."""
    table = Table(box=None)
    table.add_column("domain", overflow="fold")
    for name in ("severity", "frames", "agreement"):
        table.add_column(name, justify="right")
    table.add_column("rejected attempts", overflow="fold")
    for one in summaries:
        agreement = "" if one.agreement is None else f"{one.agreement:.2f}"
        table.add_row(
            Text(_plain(one.domain)),
            str(one.severity),
            str(one.frames),
            agreement,
            Text(_plain(_counted(one.rejections, ""))),
        )
    return table


def _head(cache: Cache, samples: int, unit: str) -> tuple[tuple[str, str], ...]:
    return (
        ("cache", str(cache.path)),
        ("samples", str(samples)),
        (unit, f"{len(cache)} ({len(cache) / max(samples, 1):.1f} per sample)"),
        ("size", f"{cache.nbytes / 1e6:.2f} MB, {cache.nbytes / 1e3 / max(samples, 1):.1f} kB per sample"),
        ("dataset", str(cache.manifest.dataset)),
    )


def _two_columns(*rows: tuple[str, str]) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(_plain(value)))
    return table


def _counted(rejections: Mapping[str, int], none: str = "none") -> str:
    return ", ".join(f"{count} {reason}" for reason, count in rejections.items()) or none


def _plain(text: str) -> str:
    """Text of a cache, which a stranger may have written, without what a terminal would act upon."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_MAX_CHARS])
    return shown if len(text) <= _MAX_CHARS else f"{shown}... ({len(text)} characters)"
