"""Inpainting with a diffusion model: any object that can be named, painted in the scene's own light (POC §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline, LoadSettings, load_inpainting
from poc_aug.backends.diffusion.inpaint_mask import box_mask, paste_mask
from poc_aug.backends.diffusion.pipeline_inserter import (
    PipelineInserter,
    output_images,
    padded_batch,
    paint_and_check,
    resize_bicubic,
    to_uint8,
)
from poc_aug.backends.diffusion.text_limits import check_prompts
from poc_aug.recipe import InpaintPass, Recipe
from poc_aug.seeding import generator
from poc_aug.types import Crop, Filled, Json, Rejection

DIFFUSION_VERSION = 1
"""Raised whenever equal settings would paint other pixels."""


@dataclass(frozen=True)
class _PassSettings:
    """An inpainting pass with every default filled in."""

    steps: int
    guidance: float
    strength: float
    negative: str
    pass_: InpaintPass


class DiffusionInserter(PipelineInserter):
    """Fills crops with an inpainting model of diffusers.

    Each crop is resized to the model's input, its box is inpainted, and the result is resized back. Outside the
    box's mask every pixel stays the original's, because the VAE would degrade it. A crop that is not square (the frame
    is smaller than the crop) keeps its aspect ratio; its longer side becomes the model's size.

    Args:
        model: hub id, or folder of a saved pipeline.
        family: pipeline class of diffusers; ``None``: read from the checkpoint.
        steps: denoising steps of passes that do not set them; ``None``: the family's.
        guidance: guidance scale of passes that do not set it; ``None``: the family's.
        negative_prompt: of passes that do not set one; ``None``: none.
        scheduler: class name of another scheduler in diffusers ("LCMScheduler").
        lora: hub id or path of LoRA weights, merged into the model (LCM or Hyper-SD: few steps).
        lora_weight_name: the file's name, if the repository holds several.
        lora_scale: weight of the LoRA.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: "float16" (default on CUDA), "bfloat16" or "float32" (default on the CPU).
        batch_size: most crops per run of the model; ``None``: as many as are given.
        size_px: side of the model's input; ``None``: what the model was trained on.
        safety_checker: keep the model's safety checker, if it has one; images that it blanks are rejected as "unsafe".
        compile: compile the denoiser; batches are then padded to ``batch_size``, so that it compiles once.
        channels_last: memory format of the convolutions.
        vae_slicing: decode one image at a time.
        vae_tiling: decode in tiles.
        offload: keep parts in CPU memory while unused: "model" moves whole networks, "sequential" single layers.
        vae: hub id or path of another VAE.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: the model is not there, not reachable, or does not inpaint.
        SettingError: a setting outside its limits.

    Example:
        Needs the model's weights, so these lines are not run as a test:

        >>> inserter = DiffusionInserter("stable-diffusion-v1-5/stable-diffusion-inpainting")  # doctest: +SKIP
        >>> pipeline = InsertionPipeline(recipe, inserter, annotator)  # doctest: +SKIP

        Settings are checked before anything is loaded:

        >>> DiffusionInserter("stable-diffusion-v1-5/stable-diffusion-inpainting", steps=0)
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: DiffusionInserter: steps=0
        Expected: 1 or more
    """

    _inserter = "diffusion"
    _version = DIFFUSION_VERSION

    def _load(self, model: str | Path, settings: LoadSettings) -> LoadedPipeline:
        return load_inpainting(model, settings)

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that every prompt fits the model's text limit.

        Raises:
            RecipeError: a prompt that is too long; the message names its object, its tokens and the limit.
        """
        check_prompts(self.loaded, recipe, self.negative_prompt)

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Inpaint each crop's box; one result per crop, in order.

        Crops with equal passes and input size share a batch. Results do not depend on that, up to the order of
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

    def _input_hw(self, crop: Crop) -> tuple[int, int]:
        """Height and width of the model's input for a crop."""
        h, w = _size_hw(crop)
        step = self.loaded.family.multiple_of
        shorter = max(step, round(self.size_px * min(h, w) / max(h, w) / step) * step)
        return (self.size_px, shorter) if h >= w else (shorter, self.size_px)

    def _fill(
        self, crops: Sequence[Crop], size_hw: tuple[int, int], passes: tuple[InpaintPass, ...]
    ) -> list[Filled | Rejection]:
        inputs = [resize_bicubic(crop.image.float() / 255, size_hw) for crop in crops]
        pictures = [crop.image.float() / 255 for crop in crops]
        rejected: dict[int, Rejection] = {}
        settings = [self._setting(pass_) for pass_ in passes]
        for number, setting in enumerate(settings):
            remaining = [i for i in range(len(crops)) if i not in rejected]
            if not remaining:
                break
            masks = [box_mask(crops[i].box_yxhw, setting.pass_, _size_hw(crops[i]), size_hw) for i in remaining]
            painted = self._paint([crops[i] for i in remaining], [inputs[i] for i in remaining], masks, setting, number)
            for i, mask, result in zip(remaining, masks, painted, strict=True):
                if isinstance(result, Rejection):
                    rejected[i] = result
                    continue
                inputs[i] = torch.lerp(inputs[i], result, mask)
                hw = _size_hw(crops[i])
                pasted = paste_mask(crops[i].box_yxhw, setting.pass_, hw, mask)
                pictures[i] = torch.lerp(pictures[i], resize_bicubic(inputs[i], hw), pasted)
        provenance: dict[str, Json] = {
            "inserter": "diffusion",
            "model": self.loaded.identity,
            "passes": [
                {name: value for name, value in asdict(setting).items() if name != "pass_"} for setting in settings
            ],
        }
        return [
            rejected[i] if i in rejected else Filled(to_uint8(pictures[i]), provenance=dict(provenance))
            for i in range(len(crops))
        ]

    def _setting(self, pass_: InpaintPass) -> _PassSettings:
        def first(*values: Any) -> Any:
            return next(value for value in values if value is not None)

        family = self.loaded.family
        return _PassSettings(
            steps=first(pass_.steps, self.steps, family.steps),
            guidance=float(first(pass_.guidance, self.guidance, family.guidance)),
            strength=pass_.strength,
            negative=first(pass_.negative_prompt, self.negative_prompt, ""),
            pass_=pass_,
        )

    def _paint(
        self,
        crops: Sequence[Crop],
        images: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        setting: _PassSettings,
        number: int,
    ) -> list[torch.Tensor | Rejection]:
        """Run one pass: float32 pictures ``[3, H, W]`` in [0, 1], or the rejection."""

        def run(numbers: Sequence[int]) -> tuple[list[torch.Tensor], list[bool]]:
            chosen = [crops[i] for i in numbers]
            return self._run(chosen, [images[i] for i in numbers], [masks[i] for i in numbers], setting, number)

        return paint_and_check(self.loaded, [crop.object_name for crop in crops], run)

    @torch.no_grad()
    def _run(
        self,
        crops: Sequence[Crop],
        images: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        setting: _PassSettings,
        number: int,
    ) -> tuple[list[torch.Tensor], list[bool]]:
        family = self.loaded.family
        chosen = padded_batch(len(crops), self._fill_up_to)
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
        return output_images(output, len(crops))


def _size_hw(crop: Crop) -> tuple[int, int]:
    return crop.image.shape[-2], crop.image.shape[-1]


def _prompt(crop: Crop, pass_: InpaintPass) -> str:
    return crop.prompt if pass_.prompt is None else pass_.prompt.replace("{object}", crop.object_prompt)


def _pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(to_uint8(image).permute(1, 2, 0).contiguous().numpy())
