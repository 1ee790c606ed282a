"""`FinetuneSettings`: everything besides the data that decides what a fine-tuning makes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from poc_aug.backends.scene_models.palettes import ClassColours, PaletteName
from poc_aug.errors import DeviceError, SettingError
from poc_aug.number_settings import checked_integer, checked_number, checked_switch

Precision = Literal["fp16", "bf16", "no"]

BASE_MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"

# What may differ when a run is continued: how it runs, how long, what it shows, and the texts of its model card.
_FREE = (
    "steps",
    "checkpoint_every",
    "keep_checkpoints",
    "validate_every",
    "validation_frames",
    "validation_steps",
    "guidance",
    "tensorboard",
    "workers",
    "device",
    "gradient_checkpointing",
    "data_name",
    "data_licence",
    "base_licence",
)
_LEAST = {
    "size": 8,
    "steps": 1,
    "batch_size": 1,
    "accumulation": 1,
    "warmup_steps": 0,
    "checkpoint_every": 1,
    "keep_checkpoints": 1,
    "validate_every": 1,
    "validation_frames": 0,
    "validation_steps": 1,
    "workers": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings:
    """Settings of a fine-tuning; the defaults are for Stable Diffusion 1.5 in full size.

    Attributes:
        base: the Stable Diffusion pipeline that the ControlNet is for: a folder or hub id.
        controlnet: the ControlNet to begin with, a folder or hub id; ``None``: one with the weights of the base's UNet.
        lora_rank: train LoRA matrices of that rank on its attention instead of all weights; ``None``: all weights.
            Without ``controlnet`` the layers that are new in it (the condition's encoder and the zero convolutions)
            are trained too.
        condition: how label maps are given to it, see `Palette`: "ade20k", "one-hot" or "one-channel".
        classes: for "ade20k": classes of ADE20K, or colours, by class name; a mapping or a YAML file.
        size: side of the square crops in pixels; frames are first resized so that this is their shorter side.
        steps: updates of the weights.
        batch_size: crops per run of the model.
        accumulation: runs per update: an update is made from ``batch_size * accumulation`` crops.
        learning_rate: of AdamW.
        warmup_steps: updates over which the learning rate rises from 0.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        precision: "fp16", "bf16", or "no" for float32; ``None``: fp16 on CUDA, float32 on the CPU.
        gradient_checkpointing: less memory, more time.
        ema_decay: the saved weights are a moving average with this decay; 0: those of the last step.
        prompt_dropout: probability of an empty prompt, for classifier-free guidance.
        seed: equal seeds give equal weights on the CPU, however often the run was interrupted.
        checkpoint_every: updates from one checkpoint to the next.
        keep_checkpoints: how many of them are kept.
        validate_every: updates from one validation to the next.
        validation_frames: frames whose loss is measured and that are painted at each validation; 0: none.
        validation_steps: denoising steps of these pictures.
        guidance: guidance scale of these pictures.
        tensorboard: write losses and pictures for TensorBoard.
        workers: loader processes.
        device: "cpu" or "cuda"; ``None``: CUDA if available, otherwise the CPU.
        data_name: name of the dataset, for the model card.
        data_licence: its licence, for the model card.
        base_licence: the base model's licence, for the model card.

    Raises:
        SettingError: a setting outside its limits.

    Example:
        >>> FinetuneSettings(steps=2000, precision="bf16").batch_size
        4
        >>> FinetuneSettings(prompt_dropout=2)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: prompt_dropout=2
        Expected: 0 to 1
    """

    base: str | Path = BASE_MODEL
    controlnet: str | Path | None = None
    lora_rank: int | None = None
    condition: PaletteName = "ade20k"
    classes: ClassColours | str | Path | None = None
    size: int = 512
    steps: int = 10_000
    batch_size: int = 4
    accumulation: int = 1
    learning_rate: float = 1e-5
    warmup_steps: int = 500
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    precision: Precision | None = None
    gradient_checkpointing: bool = False
    ema_decay: float = 0.999
    prompt_dropout: float = 0.1
    seed: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    validate_every: int = 500
    validation_frames: int = 4
    validation_steps: int = 25
    guidance: float = 8.0
    tensorboard: bool = True
    workers: int = 2
    device: str | None = None
    data_name: str = ""
    data_licence: str = ""
    base_licence: str = ""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            checked_integer(name, getattr(self, name), least=least)
        checked_integer("seed", self.seed)
        if self.lora_rank is not None:
            checked_integer("lora_rank", self.lora_rank, least=1)
        for name in ("learning_rate", "max_grad_norm", "guidance"):
            checked_number(name, getattr(self, name), above=0)
        for name, most, expected in (
            ("weight_decay", float("inf"), "0 or more"),
            ("prompt_dropout", 1.0, "0 to 1"),
            ("ema_decay", 1 - 1e-9, "0 or more, less than 1"),
        ):
            if not 0 <= checked_number(name, getattr(self, name)) <= most:
                raise SettingError(f"{name}={getattr(self, name)}", expected=expected)
        for name in ("gradient_checkpointing", "tensorboard"):
            checked_switch(name, getattr(self, name))
        for name, allowed in (("condition", get_args(PaletteName)), ("precision", (*get_args(Precision), None))):
            if getattr(self, name) not in allowed:
                names = ", ".join(str(each) for each in allowed if each is not None)
                raise SettingError(f"{name}={getattr(self, name)!r}", expected=f"one of: {names}")

    def precision_on(self, device: str) -> Precision:
        """The precision on a kind of device.

        Raises:
            DeviceError: fp16 on the CPU.

        Example:
            >>> FinetuneSettings().precision_on("cuda"), FinetuneSettings().precision_on("cpu")
            ('fp16', 'no')
        """
        if self.precision is None:
            return "fp16" if device == "cuda" else "no"
        if self.precision == "fp16" and device == "cpu":
            raise DeviceError(
                "precision fp16 on the CPU",
                expected="bf16 or no there",
                hint="leave the precision out, or train on CUDA",
                command="leave --precision out, or train on CUDA",
            )
        return self.precision

    def deciding(self) -> dict[str, Any]:
        """JSON values of the settings that decide the weights after a step; a run is continued with equal ones.

        The condition is described by its palette.
        """
        names = [field.name for field in fields(self) if field.name not in (*_FREE, "condition", "classes")]
        values = {name: getattr(self, name) for name in names}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of an update, from 0 up.

        Example:
            >>> settings = FinetuneSettings(learning_rate=1e-4, warmup_steps=4)
            >>> [settings.learning_rate_at(step) for step in (0, 3, 9)]
            [2.5e-05, 0.0001, 0.0001]
        """
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps))
