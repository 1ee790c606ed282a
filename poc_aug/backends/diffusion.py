"""Inpainting with a diffusion model: any object that can be named, painted into the scene's own light (POC §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from poc_aug.backends.diffusion_load import LoadSettings, Offload, identity_of, load_inpainting
from poc_aug.backends.halving import Halving
from poc_aug.backends.inpaint_mask import box_mask, paste_mask
from poc_aug.backends.text_embeddings import TextEmbeddings
from poc_aug.backends.text_limits import check_prompts
from poc_aug.backends.upcast import vae_in_float32
from poc_aug.errors import RecipeError
from poc_aug.recipe import InpaintPass, Recipe
from poc_aug.seeding import generator
from poc_aug.types import Crop, Extent, Filled, Json, Rejection

DIFFUSION_VERSION = 1
"""Raised whenever equal settings would paint other pixels."""

_BLACK_LEVEL = 2 / 255
"""A picture without one brighter value is black: what overflows and safety checkers leave."""


@dataclass(frozen=True)
class _Setting:
    """A pass with nothing left open."""

    steps: int
    guidance: float
    strength: float
    negative: str
    pass_: InpaintPass


class DiffusionInserter:
    """Fills crops with an inpainting model of diffusers.

    Each crop is resized to the model's input, its box is inpainted, and the result is resized back. Outside the
    box's mask every pixel stays the original's: the VAE would degrade it. A crop that is not square (where the frame
    is smaller than the crop) keeps its aspect; its longer side becomes the model's size.

    Args:
        model: hub id, or folder of a saved pipeline.
        family: pipeline class of diffusers; ``None``: found from the checkpoint.
        steps: denoising steps of passes that do not say; ``None``: the family's.
        guidance: guidance scale of passes that do not say; ``None``: the family's.
        negative_prompt: of passes that do not say; ``None``: none.
        scheduler: class name of another scheduler in diffusers ("LCMScheduler").
        lora: hub id or path of LoRA weights, merged into the model (LCM or Hyper-SD: few steps).
        lora_weight_name: their file's name, where a repository holds several.
        lora_scale: weight of the LoRA.
        device: "cpu", "cuda", ...; ``None``: CUDA where there is one.
        dtype: "float16" (default on CUDA), "bfloat16" or "float32" (default on the CPU).
        batch_size: most crops in one run of the model; ``None``: as many as are given.
        size_px: side of the model's input; ``None``: what the model was trained on.
        safety_checker: keep the model's safety checker, if it has one; what it blanks is rejected as "unsafe".
        compile: compile the denoiser; batches are then filled up to ``batch_size``, so that it compiles once.
        channels_last: memory format of the convolutions.
        vae_slicing: decode one image at a time.
        vae_tiling: decode in tiles.
        offload: keep "model" parts, or "sequential"ly each layer, in CPU memory while unused.
        vae: hub id or path of another VAE.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: the model is not there, not reachable, or does not inpaint.
        RecipeError: a setting outside its limits.
    """

    needs_perspective = False

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
        if steps is not None and steps < 1:
            raise RecipeError(f"DiffusionInserter: steps={steps}", expected="1 or more")
        if guidance is not None and guidance < 0:
            raise RecipeError(f"DiffusionInserter: guidance={guidance}", expected="0 or more")
        if batch_size is not None and batch_size < 1:
            raise RecipeError(f"DiffusionInserter: batch_size={batch_size}", expected="1 or more, or None")
        if compile and batch_size is None:
            raise RecipeError("DiffusionInserter: compile=True without batch_size", expected="a fixed batch_size")
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
        self.loaded = load_inpainting(model, self._settings)
        self.steps, self.guidance, self.negative_prompt = steps, guidance, negative_prompt
        self.size_px = self._size(size_px)
        self.texts = TextEmbeddings(self.loaded)
        self._halving = Halving("DiffusionInserter", batch_size)
        self._fill_up_to = batch_size if compile else None

    def __repr__(self) -> str:
        return f"DiffusionInserter({self.loaded.identity!r}, {self.loaded.family.pipeline}, {self.loaded.device})"

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is painted."""
        settings = self._settings
        return {
            "inserter": "diffusion",
            "version": DIFFUSION_VERSION,
            "model": self.loaded.identity,
            "family": self.loaded.family.pipeline,
            "dtype": str(self.loaded.dtype).removeprefix("torch."),
            "size_px": self.size_px,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
            "scheduler": type(self.loaded.pipe.scheduler).__name__,
            "lora": None if settings.lora is None else identity_of(settings.lora),
            "lora_weight_name": settings.lora_weight_name,
            "lora_scale": settings.lora_scale,
            "vae": None if settings.vae is None else identity_of(settings.vae),
            "safety_checker": settings.safety_checker,
        }

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """``None``: it fills whatever box it is given."""
        return None

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that every prompt fits the model's text limit.

        Raises:
            RecipeError: a prompt that is too long; the message names its object, its tokens and the limit.
        """
        check_prompts(self.loaded, recipe, self.negative_prompt)

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Inpaint each crop's box; one result a crop, in order.

        Crops of equal passes and input size run together. Results do not depend on that, up to the order of
        floating-point sums.
        """
        groups: dict[Any, list[int]] = {}
        for i, crop in enumerate(crops):
            groups.setdefault((self._input_hw(crop), crop.passes or (InpaintPass(),)), []).append(i)
        results: dict[int, Filled | Rejection] = {}
        for (size_hw, passes), members in groups.items():
            fill = partial(self._fill, size_hw=size_hw, passes=passes)
            filled = self._halving.run(fill, [crops[i] for i in members])
            results.update(zip(members, filled, strict=True))
        return [results[i] for i in range(len(crops))]

    def _size(self, size_px: int | None) -> int:
        family, pipe = self.loaded.family, self.loaded.pipe
        denoiser = getattr(pipe, family.denoiser)
        if size_px is None:
            sample = getattr(denoiser.config, "sample_size", None)
            size_px = family.size_px if family.denoiser != "unet" or sample is None else sample * pipe.vae_scale_factor
        if size_px < family.multiple_of or size_px % family.multiple_of:
            raise RecipeError(
                f"DiffusionInserter: size_px={size_px}",
                expected=f"a multiple of {family.multiple_of} for {family.pipeline}",
            )
        return int(size_px)

    def _input_hw(self, crop: Crop) -> tuple[int, int]:
        """Height and width of the model's input for a crop."""
        h, w = _hw(crop)
        step = self.loaded.family.multiple_of
        shorter = max(step, round(self.size_px * min(h, w) / max(h, w) / step) * step)
        return (self.size_px, shorter) if h >= w else (shorter, self.size_px)

    def _fill(
        self, crops: Sequence[Crop], size_hw: tuple[int, int], passes: tuple[InpaintPass, ...]
    ) -> list[Filled | Rejection]:
        inputs = [_resize(crop.image.float() / 255, size_hw) for crop in crops]
        pictures = [crop.image.float() / 255 for crop in crops]
        lost: dict[int, Rejection] = {}
        settings = [self._setting(each) for each in passes]
        for number, setting in enumerate(settings):
            alive = [i for i in range(len(crops)) if i not in lost]
            if not alive:
                break
            masks = [box_mask(crops[i].box_yxhw, setting.pass_, _hw(crops[i]), size_hw) for i in alive]
            painted = self._paint([crops[i] for i in alive], [inputs[i] for i in alive], masks, setting, number)
            for i, mask, result in zip(alive, masks, painted, strict=True):
                if isinstance(result, Rejection):
                    lost[i] = result
                    continue
                inputs[i] = torch.lerp(inputs[i], result, mask)
                hw = _hw(crops[i])
                here = paste_mask(crops[i].box_yxhw, setting.pass_, hw, mask)
                pictures[i] = torch.lerp(pictures[i], _resize(inputs[i], hw), here)
        told: dict[str, Json] = {
            "inserter": "diffusion",
            "model": self.loaded.identity,
            "passes": [{name: value for name, value in asdict(each).items() if name != "pass_"} for each in settings],
        }
        return [
            lost[i] if i in lost else Filled(_levels(pictures[i]), provenance=dict(told)) for i in range(len(crops))
        ]

    def _setting(self, each: InpaintPass) -> _Setting:
        def first(*values: Any) -> Any:
            return next(value for value in values if value is not None)

        family = self.loaded.family
        return _Setting(
            steps=first(each.steps, self.steps, family.steps),
            guidance=float(first(each.guidance, self.guidance, family.guidance)),
            strength=each.strength,
            negative=first(each.negative_prompt, self.negative_prompt, ""),
            pass_=each,
        )

    def _paint(
        self,
        crops: Sequence[Crop],
        images: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        setting: _Setting,
        number: int,
    ) -> list[torch.Tensor | Rejection]:
        """Run one pass: float32 pictures ``[3, H, W]`` in [0, 1], or why there is none."""
        painted, unsafe = self._run(crops, images, masks, setting, number)
        broken = [i for i, picture in enumerate(painted) if not bool(torch.isfinite(picture).all())]
        if broken and self.loaded.dtype == torch.float16:
            # Half precision overflows in some VAEs: once more, with that part in single precision.
            with vae_in_float32(self.loaded.pipe.vae):
                again, flags = self._run(
                    [crops[i] for i in broken], [images[i] for i in broken], [masks[i] for i in broken], setting, number
                )
            for i, picture, flag in zip(broken, again, flags, strict=True):
                painted[i], unsafe[i] = picture, flag
        return [_judge(crop, picture, flag) for crop, picture, flag in zip(crops, painted, unsafe, strict=True)]

    @torch.no_grad()
    def _run(
        self,
        crops: Sequence[Crop],
        images: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        setting: _Setting,
        number: int,
    ) -> tuple[list[torch.Tensor], list[bool]]:
        family = self.loaded.family
        # A compiled denoiser is compiled for one batch size: the last item fills the rest, and is thrown away.
        missing = max(0, (self._fill_up_to or 0) - len(crops))
        chosen = [*range(len(crops)), *([len(crops) - 1] * missing)]
        height, width = images[0].shape[-2:]
        texts = [(_prompt(crops[i], setting.pass_), setting.negative) for i in chosen]
        arguments = self.texts.arguments(texts, guided=setting.guidance > 1)
        if family.takes_strength:
            arguments["strength"] = setting.strength
        arguments[family.guidance_argument] = setting.guidance
        output = self.loaded.pipe(
            image=[_pil(images[i]) for i in chosen],
            mask_image=[Image.fromarray((masks[i].numpy() * 255).round().astype(np.uint8)) for i in chosen],
            height=height,
            width=width,
            num_inference_steps=setting.steps,
            generator=[generator(crops[i].seed, "diffusion", number) for i in chosen],
            output_type="pt",
            **arguments,
        )
        pictures = output.images.float().cpu()[: len(crops)]
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(chosen)
        return list(pictures), [bool(flag) for flag in flags[: len(crops)]]


def _hw(crop: Crop) -> tuple[int, int]:
    return crop.image.shape[-2], crop.image.shape[-1]


def _judge(crop: Crop, picture: torch.Tensor, unsafe: bool) -> torch.Tensor | Rejection:
    if not bool(torch.isfinite(picture).all()):
        share = float((~torch.isfinite(picture)).float().mean())
        return Rejection("not finite", crop.object_name, detail=f"{share:.0%} of the painted values are not finite")
    if unsafe:
        return Rejection("unsafe", crop.object_name, detail="blanked by the model's safety checker")
    if float(picture.max()) <= _BLACK_LEVEL:
        return Rejection("black", crop.object_name, detail="the painted picture is black")
    return picture


def _prompt(crop: Crop, each: InpaintPass) -> str:
    return crop.prompt if each.prompt is None else each.prompt.replace("{object}", crop.object_prompt)


def _resize(image: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """float32 ``[3, h, w]`` in [0, 1] to another size, bicubic without aliasing."""
    if image.shape[-2:] == size_hw:
        return image
    return F.interpolate(image[None], size=size_hw, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _levels(image: torch.Tensor) -> torch.Tensor:
    return (image * 255).round().clamp(0, 255).to(torch.uint8)


def _pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(_levels(image).permute(1, 2, 0).contiguous().numpy())
