"""Frames changed by an instruction: models that take a picture and a sentence, and no label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from poc_aug.backends.diffusion.diffusion_load import LoadSettings, Offload, load_family, pipeline_index
from poc_aug.backends.diffusion.families import FAMILIES, TEXT_TO_IMAGE_FAMILIES, Family
from poc_aug.backends.diffusion.pipeline_inserter import output_images, to_uint8
from poc_aug.backends.diffusion.text_embeddings import TextEmbeddings
from poc_aug.backends.scene_models.frame_fitting import FrameFit
from poc_aug.backends.scene_models.painting_shifter import PaintingShifter
from poc_aug.backends.scene_models.scene_prompts import EDIT_PHRASES, check_template, check_text, domain_words
from poc_aug.errors import ModelError
from poc_aug.scenes.shifter_protocol import SceneFrame
from poc_aug.seeding import generator
from poc_aug.types import Json

EDIT_SHIFTER_VERSION = 1
"""Raised whenever equal settings would make other pixels."""

_QWEN = FAMILIES["QwenImageEditInpaintPipeline"]
EDIT_FAMILIES: dict[str, Family] = {
    "Flux2KleinPipeline": TEXT_TO_IMAGE_FAMILIES["Flux2KleinPipeline"],
    "QwenImageEditPipeline": replace(_QWEN, pipeline="QwenImageEditPipeline", takes_strength=False),
    "QwenImageEditPlusPipeline": replace(_QWEN, pipeline="QwenImageEditPlusPipeline", steps=40, takes_strength=False),
}
"""Pipelines that edit a picture by an instruction."""


class EditShifter(PaintingShifter):
    """Changes frames by an instruction, with FLUX.2 klein or Qwen-Image-Edit.

    Such a model sees the whole frame, so there are no tiles; it is given no labels, so how far they still hold has to
    be checked afterwards. Frames are painted one at a time: these pipelines take several pictures as references for
    one, not as a batch.

    Args:
        domain: name of the domain, as in keys: "fog", "night", or any other.
        model: hub id or folder: FLUX.2 klein, Qwen-Image-Edit, or its "plus" versions (2509, 2511).
        instruction: template with ``{domain}``, and ``{caption}`` if wanted (the frame's).
        phrase: what stands for ``{domain}``; ``None``: words for the known domains, the name for others.
        negative_prompt: what must not be seen; for models with guidance.
        steps: denoising steps; ``None``: those of the model's card.
        guidance: guidance scale; ``None``: that of the model's card.
        scheduler: class name in diffusers; ``None``: the checkpoint's own.
        height_px: height that is painted; ``None``: the frame's own, but a million pixels in all at most, for which
            these models are made.
        keep: classes that stay as they are; ``None``: the ego vehicle, if the schema has it.
        keep_inserted: whether inserted objects and anomalies stay as they are, too.
        feather_px: how far around what is kept the two pictures are mixed.
        lora: hub id or path of LoRA weights, such as those for few steps.
        lora_weight_name: the file's name, if the repository holds several.
        offload: keep parts in CPU memory while unused: "model" or "sequential".
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: "float16", "bfloat16" or "float32"; ``None``: bfloat16 on CUDA, which these models were trained in,
            float32 on the CPU.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: the model is not there, not reachable, or does not edit.
        SettingError: a setting outside its limits, or an instruction over the model's text limit.

    Example:
        Needs weights, so this line is not run as a test:

        >>> snow = EditShifter("snow", "black-forest-labs/FLUX.2-klein-4B")  # doctest: +SKIP

        Settings are checked before anything is loaded:

        >>> EditShifter("snow", instruction="make it snow")
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: EditShifter: instruction='make it snow'
        Expected: a text with {domain}, and no fields but {domain}, {caption}
    """

    _shifter = "edit"
    _version = EDIT_SHIFTER_VERSION
    _phrases = EDIT_PHRASES
    _most_px = 1024 * 1024
    _least_side_px = 64

    def __init__(
        self,
        domain: str,
        model: str | Path = "black-forest-labs/FLUX.2-klein-4B",
        *,
        instruction: str = "make it {domain}, keep everything else where it is",
        phrase: str | None = None,
        negative_prompt: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        scheduler: str | None = None,
        height_px: int | None = None,
        keep: Sequence[str] | None = None,
        keep_inserted: bool = True,
        feather_px: float = 4.0,
        lora: str | Path | None = None,
        lora_weight_name: str | None = None,
        offload: Offload = "none",
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            domain,
            negative_prompt=negative_prompt,
            steps=steps,
            guidance=guidance,
            height_px=height_px,
            keep=keep,
            keep_inserted=keep_inserted,
            feather_px=feather_px,
            batch_size=1,
        )
        check_template(type(self).__name__, "instruction", instruction, ["domain", "caption"])
        self.instruction = instruction
        self.phrase = domain_words(EDIT_PHRASES, domain) if phrase is None else phrase
        if dtype is None and ((device is None and torch.cuda.is_available()) or str(device).startswith("cuda")):
            dtype = "bfloat16"
        settings = LoadSettings(
            device=device,
            dtype=dtype,
            scheduler=scheduler,
            lora=lora,
            lora_weight_name=lora_weight_name,
            offload=offload,
        )
        loaded = load_family(model, settings, edit_family(model), "text-to-image")
        self._ready(loaded, settings, steps, guidance)
        check_text(loaded, self.instruction.format(domain=self.phrase, caption=""), "the instruction")
        self.texts = TextEmbeddings(loaded)

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what is made; part of a cache's fingerprint."""
        return {**super().describe(), "instruction": self.instruction, "phrase": self.phrase}

    def _multiple_of(self) -> int:
        return int(self.loaded.pipe.vae_scale_factor) * 2

    def _text(self, frame: SceneFrame) -> str:
        return self.instruction.format(domain=self.phrase, caption=frame.caption.strip())

    @torch.no_grad()
    def _run(
        self, frames: Sequence[SceneFrame], fits: Sequence[FrameFit], texts: Sequence[str]
    ) -> tuple[list[torch.Tensor], list[bool]]:
        pictures: list[torch.Tensor] = []
        flags: list[bool] = []
        for frame, fit, text in zip(frames, fits, texts, strict=True):
            height, width = fit.painted_hw
            image = Image.fromarray(to_uint8(fit.image(frame.image.cpu())).permute(1, 2, 0).numpy())
            # A space: without any negative prompt, Qwen-Image-Edit leaves its guidance out.
            arguments = self.texts.arguments([(text, self.negative_prompt or " ")], guided=self.guidance > 1)
            arguments[self.loaded.family.guidance_argument] = self.guidance
            output: Any = self.loaded.pipe(
                image=image,
                height=height,
                width=width,
                num_inference_steps=self.steps,
                generator=[generator(frame.seed, "scene")],
                output_type="pt",
                **arguments,
            )
            painted, blanked = output_images(output, 1)
            pictures += painted
            flags += blanked
        return pictures, flags


def edit_family(model: str | Path) -> Family:
    """The class and the settings of an editing model, by its own class.

    Raises:
        ModelError: not there, not reachable, or not a model that edits by instruction.
    """
    saved = pipeline_index(str(model))["_class_name"]
    if saved not in EDIT_FAMILIES:
        raise ModelError(
            f"the model {str(model)!r} is a {saved}, which does not edit a picture by an instruction",
            expected=f"one of: {', '.join(EDIT_FAMILIES)}",
            hint="use black-forest-labs/FLUX.2-klein-4B or Qwen/Qwen-Image-Edit-2511, or a ControlNetShifter",
        )
    return EDIT_FAMILIES[saved]
