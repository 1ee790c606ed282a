"""Options without effect are errors: each says what to give instead, or to leave the option out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from poc_aug.camera import has_pose
from poc_aug.cli.generation_options import INSERTERS, GenerationOptions
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import RecipeError, SettingError
from poc_aug.items.open_item import open_item
from poc_aug.labels.schema import LabelSchema
from poc_aug.protocols import Inserter
from poc_aug.recipe import PerspectiveSize, Recipe

_LEAVE = "leave it out"
# What the baselines of text-to-image models decide themselves: squares of a fixed size, anywhere.
_SQUARES = {"size", "location", "ladder", "margin_px", "aspect_min", "aspect_max", "crop_scale", "recover_shade"}


def check_backend_options(options: GenerationOptions) -> None:
    """Check that the chosen backend uses every option about models.

    Raises:
        SettingError: names the option.
    """
    of_models = [name for name in type(options).model_fields if options.cli_option(name).needs_backend]
    given = [name for name in of_models if options.is_given(name)]
    if options.backend is None:
        if given:
            raise _unused(
                options,
                given[0],
                "without a backend",
                "--backend diffusion, text-to-image, or one of your own",
                "add --backend, or leave it out: cut-outs and rendered objects need no model",
            )
        if options.locator == "prompt":
            raise _unused(
                options,
                "locator",
                "without a backend",
                "labels, or 'package.module:callable'",
                "leave it out: the labels say where cut-outs and rendered objects may stand",
            )
        return
    own = options.backend not in INSERTERS
    annotator = options.annotator or ("none" if own else "transformers")
    plain = annotator == "none" or ":" in annotator
    if own and "model" in given:
        raise _unused(options, "model", f"with --backend {options.backend}", "", "pass it on: --backend-arg model=...")
    for name in ("device", "dtype"):
        if own and plain and name in given:
            raise _unused(
                options, name, f"with --backend {options.backend}", "", f"pass it on: --backend-arg {name}=..."
            )
    if plain:
        _check_annotator_options(options, given, annotator)
    if annotator == "sam3" and "detector" in given:
        raise _unused(options, "detector", "with --annotator sam3", "one model: --segmenter", _LEAVE)


def _check_annotator_options(options: GenerationOptions, given: Collection[str], annotator: str) -> None:
    for name in ("detector", "segmenter"):
        if name in given:
            hint = f"{_LEAVE}, or pass it on: --annotator-arg {name}=..." if ":" in annotator else _LEAVE
            raise _unused(options, name, f"with --annotator {annotator}", "--annotator transformers", hint)
    if annotator == "none" and "annotator_args" in given:
        raise _unused(options, "annotator_args", "without an annotator", "--annotator transformers", _LEAVE)


def check_given_once(job: WarmCacheOptions) -> None:
    """Check that no two options decide the same thing.

    Raises:
        SettingError: names both.
    """
    for name, field in _recipe_fields(job).items():
        if field in job.changes:
            raise SettingError(f"--set {field}=... with {job.option_name(name)}", expected="one of the two")
    if job.paper_sizes and (job.sizes is not None or job.sizes_file is not None):
        raise SettingError(
            f"--paper-sizes with {job.option_name('sizes' if job.sizes else 'sizes_file')}", expected="one of the two"
        )
    if "locate_by" in job.changes and job.locator != "auto":
        raise SettingError(f"--set locate_by=... with --locator {job.locator}", expected="one of the two")
    check_fields(job.changes)


def _recipe_fields(options: GenerationOptions) -> dict[str, str]:
    """The given options that set a field of the recipe, with that field."""
    fields = {name: options.cli_option(name).recipe_field for name in type(options).model_fields}
    return {name: field for name, field in fields.items() if field and options.is_given(name)}


def check_fields(changes: Collection[str]) -> None:
    """Check that a recipe has the fields that ``--set`` changes.

    Raises:
        RecipeError: names the first that it does not have, with the closest ones.
    """
    for name in changes:
        if name not in Recipe.model_fields:
            close = get_close_matches(name, Recipe.model_fields, n=3)
            raise RecipeError(
                f"--set {name}=...: a recipe has no such field",
                expected=f"one of: {', '.join(Recipe.model_fields)}",
                hint=f"did you mean {' or '.join(close)}?" if close else "",
            )


def check_effects(
    job: WarmCacheOptions, recipe: Recipe, inserter: Inserter | None, schema: LabelSchema | None, dataset: Any
) -> None:
    """Check that the changes to the recipe reach its objects.

    Args:
        job: the options.
        recipe: the recipe with what they change.
        inserter: what pastes or draws the objects; ``None``: a model paints them.
        schema: the dataset's label schema.
        dataset: the dataset.

    Raises:
        SettingError: names the option, and what to give instead.
    """
    changed = {*_recipe_fields(job).values(), *job.changes}
    if job.backend == "text-to-image" and (job.paper_sizes or changed & _SQUARES):
        option = "--paper-sizes" if job.paper_sizes else _option_that_sets(job, min(changed & _SQUARES))
        raise SettingError(
            f"{option} with --backend text-to-image",
            expected="nothing about sizes and places: it pastes squares of a fixed size, anywhere",
            hint="leave it out; --backend-arg size_px=512 sets the square's side",
        )
    check_reached(job.changes, recipe, inserter)
    if job.location is not None and all(spec.location is not None for spec in recipe.objects):
        raise _no_effect("--location: each object has a location of its own", "locations in the recipe's file")
    real_sizes = job.source().real_sizes
    if real_sizes is not None and not any(spec.name in real_sizes for spec in recipe.objects):
        names = ", ".join(spec.name for spec in recipe.objects)
        raise _no_effect(f"--sizes-file {job.sizes_file}: it names none of the objects", f"some of: {names}")
    if "camera" in changed:
        check_camera_used(_option_that_sets(job, "camera"), recipe, inserter, schema, lambda: _first_size(dataset))


def check_reached(changes: Mapping[str, Any], recipe: Recipe, inserter: Inserter | None) -> None:
    """Check that fields that ``--set`` changed reach the objects of the recipe; arguments as in `check_effects`.

    Raises:
        SettingError: names the field, and what to give instead.
    """
    specs = recipe.objects
    if "size" in changes and all(spec.size is not None for spec in specs):
        raise _no_effect("--set size=...: each object has a size of its own", "--sizes 40:120px, 0.05:0.2 or metres")
    if "location" in changes and all(spec.location is not None for spec in specs):
        raise _no_effect("--set location=...: each object has its own", "locations in the recipe's file")
    if "crop_scale" in changes and all(spec.crop_px is not None for spec in specs):
        raise _no_effect("--set crop_scale=...: each object has a crop_px of its own", "crop_px in the recipe's file")
    for field in ("aspect_min", "aspect_max"):
        if field in changes and (inserter is not None or all(spec.aspect is not None for spec in specs)):
            raise _no_effect(f"--set {field}=...: each object has a shape of its own", "objects that a model paints")
    for field in ("passes", "prompt_template", "recover_shade"):
        if inserter is not None and changes.get(field):
            raise _no_effect(f"--set {field}=...: no model paints these objects", "--backend diffusion")
    if "foot_fraction" in changes and recipe.overlap_on == "box":
        raise _no_effect("--set foot_fraction=...: boxes are judged as a whole", "--set overlap_on=foot")


def check_camera_used(
    option: str,
    recipe: Recipe,
    inserter: Inserter | None,
    schema: LabelSchema | None,
    find_size: Callable[[], tuple[int, int] | None] | None = None,
) -> None:
    """Check that a chosen camera has an effect: there is a horizon, or sizes in metres that need one.

    Args:
        option: the option that chose it.
        recipe: as in `check_effects`.
        inserter: as in `check_effects`.
        schema: as in `check_effects`.
        find_size: finds height and width of the frames, ``None`` if they are not known; only called if it matters.

    Raises:
        SettingError: it would change nothing.
    """
    metres = any(isinstance(spec.size or recipe.size, PerspectiveSize) for spec in recipe.objects)
    camera = recipe.camera
    ground = schema is not None and bool(schema.ground)
    if metres or ground or camera.horizon is not None or camera.calibration is not None:
        return
    if inserter is not None and inserter.needs_camera:
        return
    size_hw = find_size() if find_size is not None and camera.pitch is not None else None
    if camera.pitch is None or not (size_hw is None or has_pose(camera, size_hw)):
        raise _no_effect(
            f"{option}: no size is in metres, its pose in such frames is not known, and the labels have no ground to "
            "find a horizon by",
            "a camera with its horizon: --set 'camera={horizon: 0.4}'",
        )


def _first_size(dataset: Any) -> tuple[int, int] | None:
    """Height and width of the first frame; ``None`` if it cannot be read: generation reports it, or skips it."""
    try:
        size_hw = open_item(dataset[0], key="0").size_hw
    except KeyboardInterrupt:
        raise
    except BaseException:  # also sys.exit, and the panics of compiled packages
        return None
    return None if 0 in size_hw else size_hw


def _no_effect(problem: str, instead: str) -> SettingError:
    return SettingError(f"no effect: {problem}", expected=instead, hint="give that, or leave it out")


def _unused(options: GenerationOptions, name: str, where: str, expected: str, hint: str) -> SettingError:
    return SettingError(f"{options.option_name(name)} {getattr(options, name)!r} {where}", expected=expected, hint=hint)


def _option_that_sets(job: WarmCacheOptions, field: str) -> str:
    """How the command line changed a field of the recipe."""
    if field in job.changes:
        return f"--set {field}=..."
    return next(job.option_name(name) for name, of in _recipe_fields(job).items() if of == field)
