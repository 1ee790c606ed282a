"""The models of a fine-tuning: the frozen base model, and the ControlNet that is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from poc_aug.backends.common.device import resolve_device
from poc_aug.backends.diffusion.diffusion_load import LoadSettings, load_text_to_image, pipeline_index
from poc_aug.backends.scene_models.controlnet_load import check_base, controlnet_config
from poc_aug.errors import DeviceError, ModelError
from poc_aug.finetuning.finetune_settings import FinetuneSettings, Precision
from poc_aug.optional_imports import require
from poc_aug.seeding import derive_seed

_BASES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionControlNetPipeline")
_EXPECTED_BASE = "a Stable Diffusion 1.x or 2.x pipeline, such as stable-diffusion-v1-5/stable-diffusion-v1-5"
_EXPECTED_CONTROLNET = "a ControlNetModel for the base model, such as lllyasviel/control_v11p_sd15_seg"
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "no": torch.float32}
# A ControlNet's layers that its UNet does not have.
_NEW = ("controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block")
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_CHANNELS = (16, 32, 96, 256)


@dataclass(frozen=True)
class TrainingModels:
    """What is trained, and what it is trained with.

    Attributes:
        base: the frozen pipeline: VAE, text encoder, tokenizer, UNet, scheduler.
        controlnet: in float32, its trained parameters require gradients.
        device: where all of it is.
        precision: what is computed in.
        lora: configuration of the LoRA, if one is trained.
    """

    base: Any
    controlnet: Any
    device: torch.device
    precision: Precision
    lora: Any = None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the frozen models."""
        return _DTYPES[self.precision]

    @property
    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The trained parameters by name."""
        return {name: value for name, value in self.controlnet.named_parameters() if value.requires_grad}


def check_device_and_models(settings: FinetuneSettings) -> tuple[torch.device, Precision]:
    """Check, before any weights are read, device, precision, and whether the models are of the right kind.

    Returns:
        Device and precision.

    Raises:
        MissingDependencyError: accelerate, diffusers, peft (for LoRA) or tensorboard (if it is asked for) is missing.
        DeviceError: the device is not there, is not "cpu" or "cuda", or cannot use the precision.
        ModelError: not there, not reachable, or of another kind.
    """
    purpose = "fine-tuning"
    for package in ("accelerate", "diffusers", *["peft"] * (settings.lora_rank is not None)):
        require(package, extra="generate", purpose=purpose)
    if settings.tensorboard:
        require("tensorboard", extra="finetune", purpose=f"{purpose} with TensorBoard")
    device = resolve_device(settings.device)
    numbered: int | None = device.index  # torch's stubs say that it is always a number
    if device.type not in ("cpu", "cuda") or numbered is not None:
        raise DeviceError(
            f"device {str(device)!r} for {purpose}",
            expected="cpu or cuda",
            hint="choose one of several with the environment variable CUDA_VISIBLE_DEVICES=1",
        )
    precision = settings.precision_on(device.type)
    name = pipeline_index(str(settings.base))["_class_name"]
    if name not in _BASES:
        why = ": fine-tuning is not there for SDXL yet" if "XL" in name else ""
        raise ModelError(
            f"the base model {str(settings.base)!r} is a {name}{why}",
            expected=_EXPECTED_BASE,
            hint="give another base model: base=",
            command="give another base model: --base",
        )
    if settings.controlnet is not None:
        _controlnet_config(str(settings.controlnet))
    return device, precision


@torch.random.fork_rng(devices=[])  # layers are filled with random values before weights are loaded into them
def load_training_models(
    settings: FinetuneSettings, channels: int, device: torch.device, precision: Precision
) -> TrainingModels:
    """Load the base model, and load or make the ControlNet.

    Args:
        settings: which models, and what is trained.
        channels: channels of the condition.
        device: see `check_device_and_models`.
        precision: see `check_device_and_models`.

    Raises:
        ModelError: cannot be loaded, or the ControlNet is for another base model or condition.
        SettingError: the crops' size does not fit the base model.
    """
    dtype = str(_DTYPES[precision]).removeprefix("torch.")
    pipe = load_text_to_image(settings.base, LoadSettings(device=str(device), dtype=dtype, safety_checker=False)).pipe
    for part in (pipe.vae, pipe.text_encoder, pipe.unet):
        part.requires_grad_(False).eval()
    controlnet: Any
    if settings.controlnet is None:
        controlnet = _from_unet(pipe, channels, settings.seed)
    else:
        controlnet = _given_controlnet(pipe, str(settings.base), str(settings.controlnet), channels)
    lora = None
    if settings.lora_rank is not None:
        lora = _add_lora(controlnet, settings.lora_rank, settings.seed)
        kept = _NEW if settings.controlnet is None else ()
        for name, parameter in controlnet.named_parameters():
            parameter.requires_grad_("lora_" in name or name.startswith(kept))
    controlnet.to(device).train()
    if settings.gradient_checkpointing:
        controlnet.enable_gradient_checkpointing()
        pipe.unet.enable_gradient_checkpointing()
    return TrainingModels(pipe, controlnet, device, precision, lora)


def sides_divide_by(pipe: Any) -> int:
    """What the sides of pictures have to divide by, so that nothing is cropped or padded on the way down and up."""
    return int(pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1))


def _from_unet(pipe: Any, channels: int, seed: int) -> Any:
    from diffusers import ControlNetModel

    # The encoder of the condition halves its sides once for each channel count but the first.
    halvings = pipe.vae_scale_factor.bit_length() - 1
    counts = (*_CHANNELS[:1] * max(0, halvings + 1 - len(_CHANNELS)), *_CHANNELS)[: halvings + 1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "new layers"))
        return ControlNetModel.from_unet(
            pipe.unet, conditioning_channels=channels, conditioning_embedding_out_channels=counts
        ).float()


def _given_controlnet(pipe: Any, base: str, model: str, channels: int) -> Any:
    import diffusers

    config = _controlnet_config(model)
    unet = {name: list(value) if isinstance(value, tuple) else value for name, value in pipe.unet.config.items()}
    try:
        check_base(model, config, base, unet)
    except ModelError as error:
        raise error.with_hint(
            "give the base model that it was trained for: base=", "give the base model that it was trained for: --base"
        ) from error
    own = config.get("conditioning_channels", 3)
    if own != channels:
        raise ModelError(
            f"the ControlNet {model!r} takes conditions of {own} channels, these have {channels}",
            expected="the condition that it was trained with",
            hint='name it: condition="ade20k" has 3 channels, "one-channel" 1, "one-hot" one per class',
            command="name it: --condition ade20k has 3 channels, one-channel 1, one-hot one per class",
        )
    try:
        cls: Any = diffusers.ControlNetModel
        return cls.from_pretrained(model, torch_dtype=torch.float32)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"the ControlNet {model!r} cannot be loaded: {type(error).__name__}: {str(error)[:300]}",
            expected=_EXPECTED_CONTROLNET,
            hint="fetch it again (hf download ID)",
        ) from error


def _controlnet_config(model: str) -> Mapping[str, Any]:
    """The configuration of a ControlNet that is no union of several."""
    config = controlnet_config(model)
    if config["_class_name"] != "ControlNetModel":
        raise ModelError(
            f"the ControlNet {model!r} is a {config['_class_name']}",
            expected=_EXPECTED_CONTROLNET,
            hint="give another ControlNet, or none: a new one is then made from the base model",
        )
    return config


def _add_lora(controlnet: Any, rank: int, seed: int) -> Any:
    from peft import LoraConfig

    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(_ATTENTION), task_type=None
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "LoRA"))
        controlnet.add_adapter(config)
    return config


@torch.random.fork_rng(devices=[])
def save_controlnet(models: TrainingModels, folder: Path) -> None:
    """Save the ControlNet as diffusers does, LoRA matrices merged into its weights.

    Args:
        models: the models.
        folder: where; ``ControlNetModel.from_pretrained`` loads it.
    """
    from diffusers import ControlNetModel

    cls: Any = ControlNetModel
    plain = cls.from_config(models.controlnet.config)
    if models.lora is not None:
        plain.add_adapter(models.lora)
    weights = {name: value.detach().cpu().float() for name, value in models.controlnet.state_dict().items()}
    plain.load_state_dict(weights)
    if models.lora is not None:
        plain.fuse_lora()
        plain.unload_lora()
    plain.save_pretrained(folder)
