"""The pipeline that the options ask for: the models that paint, label and locate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from poc_aug.backends.known_models import ModelTask, default_model
from poc_aug.cli.arguments import load_callable, run_own
from poc_aug.cli.generation_options import ANNOTATORS, INSERTERS, LOCATORS, USER_DEFINED, GenerationOptions
from poc_aug.cli.object_sources import construct
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.protocols import Annotator, Inserter, Locator
from poc_aug.recipe import Recipe


def build_pipeline(
    console: Console, recipe: Recipe, options: GenerationOptions, *, batch_size: int = 8
) -> InsertionPipeline:
    """The pipeline of a recipe with the chosen models; the models that apply by default are printed.

    The annotator is loaded first: its models are the smaller ones.

    Args:
        console: where the default models are printed.
        recipe: the recipe.
        options: the models and their settings.
        batch_size: crops that the inserter gets at once.

    Raises:
        SettingError: an unknown name, or arguments that do not fit.
        MissingDependencyError: a package is not installed.
        ModelError: a model is missing, or not of the kind needed.
        DeviceError: the device is missing.
    """
    _check_names(options)
    annotator = _annotator(console, recipe, options)
    locator = _locator(annotator, options)
    inserter = _inserter(console, options)
    if options.backend == "text-to-image":
        from poc_aug.backends.diffusion.text_to_image import TextToImageInserter, text_to_image_recipe

        assert isinstance(inserter, TextToImageInserter)
        recipe = text_to_image_recipe(recipe, size_px=inserter.size_px)
    recipe = with_locator(recipe, options.locator)
    return InsertionPipeline(recipe, inserter, annotator, locator, batch_size=batch_size)


def with_locator(recipe: Recipe, locator: str) -> Recipe:
    """The recipe, with places from where ``--locator`` says."""
    if locator == "auto":
        return recipe
    return recipe.with_changes(locate_by="labels" if locator == "labels" else "locator")


def plain_pipeline(
    recipe: Recipe, inserter: Inserter, options: GenerationOptions, *, batch_size: int = 8
) -> InsertionPipeline:
    """The pipeline of objects that need no model, with the user's own locator if one is named.

    Raises:
        SettingError: an unknown locator.
    """
    _check_names(options)
    locator: Locator | None = None
    if options.locator not in LOCATORS:
        locator = make_own("locator", options.locator, {}, Locator)
        recipe = recipe.with_changes(locate_by="locator")
    return InsertionPipeline(recipe, inserter, locator=locator, batch_size=batch_size)


def _check_names(options: GenerationOptions) -> None:
    for name, value, known in (
        ("backend", options.backend, INSERTERS),
        ("annotator", options.annotator, ANNOTATORS),
        ("locator", options.locator, LOCATORS),
    ):
        if value is not None and value not in known and ":" not in value:
            raise SettingError(f"--{name} {value}", expected=f"one of {', '.join(known)}, or {USER_DEFINED}")


def _inserter(console: Console, options: GenerationOptions) -> Inserter:
    name = options.backend or INSERTERS[0]
    if name not in INSERTERS:
        own: Inserter = make_own("backend", name, options.backend_args, Inserter)
        return own
    from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
    from poc_aug.backends.diffusion.text_to_image import TextToImageInserter

    model = _chosen(console, options.model, "inpaint" if name == "diffusion" else "text-to-image")
    make: Callable[..., Inserter] = DiffusionInserter if name == "diffusion" else TextToImageInserter
    return construct(make, {"model": model, **_hardware(options), **options.backend_args}, name)


def _annotator(console: Console, recipe: Recipe, options: GenerationOptions) -> Annotator | None:
    # The user's own backend may know its masks; models that paint do not.
    name = options.annotator or ("transformers" if options.backend in INSERTERS else "none")
    if name == "none":
        return None
    if name not in ANNOTATORS:
        own: Annotator = make_own("annotator", name, options.annotator_args, Annotator)
        return own
    limits = {"min_inside_box": recipe.min_inside_box, "min_area_of_crop": recipe.min_area_of_crop}
    settings = {**limits, **_hardware(options), **options.annotator_args}
    if name == "sam3":
        from poc_aug.backends.finders.sam3 import Sam3Annotator

        model = _chosen(console, options.segmenter, "detector and segmenter")
        return construct(Sam3Annotator, {"model": model, **settings}, name)
    if name == "grounded-sam":
        from poc_aug.backends.finders.grounded_sam import GroundedSamAnnotator

        for option, value in (("--detector", options.detector), ("--segmenter", options.segmenter)):
            if value is None:
                raise SettingError(
                    f"--annotator grounded-sam without {option}",
                    expected="--detector groundingdino_swint_ogc.pth --segmenter sam_vit_h_4b8939.pth",
                    hint="or choose --annotator transformers, which finds its models on the hub",
                )
        files = {"detector_checkpoint": options.detector, "sam_checkpoint": options.segmenter}
        return construct(GroundedSamAnnotator, {**files, **settings}, name)
    from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator

    models = {
        "detector": _chosen(console, options.detector, "detector"),
        "segmenter": _chosen(console, options.segmenter, "segmenter"),
    }
    return construct(TransformersAnnotator, {**models, **settings}, name)


def _locator(annotator: Annotator | None, options: GenerationOptions) -> Locator | None:
    if options.locator == "labels":
        return None
    if options.locator not in LOCATORS:
        own: Locator = make_own("locator", options.locator, {}, Locator)
        return own
    from poc_aug.backends.finders.prompt_annotator import PromptAnnotator
    from poc_aug.backends.finders.prompt_locator import PromptLocator

    if isinstance(annotator, PromptAnnotator):
        return PromptLocator(annotator.finder)
    if options.locator == "prompt":
        raise SettingError(
            f"--locator prompt with --annotator {options.annotator}",
            expected="an annotator whose models can look for a place: transformers, grounded-sam or sam3",
            hint="choose one of these, or --locator labels",
        )
    return None


def make_own(option: str, name: str, arguments: Mapping[str, Any], protocol: Any) -> Any:
    """What a callable of the user makes, which has to have the methods of a protocol.

    Args:
        option: the option that names it, without ``--``.
        name: ``package.module:callable``.
        arguments: its keyword arguments.
        protocol: the protocol.

    Raises:
        SettingError: it makes something else, or does not take the arguments.
    """
    make = load_callable(name, option)
    made = run_own(lambda: construct(make, arguments, name), f"--{option} {name}", SettingError)
    if isinstance(made, type) or not isinstance(made, protocol):
        what = f"the class {made.__name__}" if isinstance(made, type) else f"a {type(made).__name__}"
        raise SettingError(
            f"--{option} {name} gave {what}",
            expected=f"a {protocol.__module__}.{protocol.__name__}, with all of its methods",
            hint="see docs/adding_a_backend.md",
        )
    return made


def _hardware(options: GenerationOptions) -> dict[str, Any]:
    given = {"device": options.device, "dtype": options.dtype}
    return {name: value for name, value in given.items() if value is not None}


def _chosen(console: Console, model: str | None, task: ModelTask) -> str:
    if model is not None:
        return model
    default = default_model(task)
    console.print(f"{task}: {default} (the default; others: poc-aug models)", markup=False)
    return default
