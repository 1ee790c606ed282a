"""``poc-aug preview``: a contact sheet of a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from poc_aug.cache import Cache, UnitedCaches, open_members
from poc_aug.cache.several_caches import open_caches
from poc_aug.cli.arguments import given_dataset, load_dataset, parse_arguments, split_caches
from poc_aug.cli.cache_argument import CacheToRead
from poc_aug.cli.command_options import shown_default
from poc_aug.cli.console import console
from poc_aug.cli.shared_options import DatasetArguments, DatasetName, KeysName, RecipeNames
from poc_aug.errors import SettingError
from poc_aug.exporting.export_planning import check_sigma
from poc_aug.files.outputs import check_outputs, writing
from poc_aug.inspection.contact_sheet import contact_sheet, tiles_of
from poc_aug.inspection.empty_variants import count_without_object, without_object_text
from poc_aug.inspection.frame_sheet import frame_sheet, rows_of
from poc_aug.inspection.rejected_sheet import rejected_of, rejected_sheet


def preview_command(
    cache: CacheToRead,
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    keys: KeysName = None,
    out: Annotated[Path, typer.Option("--out", help="Where the picture goes.")] = Path("contact_sheet.png"),
    count: Annotated[
        int, typer.Option("--count", min=1, max=10_000, help="Variants, or rejected attempts, to show.")
    ] = 8,
    width: Annotated[int, typer.Option("--width", min=200, max=20_000, help="Width of the sheet in pixels.")] = 1800,
    sigma: Annotated[
        float | None,
        typer.Option("--sigma", min=0, help=f"Feather of insertions, in pixels. {shown_default('1.0')}"),
    ] = None,
    recipe: RecipeNames = None,
    rejected: Annotated[
        bool,
        typer.Option("--rejected", help="Draw the rejected attempts that --keep-rejected kept; needs no dataset."),
    ] = False,
) -> None:
    """Draw a contact sheet: before, after, masks with class and score, close-up.

    Of a cache of shifted frames: the original, and the frame of each severity, per domain. Several caches of one
    dataset may be given, one after the other.
    """
    _check_picture_name(out)
    caches, pairs = split_caches(cache, arguments or [])
    if rejected:
        check_outputs(out.parent, out.name)
        if len(caches) > 1:
            raise SettingError(
                f"{len(caches)} caches with --rejected",
                expected="one cache: each keeps the pictures of its own rejected attempts",
                hint="draw one sheet per cache",
            )
        with Cache.open(caches[0]) if recipe is None else open_members(caches[0], recipe)[0] as source:
            pictures = rejected_of(source, count)
        with writing(out):
            rejected_sheet(pictures, width_px=width).save(out)
        console.print(f"{len(pictures)} rejected attempt{'' if len(pictures) == 1 else 's'}: {out}", markup=False)
        return
    name = given_dataset(dataset)  # these two first: loading a dataset can take long
    check_outputs(out.parent, out.name)
    base = load_dataset(name, parse_arguments(pairs))
    with open_caches(caches, recipes=recipe) as opened:
        sources = opened.caches if isinstance(opened, UnitedCaches) else (opened,)
        frames = sources[0].manifest.kind == "frames"
        if frames:
            if sigma is not None:
                raise SettingError(
                    f"--sigma {sigma:g} with a cache of shifted frames",
                    expected="a cache of insertions: whole frames have no feather",
                    hint="leave it out",
                )
            rows = [
                row for source in sources for row in rows_of(base, source, max(1, count // len(sources)), keys=keys)
            ]
            sheet, shown = frame_sheet(rows, width_px=width), sum(len(row.variants) for row in rows)
        else:
            sigma_px = 1.0 if sigma is None else check_sigma(sigma, [source.manifest for source in sources])
            tiles = tiles_of(base, opened, count, keys=keys)
            sheet, shown = contact_sheet(tiles, width_px=width, sigma_px=sigma_px), len(tiles)
        empty = without_object_text(sum(map(count_without_object, sources)), len(opened), frames=frames)
    with writing(out):
        sheet.save(out)
    console.print(f"{shown} {'frame' if frames else 'variant'}{'' if shown == 1 else 's'}: {out}", markup=False)
    if empty:
        console.print(empty, style="yellow" if empty.startswith("warning") else None, markup=False)


def _check_picture_name(path: Path) -> None:
    formats = Image.registered_extensions()
    if formats.get(path.suffix.lower()) not in Image.SAVE:
        raise SettingError(
            f"--out {str(path)!r}", expected="the name of a picture: one that ends in .png, .jpg or .webp"
        )
