"""Loading a pipeline of diffusers: by hub id or path, in the right class, checked before anything runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from poc_aug.backends.common.device import resolve_device, resolve_dtype
from poc_aug.backends.common.model_files import hub_file, model_identity
from poc_aug.backends.diffusion.families import DiffusionTask, Family, family_of
from poc_aug.errors import ModelError
from poc_aug.optional_imports import require

Offload = Literal["none", "model", "sequential"]
_INDEX = "model_index.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class LoadSettings:
    """How a pipeline is loaded.

    Attributes:
        family: pipeline class; ``None``: read from the checkpoint.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: "float16", "bfloat16" or "float32"; ``None``: float16 on CUDA, float32 on the CPU.
        scheduler: class name in diffusers; ``None``: the checkpoint's own.
        lora: hub id or path of LoRA weights.
        lora_weight_name: the file's name, if the repository holds several.
        lora_scale: weight of the LoRA.
        vae: another VAE (for example because SDXL's overflows in fp16).
        safety_checker: keep the checkpoint's safety checker, if it has one.
        compile: compile the denoiser.
        channels_last: memory format of the convolutions.
        vae_slicing: decode one image at a time.
        vae_tiling: decode in tiles.
        offload: keep parts in CPU memory while unused: "model" moves whole networks, "sequential" single layers.
    """

    family: str | None = None
    device: str | None = None
    dtype: str | None = None
    scheduler: str | None = None
    lora: str | Path | None = None
    lora_weight_name: str | None = None
    lora_scale: float = 1.0
    vae: str | Path | None = None
    safety_checker: bool = True
    compile: bool = False
    channels_last: bool = False
    vae_slicing: bool = False
    vae_tiling: bool = False
    offload: Offload = "none"


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline that is ready to run.

    Attributes:
        pipe: the pipeline of diffusers.
        family: its row of the table.
        device: where it runs.
        dtype: what it computes in.
        identity: the model's name in provenance and fingerprints, without the path to it.
    """

    pipe: Any
    family: Family
    device: torch.device
    dtype: torch.dtype
    identity: str


def load_inpainting(model: str | Path, settings: LoadSettings) -> LoadedPipeline:
    """Load an inpainting pipeline.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, not a pipeline, or a text-to-image model.
    """
    return _load(model, settings, "inpainting")


def load_text_to_image(model: str | Path, settings: LoadSettings) -> LoadedPipeline:
    """Load a text-to-image pipeline.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, not a pipeline, or an inpainting model.
    """
    return _load(model, settings, "text-to-image")


def _load(model: str | Path, settings: LoadSettings, task: DiffusionTask) -> LoadedPipeline:
    require("diffusers", extra="generate", purpose=f"{_article(task)} model")
    # What the machine cannot do is reported first, then the class, which is named in a file of a few hundred bytes.
    resolve_dtype(settings.dtype, resolve_device(settings.device))
    name = settings.family or _class_for(task, pipeline_index(str(model))["_class_name"], str(model))
    return load_family(model, settings, family_of(name, task), task)


def load_family(
    model: str | Path, settings: LoadSettings, family: Family, task: DiffusionTask, **parts: Any
) -> LoadedPipeline:
    """Load a checkpoint in the class of ``family``, whatever class it was saved in.

    Args:
        model: hub id, or folder of a saved pipeline.
        settings: how it is loaded; ``settings.family`` is not used.
        family: class, and how it is called.
        task: what the checkpoint's denoiser must do.
        parts: parts of the pipeline that the checkpoint does not hold (a ControlNet).

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, not a pipeline, or for another task.
    """
    diffusers = require("diffusers", extra="generate", purpose=family.pipeline)
    device = resolve_device(settings.device)
    dtype = resolve_dtype(settings.dtype, device)
    index = pipeline_index(str(model))
    scheduler = None if settings.scheduler is None else _scheduler_class(diffusers, settings.scheduler)
    # A checkpoint may leave parts out on purpose (SD 3 without T5): another class than its own must be given None.
    given: dict[str, Any] = {part: None for part, source in index.items() if source == [None, None]} | parts
    pipe = _from_pretrained(getattr(diffusers, family.pipeline), model, dtype, given, settings)
    _check_task(pipe, family, task, str(model))
    _apply(diffusers, pipe, family, device, dtype, scheduler, settings)
    return LoadedPipeline(pipe, family, device, dtype, model_identity(model))


def pipeline_index(model: str) -> dict[str, Any]:
    """The model's ``model_index.json``, local or from the hub: its class and its parts."""
    path = Path(model)
    if path.is_dir():
        index = path / _INDEX
        if not index.is_file():
            raise ModelError(
                f"the folder {model!r} has no {_INDEX}",
                expected="a pipeline saved by diffusers (save_pretrained), with unet/ or transformer/, vae/, ...",
                hint="a single .safetensors file has to be converted first: diffusers' from_single_file",
            )
    elif path.is_file() or not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"no model at {model!r}",
            expected="the folder of a saved pipeline, or a hub id such as "
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
            hint="check the path or the spelling",
        )
    else:
        index = hub_file(
            model, _INDEX, what="model", expected="the folder of a saved pipeline, or the id of a pipeline on the hub"
        )
    content = json.loads(index.read_text(encoding="utf-8"))
    if not (isinstance(content, dict) and isinstance(content.get("_class_name"), str)):
        raise ModelError(f"{_INDEX} of {model!r} names no class", expected="the _class_name of a pipeline")
    return content


def _class_for(task: DiffusionTask, saved: str, model: str) -> str:
    """The class that does the task with a checkpoint of class ``saved``: itself, or its counterpart in diffusers."""
    from diffusers.pipelines import auto_pipeline

    try:
        family_of(saved, task)
    except ModelError:
        inpaints = task == "inpainting"
        table = "AUTO_INPAINT_PIPELINES_MAPPING" if inpaints else "AUTO_TEXT2IMAGE_PIPELINES_MAPPING"
        counterpart = auto_pipeline._get_task_class(
            getattr(auto_pipeline, table), saved, throw_error_if_not_exist=False
        )
        if counterpart is None:
            does = "inpaint" if inpaints else "paint from text alone"
            named = "FluxFillPipeline" if inpaints else "FluxPipeline"
            raise ModelError(
                f"the model {model!r} is a {saved}, which does not {does}",
                expected=f"{_article(task)} model",
                hint=f"use {_article(task)} checkpoint; its class can also be named: family={named!r}",
                command=f"use {_article(task)} checkpoint; its class can also be named: --backend-arg family={named}",
            ) from None
        return str(counterpart.__name__)
    return saved


def _article(task: DiffusionTask) -> str:
    return "an inpainting" if task == "inpainting" else "a text-to-image"


def _scheduler_class(diffusers: Any, name: str) -> Any:
    scheduler = getattr(diffusers, name, None)
    if not (isinstance(scheduler, type) and issubclass(scheduler, diffusers.SchedulerMixin)):
        known = (
            "DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, LCMScheduler, UniPCMultistepScheduler"
        )
        raise ModelError(f"scheduler {name!r}", expected=f"a scheduler of diffusers, such as {known}")
    return scheduler


def _from_pretrained(
    cls: Any, model: str | Path, dtype: torch.dtype, given: dict[str, Any], settings: LoadSettings
) -> Any:
    extra = dict(given)
    if not settings.safety_checker and "safety_checker" in cls._optional_components:
        extra |= {"safety_checker": None, "requires_safety_checker": False}
    if settings.vae is not None:
        extra["vae"] = _vae(settings.vae, dtype)
    try:
        return cls.from_pretrained(str(model), dtype=dtype, **extra)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"the model {str(model)!r} cannot be loaded as {cls.__name__}: {type(error).__name__}: {error}",
            expected="a complete checkpoint of that class",
            hint="fetch it again (hf download ID), or name another class: family=",
            command="fetch it again (hf download ID), or name another class: --backend-arg family=CLASS",
        ) from error


def _vae(vae: str | Path, dtype: torch.dtype) -> Any:
    cls: Any = require("diffusers", extra="generate", purpose="another VAE").AutoencoderKL
    try:
        return cls.from_pretrained(str(vae), dtype=dtype)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the VAE {str(vae)!r} cannot be loaded: {error}", expected="a folder or hub id of an AutoencoderKL"
        ) from error


def _check_task(pipe: Any, family: Family, task: DiffusionTask, model: str) -> None:
    if family.in_channels is None:
        return
    channels = getattr(pipe, family.denoiser).config.in_channels
    if channels != family.in_channels:
        other: DiffusionTask = "text-to-image" if task == "inpainting" else "inpainting"
        takes = "latents, mask and masked image" if task == "inpainting" else "latents alone"
        raise ModelError(
            f"the model {model!r} is {_article(other)} model: its {family.denoiser} takes {channels} channels",
            expected=f"{_article(task)} model, {family.in_channels} channels: {takes}",
            hint=f"use the {task} checkpoint of the same family",
        )


def _apply(
    diffusers: Any,
    pipe: Any,
    family: Family,
    device: torch.device,
    dtype: torch.dtype,
    scheduler: Any,
    settings: LoadSettings,
) -> None:
    pipe.set_progress_bar_config(disable=True)
    if scheduler is not None:
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    if settings.lora is not None:
        _load_lora(pipe, settings)
    if settings.vae_slicing:
        pipe.vae.enable_slicing()
    if settings.vae_tiling:
        pipe.vae.enable_tiling()
    denoiser = getattr(pipe, family.denoiser)
    if settings.channels_last:
        denoiser.to(memory_format=torch.channels_last)
        pipe.vae.to(memory_format=torch.channels_last)
    if settings.offload == "none":
        pipe.to(device)
    elif device.type == "cpu":
        raise ModelError(
            f"offload={settings.offload!r} on the CPU", expected="offload='none' on the CPU", hint="leave offload out"
        )
    elif settings.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.enable_sequential_cpu_offload(device=device)
    if settings.compile:
        denoiser.compile()


def _load_lora(pipe: Any, settings: LoadSettings) -> None:
    require("peft", extra="generate", purpose="a LoRA")
    source = str(settings.lora)
    weight_name = {} if settings.lora_weight_name is None else {"weight_name": settings.lora_weight_name}
    try:
        pipe.load_lora_weights(source, **weight_name)
        pipe.fuse_lora(lora_scale=settings.lora_scale)
        pipe.unload_lora_weights()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"the LoRA {source!r} cannot be loaded: {type(error).__name__}: {error}",
            expected="LoRA weights of the same model family: a file, a folder or a hub id",
            hint="name its file: lora_weight_name='pytorch_lora_weights.safetensors'",
            command="name its file: --backend-arg lora_weight_name=pytorch_lora_weights.safetensors",
        ) from error
