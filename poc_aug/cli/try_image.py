"""What ``poc-aug try`` does: insert one object into one picture, and draw every stage."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import ValidationError

from poc_aug.camera import calibration_file, read_calibration
from poc_aug.camera_spec import CameraSpec, named_camera
from poc_aug.cli.arguments import check_device
from poc_aug.cli.build_pipeline import build_pipeline
from poc_aug.cli.console import console
from poc_aug.cli.object_choice import ObjectChoice
from poc_aug.cli.progress_lines import progress
from poc_aug.cli.run_report import json_values
from poc_aug.cli.try_options import TryOptions
from poc_aug.cli.unused_options import check_camera_used, check_fields, check_reached
from poc_aug.environment import write_json
from poc_aug.errors import DatasetError, RecipeError, SchemaError, SettingError
from poc_aug.files.outputs import check_outputs, writing
from poc_aug.files.picture_pairs import open_pair
from poc_aug.files.pictures import open_picture, to_rgb, upright
from poc_aug.inspection.rejected_sheet import shown_detail
from poc_aug.inspection.trace import Attempt, Trace, trace_variant
from poc_aug.inspection.trace_pictures import stage_pictures
from poc_aug.items.open_item import open_item
from poc_aug.labels.detect import find_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.presets.object_sizes import known_aspects, known_real_sizes, known_sizes
from poc_aug.presets.size_choice import parse_sizes
from poc_aug.recipe import Recipe
from poc_aug.types import Filled, Region, Sample

_ARTICLE = re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE)
_ANYWHERE = "anywhere"
_OTHER_FILE = "check the path, or give another file"
_BOTH_WAYS = (
    "look at both in a viewer that follows EXIF; rotate the pixels of each one that it shows upright (ImageMagick: "
    "mogrify -auto-orient FILE), and remove the tag from each other one (exiftool -Orientation= FILE)"
)


def run_try(options: TryOptions, reported: dict[str, Any]) -> bool:
    """Insert the object, write each stage's picture and ``report.json``; returns whether it was accepted.

    Args:
        options: what to insert, and where.
        reported: filled with what ``report.json`` says.

    Raises:
        DatasetError: the picture or its labels cannot be read.
        OutputError: the folder or a file in it cannot be written.
        RecipeError, ModelError, DeviceError: as in `poc_aug.cli.build_pipeline.build_pipeline`.
    """
    check_device(options.device)
    schema = find_schema(None, options.label_schema)
    recipe = _recipe(options, schema)
    sample = read_sample(options)
    if recipe.camera.calibration == "file":
        sample = replace(sample, calibration=read_calibration(*calibration_file(options.image)))
    out = options.out
    check_outputs(out, "report.json")
    started = time.perf_counter()
    with progress(console, "models loaded"), _on_named(options):
        pipeline = build_pipeline(console, recipe, options).with_schema(schema)
    with _on_named(options):
        pipeline.check()
    loaded = time.perf_counter()
    with progress(console, "attempts") as show:
        attempts = pipeline.recipe.attempts
        traced = trace_variant(pipeline, sample, on_attempt=lambda number: show(number, attempts))
    done = time.perf_counter()
    for number, (name, picture) in enumerate(stage_pictures(traced)):
        path = out / f"{number:02}_{name}.png"
        with writing(path):
            picture.save(path)
    report: dict[str, Any] = {
        "recipe": pipeline.recipe.to_dict(),
        "backends": pipeline.describe(),
        "camera": None if traced.camera is None else asdict(traced.camera),
        "valid_share": round(float(traced.valid_area.float().mean()), 4),
        "attempts": [_attempt_report(attempt) for attempt in traced.attempts],
        "insertions": [dict(insertion.provenance) for insertion in traced.variant.insertions],
        "statistics": traced.statistics.to_dict(),
        "seconds": {"load": round(loaded - started, 2), "run": round(done - loaded, 2)},
    }
    write_json(out / "report.json", json_values(report))  # a model's boxes and scores may be NaN
    reported.update(report, out=out, accepted=bool(traced.variant.insertions))
    _print(traced, out, done - loaded)
    return bool(traced.variant.insertions)


@contextmanager
def _on_named(options: TryOptions) -> Iterator[None]:
    """Errors about where objects may stand, in this command's words: ``--on`` for the location, and what finds it."""
    try:
        yield
    except SchemaError as error:
        step = error.command.replace("--location", "--on")
        raise SchemaError(error.problem, expected=error.expected, hint=error.hint, command=step) from error
    except RecipeError as error:
        if "locate_by" not in error.problem:
            raise
        raise RecipeError(
            f"--on {options.on!r}: nothing finds it in a picture without labels",
            expected="a locator, or labels",
            hint="--on anywhere; or --labels PICTURE.png with --schema NAME; or --locator package.module:callable; or "
            "an annotator, whose models look for it: --annotator transformers",
        ) from error


def read_sample(options: TryOptions) -> Sample:
    """The picture with its label map, or with an empty one.

    Raises:
        DatasetError: one of them cannot be read, or they do not fit together.
    """
    key = options.image.stem
    if options.labels is not None:
        pair = open_pair(
            options.image, options.labels, key=key, error=DatasetError, hint=_OTHER_FILE, both_ways=_BOTH_WAYS
        )
        return open_item(pair, key=key).sample()
    image = to_rgb(upright(_open(options.image)), options.image, error=DatasetError)
    return open_item((image, Image.new("L", image.size)), key=key).sample()


def _open(path: Path) -> Image.Image:
    return open_picture(path, what="picture", error=DatasetError, hint=_OTHER_FILE)


def _recipe(options: TryOptions, schema: LabelSchema | None) -> Recipe:
    name = _ARTICLE.sub("", options.object.strip())
    if not name:
        raise SettingError(f"--object {options.object!r}", expected="what to insert, such as 'a sheep'")
    if options.labels is not None and schema is None:
        raise SettingError(
            f"--labels {str(options.labels)!r} without --schema",
            expected="the schema of its ids",
            hint="name one (--schema cityscapes-labelIds), or leave the labels out: --on is then looked for by prompt",
        )
    if options.labels is None and options.label_schema is not None:
        raise SettingError(
            f"--schema {options.label_schema} without --labels",
            expected="the label map that it is the schema of",
            hint="give it (--labels PICTURE.png), or leave the schema out",
        )
    camera = _camera(options)
    size = _size(options, name, schema, camera)
    on = () if options.on.strip().lower() == _ANYWHERE else (options.on,)
    recipe = Recipe.from_dict(
        {
            "objects": [{"name": name, "prompts": [options.object], "detect": [options.detect or name], **size}],
            "prompt_template": "A good photo of {object}",
            "location": on,
            "camera": camera.model_dump(),
            "overlap_on": "foot",
            "locate_by": "auto" if options.labels is not None else "locator",
        }
    )
    if options.labels is None and not on:
        recipe = recipe.with_changes(locate_by="auto")
    check_fields(options.changes)
    recipe = ObjectChoice(seed=options.seed, extra=options.changes).apply(recipe)
    check_reached(options.changes, recipe, None)
    if options.horizon is not None:  # it applies to this picture, whichever camera is named
        recipe = recipe.with_changes(camera={**recipe.camera.model_dump(), "horizon": options.horizon})
    if options.camera is not None:
        check_camera_used("--camera", recipe, None, schema)
    return recipe


def _camera(options: TryOptions) -> CameraSpec:
    """The named camera, with the given horizon."""
    camera = named_camera(options.camera or "generic")
    if options.horizon is None:
        return camera
    if camera.calibration is not None:
        raise SettingError(
            f"--camera {options.camera} with --horizon {options.horizon:g}",
            expected="one of them: the file says where the horizon is",
            hint="leave --camera out, or name a preset with --horizon: --camera cityscapes",
        )
    try:
        return CameraSpec.model_validate({**camera.model_dump(), "horizon": options.horizon})
    except ValidationError as error:
        raise SettingError(
            f"--horizon {options.horizon:g}", expected="a finite row over the picture's height: 0.42"
        ) from error


def _size(options: TryOptions, name: str, schema: LabelSchema | None, camera: CameraSpec) -> dict[str, Any]:
    sizes = None if options.sizes is None else parse_sizes(options.sizes)
    if sizes is not None and options.size_m is not None:
        raise SettingError("--sizes with --size-m", expected="one of the two")
    if sizes == "metres" and name not in known_real_sizes():
        raise SettingError(
            f"the real size of {name!r} is not known",
            expected="its height in metres, or sizes in pixels or parts of the picture",
            hint="--size-m 0.5, --sizes 40:120px or --sizes 0.05:0.2",
        )
    if sizes == "metres":
        return {"size": known_real_sizes().rule(name).model_dump(), "aspect": known_real_sizes().aspect(name)}
    if sizes is not None:
        return {"size": sizes.model_dump()}
    known = known_sizes().get(name.lower())
    metres = options.size_m if options.size_m is not None else (known[0] if known else None)
    measure = "height" if options.size_m is not None or known is None else known[1]
    horizon = camera.horizon is not None or camera.pitch is not None or camera.calibration is not None
    horizon = horizon or (options.labels is not None and schema is not None and bool(schema.ground))
    if metres is None or (options.size_m is None and not horizon):
        why = (
            f"the size of {name!r} is not known (--size-m, --sizes)"
            if metres is None
            else "there is no horizon (--horizon 0.4, --camera)"
        )
        console.print(f"size: 0.1 to 0.3 of the picture's longer side, since {why}", markup=False)
        return {"size": {"kind": "frame"}}
    console.print(f"size: {metres:g} m ({measure}), by the horizon and the camera's height", markup=False)
    shape = {"aspect": known_aspects()[name.lower()]} if name.lower() in known_aspects() else {}
    return {"size": {"kind": "perspective", "size_m": metres, "measure": measure}, **shape}


def _attempt_report(attempt: Attempt) -> dict[str, Any]:
    region = attempt.region if isinstance(attempt.region, Region) else None
    return {
        "attempt": attempt.number,
        "seed": attempt.seed,
        "box_yxhw": list(region.box_yxhw) if region else None,
        "crop_yxhw": list(region.crop_yxhw) if region else None,
        "prompt": attempt.crop.prompt if attempt.crop else None,
        "painted": isinstance(attempt.filled, Filled),
        "detections": [
            {
                "boxes_xyxy": [[round(value, 1) for value in box] for box in one.boxes_xyxy.tolist()],
                "scores": [round(score, 4) for score in one.scores.tolist()],
            }
            for one in attempt.masks
        ],
        "outcome": "accepted" if attempt.rejection is None else attempt.rejection.reason,
        "detail": "" if attempt.rejection is None else attempt.rejection.detail,
    }


def _print(traced: Trace, out: Path, seconds: float) -> None:
    if traced.camera is not None:
        console.print(
            f"horizon: row {traced.camera.horizon_row:.0f} (from: {traced.camera.horizon_from})", markup=False
        )
    share = float(traced.valid_area.float().mean())
    console.print(f"valid area: {share:.1%} of the picture")
    for attempt in traced.attempts:
        if attempt.rejection is None:
            scores = [part.score for insertion in traced.variant.insertions for part in insertion.parts]
            shown = ", ".join(f"{score:.2f}" for score in scores)
            console.print(f"attempt {attempt.number}: accepted, score {shown}", style="green", markup=False)
        else:
            reason = f"{attempt.rejection.reason}: {shown_detail(attempt.rejection.detail)}"
            console.print(f"attempt {attempt.number}: rejected, {reason}", style="yellow", markup=False)
    console.print(f"{seconds:.1f} s; look at the pictures in {out}", markup=False)
