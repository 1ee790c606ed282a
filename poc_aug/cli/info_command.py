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
from poc_aug.cache.kept_summary import ReviewCounts, renamed_counts, summarize_kept
from poc_aug.cache.members import member_paths
from poc_aug.cache.record_summary import RecordSummary
from poc_aug.cli.cache_argument import CachesToRead, cache_to_read
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.inspection.decision_facts import decision_facts
from poc_aug.inspection.empty_variants import without_object_text
from poc_aug.inspection.frame_summary import ShiftSummary, class_agreements, summaries_of
from poc_aug.scenes.scene_recipe import split_key

_MAX_CHARS = 10_000


def info_command(
    caches: CachesToRead,
    recipe: Annotated[bool, typer.Option("--recipe", help="Print the recipes that made them, as YAML.")] = False,
) -> None:
    """Show what caches hold, with a table per recipe."""
    texts = []
    for path in map(cache_to_read, caches):
        with Cache.open(path) as opened:
            paths = member_paths(opened.path)
        for number, member in enumerate(paths):
            with Cache.open(member) as opened:
                if recipe:
                    texts.append(yaml.safe_dump(dict(opened.manifest.recipe), sort_keys=False, allow_unicode=True))
                else:
                    _show(opened, f"{number + 1} of {len(paths)}" if len(paths) > 1 else "")
    if recipe:
        typer.echo("---\n".join(texts), nl=False)


def _show(cache: Cache, place: str) -> None:
    review = ReviewCounts()
    with progress(console, "records") as show:
        summary = summarize_kept(cache, show, review)
    rows = [("recipe", place)] if place else []
    if cache.manifest.kind == "frames":
        summaries = summaries_of(cache, summary)
        console.print(_two_columns(*rows, *_frames_rows(cache, summary, summaries, review)))
        console.print(_shifts_table(summaries))
    else:
        console.print(_two_columns(*rows, *_insertions_rows(cache, summary, review)))


def _insertions_rows(cache: Cache, summary: RecordSummary, review: ReviewCounts) -> list[tuple[str, str]]:
    objects = renamed_counts(summary.objects, review.names, cache.manifest.recipe)
    horizons = (f"{source} ({n} object{'' if n == 1 else 's'})" for source, n in summary.horizons.items())
    return [
        *_head(cache, cache.samples, "variants"),
        ("inserter", str(cache.manifest.backends.get("inserter", {}).get("inserter", "?"))),
        ("fingerprint", cache.manifest.fingerprint),
        ("objects", ", ".join(f"{count} {object_}" for object_, count in objects.most_common()) or "none"),
        ("without object", without_object_text(summary.empty, len(cache)) or "none"),
        ("horizon from", ", ".join(horizons) or "none"),
        ("rejections", _counted(summary.rejections)),
        *_tail(cache, summary, review),
    ]


def _frames_rows(
    cache: Cache, summary: RecordSummary, summaries: Sequence[ShiftSummary], review: ReviewCounts
) -> list[tuple[str, str]]:
    """What all shifts of a cache of frames have in common."""
    samples = len({split_key(key)[0] for key in cache.keys()})
    by_class = class_agreements(summaries)
    rejections: Counter[str] = Counter()
    for one in summaries:
        rejections.update(one.counts.rejections)
    rejected = sum(one.counts.rejected for one in summaries)
    return [
        *_head(cache, samples, "frames"),
        ("codec", cache.manifest.codec),
        ("fingerprint", cache.manifest.fingerprint),
        ("agreement", ", ".join(f"{name} {value:.2f}" for name, value in by_class.items()) or "not checked"),
        ("rejected", without_object_text(rejected, len(cache), frames=True) or "none"),
        ("rejections", _counted(rejections)),
        *_tail(cache, summary, review),
    ]


def _shifts_table(summaries: Sequence[ShiftSummary]) -> Table:
    """One row per domain and severity."""
    table = Table(box=None)
    table.add_column("domain", overflow="fold")
    for name in ("severity", "frames", "agreement"):
        table.add_column(name, justify="right")
    table.add_column("rejected attempts", overflow="fold")
    for one in summaries:
        agreement = one.counts.agreement.value
        table.add_row(
            Text(_plain(one.domain)),
            str(one.severity),
            str(one.counts.frames),
            "" if agreement is None else f"{agreement:.2f}",
            Text(_plain(_counted(one.counts.rejections, ""))),
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


def _tail(cache: Cache, summary: RecordSummary, review: ReviewCounts) -> list[tuple[str, str]]:
    """What there is to say of few caches."""
    rows = decision_facts(cache, review)
    if review.outcomes["drop"]:
        rows[0] = (rows[0][0], f"{rows[0][1]}; what they reject is counted above as dropped")
    if summary.unreadable:
        damaged = f"{summary.unreadable} record{'' if summary.unreadable == 1 else 's'}, not counted above"
        rows.append(("damaged", f"{damaged}: `poc-aug verify {cache.path}` names them"))
    return rows


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
