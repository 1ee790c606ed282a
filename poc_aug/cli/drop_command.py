"""``poc-aug drop``: leave insertions of a cache out, take them in again, accept or relabel them."""

from __future__ import annotations

from typing import Annotated

import typer

from poc_aug.cache import Manifest, has_manifest
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.members import member_paths
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.shared_options import CachePath
from poc_aug.counting import count_of
from poc_aug.errors import SettingError
from poc_aug.upkeep import DropReport, decisions, drop, undo_decision

_SHORT_FINGERPRINT = 12
_SHORT_ID = 8


def drop_command(
    cache: CachePath,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Class of the object or of one of its parts; of frames, the domain.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Key of the sample, or a pattern such as 'aachen/*'.")
    ] = None,
    variant: Annotated[int | None, typer.Option("--variant", min=0, help="Number of the variant.")] = None,
    insertion: Annotated[
        int | None, typer.Option("--insertion", min=0, help="Number of the insertion in its variant, from 0.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Fingerprint of the recipe, or its first characters.")
    ] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Take in again what was dropped.")] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Note that they were looked at and are kept, instead.")
    ] = False,
    relabel: Annotated[
        str | None, typer.Option("--relabel", metavar="CLASS", help="Give them another class name, instead.")
    ] = None,
    part: Annotated[
        str | None, typer.Option("--part", help="Which part --relabel names anew, of objects with several.")
    ] = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="ID", help="Take back one decision, by its id in --list.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Name of whoever decides; it is stored in the journal.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    list_decisions: Annotated[
        bool, typer.Option("--list", help="Print the journal: who decided what, and when.")
    ] = False,
) -> None:
    """Leave out insertions that fit all options, or restore, accept or relabel them; no record is changed."""
    given = (class_name, key, variant, insertion, recipe)
    others = restore or accept or dry_run or any(value is not None for value in (*given, relabel, part))
    if undo is not None:
        if others or list_decisions:
            raise SettingError(
                "--undo with other options",
                expected="--undo with --by at most: it names one decision by its id",
                hint="leave them out",
            )
        fingerprint, entry = undo_decision(cache, undo, by=by)
        console.print(f"undone: {_shown(fingerprint, entry)}")
        return
    if list_decisions:
        if others or by:
            raise SettingError(
                "--list with other options", expected="--list alone: it prints the whole journal", hint="leave them out"
            )
        _print_journal(cache)
        return
    if variant is not None and recipe is None and has_manifest(cache):
        held = [Manifest.read(member).fingerprint[:_SHORT_FINGERPRINT] for member in member_paths(cache)]
        if len(held) > 1:  # the number that a person has seen may be that of another picture
            raise SettingError(
                f"--variant {variant} of a cache with {len(held)} recipes, each of which has one",
                expected="--recipe, too, and its number there: previews and exports count the variants of all recipes",
                hint=f"--recipe, one of {', '.join(held)}; `poc-aug info {cache}` shows them in order",
            )
    with progress(console, "records") as show:
        report = drop(
            cache,
            class_name=class_name,
            key=key,
            variant=variant,
            insertion=insertion,
            recipe=recipe,
            restore=restore,
            accept=accept,
            relabel=relabel,
            part=part,
            by=by,
            dry_run=dry_run,
            on_progress=show,
        )
    verb = "restored" if restore else "accepted" if accept else "relabelled" if relabel is not None else "dropped"
    console.print(_text(report, verb, dry_run))
    if report.stored_as:
        stored = ", ".join(map(repr, sorted(report.stored_as)))
        console.print(f"not among them: what was relabelled to {class_name!r}; --class takes its stored name: {stored}")


def _text(report: DropReport, verb: str, dry_run: bool) -> str:
    unit = "frame" if report.frames else "insertion"
    done = ("would be " if dry_run else "") + verb
    left = f"; without {'a frame' if report.frames else 'an insertion'}: {report.empty_before} -> {report.empty_after}"
    return (
        f"{count_of(report.changed, unit)} of {report.insertions} that fit, in {count_of(report.variants, 'variant')}, "
        f"{done}; kept: {report.kept_before} -> {report.kept_after}{left} of these variants"
    )


def _print_journal(cache: CachePath) -> None:
    made = decisions(cache)
    if not made:
        console.print("the journal is empty: nothing was decided")
        return
    undone = {entry.of for _, entry in made if entry.op == "undo"}
    for fingerprint, entry in made:
        console.print(f"{_shown(fingerprint, entry)}{', undone' if entry.id in undone else ''}")


def _shown(fingerprint: str, entry: JournalEntry) -> str:
    where = {name: value for name, value in entry.where.to_dict().items() if name != "recipe"}
    what = ", ".join(f"{name} {value!a}" for name, value in where.items()) or "everything"
    to = "" if entry.to is None else f" to {entry.to!a}" if entry.part is None else f", {entry.part!a} to {entry.to!a}"
    of = "" if entry.of is None else f" of {entry.of[:_SHORT_ID]}"
    by = f", by {entry.by}" if entry.by else ""
    recipe = fingerprint[:_SHORT_FINGERPRINT]
    return f"{entry.time} {entry.op}{of}: {what}{to} (recipe {recipe}{by}, id {entry.id[:_SHORT_ID]})"
