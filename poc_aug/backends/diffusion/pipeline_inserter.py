"""What the inserters that run a pipeline of diffusers share: settings, sizes, and checks of the output."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from poc_aug.backends.common.halving import Halving
from poc_aug.backends.common.model_files import model_identity
from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline, LoadSettings, Offload
from poc_aug.backends.diffusion.text_embeddings import TextEmbeddings
from poc_aug.backends.diffusion.upcast import vae_in_float32
from poc_aug.errors import SettingError
from poc_aug.types import Extent, Rejection

_BLACK_LEVEL = 2 / 255
"""A picture whose values are all at or below this is black, as after an overflow or a safety checker."""


def check_settings(
    who: str, *, steps: int | None, guidance: float | None, batch_size: int | None, compile: bool
) -> None:
    """Check the settings of an inserter; ``who`` is its class name, for errors.

    Raises:
        SettingError: a setting outside its limits.
    """
    if steps is not None and steps < 1:
        raise SettingError(f"{who}: steps={steps}", expected="1 or more")
    if guidance is not None and guidance < 0:
        raise SettingError(f"{who}: guidance={guidance}", expected="0 or more")
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"{who}: batch_size={batch_size}", expected="1 or more, or None")
    if compile and batch_size is None:
        raise SettingError(f"{who}: compile=True without batch_size", expected="a fixed batch_size")


def input_size(who: str, loaded: LoadedPipeline, size_px: int | None) -> int:
    """Side of the model's input in pixels; ``None``: what it was trained on.

    Raises:
        SettingError: not a multiple of what the model needs.
    """
    family, pipe = loaded.family, loaded.pipe
    if size_px is None:
        sample = getattr(getattr(pipe, family.denoiser).config, "sample_size", None)
        size_px = family.size_px if family.denoiser != "unet" or sample is None else sample * pipe.vae_scale_factor
    if size_px < family.multiple_of or size_px % family.multiple_of:
        raise SettingError(
            f"{who}: size_px={size_px}", expected=f"a multiple of {family.multiple_of} for {family.pipeline}"
        )
    return int(size_px)


def describe_loaded(loaded: LoadedPipeline, settings: LoadSettings) -> dict[str, Any]:
    """JSON values of everything about the model that decides what is painted."""
    return {
        "model": loaded.identity,
        "family": loaded.family.pipeline,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "scheduler": type(loaded.pipe.scheduler).__name__,
        "lora": None if settings.lora is None else model_identity(settings.lora),
        "lora_weight_name": settings.lora_weight_name,
        "lora_scale": settings.lora_scale,
        "vae": None if settings.vae is None else model_identity(settings.vae),
        "safety_checker": settings.safety_checker,
    }


def padded_batch(count: int, fill_up_to: int | None) -> list[int]:
    """Indices of a batch's items, the last one repeated up to ``fill_up_to``.

    A compiled denoiser is compiled for one batch size; the results of the repeated items are discarded.
    """
    return [*range(count), *([count - 1] * max(0, (fill_up_to or 0) - count))]


def output_images(output: Any, count: int) -> tuple[list[torch.Tensor], list[bool]]:
    """The first ``count`` pictures of a pipeline's output, and whether its safety checker blanked them."""
    pictures = output.images.float().cpu()[:count]
    flags = getattr(output, "nsfw_content_detected", None) or [False] * count
    return list(pictures), [bool(flag) for flag in flags[:count]]


def paint_and_check(
    loaded: LoadedPipeline,
    names: Sequence[str],
    run: Callable[[Sequence[int]], tuple[list[torch.Tensor], list[bool]]],
) -> list[torch.Tensor | Rejection]:
    """Run a model over a batch: float32 pictures ``[3, H, W]`` in [0, 1], or the rejection.

    Args:
        loaded: the model.
        names: the object of each picture, for rejections; empty if it is a whole frame.
        run: returns the pictures of the items with these indices, and whether each was blanked as unsafe.
    """
    painted, unsafe = run(range(len(names)))
    broken = [i for i, picture in enumerate(painted) if not bool(torch.isfinite(picture).all())]
    if broken and loaded.dtype == torch.float16:
        # Some VAEs overflow in half precision: try again with the VAE in single precision.
        with vae_in_float32(loaded.pipe.vae):
            repainted, flags = run(broken)
        for i, picture, flag in zip(broken, repainted, flags, strict=True):
            painted[i], unsafe[i] = picture, flag
    return [_judge(name, picture, flag) for name, picture, flag in zip(names, painted, unsafe, strict=True)]


def _judge(name: str, picture: torch.Tensor, unsafe: bool) -> torch.Tensor | Rejection:
    if not bool(torch.isfinite(picture).all()):
        fraction = float((~torch.isfinite(picture)).float().mean())
        return Rejection("not finite", name, detail=f"{fraction:.0%} of the painted values are not finite")
    if unsafe:
        return Rejection("unsafe", name, detail="blanked by the model's safety checker")
    if float(picture.max()) <= _BLACK_LEVEL:
        return Rejection("black", name, detail="the painted picture is black")
    return picture


def resize_bicubic(image: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """float32 ``[3, h, w]`` in [0, 1] to another size, bicubic without aliasing."""
    if image.shape[-2:] == size_hw:
        return image
    return F.interpolate(image[None], size=size_hw, mode="bicubic", antialias=True)[0].clamp(0, 1)


def to_uint8(image: torch.Tensor) -> torch.Tensor:
    """float32 in [0, 1] to uint8."""
    return (image * 255).round().clamp(0, 255).to(torch.uint8)


class PipelineInserter(abc.ABC):
    """Base of the inserters that run a pipeline of diffusers: loads it and describes it.

    The arguments are documented in `poc_aug.backends.diffusion.diffusion_inserter.DiffusionInserter`.
    """

    needs_camera = False
    _inserter: ClassVar[str]
    _version: ClassVar[int]

    def __init__(
        self,
        model: str | Path,
        *,
        family: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str | None = None,
        scheduler: str | None = None,
        lora: str | Path | None = None,
        lora_weight_name: str | None = None,
        lora_scale: float = 1.0,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        size_px: int | None = None,
        safety_checker: bool = True,
        compile: bool = False,
        channels_last: bool = False,
        vae_slicing: bool = False,
        vae_tiling: bool = False,
        offload: Offload = "none",
        vae: str | Path | None = None,
    ) -> None:
        check_settings(type(self).__name__, steps=steps, guidance=guidance, batch_size=batch_size, compile=compile)
        self._settings = LoadSettings(
            family=family,
            device=device,
            dtype=dtype,
            scheduler=scheduler,
            lora=lora,
            lora_weight_name=lora_weight_name,
            lora_scale=lora_scale,
            vae=vae,
            safety_checker=safety_checker,
            compile=compile,
            channels_last=channels_last,
            vae_slicing=vae_slicing,
            vae_tiling=vae_tiling,
            offload=offload,
        )
        self.loaded = self._load(model, self._settings)
        self.steps, self.guidance, self.negative_prompt = steps, guidance, negative_prompt
        self.size_px = input_size(type(self).__name__, self.loaded, size_px)
        self.texts = TextEmbeddings(self.loaded)
        self._halving = Halving(type(self).__name__, batch_size)
        self._fill_up_to = batch_size if compile else None

    @abc.abstractmethod
    def _load(self, model: str | Path, settings: LoadSettings) -> LoadedPipeline: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.loaded.identity!r}, {self.loaded.family.pipeline}, {self.loaded.device})"

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is painted."""
        return {
            "inserter": self._inserter,
            "version": self._version,
            **describe_loaded(self.loaded, self._settings),
            "size_px": self.size_px,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
        }

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """Always ``None``: it fills any box."""
        return None
