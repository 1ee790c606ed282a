"""Checks, before any long work, that the frames of a dataset can have a camera."""

from __future__ import annotations

from poc_aug.camera.horizon import has_pose
from poc_aug.camera_spec import CAMERAS
from poc_aug.errors import DatasetError, RecipeError
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Inserter
from poc_aug.recipe import ObjectSpec, PerspectiveSize, Recipe
from poc_aug.types import Sample


def check_known(spec: ObjectSpec, recipe: Recipe, inserter: Inserter, schema: LabelSchema | None) -> None:
    """Check that the horizon can be known if an object needs it.

    Raises:
        RecipeError: there is no evidence for it: none in the recipe, no pose, no calibration file, no ground class.
    """
    if not _needs_horizon(spec, recipe, inserter):
        return
    camera = recipe.camera
    if camera.horizon is not None or camera.pitch is not None or camera.calibration is not None:
        return
    if schema is not None and schema.ground:
        return
    posed = " or ".join(name for name, preset in CAMERAS.items() if preset.pitch is not None)
    drawn = ""
    if inserter.needs_camera:
        drawn = f": {type(inserter).__name__} draws in metres, as the camera sees them, and needs a camera"
    raise RecipeError(
        f"object {spec.name!r} needs a horizon: the recipe's camera gives none and has no known pose, and schema "
        f"{schema.name if schema else 'unknown'!r} names no ground classes to estimate it from{drawn}",
        expected=f"a horizon (camera: {{horizon: 0.45}}), a camera of known pose (camera: NAME: {posed}), calibration "
        "files (camera: file), or a schema with ground classes (ground: [road])",
        hint="set one of them" + ("" if drawn else ", or sizes of kind pixels or frame"),
        command=f"--set 'camera={{horizon: 0.45}}', --camera NAME ({posed}) or file, or --schema FILE.yaml with "
        "ground: [road]" + ("" if drawn else "; or --sizes 40:120px or --sizes 0.05:0.2, which need none"),
    )


def check_shape(sample: Sample, recipe: Recipe, inserter: Inserter, schema: LabelSchema | None) -> None:
    """Check that a sample has the shape that the recipe's camera belongs to, if its horizon cannot be known otherwise.

    Raises:
        DatasetError: it has another shape, so that no object could be placed.
    """
    camera = recipe.camera
    if camera.pitch is None or camera.horizon is not None or has_pose(camera, sample.size_hw):
        return
    if (schema is not None and schema.ground) or camera.aspect is None:
        return
    needing = next((spec for spec in recipe.objects if _needs_horizon(spec, recipe, inserter)), None)
    if needing is None:
        return
    height, width = sample.size_hw
    raise DatasetError(
        f"sample {sample.key!r} is {height}x{width} pixels (h x w), and object {needing.name!r} needs its horizon: "
        f"the recipe's camera is that of frames {camera.aspect:.2f} times as wide as high, and schema "
        f"{schema.name if schema else 'unknown'!r} names no ground classes to estimate it from",
        expected="frames of that shape, a horizon, or a schema with ground classes",
        hint="give the horizon in the recipe: camera: {horizon: 0.45}; or sizes of kind pixels or frame",
        command="give the horizon: --set 'camera={horizon: 0.45}'; or --sizes 40:120px or --sizes 0.05:0.2",
    )


def _needs_horizon(spec: ObjectSpec, recipe: Recipe, inserter: Inserter) -> bool:
    return inserter.needs_camera or isinstance(spec.size or recipe.size, PerspectiveSize)
