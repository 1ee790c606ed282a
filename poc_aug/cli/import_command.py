"""``poc-aug import``: edited frames and their labels, as insertions in a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from poc_aug.cache import Codec
from poc_aug.cli.arguments import load_dataset, parse_arguments
from poc_aug.cli.command_options import shown_default
from poc_aug.cli.console import console, errors
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import ReportFile, run_report
from poc_aug.cli.shared_options import DatasetArguments, DatasetName, KeysName, SchemaName, Workers
from poc_aug.errors import RecipeError, SettingError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.generation.warm_report import OnError
from poc_aug.importing.edit_reach import Beyond
from poc_aug.importing.edited_pairs import EditedPairs
from poc_aug.importing.import_edits import import_pairs
from poc_aug.importing.import_report import ImportReport
from poc_aug.importing.imported_classes import ImportedClasses, classes_named, classes_of_preset
from poc_aug.importing.pair_files import matched_pairs
from poc_aug.importing.poc_release import poc_release_pairs
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.presets import preset_names

_NOTHING_STORED = 3
_SHOWN = 5
_POC_LABELS = "cityscapes-trainIds"
_Layout = Literal["poc", "pairs"]


def import_command(
    source: Annotated[Path, typer.Argument(help="Folder of the edited frames.")],
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    out: Annotated[Path | None, typer.Option("--out", help="Path of the cache.")] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--layout", help="poc: POC's published differences and labels; pairs: pictures and labels, by globs."
        ),
    ] = "poc",
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="Objects and new label ids are those of this preset: poc-alt, poc-coco."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="Label ids of the new classes: dog=19,cat=20, or a YAML file."),
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(
            "--objects", help=f"Inserted classes, also those of the dataset: dog,car. {shown_default('--classes')}"
        ),
    ] = None,
    labels_schema: Annotated[
        str | None,
        typer.Option(
            "--labels-schema",
            help="Schema of the edited labels: a known name or a YAML file. "
            + shown_default(f"{_POC_LABELS} of poc, the dataset's of pairs"),
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option("--images", help="Glob of the edited images, with --layout pairs.")
    ] = None,
    labels: Annotated[str | None, typer.Option("--labels", help="Glob of their labels, with --layout pairs.")] = None,
    keys: KeysName = None,
    schema: SchemaName = None,
    beyond: Annotated[
        str,
        typer.Option(
            "--beyond", help="Changes far from the objects: keep, shade (shadows only) or drop. They are counted."
        ),
    ] = "keep",
    codec: Annotated[Codec, typer.Option("--codec", help="How patches are stored; all but webp-lossy are exact.")] = (
        "delta-zstd"
    ),
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N edited frames.")] = None,
    workers: Workers = 2,
    on_error: Annotated[OnError, typer.Option("--on-error", help="Files that cannot be imported: raise or skip.")] = (
        "raise"
    ),
    report: ReportFile = None,
) -> None:
    """Store frames that others edited as insertions into their base frames. Run it again to resume.

    Exit code 3: no frame could be imported.
    """
    _check_choices(layout, beyond, images, labels, preset, classes, objects)
    if dataset is None:
        raise SettingError("--dataset is missing", expected="the dataset of the frames before they were edited")
    if out is None:
        raise SettingError("--out is missing", expected="--out poc-alt.cache")
    new = _new_ids(classes)
    with run_report(report, "import", out) as reported:
        base = load_dataset(dataset, parse_arguments(arguments or []))
        known = _known_classes(base, layout, preset, new, objects, labels_schema, schema)
        names = dataset_keys(base, keys)
        if layout == "poc":
            edited = poc_release_pairs(source, names, known)
        else:
            assert images is not None
            assert labels is not None
            edited = matched_pairs(source, images, labels, names)
        result = ImportReport()
        try:
            with progress(console, "edited frames") as show:
                import_pairs(
                    base,
                    edited,
                    out,
                    known,
                    schema=schema,
                    keys=names,
                    beyond=_beyond(beyond),
                    codec=codec,
                    limit=limit,
                    workers=workers,
                    on_error=on_error,
                    on_progress=lambda now: show(now.present + now.stored, now.total, _note(now), before=now.present),
                    report=result,
                )
        finally:
            reported.update(result.to_dict(), cache=out)
        _print(result, edited, out)
        if result.skipped and not result.stored and not result.present:
            errors.print(f"error: nothing was imported into {out}: everything was skipped, see above", style="red")
            raise typer.Exit(_NOTHING_STORED)


def _check_choices(
    layout: str,
    beyond: str,
    images: str | None,
    labels: str | None,
    preset: str | None,
    classes: str | None,
    objects: str | None,
) -> None:
    """Check what can be checked before the dataset is loaded."""
    for name, value, known in (("--layout", layout, get_args(_Layout)), ("--beyond", beyond, get_args(Beyond))):
        if value not in known:
            raise SettingError(f"{name} {value!r}", expected=f"one of: {', '.join(known)}")
    for name, glob in (("--images", images), ("--labels", labels)):
        if layout == "poc" and glob is not None:
            raise SettingError(f"{name} {glob!r} with --layout poc", expected="globs with --layout pairs only")
        if layout == "pairs" and not glob:
            raise SettingError(f"{name} is missing", expected=f"a glob below SOURCE: {name} '*/*.png'")
    if preset is not None and preset not in preset_names():
        raise RecipeError(f"--preset {preset!r}", expected=f"one of: {', '.join(preset_names())}")
    if preset is not None and (classes is not None or objects is not None):
        given = "--classes" if classes is not None else "--objects"
        raise SettingError(f"--preset {preset} with {given}", expected="one of the two: a preset has both")
    if preset is None and classes is None and objects is None:
        raise SettingError(
            "neither --preset nor --classes is given",
            expected="what the labels mean: --preset poc-alt, or --classes dog=19,cat=20",
        )


def _beyond(value: str) -> Beyond:
    return next(known for known in get_args(Beyond) if known == value)


def _new_ids(classes: str | None) -> dict[str, int]:
    """Label ids of new classes, as ``name=id,name=id`` or a YAML file of them."""
    if classes is None:
        return {}
    if classes.endswith((".yaml", ".yml")):
        ids = read_yaml(classes, SettingError)
    else:
        pairs = [part.partition("=") for part in classes.split(",") if part.strip()]
        ids = {name.strip(): text.strip() for name, _, text in pairs}
        if len(ids) < len(pairs):
            raise SettingError(f"--classes {classes!r} names a class twice", expected="each class once")
    found: dict[str, int] = {}
    for name, label_id in ids.items():
        plain = label_id if type(label_id) is int else int(label_id) if _is_number(label_id) else None
        if not isinstance(name, str) or not name or plain is None:
            raise SettingError(
                f"--classes {classes[:80]!r} gives {str(name)[:40]!r} the id {str(label_id)[:40]!r}",
                expected="a label id of 0 to 65535 per class: dog=19,cat=20, or a YAML file {dog: 19}",
            )
        found[name] = plain
    if not found:
        raise SettingError(f"--classes {classes!r} names no class", expected="dog=19,cat=20")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 5


def _known_classes(
    base: Any,
    layout: str,
    preset: str | None,
    new: dict[str, int],
    objects: str | None,
    labels_schema: str | None,
    schema: str | None,
) -> ImportedClasses:
    if labels_schema is not None:
        of_labels = LabelSchema.load(labels_schema)
    else:
        of_labels = LabelSchema.load(_POC_LABELS) if layout == "poc" else require_schema(base, schema)
    if preset is not None:
        return classes_of_preset(preset, of_labels)
    names = [name.strip() for name in (objects or "").split(",") if name.strip()]
    if objects is not None and not names:
        raise SettingError(f"--objects {objects!r}", expected="one name or more: dog,car")
    return classes_named(of_labels, new, names)


def _note(report: ImportReport) -> str:
    note = f"{report.share_beyond:.0%} of the changes beyond the objects" if report.beyond else ""
    skipped = f"{len(report.skipped)} skipped" if report.skipped else ""
    return ", ".join(filter(None, (note, skipped)))


def _print(report: ImportReport, edited: EditedPairs, out: Path) -> None:
    """Print what a run did."""
    if not report.stored and not report.skipped:
        console.print(f"nothing to do: all {report.present} edited frames are in {out}", markup=False)
        return
    console.print(
        f"{report.stored} edited frame{'' if report.stored == 1 else 's'} with {report.objects} "
        f"object{'' if report.objects == 1 else 's'} in {report.seconds:.1f} s; {report.present} were there before",
        markup=False,
    )
    if report.beyond:
        console.print(
            f"{report.share_beyond:.1%} of the changed pixels lie beyond the objects and their edges "
            f"({'all kept' if not report.lost else f'{report.lost} pixels will differ from the edited frames'}); "
            "the farthest:",
            style="yellow" if report.lost else None,
            markup=False,
        )
        for name, reach in report.farthest[:_SHOWN]:
            console.print(
                f"  {name}: {reach.beyond} of {reach.changed} pixels, {reach.beyond_mean:.1f} levels in the mean",
                markup=False,
            )
    for name, reason in report.skipped:
        console.print(f"  skipped: {name}: {reason}", style="yellow", markup=False)
    console.print(f"cache: {out}", markup=False)
