"""``poc-aug export``: composed frames as files, in the layout that other code reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.arguments import given_dataset, load_dataset, parse_arguments
from poc_aug.cli.cache_argument import cache_to_read
from poc_aug.cli.command_options import shown_default
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.cli.shared_options import DatasetName, KeysName, SchemaName, Workers
from poc_aug.errors import SettingError
from poc_aug.exporting.export_report import ExportReport
from poc_aug.exporting.layout_registry import LAYOUTS

_KEY_VALUE = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_NUMBERS = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*", re.ASCII)


@with_report("export")
def export_command(
    *,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="CACHE... [KEY=VALUE]...", help="The caches, and arguments of the dataset: root=data split=train"
        ),
    ],
    dataset: DatasetName = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder that the files are written to.")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help=f"One of: {', '.join(LAYOUTS)}.")] = None,
    labels: Annotated[
        str,
        typer.Option(
            "--labels", help="ood:ID (objects get that id), ids (classes get new ids) or anomaly (0, 1, 255 ignore)."
        ),
    ] = "ood:254",
    ids: Annotated[
        str | None,
        typer.Option(
            "--ids",
            help="With --labels ids: cat=19,dog=20, or a YAML file. "
            + shown_default("numbered after the dataset's classes, in the recipe's order"),
        ),
    ] = None,
    ring: Annotated[
        int, typer.Option("--ring", min=0, max=100, help="Width of a ring of ignored pixels around each object.")
    ] = 0,
    variants: Annotated[str, typer.Option("--variants", help="all, or numbers of variants: 0,2.")] = "all",
    split: Annotated[
        str | None,
        typer.Option("--split", help="Split of all samples. " + shown_default("that of their keys")),
    ] = None,
    keep_empty: Annotated[
        bool,
        typer.Option("--keep-empty/--skip-empty", help="Write variants without an insertion, as the base frame."),
    ] = True,
    base_frames: Annotated[bool, typer.Option("--base-frames", help="Write the base's frames alongside.")] = False,
    sigma: Annotated[float, typer.Option("--sigma", min=0, help="Feather of insertions, in pixels.")] = 1.0,
    schema: SchemaName = None,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Write the base's ids as they are, not those that the readers expect.")
    ] = False,
    instance_ids: Annotated[
        str | None,
        typer.Option("--instance-ids", help="Layout cityscapes: all, objects or none. " + shown_default("all")),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the layout: segmentation=rle of coco; pictures=jpg, shard_frames=500 of webdataset.",
        ),
    ] = None,
    keys: KeysName = None,
    workers: Workers = 2,
    reported: dict[str, Any],
) -> None:
    """Write composed frames as files, in the layout that other code reads; the same command continues."""
    from poc_aug.cache.several_caches import open_caches
    from poc_aug.cache.united_caches import journal_class_names
    from poc_aug.exporting.export_planning import caches_of, manifests_of, object_names
    from poc_aug.exporting.exporter import export
    from poc_aug.exporting.label_forms import parse_label_form
    from poc_aug.exporting.layout_registry import layout_named
    from poc_aug.labels.detect import find_schema

    name = given_dataset(dataset)
    folder, kind = _given("--out", out, "the folder to write to"), _given("--layout", layout, "a layout")
    given = parse_arguments(settings or [])
    made = layout_named(kind, **given, **({} if instance_ids is None else {"instance_ids": instance_ids}))
    caches, values = split_positionals(arguments)
    policy = parse_label_form(labels, ids=ids, ring_px=ring)  # before anything is loaded
    numbers = parse_variants(variants)
    base = load_dataset(name, parse_arguments(values))
    with open_caches([cache_to_read(each) for each in caches]) as opened:
        if labels == "ids" and ids is None:
            classes = object_names(manifests_of(opened), journal_class_names(caches_of(opened)))
            target = None if keep_ids else getattr(made, "label_schema", None)
            known = find_schema(base, target or schema)
            policy = parse_label_form(labels, ring_px=ring, classes=classes, schema=known)
        with progress(console, "frames") as show:
            report = export(
                base,
                opened,
                made,
                folder,
                labels=policy,
                variants=numbers,
                split=split,
                keep_empty=keep_empty,
                base_frames=base_frames,
                sigma_px=sigma,
                schema=schema,
                keep_ids=keep_ids,
                keys=keys,
                workers=workers,
                on_progress=lambda now: show(now.done, now.total, before=now.present),
            )
    reported.update(report.to_dict())
    _print(report)


def split_positionals(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The caches, and the arguments of the dataset: what has a ``=`` after a name and is no path that exists.

    Raises:
        SettingError: no cache.

    Example:
        >>> split_positionals(["a.cache", "root=data", "b.cache"])
        (['a.cache', 'b.cache'], ['root=data'])
    """
    values = [text for text in arguments if _KEY_VALUE.match(text) and not _exists(text)]
    caches = [text for text in arguments if text not in values]
    if not caches:
        raise SettingError("no cache is given", expected="poc-aug export CACHE... --dataset ... [KEY=VALUE]...")
    return caches, values


def parse_variants(text: str) -> str | list[int]:
    """``--variants``: all, or numbers.

    Raises:
        SettingError: neither.

    Example:
        >>> parse_variants("all"), parse_variants("0,2")
        ('all', [0, 2])
    """
    if text == "all":
        return text
    if not _NUMBERS.fullmatch(text):
        raise SettingError(f"--variants {text}", expected="all, or numbers from 0: 0,2")
    return [int(number) for number in text.split(",")]


def _given(option: str, value: Any, what: str) -> Any:
    if value is None:
        hint = f"one of: {', '.join(LAYOUTS)}" if option == "--layout" else ""
        raise SettingError(f"{option} is missing", expected=what, hint=hint)
    return value


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # no path that a file can have
        return False


def _print(report: ExportReport) -> None:
    splits = ", ".join(f"{count} {split}" for split, count in report.splits.items())
    objects, frames = sum(report.objects.values()), sum(report.splits.values())
    console.print(
        f"{report.written} frame{'' if report.written == 1 else 's'} written in {report.seconds:.1f} s, "
        f"{report.present} were there before",
        markup=False,
    )
    console.print(
        f"{report.folder}: {frames} frame{'' if frames == 1 else 's'} ({splits}), {objects} "
        f"object{'' if objects == 1 else 's'}, {report.ood_px} OOD pixels",
        markup=False,
    )
    if report.without_object and report.objects:
        console.print(
            f"  {report.without_object} of them hold no object: all of it was rejected (--skip-empty leaves them out)",
            markup=False,
        )
    for reason, count in report.skipped.items():
        console.print(f"  left out: {count} x {reason}", style="yellow", markup=False)
