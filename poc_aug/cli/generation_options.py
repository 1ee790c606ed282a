"""The options that ``warm-cache`` and ``try`` share: what generates, the label schema, changes to the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from poc_aug.cli.arguments import config_value
from poc_aug.cli.command_options import CliOption, CommandOptions
from poc_aug.cli.run_report import REPORT
from poc_aug.cli.shared_options import SCHEMA

INSERTERS = ("diffusion", "text-to-image")
ANNOTATORS = ("transformers", "grounded-sam", "sam3", "none")
LOCATORS = ("auto", "prompt", "labels")
USER_DEFINED = "'package.module:callable'"
LENIENT = Field(strict=False)  # a path is text in YAML
_MODELS = "Models"


class GenerationOptions(CommandOptions):
    """What generates, the labels' schema, and changes to the recipe."""

    # Pydantic's base class has a ``schema`` of its own.
    label_schema: Annotated[str | None, Field(alias="schema"), SCHEMA] = None
    seed: Annotated[
        int | None,
        CliOption(help="Base seed.", takes="a whole number", default="the recipe's, or 0", recipe_field="seed"),
    ] = None
    changes: Annotated[
        dict[str, Any],
        Field(alias="set"),
        CliOption(
            help="Change a field of the recipe: attempts=5, repeatable. For warm-cache also a set's name: cs-poc.",
            takes="fields of the recipe: {attempts: 5}",
            metavar="KEY=VALUE",
        ),
    ] = Field(default_factory=dict)
    report: Annotated[Path | None, LENIENT, REPORT] = None
    backend: Annotated[
        str | None,
        CliOption(
            help="What paints: diffusion, text-to-image, or package.module:callable.",
            takes=f"{', '.join(INSERTERS)}, or {USER_DEFINED}; null: what the objects bring",
            panel=_MODELS,
        ),
    ] = None
    model: Annotated[
        str | None,
        CliOption(
            help="Its model: a hub id or a folder. See poc-aug models.",
            takes="a hub id or the folder of a saved pipeline",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    annotator: Annotated[
        str | None,
        CliOption(
            help="What labels: transformers, grounded-sam, sam3, none, or package.module:callable.",
            takes=f"{', '.join(ANNOTATORS)}, or {USER_DEFINED}",
            default="transformers",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    detector: Annotated[
        str | None,
        CliOption(
            help="The annotator's detector: a hub id, a folder or a file.",
            takes="a hub id, a folder, or a checkpoint of Grounding DINO",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    segmenter: Annotated[
        str | None,
        CliOption(
            help="The annotator's segmenter (or SAM 3): a hub id, a folder or a file.",
            takes="a hub id, a folder, or a checkpoint of Segment Anything",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    locator: Annotated[
        str,
        CliOption(
            help="What finds the places where objects may stand: labels, prompt (the annotator's models look for "
            "them), auto (the labels if they know the place, otherwise the prompt), or package.module:callable.",
            takes=f"{', '.join(LOCATORS)}, or {USER_DEFINED}",
            panel=_MODELS,
        ),
    ] = "auto"
    device: Annotated[
        str | None,
        CliOption(
            help="cpu, cuda, cuda:0.",
            takes="cpu, cuda or cuda:0; null: CUDA if there is one",
            default="CUDA if there is one",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    dtype: Annotated[
        str | None,
        CliOption(
            help="float16, bfloat16 or float32.",
            takes="float16, bfloat16 or float32",
            default="float16 on CUDA, float32 on the CPU",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    backend_args: Annotated[
        dict[str, Any],
        CliOption(
            help="Further arguments of the backend: steps=30, repeatable.",
            takes="further arguments of the backend: {steps: 4}",
            names=("--backend-arg",),
            metavar="KEY=VALUE",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = Field(default_factory=dict)
    annotator_args: Annotated[
        dict[str, Any],
        CliOption(
            help="Further arguments of the annotator: box_threshold=0.35, repeatable.",
            takes="further arguments of the annotator: {box_threshold: 0.35}",
            names=("--annotator-arg",),
            metavar="KEY=VALUE",
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = Field(default_factory=dict)

    @field_validator("changes", mode="before")
    @classmethod
    def _recipe_fields(cls, values: Any) -> Any:
        return {} if values is None else values

    @field_validator("backend_args", "annotator_args", mode="before")
    @classmethod
    def _argument_values(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {name: config_value(value) for name, value in values.items()}
        return {} if values is None else values
