"""The commands about generation: ``try``, ``models`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poc_aug.cli.arguments import parse_arguments
from poc_aug.cli.backends import BackendOptions, check_options
from poc_aug.cli.console import console
from poc_aug.cli.options import (
    AnnotatorArguments,
    AnnotatorName,
    Backend,
    BackendArguments,
    DetectorName,
    DeviceName,
    DtypeName,
    LocatorName,
    ModelName,
    RecipeChanges,
    SchemaName,
    SegmenterName,
)

_FAILED = 1
_STYLES = {"ok": "green", "note": "yellow", "fail": "red"}


def try_command(
    image: Annotated[Path, typer.Argument(help="A picture.")],
    object_: Annotated[str, typer.Option("--object", help="What to insert: 'a sheep'.")],
    on: Annotated[str, typer.Option("--on", help="What it stands on; 'anywhere' for any place.")] = "the road",
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path("poc-aug-try"),
    detect: Annotated[str | None, typer.Option("--detect", help="What to look for. Default: the object.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="A label map of the picture.")] = None,
    schema: SchemaName = None,
    size_m: Annotated[
        float | None, typer.Option("--size-m", help="The object's height in metres. Default: as known.")
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            help="The object's size: 40:120px, 0.05:0.2 (parts of the picture's longer side), or metres. Default: "
            "metres where a horizon is known, else 0.1:0.3.",
        ),
    ] = None,
    horizon: Annotated[
        float | None, typer.Option("--horizon", help="Row of the horizon, over the picture's height: 0.42.")
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="cityscapes, kitti, generic, or file.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Base seed. Default: 0.")] = None,
    changes: RecipeChanges = None,
    backend: Backend = None,
    model: ModelName = None,
    annotator: AnnotatorName = None,
    detector: DetectorName = None,
    segmenter: SegmenterName = None,
    locator: LocatorName = None,
    device: DeviceName = None,
    dtype: DtypeName = None,
    backend_args: BackendArguments = None,
    annotator_args: AnnotatorArguments = None,
) -> None:
    """Insert one object into one picture, and draw every stage.

    These are: valid area, posts of 1.7 m on the ground, region, crop, detections, mask, result.
    """
    from poc_aug.cli.effects import check_backend_options
    from poc_aug.cli.object_choice import ObjectSource
    from poc_aug.cli.try_image import TryOptions, run_try
    from poc_aug.presets.size_choice import parse_sizes

    given = {
        "backend": backend or "diffusion",
        "model": model,
        "annotator": annotator,
        "detector": detector,
        "segmenter": segmenter,
        "locator": locator,
        "device": device,
        "dtype": dtype,
        "backend_args": parse_arguments(backend_args or []),
        "annotator_args": parse_arguments(annotator_args or []),
    }
    options = check_options(
        BackendOptions, {name: value for name, value in given.items() if value is not None}, "options"
    )
    check_backend_options(options)
    asked = ObjectSource(seed=seed, extra=parse_arguments(changes or []))
    chosen = None if sizes is None else parse_sizes(sizes)
    what = TryOptions(image, object_, on, detect, labels, schema, size_m, chosen, horizon, asked, camera)
    if not run_try(console, what, options, out):
        raise typer.Exit(_FAILED)


def models_command() -> None:
    """List models that are known to fit: what for, size, licence. The default of each kind is marked."""
    from poc_aug.backends.known_models import known_models

    task = ""
    for model in known_models():
        if model.task != task:
            task = model.task
            console.print(f"\n{task}", style="bold")
        marks = ["NON-COMMERCIAL"] * model.non_commercial + ["default"] * model.default + ["gated"] * model.gated
        style = "red" if model.non_commercial else "green" if model.default else None
        size = f"{model.weights_gb:g} GB"
        console.print(f"  {model.id:<50} {size:>7}  {model.licence:<24} {', '.join(marks)}".rstrip(), style=style)
        console.print(f"      {model.family}" + (f"; {model.note}" if model.note else ""), style="dim")
    console.print(
        "\nSizes are of the weights as loaded by default; running takes more. Licences are the authors' to tell: read "
        "them.\nAny other model of these classes can be named by hub id or path."
    )


def doctor_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Hub ids and paths. Default: the defaults."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where caches will be written.")] = Path(),
) -> None:
    """Check CUDA, package versions, disk, and that the chosen weights are there or can be fetched."""
    from poc_aug.backends.known_models import default_model
    from poc_aug.cli.doctor import examine

    chosen = models or [default_model("inpaint"), default_model("detector"), default_model("segmenter")]
    failed = 0
    for finding in examine(chosen, out):
        failed += finding.status == "fail"
        console.print(f"{finding.status:4}  {finding.what}: {finding.found}", style=_STYLES[finding.status])
        if finding.advice:
            console.print(f"      -> {finding.advice}")
    if failed:
        console.print(f"{failed} problem{'s' if failed > 1 else ''}", style="red")
        raise typer.Exit(_FAILED)
