"""The commands of ``poc-aug``; ``warm_cache`` is its ``warm-cache`` command as a script of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from poc_aug.cli.arguments import load_dataset, parse_arguments
from poc_aug.cli.backends import build_pipeline, plain_pipeline
from poc_aug.cli.config import check_config, read_config
from poc_aug.cli.console import console, errors
from poc_aug.cli.effects import check_backend_options, check_effects, check_given_once
from poc_aug.cli.evaluate import evaluate_command
from poc_aug.cli.generate import doctor_command, models_command, try_command
from poc_aug.cli.options import (
    AnnotatorArguments,
    AnnotatorName,
    Backend,
    BackendArguments,
    BatchSize,
    CachePath,
    DatasetArguments,
    DatasetName,
    DetectorName,
    DeviceName,
    DtypeName,
    ImagesFolder,
    KeysName,
    LocatorName,
    ModelName,
    Objects,
    RecipeChanges,
    SchemaName,
    SegmenterName,
    Sizes,
    SizesFile,
    Workers,
)
from poc_aug.cli.progress import print_objects, print_report, warm_progress
from poc_aug.cli.reliability_command import reliability_command
from poc_aug.errors import PocAugError, SettingError
from poc_aug.files.outputs import make_folder, writing

_INTERRUPTED = 130
_FAILED = 1
# Click's base class, by its place above BadParameter: some versions of typer depend on click, some hold a copy of it.
_ClickException: type[Any] = typer.BadParameter.__mro__[2]

cli = typer.Typer(
    name="poc-aug",
    help="Insert objects into segmentation datasets and rewrite the labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@cli.command("warm-cache")
def warm_cache_command(
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    objects: Objects = None,
    images: ImagesFolder = None,
    out: Annotated[Path | None, typer.Option("--out", help="Path of the cache.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The same options as YAML.")] = None,
    num_variants: Annotated[
        int | None, typer.Option("--num-variants", "--variants", help="Variants per sample. Default: 3.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only the first N samples.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Base seed. Default: the recipe's.")] = None,
    schema: SchemaName = None,
    keys: KeysName = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", help="cityscapes, kitti, generic; or file: the calibration files."),
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(
            "--location", help="Classes that objects stand on: road,sidewalk; or anywhere. Default: the recipe's; road."
        ),
    ] = None,
    per_variant: Annotated[
        str | None, typer.Option("--per-variant", help="Objects in one variant: 2, or 1,3 for one to three.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Loader processes. Default: 2.")] = None,
    codec: Annotated[
        str | None,
        typer.Option("--codec", help="delta-zstd or webp (lossless), webp-lossy, zstd, raw. Default: delta-zstd."),
    ] = None,
    on_error: Annotated[
        str | None, typer.Option("--on-error", help="Samples and variants that fail: raise or skip. Default: raise.")
    ] = None,
    paper_sizes: Annotated[
        bool | None, typer.Option("--paper-sizes", help="A preset's sizes in pixels, as in its paper, not in metres.")
    ] = None,
    sizes: Sizes = None,
    sizes_file: SizesFile = None,
    include: Annotated[str | None, typer.Option("--include", help="Only these objects (classes): dog,cat.")] = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            "--exclude",
            help="Not these objects (classes). Cityscapes' own are always left out of a COCO file on streets, unless "
            "--include names them.",
        ),
    ] = None,
    changes: RecipeChanges = None,
    backend: Backend = None,
    model: ModelName = None,
    annotator: AnnotatorName = None,
    detector: DetectorName = None,
    segmenter: SegmenterName = None,
    locator: LocatorName = None,
    device: DeviceName = None,
    dtype: DtypeName = None,
    batch_size: BatchSize = None,
    backend_args: BackendArguments = None,
    annotator_args: AnnotatorArguments = None,
) -> None:
    """Generate the missing insertions of a dataset into a cache. Run it again to resume."""
    from poc_aug.cli.object_sources import load_objects, load_recipe
    from poc_aug.generation.warming import warm_cache
    from poc_aug.labels.detect import find_schema

    chosen: dict[str, Any] = read_config(config) if config is not None else {}
    given = {
        "dataset": dataset,
        "objects": objects,
        "images": None if images is None else str(images),
        "out": None if out is None else str(out),
        "num_variants": num_variants,
        "limit": limit,
        "seed": seed,
        "schema": schema,
        "keys": keys,
        "camera": camera,
        "location": location,
        "per_variant": per_variant,
        "workers": workers,
        "codec": codec,
        "on_error": on_error,
        "paper_sizes": paper_sizes,
        "sizes": sizes,
        "sizes_file": None if sizes_file is None else str(sizes_file),
        "include": include,
        "exclude": exclude,
        "set": parse_arguments(changes) if changes else None,
        "backend": backend,
        "model": model,
        "annotator": annotator,
        "detector": detector,
        "segmenter": segmenter,
        "locator": locator,
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
        "backend_args": parse_arguments(backend_args) if backend_args else None,
        "annotator_args": parse_arguments(annotator_args) if annotator_args else None,
    }
    # A dataset of the command line replaces the configuration's as a whole, arguments too.
    chosen.update({name: value for name, value in given.items() if value is not None})
    job = check_config(chosen, "options")
    if job.dataset is None:
        raise SettingError("--dataset is missing", expected="--dataset poc_aug:SyntheticStreet size=256,512")
    if job.objects is None:
        raise SettingError("--objects is missing", expected="--objects rendered")
    if job.out is None:
        raise SettingError("--out is missing", expected="--out street.cache")
    check_backend_options(job)
    check_given_once(job)
    asked = job.source()
    base = load_dataset(job.dataset.type, {**job.dataset.args, **parse_arguments(arguments or [])})
    known = find_schema(base, job.label_schema)
    if job.backend is None:
        recipe, inserter = load_objects(
            job.objects, asked, schema=known, paper_sizes=job.paper_sizes, say=console.print
        )
        check_effects(job, recipe, inserter, known, base)
        pipeline = plain_pipeline(recipe, inserter, job)
    else:
        recipe = load_recipe(job.objects, asked, paper_sizes=job.paper_sizes)
        check_effects(job, recipe, None, known, base)
        pipeline = build_pipeline(console, recipe, job)
    path = Path(job.out)
    print_objects(console, pipeline.inserter)
    with warm_progress(console) as show:
        report = warm_cache(
            base,
            path,
            pipeline,
            num_variants=job.num_variants,
            limit=job.limit,
            schema=job.label_schema,
            keys=job.keys,
            workers=job.workers,
            codec=job.codec,
            on_error=job.on_error,
            on_progress=show,
        )
    print_report(console, report, path)


cli.command("try")(try_command)
cli.command("models")(models_command)
cli.command("doctor")(doctor_command)
cli.command("evaluate")(evaluate_command)
cli.command("reliability")(reliability_command)


@cli.command()
def info(
    cache: CachePath,
    recipe: Annotated[bool, typer.Option("--recipe", help="Print the recipe that made it, as YAML.")] = False,
) -> None:
    """Tell what a cache holds."""
    from poc_aug.cache import Cache

    with Cache.open(cache) as opened:
        manifest = opened.manifest
        if recipe:
            typer.echo(yaml.safe_dump(dict(manifest.recipe), sort_keys=False, allow_unicode=True), nl=False)
            return
        table = Table(show_header=False, box=None)
        table.add_column()
        table.add_column(overflow="fold")
        rejected: dict[str, int] = {}
        horizons: dict[str, int] = {}
        objects: dict[str, int] = {}
        for key, index in opened:
            variant = opened.get(key, index)
            assert variant is not None  # just listed
            for insertion in variant.insertions:
                objects[insertion.object_name] = objects.get(insertion.object_name, 0) + 1
                known_from = insertion.provenance.get("horizon_from")
                if isinstance(known_from, str):
                    horizons[known_from] = horizons.get(known_from, 0) + 1
            for rejection in variant.rejections:
                rejected[rejection.reason] = rejected.get(rejection.reason, 0) + 1
        samples = len(opened.keys())
        for name, value in (
            ("cache", str(opened.path)),
            ("samples", str(samples)),
            ("variants", f"{len(opened)} ({len(opened) / max(samples, 1):.1f} a sample)"),
            ("size", f"{opened.nbytes / 1e6:.2f} MB, {opened.nbytes / 1e3 / max(samples, 1):.1f} kB a sample"),
            ("dataset", str(manifest.dataset)),
            ("inserter", str(manifest.backends.get("inserter", {}).get("inserter", "?"))),
            ("fingerprint", manifest.fingerprint),
            ("objects", ", ".join(f"{n} {k}" for k, n in sorted(objects.items(), key=lambda item: -item[1])) or "none"),
            ("horizon from", ", ".join(f"{k} ({n} objects)" for k, n in horizons.items()) or "none"),
            ("rejections", ", ".join(f"{n} {k}" for k, n in rejected.items()) or "none"),
        ):
            table.add_row(name, value)
        console.print(table)


@cli.command()
def verify(cache: CachePath) -> None:
    """Read every record of a cache and check its hash."""
    from poc_aug.cache import Cache

    with Cache.open(cache) as opened:
        report = opened.verify()
    for problem in report.problems:
        console.print(f"corrupt: {problem}", style="red")
    console.print(f"{report.records} records in {report.shards} shards checked, {len(report.problems)} corrupt")
    if report.problems:
        raise typer.Exit(_FAILED)


@cli.command()
def preview(
    cache: CachePath,
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    keys: KeysName = None,
    out: Annotated[Path, typer.Option("--out", help="Where the picture goes.")] = Path("contact_sheet.png"),
    count: Annotated[int, typer.Option("--count", min=1, help="Variants to show.")] = 8,
    width: Annotated[int, typer.Option("--width", min=200, help="Width of the sheet in pixels.")] = 1800,
    sigma: Annotated[float, typer.Option("--sigma", min=0, help="Feather in pixels.")] = 1.0,
) -> None:
    """Draw a contact sheet: before, after, masks with class and score, close-up."""
    from poc_aug.cache import Cache
    from poc_aug.inspection.contact_sheet import contact_sheet, tiles_of

    if dataset is None:
        raise SettingError("--dataset is missing", expected="the dataset that the cache was made from")
    _check_picture_name(out)
    make_folder(out.parent)
    base = load_dataset(dataset, parse_arguments(arguments or []))
    with Cache.open(cache) as opened:
        tiles = tiles_of(base, opened, count, keys=keys)
        sheet = contact_sheet(tiles, width_px=width, sigma_px=sigma)
    with writing(out):
        sheet.save(out)
    console.print(f"{len(tiles)} variant{'' if len(tiles) == 1 else 's'}: {out}", markup=False)


@cli.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's files.")] = Path("poc-aug-demo"),
    size: Annotated[str, typer.Option("--size", help="Height and width of the frames.")] = "384,768",
    length: Annotated[int, typer.Option("--length", min=1, help="Number of frames.")] = 6,
) -> None:
    """Render streets, insert objects into them, train-load them, and draw a contact sheet. Downloads nothing."""
    from poc_aug.cli.demo import run_demo

    run_demo(console, out, _size(size), length)


@cli.command()
def bench(
    cache: CachePath,
    arguments: DatasetArguments = None,
    dataset: DatasetName = None,
    schema: SchemaName = None,
    keys: KeysName = None,
    workers: Workers = 2,
    items: Annotated[int, typer.Option("--items", min=1, help="Items to read in one measurement.")] = 64,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Measurements; the median is told.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Write the result as JSON.")] = None,
) -> None:
    """Measure your dataset with and without the wrapper: samples/s, time per stage, MB a sample."""
    from poc_aug.benchmarking.wrapper_cost import bench_reading, print_result

    if dataset is None:
        raise SettingError("--dataset is missing", expected="the dataset that the cache was made from")
    if out is not None:
        make_folder(out.parent)
    base = load_dataset(dataset, parse_arguments(arguments or []))
    result = bench_reading(base, cache, schema=schema, keys=keys, workers=workers, items=items, repeats=repeats)
    print_result(console, result)
    if out is not None:
        result.write(out)


def _check_picture_name(path: Path) -> None:
    from PIL import Image

    kinds = Image.registered_extensions()
    if kinds.get(path.suffix.lower()) not in Image.SAVE:
        raise SettingError(
            f"--out {str(path)!r}", expected="the name of a picture: one that ends in .png, .jpg or .webp"
        )


def _size(value: str) -> tuple[int, int]:
    parts = value.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise SettingError(f"--size {value}", expected="height and width as in 384,768")
    return int(parts[0]), int(parts[1])


def _run(application: typer.Typer) -> None:
    """Run, and turn errors into a message on stderr and an exit code.

    Not in typer's standalone mode, which ends the process itself on Ctrl-C, without a word.
    """
    try:
        code = application(standalone_mode=False)
    except _ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PocAugError as error:
        errors.print(f"error: {error.on_command_line()}", style="red")
        sys.exit(_FAILED)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        errors.print("interrupted: what was made is kept, the same command goes on", style="yellow")
    sys.exit(code)


def app() -> None:
    """Entry point of ``poc-aug``."""
    _run(cli)


def warm_cache_app() -> None:
    """Entry point of ``warm_cache``."""
    single = typer.Typer(pretty_exceptions_enable=False)
    single.command()(warm_cache_command)
    _run(single)
