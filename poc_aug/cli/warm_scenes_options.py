"""The options of ``warm-scenes``, declared once: for the command line, for a YAML file, and for both together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from poc_aug.cache import Codec
from poc_aug.cli.arguments import config_value
from poc_aug.cli.command_options import CliOption, CommandOptions
from poc_aug.cli.filling_fields import (
    AddRecipeField,
    DatasetField,
    KeepRejectedField,
    LimitField,
    OnErrorField,
    OutField,
    ReplaceDroppedField,
    WorkersField,
)
from poc_aug.cli.generation_options import LENIENT, USER_DEFINED
from poc_aug.cli.machine_options import (
    ActorsField,
    AddressField,
    EngineField,
    GpusPerActorField,
    ShardField,
)
from poc_aug.cli.run_report import REPORT
from poc_aug.cli.shared_options import KEYS, SCHEMA
from poc_aug.scenes.shift_names import parse_severities

PAINTERS = ("diffusion", "edit")
MODES = ("text-to-image", "image-to-image")
_MODELS = "Models"
_FOLDER = "a hub id or the folder of a saved model"


def _listed(value: Any) -> Any:
    """Names, as text with commas or as a list of such texts."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value  # what it is not is said by the check of its type
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


class WarmScenesOptions(CommandOptions):
    """What ``warm-scenes`` is to do."""

    dataset: DatasetField = None
    shift: Annotated[
        list[str],
        BeforeValidator(_listed),
        CliOption(
            help="A domain: fog, night, rain, snow, low-sun, corruption:NAME, or any name for a model that paints. "
            "Repeatable.",
            takes="names of domains: fog, or [fog, night]",
        ),
    ] = Field(default_factory=list)
    severity: Annotated[
        str | int | list[int],
        CliOption(help="Severities, 1 to 5: 3, or 1,3,5, or 1-5.", takes="1 to 5: 3, '1-5' or [1, 3, 5]"),
    ] = 3
    out: OutField = None
    num_variants: Annotated[
        int,
        Field(ge=1, le=10_000),
        CliOption(
            help="Frames per sample, domain and severity.",
            takes="a whole number, 1 to 10000",
            names=("--num-variants", "--variants"),
        ),
    ] = 1
    limit: LimitField = None
    keys: Annotated[str | None, KEYS] = None
    # Pydantic's base class has a ``schema`` of its own.
    label_schema: Annotated[str | None, Field(alias="schema"), SCHEMA] = None
    camera: Annotated[
        object,  # a name, or a mapping in YAML; checked with the recipe
        CliOption(
            help="cityscapes, kitti, generic; or file: the calibration files. Depth comes from labels and camera.",
            takes="a camera's name, or its fields: {horizon: 0.4}",
            default="generic",
        ),
    ] = None
    seed: Annotated[int, CliOption(help="Base seed.", takes="a whole number")] = 0
    attempts: Annotated[
        int | None,
        Field(ge=1),
        CliOption(
            help="How often a frame is made, each time with a new seed, if its labels do not hold.",
            takes="a whole number, 1 or more",
            default="3",
        ),
    ] = None
    workers: WorkersField = 2
    codec: Annotated[
        Codec | None,
        CliOption(
            help="webp-lossy, or delta-zstd, webp, zstd, raw (lossless).",
            takes="delta-zstd, webp, webp-lossy, zstd or raw",
            default="webp-lossy",
        ),
    ] = None
    on_error: OnErrorField = "raise"
    add_recipe: AddRecipeField = False
    replace_dropped: ReplaceDroppedField = False
    keep_rejected: KeepRejectedField = 0
    shard: ShardField = None
    engine: EngineField = "local"
    address: AddressField = None
    actors: ActorsField = None
    gpus_per_actor: GpusPerActorField = None
    report: Annotated[Path | None, LENIENT, REPORT] = None
    shifter: Annotated[
        list[str],
        BeforeValidator(_listed),
        CliOption(
            help="A shifter of your own: package.module:callable. Repeatable.",
            takes=f"{USER_DEFINED}, or a list of them",
            panel=_MODELS,
        ),
    ] = Field(default_factory=list)
    shifter_args: Annotated[
        dict[str, Any],
        CliOption(
            help="Arguments of your shifter: strength=2, repeatable.",
            takes="arguments of the shifter: {strength: 2}",
            names=("--shifter-arg",),
            metavar="KEY=VALUE",
            panel=_MODELS,
        ),
    ] = Field(default_factory=dict)
    backend: Annotated[
        str | None,
        CliOption(
            help="What paints the domains of --shift: diffusion (a ControlNet) or edit (by instruction).",
            takes=f"{', '.join(PAINTERS)}; null: weather and corruptions, which need no weights",
            default="none: weather and corruptions need no weights",
            panel=_MODELS,
        ),
    ] = None
    model: Annotated[
        str | None,
        CliOption(help="The backend's base model.", takes=_FOLDER, panel=_MODELS, needs_backend=True),
    ] = None
    controlnet: Annotated[
        str | None,
        CliOption(help="The ControlNet of --backend diffusion.", takes=_FOLDER, panel=_MODELS, needs_backend=True),
    ] = None
    mode: Annotated[
        str | None,
        CliOption(
            help="text-to-image (the label map alone) or image-to-image (--strength keeps the original).",
            takes=" or ".join(MODES),
            panel=_MODELS,
            needs_backend=True,
        ),
    ] = None
    strength: Annotated[
        float | None,
        LENIENT,
        Field(gt=0, le=1),
        CliOption(
            help="How much of the original image-to-image repaints, 0 to 1.",
            takes="a number above 0, up to 1",
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
    caption: Annotated[
        str | None,
        CliOption(
            help="The captioner whose words begin the prompt (BLIP), or package.module:callable.",
            takes=f"{_FOLDER}, or {USER_DEFINED}",
            panel=_MODELS,
        ),
    ] = None
    captions: Annotated[
        Path | None,
        LENIENT,
        CliOption(
            help="File that keeps the captions, so that each frame is captioned once over all runs.",
            takes="the path of a .jsonl file",
            default="NAME.captions.jsonl next to NAME.cache",
            panel=_MODELS,
        ),
    ] = None
    depth: Annotated[
        str | None,
        CliOption(
            help="The depth model in place of depth from labels and camera, or package.module:callable.",
            takes=f"{_FOLDER}, or {USER_DEFINED}",
            default="labels and camera",
            panel=_MODELS,
        ),
    ] = None
    segmenter: Annotated[
        str | None,
        CliOption(
            help="The segmenter that checks whether the labels still hold: a model of transformers, or "
            "'module:callable key=value ...', a model as in poc-aug evaluate.",
            takes=f"{_FOLDER}, or 'module:callable key=value ...'",
            panel=_MODELS,
        ),
    ] = None
    classes: Annotated[
        str | None,
        CliOption(
            help="Label schema whose names, by id, are the channels of --segmenter.",
            takes="a known schema's name or a YAML file's path",
            default="the module's attribute classes, or the dataset's schema",
            panel=_MODELS,
        ),
    ] = None
    min_agreement: Annotated[
        float | None,
        LENIENT,
        Field(ge=0, le=1),
        CliOption(
            help="Least agreement of the segmenter with the labels, over that on the original frame.",
            takes="a number, 0 to 1",
            default="0.5",
            panel=_MODELS,
        ),
    ] = None
    device: Annotated[
        str | None,
        CliOption(
            help="cpu, cuda, cuda:0.",
            takes="cpu, cuda or cuda:0; null: CUDA if there is one",
            default="CUDA if there is one",
            panel=_MODELS,
        ),
    ] = None
    dtype: Annotated[
        str | None,
        CliOption(
            help="float16, bfloat16 or float32.",
            takes="float16, bfloat16 or float32",
            default="float16 on CUDA, float32 on the CPU",
            panel=_MODELS,
        ),
    ] = None
    batch_size: Annotated[
        int,
        Field(ge=1),
        CliOption(help="Frames in one run of a model.", takes="a whole number, 1 or more", panel=_MODELS),
    ] = 4

    @field_validator("backend_args", "shifter_args", mode="before")
    @classmethod
    def _argument_values(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {name: config_value(value) for name, value in values.items()}
        return {} if values is None else values

    @property
    def severities(self) -> tuple[int, ...]:
        """The severities that were asked for.

        Raises:
            SettingError: they cannot be read, or are not 1 to 5.
        """
        return parse_severities(self.severity)
