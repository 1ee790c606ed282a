"""What differs between the models of diffusers: two tables, inpainting and text to image, one row per family.

Sources: the signatures of diffusers 0.42 (``encode_prompt`` and ``__call__`` of each pipeline) and the model cards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from poc_aug.errors import ModelError

DiffusionTask = Literal["inpainting", "text-to-image"]

_CLIP = ("prompt_embeds", "negative_prompt_embeds")
_CLIP_POOLED = (*_CLIP, "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_FLUX = ("prompt_embeds", "pooled_prompt_embeds", None)


@dataclass(frozen=True, slots=True)
class Family:
    """How one pipeline class is called.

    Attributes:
        pipeline: name of the class in diffusers.
        denoiser: attribute of the denoising network.
        size_px: side of the square images it was trained on.
        multiple_of: height and width must be multiples of this.
        steps: denoising steps that its card uses.
        guidance: guidance scale that its card uses.
        encoded: names of the call's arguments for what ``encode_prompt`` returns, in order (``None``: not an
            argument); empty: its text encoder also sees the image or pads by batch, so it gets the plain texts.
        negative: whether it takes a negative prompt when guidance is over 1.
        guidance_argument: the call's name for the guidance scale.
        takes_strength: whether the call has ``strength``.
        in_channels: channels of the denoiser, if those of a checkpoint for the other task differ (inpainting
            adds the mask and the masked image); ``None``: one checkpoint does both.
        tokenizer: attribute of the tokenizer whose limit counts.
        text_tokens: that limit; ``None``: the tokenizer's own ``model_max_length``.
    """

    pipeline: str
    denoiser: str
    size_px: int
    multiple_of: int
    steps: int
    guidance: float
    encoded: tuple[str | None, ...] = _CLIP
    negative: bool = True
    guidance_argument: str = "guidance_scale"
    takes_strength: bool = True
    in_channels: int | None = None
    tokenizer: str = "tokenizer"
    text_tokens: int | None = None


_ROWS = (
    Family("StableDiffusionInpaintPipeline", "unet", 512, 8, 50, 7.5, in_channels=9),
    Family("StableDiffusionXLInpaintPipeline", "unet", 1024, 8, 50, 7.5, _CLIP_POOLED, in_channels=9),
    Family(
        "StableDiffusion3InpaintPipeline",
        *("transformer", 1024, 16, 40, 4.5, _CLIP_POOLED),
        tokenizer="tokenizer_3",
        text_tokens=256,
    ),
    Family(
        "FluxFillPipeline",
        *("transformer", 1024, 16, 50, 30.0, _FLUX),
        negative=False,
        in_channels=384,
        tokenizer="tokenizer_2",
        text_tokens=512,
    ),
    Family(
        "FluxInpaintPipeline",
        *("transformer", 1024, 16, 28, 3.5, _FLUX),
        negative=False,
        tokenizer="tokenizer_2",
        text_tokens=512,
    ),
    Family(
        "Flux2KleinInpaintPipeline",
        *("transformer", 1024, 16, 4, 1.0, ("prompt_embeds", None)),
        negative=False,
        text_tokens=512,
    ),
    Family(
        "QwenImageInpaintPipeline",
        *("transformer", 1024, 16, 50, 4.0, ()),
        guidance_argument="true_cfg_scale",
        text_tokens=512,
    ),
    Family(
        "QwenImageEditInpaintPipeline",
        *("transformer", 1024, 16, 50, 4.0, ()),
        guidance_argument="true_cfg_scale",
        text_tokens=512,
    ),
    Family("ZImageInpaintPipeline", "transformer", 1024, 16, 8, 0.0, text_tokens=512),
)
FAMILIES: dict[str, Family] = {row.pipeline: row for row in _ROWS}


def _text_to_image(inpainting: str, pipeline: str, in_channels: int | None = None, **changes: Any) -> Family:
    """The row of an inpainting class, adapted to its family's text-to-image class."""
    row = FAMILIES[inpainting]
    return replace(row, pipeline=pipeline, in_channels=in_channels, takes_strength=False, **changes)


_TEXT_TO_IMAGE_ROWS = (
    _text_to_image("StableDiffusionInpaintPipeline", "StableDiffusionPipeline", in_channels=4),
    _text_to_image("StableDiffusionXLInpaintPipeline", "StableDiffusionXLPipeline", in_channels=4),
    _text_to_image("StableDiffusion3InpaintPipeline", "StableDiffusion3Pipeline"),
    _text_to_image("FluxInpaintPipeline", "FluxPipeline", in_channels=64),
    _text_to_image("Flux2KleinInpaintPipeline", "Flux2KleinPipeline"),
    _text_to_image("QwenImageInpaintPipeline", "QwenImagePipeline"),
    _text_to_image("ZImageInpaintPipeline", "ZImagePipeline"),
)
TEXT_TO_IMAGE_FAMILIES: dict[str, Family] = {row.pipeline: row for row in _TEXT_TO_IMAGE_ROWS}


def family_of(pipeline: str, task: DiffusionTask = "inpainting") -> Family:
    """The family of a pipeline class.

    Raises:
        ModelError: a class that is not in the task's table.

    Example:
        >>> family_of("FluxFillPipeline").guidance
        30.0
    """
    table = FAMILIES if task == "inpainting" else TEXT_TO_IMAGE_FAMILIES
    if pipeline not in table:
        raise ModelError(
            f"{task} family {pipeline!r}",
            expected=f"one of: {', '.join(table)}",
            hint="name the pipeline class of diffusers, or add a row to poc_aug/backends/diffusion/families.py",
        )
    return table[pipeline]
