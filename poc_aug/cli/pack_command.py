"""``poc-aug pack``: one archive of a cache, with a datasheet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.arguments import load_dataset, parse_arguments
from poc_aug.cli.console import console
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import with_report
from poc_aug.cli.shared_options import CachePath, DatasetArguments, DatasetName, KeysName
from poc_aug.counting import count_of
from poc_aug.errors import SettingError
from poc_aug.sharing.pack_redaction import Redaction
from poc_aug.sharing.packing import FramesToShow, PackReport, pack_cache


@with_report("pack")
def pack_command(
    *,
    cache: CachePath,
    arguments: DatasetArguments = None,
    out: Annotated[Path, typer.Option("--out", help="NAME.tar, NAME.zip, or a folder.")],
    leave_out: Annotated[
        str | None, typer.Option("--leave-out", help="What to leave out of records: prompts, provenance, or both.")
    ] = None,
    with_rejected: Annotated[
        bool, typer.Option("--with-rejected", help="Add pictures of rejected attempts; they show the base's frames.")
    ] = False,
    with_frames: Annotated[
        bool, typer.Option("--with-frames", help="Show frames of --dataset in the datasheet, too.")
    ] = False,
    with_reviewers: Annotated[
        bool, typer.Option("--with-reviewers", help="Name who accepted and relabelled insertions.")
    ] = False,
    dataset: DatasetName = None,
    keys: KeysName = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence that you give it, as an id of the hub: cc-by-4.0")
    ] = None,
    absolute_keys: Annotated[
        bool, typer.Option("--absolute-keys", help="Pack keys that are absolute paths, as they are.")
    ] = False,
    reported: dict[str, Any],
) -> None:
    """Pack a cache into one archive to share, with a datasheet and a list of hashes."""
    names = () if leave_out is None else tuple(name.strip() for name in leave_out.split(","))
    Redaction.of(names)  # before a dataset is loaded, which can take long
    frames = _frames_to_show(dataset, arguments, keys, with_frames)
    with progress(console, "records") as show:
        report = pack_cache(
            cache,
            out,
            leave_out=names,
            rejected=with_rejected,
            frames=frames,
            reviewers=with_reviewers,
            licence=licence or "",
            absolute_keys=absolute_keys,
            progress=show,
        )
    reported.update(asdict(report), out=str(report.out))
    _print(report)


def _frames_to_show(
    dataset: str | None, arguments: list[str] | None, keys: str | None, with_frames: bool
) -> FramesToShow | None:
    if dataset is None and (with_frames or arguments or keys):
        given = "--with-frames" if with_frames else "--keys" if keys else f"{(arguments or [''])[0]!r}"
        raise SettingError(
            f"{given} without --dataset", expected="the dataset whose frames are shown", hint="give --dataset"
        )
    if dataset is None:
        return None
    if not with_frames:
        raise SettingError(
            f"--dataset {dataset!r} without --with-frames",
            expected="both, or neither: frames of a dataset are shown only if that is asked for",
            hint="add --with-frames, if the dataset's licence allows it, or leave --dataset out",
        )
    return FramesToShow(load_dataset(dataset, parse_arguments(arguments or [])), keys)


def _print(report: PackReport) -> None:
    recipes = f" of {report.recipes} recipes" if report.recipes > 1 else ""
    size = f"{report.nbytes / 1e6:.2f} MB"
    console.print(f"{count_of(report.records, 'record')}{recipes}, {size}: {report.out}", markup=False)
    if report.sha256:
        console.print(f"sha256 {report.sha256}", markup=False)
    if report.non_commercial or report.non_commercial_models:
        models = f"; models: {', '.join(report.non_commercial_models)}" if report.non_commercial_models else ""
        text = f"non-commercial: {report.non_commercial} of {count_of(report.insertions, 'insertion')}{models}"
        console.print(text, style="yellow", markup=False)
    if report.unknown_licences:
        text = f"licence unknown: {report.unknown_licences} of {count_of(report.insertions, 'insertion')}"
        console.print(text, style="yellow", markup=False)
