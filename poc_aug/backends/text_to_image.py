"""POC's text-to-image baselines: a picture of the object alone, pasted into the frame (POC §4).

*T2I Full* pastes the whole picture, *T2I Crop* only the object's pixels. Neither knows the scene: that is what
inpainting is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from poc_aug.backends.diffusion_load import LoadSettings, Offload, load_text_to_image
from poc_aug.backends.halving import Halving
from poc_aug.backends.painting import (
    check_settings,
    describe_loaded,
    filled_up,
    input_size,
    judged,
    levels,
    pictures_of,
    resized,
)
from poc_aug.backends.text_embeddings import TextEmbeddings
from poc_aug.backends.text_limits import check_prompts
from poc_aug.errors import RecipeError
from poc_aug.recipe import InpaintPass, PixelSize, Recipe, Rung
from poc_aug.seeding import generator
from poc_aug.types import Crop, Extent, Filled, Json, Rejection

TEXT_TO_IMAGE_VERSION = 1
"""Raised whenever equal settings would paint other pixels."""

Paste = Literal["full", "crop"]


class TextToImageInserter:
    """Replaces crops by pictures that a text-to-image model paints from the prompt and the seed alone.

    The picture is a square of ``size_px``, resized to the crop; where the frame is smaller than the crop, and the crop
    not a square, the picture's middle is taken. An annotator finds the object in it. Use it with a recipe of
    `text_to_image_recipe`, whose boxes are the whole crops: in others, most objects would not lie inside their box.
    The recipe's inpainting passes are not used.

    Args:
        model: hub id, or folder of a saved pipeline.
        paste: ``"crop"`` pastes the object's pixels; ``"full"`` the whole picture, labelled to ignore outside the
            object.
        family: pipeline class of diffusers; ``None``: found from the checkpoint.
        steps: denoising steps; ``None``: the family's.
        guidance: guidance scale; ``None``: the family's.
        negative_prompt: what to keep away from; ``None``: nothing.
        scheduler: class name of another scheduler in diffusers ("LCMScheduler").
        lora: hub id or path of LoRA weights, merged into the model.
        lora_weight_name: their file's name, where a repository holds several.
        lora_scale: weight of the LoRA.
        device: "cpu", "cuda", ...; ``None``: CUDA where there is one.
        dtype: "float16" (default on CUDA), "bfloat16" or "float32" (default on the CPU).
        batch_size: most crops in one run of the model; ``None``: as many as are given.
        size_px: side of the model's picture; ``None``: what the model was trained on.
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
        ModelError: the model is not there, not reachable, or is an inpainting model.
        RecipeError: a setting outside its limits.
    """

    needs_perspective = False

    def __init__(
        self,
        model: str | Path,
        *,
        paste: Paste = "crop",
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
        if paste not in ("full", "crop"):
            raise RecipeError(f"TextToImageInserter: paste={paste!r}", expected="'full' or 'crop'")
        check_settings("TextToImageInserter", steps=steps, guidance=guidance, batch_size=batch_size, compile=compile)
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
        self.loaded = load_text_to_image(model, self._settings)
        self.paste: Paste = paste
        self.steps = self.loaded.family.steps if steps is None else steps
        self.guidance = float(self.loaded.family.guidance if guidance is None else guidance)
        self.negative_prompt = negative_prompt
        self.size_px = input_size("TextToImageInserter", self.loaded, size_px)
        self.texts = TextEmbeddings(self.loaded)
        self._halving = Halving("TextToImageInserter", batch_size)
        self._fill_up_to = batch_size if compile else None

    def __repr__(self) -> str:
        family = self.loaded.family.pipeline
        return f"TextToImageInserter({self.loaded.identity!r}, {family}, {self.loaded.device}, paste={self.paste!r})"

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is painted."""
        return {
            "inserter": "text-to-image",
            "version": TEXT_TO_IMAGE_VERSION,
            "paste": self.paste,
            **describe_loaded(self.loaded, self._settings),
            "size_px": self.size_px,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
        }

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """``None``: it fills whatever crop it is given."""
        return None

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that every prompt fits the model's text limit, and that no shadow is asked for.

        Raises:
            RecipeError: a prompt that is too long, with its object, its tokens and the limit; or ``recover_shade``.
        """
        if recipe.recover_shade:
            raise RecipeError(
                "recover_shade=True, but a picture made from text alone holds no shadow on the frame",
                expected="recover_shade: false for TextToImageInserter",
                hint="make the recipe with text_to_image_recipe(recipe)",
            )
        # Prompts of inpainting passes are not used here.
        check_prompts(self.loaded, recipe.with_changes(passes=(InpaintPass(),)), self.negative_prompt)

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Paint a picture for each crop; one result a crop, in order.

        Results do not depend on what runs together, up to the order of floating-point sums.
        """
        return self._halving.run(self._fill, list(crops))

    def _fill(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        def run(numbers: Sequence[int]) -> tuple[list[torch.Tensor], list[bool]]:
            return self._run([crops[i] for i in numbers])

        painted = judged(self.loaded, crops, run)
        return [
            picture if isinstance(picture, Rejection) else self._filled(crop, picture)
            for crop, picture in zip(crops, painted, strict=True)
        ]

    def _filled(self, crop: Crop, picture: torch.Tensor) -> Filled:
        h, w = crop.image.shape[-2:]
        told: dict[str, Json] = {
            "inserter": "text-to-image",
            "model": self.loaded.identity,
            "paste": self.paste,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
        }
        image = levels(resized(middle(picture, (h, w)), (h, w)))
        if self.paste == "crop":
            return Filled(image, provenance=told)
        whole = torch.full((h, w), 255, dtype=torch.uint8)
        return Filled(image, alpha=whole, provenance=told, unlabelled=True)

    @torch.no_grad()
    def _run(self, crops: Sequence[Crop]) -> tuple[list[torch.Tensor], list[bool]]:
        family = self.loaded.family
        chosen = filled_up(len(crops), self._fill_up_to)
        texts = [(crops[i].prompt, self.negative_prompt or "") for i in chosen]
        arguments = self.texts.arguments(texts, guided=self.guidance > 1)
        arguments[family.guidance_argument] = self.guidance
        output = self.loaded.pipe(
            height=self.size_px,
            width=self.size_px,
            num_inference_steps=self.steps,
            generator=[generator(crops[i].seed, "text to image") for i in chosen],
            output_type="pt",
            **arguments,
        )
        return pictures_of(output, len(crops))


def middle(picture: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """The largest part of a picture ``[3, H, W]`` around its centre that has the aspect of ``size_hw``."""
    height, width = picture.shape[-2:]
    scale = min(height / size_hw[0], width / size_hw[1])
    h, w = min(height, max(1, round(size_hw[0] * scale))), min(width, max(1, round(size_hw[1] * scale)))
    top, left = (height - h) // 2, (width - w) // 2
    return picture[:, top : top + h, left : left + w]


def text_to_image_recipe(recipe: Recipe, *, size_px: int = 512) -> Recipe:
    """A recipe's objects and prompts for the baselines: squares of a fixed size, anywhere in the frame (POC §4).

    Box and crop are one square of ``size_px``, 50 px from the frame's border and without regard to the scene; sizes
    and locations of single objects are dropped. A frame too small for that gets no object, never a smaller square.

    Args:
        recipe: the recipe of the generation to compare with.
        size_px: side of the pasted picture (paper: 512).

    Raises:
        RecipeError: a side of less than 16 px.
    """
    if size_px < 16:
        raise RecipeError(f"text_to_image_recipe: size_px={size_px}", expected="16 or more")
    return recipe.with_changes(
        objects=[spec.model_copy(update={"size": None, "location": None, "crop_px": None}) for spec in recipe.objects],
        location=(),
        size=PixelSize(min_px=size_px, max_px=size_px + 1),
        ladder=(Rung(min_overlap=0),),
        margin_px=50,
        aspect_min=1,
        aspect_max=1,
        crop_scale=1,
        recover_shade=False,
    )
