"""Whether the frames of a dataset can have a camera at all, before any long work."""

from __future__ import annotations

from poc_aug.camera_spec import CAMERAS
from poc_aug.errors import RecipeError
from poc_aug.recipe import ObjectSpec, PerspectiveSize, Recipe
from poc_aug.schema import LabelSchema
from poc_aug.types import Inserter


def check_known(spec: ObjectSpec, recipe: Recipe, inserter: Inserter, schema: LabelSchema | None) -> None:
    """Check that an object that needs a horizon can have one.

    Raises:
        RecipeError: nothing can tell it: not the recipe, no pose, no calibration file, no ground class.
    """
    if not inserter.needs_perspective and not isinstance(spec.size or recipe.size, PerspectiveSize):
        return
    camera = recipe.camera
    if camera.horizon is not None or camera.pitch is not None or camera.calibration is not None:
        return
    if schema is not None and schema.ground:
        return
    posed = " or ".join(name for name, preset in CAMERAS.items() if preset.pitch is not None)
    drawn = ""
    if inserter.needs_perspective:
        drawn = f": {type(inserter).__name__} draws in the scene's perspective, in metres, and needs a camera"
    raise RecipeError(
        f"object {spec.name!r} needs a horizon: the recipe's camera gives none and has no known pose, and schema "
        f"{schema.name if schema else 'unknown'!r} names no ground classes to estimate it from{drawn}",
        expected=f"a horizon (camera: {{horizon: 0.45}}), a camera of known pose (camera: NAME: {posed}), calibration "
        "files (camera: file), or a schema with ground classes (ground: [road])",
        hint="set one of them" + ("" if drawn else ", or sizes of kind pixels or frame"),
        command=f"--set 'camera={{horizon: 0.45}}', --camera NAME ({posed}) or file, or --schema FILE.yaml with "
        "ground: [road]" + ("" if drawn else "; or --sizes 40:120px or --sizes 0.05:0.2, which need none"),
    )
