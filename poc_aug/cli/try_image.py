"""``poc-aug try``: one object into one picture, with a picture of every stage."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from poc_aug.camera import calibration_file, read_calibration
from poc_aug.camera_spec import CameraSpec, named_camera
from poc_aug.cli.backends import BackendOptions, build_pipeline
from poc_aug.cli.effects import check_camera_used, check_fields, check_reached
from poc_aug.cli.object_choice import ObjectSource
from poc_aug.environment import write_json
from poc_aug.errors import DatasetError, SchemaError, SettingError
from poc_aug.files.outputs import make_folder, writing
from poc_aug.files.picture_pairs import open_pair
from poc_aug.files.pictures import open_picture, to_rgb, upright
from poc_aug.inspection.trace import Attempt, Trace, trace_variant
from poc_aug.inspection.trace_pictures import stage_pictures
from poc_aug.items.open_item import open_item
from poc_aug.labels.detect import find_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.presets.object_sizes import known_aspects, known_real_sizes, known_sizes
from poc_aug.presets.size_choice import SizeChoice
from poc_aug.recipe import Recipe
from poc_aug.types import Filled, Region, Sample

_ARTICLE = re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE)
_ANYWHERE = "anywhere"
_OTHER_FILE = "check the path, or give another file"
_BOTH_WAYS = (
    "look at both in a viewer that follows EXIF, save those that are right there turned (ImageMagick: mogrify "
    "-auto-orient), and take the tag out of the others (exiftool -Orientation= FILE)"
)


@dataclass(frozen=True)
class TryOptions:
    """What to insert, and where.

    Attributes:
        image: the picture.
        object: the object's prompt: "a sheep".
        on: what it stands on: "the road"; "anywhere" for any place.
        detect: what the annotator looks for; ``None``: the object without its article.
        labels: a label map of the picture; ``None``: none.
        schema: the labels' schema: a known name or a YAML file.
        size_m: the object's size in metres; ``None``: as known, where a horizon is known too.
        sizes: its size in pixels or parts of the frame, or "metres"; ``None``: metres where a horizon is known.
        horizon: row of the horizon over the picture's height; ``None``: estimated from the labels.
        changes: further changes to the recipe.
        camera: a name of `poc_aug.recipe.CAMERAS`, "file" (the picture's calibration file), or ``None``.
    """

    image: Path
    object: str
    on: str
    detect: str | None
    labels: Path | None
    schema: str | None
    size_m: float | None
    sizes: SizeChoice | None
    horizon: float | None
    changes: ObjectSource
    camera: str | None = None


def run_try(console: Console, what: TryOptions, options: BackendOptions, out: Path) -> bool:
    """Insert the object, write each stage's picture and ``report.json``; returns whether it was accepted.

    Raises:
        DatasetError: the picture or its labels cannot be read.
        OutputError: the folder or a file in it cannot be written.
        RecipeError, ModelError, DeviceError: as in `poc_aug.cli.backends.build_pipeline`.
    """
    schema = find_schema(None, what.schema)
    recipe = _recipe(console, what, schema)
    sample = _read(what)
    if recipe.camera.calibration == "file":
        sample = replace(sample, calibration=read_calibration(*calibration_file(what.image)))
    make_folder(out)
    started = time.perf_counter()
    pipeline = build_pipeline(console, recipe, options).with_schema(schema)
    try:
        pipeline.check()
    except SchemaError as error:
        step = error.command.replace("--location", "--on")  # the same option, as this command calls it
        raise SchemaError(error.problem, expected=error.expected, hint=error.hint, command=step) from error
    loaded = time.perf_counter()
    seen = trace_variant(pipeline, sample)
    done = time.perf_counter()
    for number, (name, picture) in enumerate(stage_pictures(seen)):
        path = out / f"{number:02}_{name}.png"
        with writing(path):
            picture.save(path)
    report = {
        "recipe": pipeline.recipe.to_dict(),
        "backends": pipeline.describe(),
        "camera": None if seen.camera is None else asdict(seen.camera),
        "valid_share": round(float(seen.valid_area.float().mean()), 4),
        "attempts": [_told(attempt) for attempt in seen.attempts],
        "insertions": [dict(insertion.provenance) for insertion in seen.variant.insertions],
        "statistics": seen.statistics.to_dict(),
        "seconds": {"load": round(loaded - started, 2), "run": round(done - loaded, 2)},
    }
    write_json(out / "report.json", report)
    _print(console, seen, out, done - loaded)
    return bool(seen.variant.insertions)


def _read(what: TryOptions) -> Sample:
    key = what.image.stem
    if what.labels is not None:
        pair = open_pair(what.image, what.labels, key=key, error=DatasetError, hint=_OTHER_FILE, both_ways=_BOTH_WAYS)
        return open_item(pair, key=key).sample()
    image = to_rgb(upright(_open(what.image)), what.image, error=DatasetError)
    return open_item((image, Image.new("L", image.size)), key=key).sample()


def _open(path: Path) -> Image.Image:
    return open_picture(path, what="picture", error=DatasetError, hint=_OTHER_FILE)


def _recipe(console: Console, what: TryOptions, schema: LabelSchema | None) -> Recipe:
    name = _ARTICLE.sub("", what.object.strip())
    if not name:
        raise SettingError(f"--object {what.object!r}", expected="what to insert, such as 'a sheep'")
    if what.labels is not None and schema is None:
        raise SettingError(
            f"--labels {str(what.labels)!r} without --schema",
            expected="the schema of its ids",
            hint="name one (--schema cityscapes-labelIds), or leave the labels out: --on is then looked for by prompt",
        )
    if what.labels is None and what.schema is not None:
        raise SettingError(
            f"--schema {what.schema} without --labels",
            expected="the label map that it is the schema of",
            hint="give it (--labels PICTURE.png), or leave the schema out",
        )
    camera = _camera(what)
    size = _size(console, what, name, schema, camera)
    on = () if what.on.strip().lower() == _ANYWHERE else (what.on,)
    recipe = Recipe.from_dict(
        {
            "objects": [{"name": name, "prompts": [what.object], "detect": [what.detect or name], **size}],
            "prompt_template": "A good photo of {object}",
            "location": on,
            "camera": camera.model_dump(),
            "overlap_on": "foot",
            "locate_by": "auto" if what.labels is not None else "locator",
        }
    )
    if what.labels is None and not on:
        recipe = recipe.with_changes(locate_by="auto")
    changes = what.changes.extra
    check_fields(changes)
    recipe = what.changes.apply(recipe)
    check_reached(changes, recipe, None)
    if what.horizon is not None:  # it holds for this picture, whatever camera is named
        recipe = recipe.with_changes(camera={**recipe.camera.model_dump(), "horizon": what.horizon})
    if what.camera is not None:
        check_camera_used("--camera", recipe, None, schema)
    return recipe


def _camera(what: TryOptions) -> CameraSpec:
    """The camera that is named, with the horizon that is given."""
    camera = named_camera(what.camera or "generic")
    if what.horizon is None:
        return camera
    if camera.calibration is not None:
        raise SettingError(
            f"--camera {what.camera} with --horizon {what.horizon:g}",
            expected="one of them: the file says where the horizon is",
            hint="leave --camera out, or name a preset with --horizon: --camera cityscapes",
        )
    return CameraSpec.model_validate({**camera.model_dump(), "horizon": what.horizon})


def _size(
    console: Console, what: TryOptions, name: str, schema: LabelSchema | None, camera: CameraSpec
) -> dict[str, Any]:
    if what.sizes is not None and what.size_m is not None:
        raise SettingError("--sizes with --size-m", expected="one of the two")
    if what.sizes == "metres" and name not in known_real_sizes():
        raise SettingError(
            f"the real size of {name!r} is not known",
            expected="its height in metres, or sizes in pixels or parts of the picture",
            hint="--size-m 0.5, --sizes 40:120px or --sizes 0.05:0.2",
        )
    if what.sizes == "metres":
        return {"size": known_real_sizes().rule(name).model_dump(), "aspect": known_real_sizes().aspect(name)}
    if what.sizes is not None:
        return {"size": what.sizes.model_dump()}
    known = known_sizes().get(name.lower())
    metres = what.size_m if what.size_m is not None else (known[0] if known else None)
    measure = "height" if what.size_m is not None or known is None else known[1]
    horizon = camera.horizon is not None or camera.pitch is not None or camera.calibration is not None
    horizon = horizon or (what.labels is not None and schema is not None and bool(schema.ground))
    if metres is None or (what.size_m is None and not horizon):
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


def _told(attempt: Attempt) -> dict[str, Any]:
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


def _print(console: Console, seen: Trace, out: Path, seconds: float) -> None:
    if seen.camera is not None:
        console.print(f"horizon: row {seen.camera.horizon_row:.0f} (from: {seen.camera.horizon_from})", markup=False)
    share = float(seen.valid_area.float().mean())
    console.print(f"valid area: {share:.1%} of the picture")
    for attempt in seen.attempts:
        if attempt.rejection is None:
            scores = [part.score for insertion in seen.variant.insertions for part in insertion.parts]
            shown = ", ".join(f"{score:.2f}" for score in scores)
            console.print(f"attempt {attempt.number}: accepted, score {shown}", style="green", markup=False)
        else:
            told = f"attempt {attempt.number}: rejected, {attempt.rejection.reason}: {attempt.rejection.detail}"
            console.print(told, style="yellow", markup=False)
    console.print(f"{seconds:.1f} s; look at the pictures in {out}", markup=False)
