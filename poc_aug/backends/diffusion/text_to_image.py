"""POC's text-to-image baselines: a picture of the object alone, pasted into the frame (POC §4).

*T2I Full* pastes the whole picture, *T2I Crop* only the object's pixels. Neither knows the scene: they are the
baselines that inpainting is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from poc_aug.backends.diffusion.diffusion_load import LoadedPipeline, LoadSettings, load_text_to_image
from poc_aug.backends.diffusion.pipeline_inserter import (
    PipelineInserter,
    output_images,
    padded_batch,
    paint_and_check,
    resize_bicubic,
    to_uint8,
)
from poc_aug.backends.diffusion.text_limits import check_prompts
from poc_aug.errors import RecipeError, SettingError
from poc_aug.recipe import InpaintPass, PixelSize, Recipe, Rung
from poc_aug.seeding import generator
from poc_aug.types import Crop, Filled, Json, Rejection

TEXT_TO_IMAGE_VERSION = 1
"""Raised whenever equal settings would paint other pixels."""

PasteMode = Literal["full", "crop"]


class TextToImageInserter(PipelineInserter):
    """Replaces crops by pictures that a text-to-image model paints from the prompt and the seed alone.

    The picture is a square of ``size_px``, resized to the crop; if the crop is not square (the frame is smaller than
    the crop), the picture's centre is used. An annotator finds the object in it. Use it with a recipe from
    `text_to_image_recipe`, whose boxes are the whole crops: with other recipes, most objects would not lie inside
    their box. The recipe's inpainting passes are not used.

    Args:
        model: hub id, or folder of a saved pipeline.
        paste: ``"crop"`` pastes the object's pixels; ``"full"`` the whole picture, labelled to ignore outside the
            object.
        options: those of `poc_aug.DiffusionInserter`: ``steps``, ``guidance``, ``negative_prompt``,
            ``scheduler``, ``lora``, ``device``, ``dtype``, ``batch_size``, ``size_px`` and the others.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: the model is not there, not reachable, or is an inpainting model.
        SettingError: a setting outside its limits.

    Example:
        Needs the model's weights, so these lines are not run as a test:

        >>> inserter = TextToImageInserter("stable-diffusion-v1-5/stable-diffusion-v1-5")  # doctest: +SKIP
        >>> pipeline = InsertionPipeline(text_to_image_recipe(recipe), inserter, annotator)  # doctest: +SKIP

        Settings are checked before anything is loaded:

        >>> TextToImageInserter("stable-diffusion-v1-5/stable-diffusion-v1-5", paste="half")
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: TextToImageInserter: paste='half'
        Expected: 'full' or 'crop'
    """

    _inserter = "text-to-image"
    _version = TEXT_TO_IMAGE_VERSION

    def __init__(self, model: str | Path, *, paste: PasteMode = "crop", **options: Any) -> None:
        if paste not in ("full", "crop"):
            raise SettingError(f"TextToImageInserter: paste={paste!r}", expected="'full' or 'crop'")
        super().__init__(model, **options)
        self.paste: PasteMode = paste
        # No pass could set these later, as for inpainting.
        family = self.loaded.family
        self.steps = family.steps if self.steps is None else self.steps
        self.guidance = float(family.guidance if self.guidance is None else self.guidance)

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is painted."""
        return {**super().describe(), "paste": self.paste}

    def _load(self, model: str | Path, settings: LoadSettings) -> LoadedPipeline:
        return load_text_to_image(model, settings)

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that every prompt fits the model's text limit, and that no shadow is to be recovered.

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
        """Paint a picture for each crop; one result per crop, in order.

        Results do not depend on what shares a batch, up to the order of floating-point sums.
        """
        return self._halving.run(self._fill, list(crops))

    def _fill(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        def run(numbers: Sequence[int]) -> tuple[list[torch.Tensor], list[bool]]:
            return self._run([crops[i] for i in numbers])

        painted = paint_and_check(self.loaded, [crop.object_name for crop in crops], run)
        return [
            picture if isinstance(picture, Rejection) else self._filled(crop, picture)
            for crop, picture in zip(crops, painted, strict=True)
        ]

    def _filled(self, crop: Crop, picture: torch.Tensor) -> Filled:
        h, w = crop.image.shape[-2:]
        provenance: dict[str, Json] = {
            "inserter": "text-to-image",
            "model": self.loaded.identity,
            "paste": self.paste,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
        }
        image = to_uint8(resize_bicubic(centre_crop(picture, (h, w)), (h, w)))
        if self.paste == "crop":
            return Filled(image, provenance=provenance)
        whole = torch.full((h, w), 255, dtype=torch.uint8)
        return Filled(image, alpha=whole, provenance=provenance, unlabelled=True)

    @torch.no_grad()
    def _run(self, crops: Sequence[Crop]) -> tuple[list[torch.Tensor], list[bool]]:
        family = self.loaded.family
        chosen = padded_batch(len(crops), self._fill_up_to)
        texts = [(crops[i].prompt, self.negative_prompt or "") for i in chosen]
        guidance = self.guidance
        assert guidance is not None  # `__init__` has set it
        arguments = self.texts.arguments(texts, guided=guidance > 1)
        arguments[family.guidance_argument] = guidance
        output = self.loaded.pipe(
            height=self.size_px,
            width=self.size_px,
            num_inference_steps=self.steps,
            generator=[generator(crops[i].seed, "text to image") for i in chosen],
            output_type="pt",
            **arguments,
        )
        return output_images(output, len(crops))


def centre_crop(picture: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """The largest part of a picture ``[3, H, W]`` around its centre with the aspect ratio of ``size_hw``.

    Example:
        >>> centre_crop(torch.zeros(3, 64, 64), (100, 50)).shape
        torch.Size([3, 64, 32])
    """
    height, width = picture.shape[-2:]
    scale = min(height / size_hw[0], width / size_hw[1])
    h, w = min(height, max(1, round(size_hw[0] * scale))), min(width, max(1, round(size_hw[1] * scale)))
    top, left = (height - h) // 2, (width - w) // 2
    return picture[:, top : top + h, left : left + w]


def text_to_image_recipe(recipe: Recipe, *, size_px: int = 512) -> Recipe:
    """A recipe's objects and prompts for the baselines: squares of a fixed size, anywhere in the frame (POC §4).

    Box and crop are the same square of ``size_px``, at least 50 px from the frame's border and without regard to the
    scene; sizes and locations of single objects are dropped. A frame too small for that gets no object, never a
    smaller square.

    Args:
        recipe: the recipe whose results are to be compared with the baseline's.
        size_px: side of the pasted picture (paper: 512).

    Raises:
        SettingError: a side of less than 16 px.

    Example:
        >>> from poc_aug.recipe import ObjectSpec
        >>> recipe = text_to_image_recipe(Recipe(objects=[ObjectSpec(name="sheep")]), size_px=256)
        >>> recipe.size.min_px, recipe.crop_scale, recipe.location
        (256, 1.0, ())
    """
    if size_px < 16:
        raise SettingError(f"text_to_image_recipe: size_px={size_px}", expected="16 or more")
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
