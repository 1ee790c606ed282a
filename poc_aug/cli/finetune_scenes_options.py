"""The options of ``finetune-scenes``, declared once: for the command line, for a YAML file, and for both together."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from poc_aug.backends.scene_models.palettes import PaletteName
from poc_aug.cli.command_options import CliOption, CommandOptions
from poc_aug.cli.filling_fields import DatasetConfig
from poc_aug.cli.generation_options import LENIENT
from poc_aug.cli.run_report import REPORT
from poc_aug.cli.shared_options import DATASET, KEYS, MOST_WORKERS, SCHEMA
from poc_aug.errors import SettingError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.finetuning.finetune_settings import BASE_MODEL, FinetuneSettings, Precision

_MODELS = "Models"
_TRAINING = "Training"
_CARD = "Model card"
_COUNT = "a whole number, 1 or more"
_ANY_COUNT = "a whole number, 0 or more"


class FinetuneScenesOptions(CommandOptions):
    """What ``finetune-scenes`` is to do."""

    dataset: Annotated[DatasetConfig | None, DATASET] = None
    # Pydantic's base class has a ``schema`` of its own.
    label_schema: Annotated[str | None, Field(alias="schema"), SCHEMA] = None
    keys: Annotated[str | None, KEYS] = None
    limit: Annotated[
        int | None, Field(ge=1), CliOption(help="Only the first N frames.", takes=f"{_COUNT}, or null for all frames")
    ] = None
    captions: Annotated[
        Path | None,
        LENIENT,
        CliOption(
            help='File of captions, lines of {"key": ..., "caption": ...}; new ones are added to it.',
            takes="the path of a .jsonl file",
            default="captions.jsonl in --out",
        ),
    ] = None
    captioner: Annotated[
        str | None,
        CliOption(
            help="Model that captions the frames without a caption: Salesforce/blip-image-captioning-base.",
            takes="a hub id or the folder of a BLIP or GIT",
        ),
    ] = None
    prompt: Annotated[
        str,
        CliOption(help="Caption of the frames without one: 'a street in a city'.", takes="a text"),
    ] = ""
    out: Annotated[
        Path | None,
        LENIENT,
        CliOption(help="Folder of the run; the ControlNet is in its controlnet/.", takes="the path of a folder"),
    ] = None
    report: Annotated[Path | None, LENIENT, REPORT] = None
    base: Annotated[
        str,
        CliOption(help="Stable Diffusion pipeline: a hub id or a folder.", takes="a hub id or a folder", panel=_MODELS),
    ] = BASE_MODEL
    controlnet: Annotated[
        str | None,
        CliOption(
            help="ControlNet to begin with: a hub id or a folder.",
            takes="a hub id or a folder",
            default="made from the base model's UNet",
            panel=_MODELS,
        ),
    ] = None
    lora_rank: Annotated[
        int | None,
        CliOption(
            help="Train LoRA matrices of that rank instead of all weights.",
            takes=f"{_COUNT}, or null",
            default="all weights",
            panel=_MODELS,
        ),
    ] = None
    condition: Annotated[
        PaletteName,
        CliOption(
            help="How label maps are given to it: ade20k, one-hot or one-channel.",
            takes="ade20k, one-hot or one-channel",
            panel=_MODELS,
        ),
    ] = "ade20k"
    classes: Annotated[
        Path | None,
        LENIENT,
        CliOption(
            help="Classes of ADE20K, or colours, by class name, as YAML: 'drivable: road'.",
            takes="a YAML file's path: {drivable: road}",
            default="known names",
            panel=_MODELS,
        ),
    ] = None
    device: Annotated[
        str | None,
        CliOption(help="cpu or cuda.", takes="cpu or cuda", default="CUDA if there is one", panel=_MODELS),
    ] = None
    precision: Annotated[
        Precision | None,
        CliOption(
            help="fp16, bf16, or no for float32.",
            takes="fp16, bf16 or no",
            default="fp16 on CUDA, no on the CPU",
            panel=_MODELS,
        ),
    ] = None
    size: Annotated[int, CliOption(help="Side of the square crops.", takes="pixels", panel=_TRAINING)] = 512
    steps: Annotated[int, CliOption(help="Updates of the weights.", takes=_COUNT, panel=_TRAINING)] = 10_000
    batch_size: Annotated[int, CliOption(help="Crops per run.", takes=_COUNT, panel=_TRAINING)] = 4
    accumulation: Annotated[int, CliOption(help="Runs per update.", takes=_COUNT, panel=_TRAINING)] = 1
    learning_rate: Annotated[
        float, CliOption(help="Learning rate of AdamW.", takes="a number over 0", panel=_TRAINING)
    ] = 1e-5
    warmup_steps: Annotated[
        int, CliOption(help="Updates over which it rises from 0.", takes=_ANY_COUNT, panel=_TRAINING)
    ] = 500
    weight_decay: Annotated[
        float, CliOption(help="Weight decay of AdamW.", takes="a number, 0 or more", panel=_TRAINING)
    ] = 1e-2
    max_grad_norm: Annotated[
        float, CliOption(help="Gradients are scaled down to this norm.", takes="a number over 0", panel=_TRAINING)
    ] = 1.0
    gradient_checkpointing: Annotated[
        bool, CliOption(help="Less memory, more time.", takes="true or false", panel=_TRAINING)
    ] = False
    ema_decay: Annotated[
        float,
        CliOption(help="Decay of the moving average that is saved; 0: none.", takes="0 to 1", panel=_TRAINING),
    ] = 0.999
    prompt_dropout: Annotated[
        float, CliOption(help="Probability of an empty prompt.", takes="0 to 1", panel=_TRAINING)
    ] = 0.1
    seed: Annotated[int, CliOption(help="Seed.", takes="a whole number", panel=_TRAINING)] = 0
    workers: Annotated[
        int,
        Field(ge=0, le=MOST_WORKERS),
        CliOption(help="Loader processes.", takes=f"a whole number, 0 to {MOST_WORKERS}", panel=_TRAINING),
    ] = 2
    checkpoint_every: Annotated[
        int, CliOption(help="Updates from one checkpoint to the next.", takes=_COUNT, panel=_TRAINING)
    ] = 500
    keep_checkpoints: Annotated[int, CliOption(help="Checkpoints that are kept.", takes=_COUNT, panel=_TRAINING)] = 2
    validate_every: Annotated[
        int, CliOption(help="Updates from one validation to the next.", takes=_COUNT, panel=_TRAINING)
    ] = 500
    validation_frames: Annotated[
        int, CliOption(help="Frames of a validation; 0: none.", takes=_ANY_COUNT, panel=_TRAINING)
    ] = 4
    validation_steps: Annotated[
        int, CliOption(help="Denoising steps of its pictures.", takes=_COUNT, panel=_TRAINING)
    ] = 25
    guidance: Annotated[
        float, CliOption(help="Guidance scale of its pictures.", takes="a number over 0", panel=_TRAINING)
    ] = 8.0
    tensorboard: Annotated[
        bool,
        CliOption(
            help="Write losses and pictures for TensorBoard.",
            takes="true or false",
            names=("--tensorboard/--no-tensorboard",),
            panel=_TRAINING,
        ),
    ] = True
    data_name: Annotated[str, CliOption(help="Name of the dataset.", takes="a text", panel=_CARD)] = ""
    data_licence: Annotated[str, CliOption(help="Licence of the dataset.", takes="a text", panel=_CARD)] = ""
    base_licence: Annotated[str, CliOption(help="Licence of the base model.", takes="a text", panel=_CARD)] = ""

    @field_validator("dataset", mode="before")
    @classmethod
    def _by_name(cls, dataset: Any) -> Any:
        return {"type": dataset} if isinstance(dataset, str) else dataset

    @classmethod
    def from_yaml(cls, path: Path) -> dict[str, Any]:
        """Read and check a YAML file of options.

        Raises:
            SettingError: not a readable YAML file, or as in `from_values`.
        """
        values = read_yaml(path, SettingError)
        cls.from_values(values, str(path))
        return values

    def settings(self) -> FinetuneSettings:
        """The settings of the training.

        Raises:
            SettingError: a setting outside its limits.
        """
        return FinetuneSettings(**{each.name: getattr(self, each.name) for each in fields(FinetuneSettings)})
