"""Loading a ControlNet with its base model: classes from the checkpoints, checked before any weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from poc_aug.backends.common.device import resolve_device, resolve_dtype
from poc_aug.backends.common.model_files import hub_file
from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline, LoadSettings, load_family, pipeline_index
from poc_aug.backends.diffusion.families import TEXT_TO_IMAGE_FAMILIES, Family
from poc_aug.errors import ModelError
from poc_aug.optional_imports import require

SceneMode = Literal["text-to-image", "image-to-image"]

_EXPECTED = "the folder of a ControlNet saved by diffusers, or a hub id such as lllyasviel/control_v11p_sd15_seg"
_BASES = {768: "SD 1.5", 1024: "SD 2", 2048: "SDXL"}
_CLASSES = ("ControlNetModel", "ControlNetUnionModel")


def controlnet_family(base: str, controlnet: str, mode: SceneMode) -> Family:
    """The pipeline class for a base model and a ControlNet, by their own classes.

    Raises:
        ModelError: a combination that diffusers has no pipeline for.

    Example:
        >>> controlnet_family("StableDiffusionPipeline", "ControlNetModel", "image-to-image").pipeline
        'StableDiffusionControlNetImg2ImgPipeline'
    """
    xl = base.startswith("StableDiffusionXL")
    if not xl and not (base.startswith("StableDiffusion") and not base.startswith("StableDiffusion3")):
        raise ModelError(
            f"the base model is a {base}",
            expected="Stable Diffusion 1.5, 2 or SDXL: the families with ControlNets for label maps",
            hint="use stable-diffusion-v1-5/stable-diffusion-v1-5 or stabilityai/stable-diffusion-xl-base-1.0",
        )
    if controlnet not in _CLASSES or (controlnet == "ControlNetUnionModel" and not xl):
        raise ModelError(
            f"the ControlNet is a {controlnet}, the base model a {base}",
            expected="a ControlNetModel, or for SDXL a ControlNetUnionModel",
            hint="use the base model that the ControlNet was trained for",
        )
    row = TEXT_TO_IMAGE_FAMILIES["StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"]
    union = "Union" if controlnet == "ControlNetUnionModel" else ""
    image = "Img2Img" if mode == "image-to-image" else ""
    name = f"StableDiffusion{'XL' if xl else ''}ControlNet{union}{image}Pipeline"
    return replace(row, pipeline=name, takes_strength=mode == "image-to-image")


def controlnet_config(model: str | Path) -> Mapping[str, Any]:
    """The configuration of a ControlNet, from its folder or the hub.

    Raises:
        ModelError: not there, not reachable, or not a ControlNet.
    """
    model = str(model)
    config = _part_config(model, "config.json", what="ControlNet", expected=_EXPECTED)
    if config.get("_class_name") not in _CLASSES:
        raise ModelError(
            f"{model!r} is a {config.get('_class_name')}, not a ControlNet",
            expected=_EXPECTED,
            hint="the base model is model=, the ControlNet controlnet=",
        )
    return config


def check_base(controlnet: str | Path, config: Mapping[str, Any], base: str | Path, unet: Mapping[str, Any]) -> None:
    """Check that a ControlNet was made for a base model, from their configurations alone.

    Raises:
        ModelError: it was made for another; the message names both.
    """
    for name in ("cross_attention_dim", "in_channels", "block_out_channels", "addition_embed_type"):
        own, wanted = config.get(name), unet.get(name)
        if own is not None and own != wanted:
            made, given = (
                f"{value}{f' ({_BASES[value]})' if name == 'cross_attention_dim' and value in _BASES else ''}"
                for value in (own, wanted)
            )
            raise ModelError(
                f"the ControlNet {str(controlnet)!r} is for another base model than {str(base)!r}: "
                f"its {name} is {made}, the base model's {given}",
                expected="a ControlNet that was trained for this base model",
                hint="give its own base model: model=",
                command="give its own base model: --backend-arg model=",
            )


def load_controlnet(
    model: str | Path, controlnet: str | Path, settings: LoadSettings, mode: SceneMode
) -> LoadedPipeline:
    """Load a base model with a ControlNet.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: one of the two is not there or not reachable, or the ControlNet is for another base model.
    """
    diffusers: Any = require("diffusers", extra="generate", purpose="a ControlNet")
    dtype = resolve_dtype(settings.dtype, resolve_device(settings.device))
    base = pipeline_index(str(model))
    config = controlnet_config(controlnet)
    family = controlnet_family(base["_class_name"], config["_class_name"], mode)
    unet = _part_config(str(model), "unet/config.json", what="base model", expected="a saved pipeline with a UNet")
    check_base(controlnet, config, model, unet)
    try:
        network = getattr(diffusers, config["_class_name"]).from_pretrained(str(controlnet), torch_dtype=dtype)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"the ControlNet {str(controlnet)!r} cannot be loaded: {type(error).__name__}: {str(error)[:300]}",
            expected=_EXPECTED,
            hint="fetch it again (hf download ID)",
        ) from error
    return load_family(model, settings, family, "text-to-image", controlnet=network)


def _part_config(model: str, name: str, *, what: str, expected: str) -> Mapping[str, Any]:
    if Path(model).is_dir():
        file = Path(model) / name
        if not file.is_file():
            raise ModelError(
                f"the folder {model!r} of the {what} has no {name}",
                expected=expected,
                hint="a single .safetensors file has to be converted first: diffusers' from_single_file",
            )
    elif Path(model).exists() or model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelError(f"no {what} at {model!r}", expected=expected, hint="check the path or the spelling")
    else:
        file = hub_file(model, name, what=what, expected=expected)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{name} of the {what} {model!r} is not JSON: {error}", expected=expected) from error
    if not isinstance(config, dict):
        raise ModelError(f"{name} of the {what} {model!r} holds no mapping", expected=expected)
    return config
