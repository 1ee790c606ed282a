"""The models that paint, label and locate, as the command line and YAML name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator
from rich.console import Console

from poc_aug.backends.known_models import ModelTask, default_model
from poc_aug.cli.arguments import config_value, load_callable
from poc_aug.cli.object_sources import build
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.protocols import Annotator, Inserter, Locator
from poc_aug.recipe import Recipe

PAINTERS = ("diffusion", "text-to-image")
ANNOTATORS = ("transformers", "grounded-sam", "sam3", "none")
LOCATORS = ("auto", "prompt", "labels")
_OWN = "'package.module:callable'"


class BackendOptions(BaseModel):
    """What generates; each description says what the field takes, as errors tell it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    backend: str | None = Field(
        default=None, description=f"{', '.join(PAINTERS)}, or {_OWN}; null: what the objects bring"
    )
    model: str | None = Field(default=None, description="a hub id or the folder of a saved pipeline")
    annotator: str | None = Field(default=None, description=f"{', '.join(ANNOTATORS)}, or {_OWN}")
    detector: str | None = Field(default=None, description="a hub id, a folder, or a checkpoint of Grounding DINO")
    segmenter: str | None = Field(default=None, description="a hub id, a folder, or a checkpoint of Segment Anything")
    locator: str = Field(default="auto", description=f"{', '.join(LOCATORS)}, or {_OWN}")
    device: str | None = Field(default=None, description="cpu, cuda or cuda:0; null: CUDA where there is one")
    dtype: str | None = Field(default=None, description="float16, bfloat16 or float32")
    batch_size: int = Field(default=8, ge=1, description="a whole number, 1 or more")
    backend_args: dict[str, Any] = Field(default={}, description="further arguments of the backend: {steps: 4}")
    annotator_args: dict[str, Any] = Field(
        default={}, description="further arguments of the annotator: {box_threshold: 0.35}"
    )

    @field_validator("backend_args", "annotator_args", mode="before")
    @classmethod
    def _values(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: config_value(value) for name, value in given.items()}
        return {} if given is None else given


_Options = TypeVar("_Options", bound=BackendOptions)


def check_options(kind: type[_Options], values: Mapping[str, Any], where: str) -> _Options:
    """Check options by their names; ``where`` names their source in errors.

    Raises:
        SettingError: an unknown field, or a value that does not fit; names field, value and expectation.
    """
    fields = {field.alias or name: str(field.description) for name, field in kind.model_fields.items()}
    unknown = sorted(str(name) for name in values if name not in fields)
    if unknown:
        raise SettingError(f"{where}: unknown fields {unknown}", expected=f"some of: {', '.join(fields)}")
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as error:
        wrong = list(dict.fromkeys(str(item["loc"][0]) for item in error.errors()))
        raise SettingError(
            f"{where}: " + "; ".join(f"{name} = {values[name]!r}" for name in wrong),
            expected="; ".join(f"{name}: {fields[name]}" for name in wrong),
        ) from error


def build_pipeline(console: Console, recipe: Recipe, options: BackendOptions) -> InsertionPipeline:
    """The pipeline of a recipe with the chosen models; whatever was chosen by default is printed.

    The annotator is loaded first: its models are the smaller ones.

    Raises:
        SettingError: an unknown name, or arguments that do not fit.
        MissingDependencyError: a package is not installed.
        ModelError: a model is not there, or not of the kind needed.
        DeviceError: the device is not there.
    """
    _check_names(options)
    annotator = _annotator(console, recipe, options)
    locator = _locator(annotator, options)
    inserter = _inserter(console, options)
    if options.backend == "text-to-image":
        from poc_aug.backends.diffusion.text_to_image import TextToImageInserter, text_to_image_recipe

        assert isinstance(inserter, TextToImageInserter)
        recipe = text_to_image_recipe(recipe, size_px=inserter.size_px)
    if options.locator == "labels":
        recipe = recipe.with_changes(locate_by="labels")
    elif options.locator != "auto":
        recipe = recipe.with_changes(locate_by="locator")
    return InsertionPipeline(recipe, inserter, annotator, locator, batch_size=options.batch_size)


def plain_pipeline(recipe: Recipe, inserter: Inserter, options: BackendOptions) -> InsertionPipeline:
    """The pipeline of objects that need no model, with a locator of one's own where one is named.

    Raises:
        SettingError: an unknown locator.
    """
    _check_names(options)
    locator: Locator | None = None
    if options.locator not in LOCATORS:
        locator = build(load_callable(options.locator, "locator"), {}, options.locator)
        recipe = recipe.with_changes(locate_by="locator")
    return InsertionPipeline(recipe, inserter, locator=locator, batch_size=options.batch_size)


def _check_names(options: BackendOptions) -> None:
    for name, value, known in (
        ("backend", options.backend, PAINTERS),
        ("annotator", options.annotator, ANNOTATORS),
        ("locator", options.locator, LOCATORS),
    ):
        if value is not None and value not in known and ":" not in value:
            raise SettingError(f"--{name} {value}", expected=f"one of {', '.join(known)}, or {_OWN}")


def _inserter(console: Console, options: BackendOptions) -> Inserter:
    name = options.backend or PAINTERS[0]
    if name not in PAINTERS:
        inserter: Inserter = build(load_callable(name, "backend"), options.backend_args, name)
        return inserter
    from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
    from poc_aug.backends.diffusion.text_to_image import TextToImageInserter

    model = _chosen(console, options.model, "inpaint" if name == "diffusion" else "text-to-image")
    make: Callable[..., Inserter] = DiffusionInserter if name == "diffusion" else TextToImageInserter
    return build(make, {"model": model, **_hardware(options), **options.backend_args}, name)


def _annotator(console: Console, recipe: Recipe, options: BackendOptions) -> Annotator | None:
    # A backend of one's own may know its masks; what paints does not.
    name = options.annotator or ("transformers" if options.backend in PAINTERS else "none")
    if name == "none":
        return None
    if name not in ANNOTATORS:
        own: Annotator = build(load_callable(name, "annotator"), options.annotator_args, name)
        return own
    limits = {"min_inside_box": recipe.min_inside_box, "min_area_of_crop": recipe.min_area_of_crop}
    settings = {**limits, **_hardware(options), **options.annotator_args}
    if name == "sam3":
        from poc_aug.backends.finders.sam3 import Sam3Annotator

        model = _chosen(console, options.segmenter, "detector and segmenter")
        return build(Sam3Annotator, {"model": model, **settings}, name)
    if name == "grounded-sam":
        from poc_aug.backends.finders.grounded_sam import GroundedSamAnnotator

        for option, value in (("--detector", options.detector), ("--segmenter", options.segmenter)):
            if value is None:
                raise SettingError(
                    f"--annotator grounded-sam without {option}",
                    expected="--detector groundingdino_swint_ogc.pth --segmenter sam_vit_h_4b8939.pth",
                    hint="or take --annotator transformers, which finds its models on the hub",
                )
        files = {"detector_checkpoint": options.detector, "sam_checkpoint": options.segmenter}
        return build(GroundedSamAnnotator, {**files, **settings}, name)
    from poc_aug.backends.finders.transformers_annotator import TransformersAnnotator

    models = {
        "detector": _chosen(console, options.detector, "detector"),
        "segmenter": _chosen(console, options.segmenter, "segmenter"),
    }
    return build(TransformersAnnotator, {**models, **settings}, name)


def _locator(annotator: Annotator | None, options: BackendOptions) -> Locator | None:
    if options.locator == "labels":
        return None
    if options.locator not in LOCATORS:
        own: Locator = build(load_callable(options.locator, "locator"), {}, options.locator)
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


def _hardware(options: BackendOptions) -> dict[str, Any]:
    given = {"device": options.device, "dtype": options.dtype}
    return {name: value for name, value in given.items() if value is not None}


def _chosen(console: Console, model: str | None, task: ModelTask) -> str:
    if model is not None:
        return model
    default = default_model(task)
    console.print(f"{task}: {default} (the default; others: poc-aug models)", markup=False)
    return default
