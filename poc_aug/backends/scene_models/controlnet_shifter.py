"""Scenes from label maps with a ControlNet, as GenVal makes them, or from the frame itself at a chosen strength."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from poc_aug.backends.common.model_files import model_identity
from poc_aug.backends.diffusion.diffusion_load import LoadSettings
from poc_aug.backends.diffusion.pipeline_inserter import output_images
from poc_aug.backends.diffusion.text_embeddings import TextEmbeddings
from poc_aug.backends.scene_models.controlnet_load import SceneMode, load_controlnet
from poc_aug.backends.scene_models.frame_fitting import FrameFit
from poc_aug.backends.scene_models.painting_shifter import PaintingShifter
from poc_aug.backends.scene_models.palettes import ClassColours, Palette, PaletteName
from poc_aug.backends.scene_models.scene_prompts import DOMAIN_PHRASES, check_template, domain_words
from poc_aug.backends.scene_models.tiles import in_tiles
from poc_aug.errors import ModelError, SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import SceneFrame
from poc_aug.seeding import generator
from poc_aug.types import Json

CONTROLNET_SHIFTER_VERSION = 1
"""Raised whenever equal settings would make other pixels."""

_SEGMENTATION = 5
"""The number of label maps among the conditions of a union ControlNet."""


class ControlNetShifter(PaintingShifter):
    """Paints frames anew in another domain: Stable Diffusion with a ControlNet that follows the label map.

    Frames of any size: they are resized to ``height_px``, padded by reflection to what divides, painted, cropped and
    resized back. Frames wider than the model's own size are denoised in overlapping tiles with one noise field
    (`poc_aug.backends.scene_models.tiles`), so they have no seam. Each frame has its own seed.

    Args:
        domain: name of the domain, as in keys: "fog", "night", or any other.
        model: base model: hub id or folder of Stable Diffusion 1.5, 2 or SDXL, text to image.
        controlnet: hub id or folder of its ControlNet, or of a union ControlNet (SDXL).
        mode: ``"text-to-image"``: from noise, the labels and the prompt (GenVal); ``"image-to-image"``: from the
            frame, as much changed as ``strength`` allows.
        strength: for image to image: over 0 (the frame) to 1 (only its labels); five values: one per severity.
        prompt: template with ``{caption}`` (the frame's) and ``{domain}``.
        phrase: what stands for ``{domain}``; ``None``: the domain's name in words.
        default_caption: caption of frames that have none.
        negative_prompt: what must not be seen.
        steps: denoising steps.
        guidance: scale of classifier-free guidance.
        control_scale: weight of the ControlNet.
        scheduler: class name in diffusers; ``None``: the checkpoint's own.
        height_px: height that is painted; ``None``: the frame's own.
        tile_px: side of the tiles; ``None``: what the model was trained on.
        overlap: how far tiles overlap, as a part of their side.
        palette: how the label map is given to the ControlNet; see `poc_aug.backends.scene_models.palettes.Palette`.
        classes: table of the palette's classes, a mapping or a YAML file.
        keep: classes that stay as they are; ``None``: the ego vehicle, if the schema has it.
        keep_inserted: whether inserted objects and anomalies stay as they are, too.
        feather_px: how far around what is kept the two pictures are mixed.
        safety_checker: keep the base model's safety checker, if it has one; what it blanks is rejected.
        vae: another VAE (for example because SDXL's overflows in fp16).
        lora: hub id or path of LoRA weights for the base model.
        device: "cpu", "cuda", ...; ``None``: CUDA if available.
        dtype: "float16", "bfloat16" or "float32"; ``None``: float16 on CUDA, float32 on the CPU.
        batch_size: most frames at once; halved if memory does not suffice.

    Raises:
        MissingDependencyError: diffusers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: a model that is not there, or a ControlNet for another base model or condition.
        SettingError: a setting outside its limits.

    Example:
        Needs weights, so these lines are not run as a test:

        >>> night = ControlNetShifter("night", mode="image-to-image", strength=0.6)  # doctest: +SKIP
        >>> dataset = SceneShiftDataset(base, night, cache="night")  # doctest: +SKIP

        Settings are checked before anything is loaded:

        >>> ControlNetShifter("night", mode="image-to-image", strength=0)
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: ControlNetShifter: strength=0 with steps=25
        Expected: over 0, at most 1, and at least one of the steps
        Next step: strength of 0.04 or more
    """

    _shifter = "controlnet"
    _version = CONTROLNET_SHIFTER_VERSION
    _phrases = DOMAIN_PHRASES

    def __init__(
        self,
        domain: str,
        model: str | Path = "stable-diffusion-v1-5/stable-diffusion-v1-5",
        controlnet: str | Path = "lllyasviel/control_v11p_sd15_seg",
        *,
        mode: SceneMode = "text-to-image",
        strength: float | Sequence[float] = 0.7,
        prompt: str = "{caption}, in {domain}",
        phrase: str | None = None,
        default_caption: str = "a photo of a street",
        negative_prompt: str | None = None,
        steps: int = 25,
        guidance: float = 8.0,
        control_scale: float = 1.0,
        scheduler: str | None = "DDIMScheduler",
        height_px: int | None = 512,
        tile_px: int | None = None,
        overlap: float = 0.25,
        palette: PaletteName | Palette = "ade20k",
        classes: ClassColours | str | Path | None = None,
        keep: Sequence[str] | None = None,
        keep_inserted: bool = True,
        feather_px: float = 4.0,
        safety_checker: bool = True,
        vae: str | Path | None = None,
        lora: str | Path | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = 4,
    ) -> None:
        who = type(self).__name__
        super().__init__(
            domain,
            negative_prompt=negative_prompt,
            steps=steps,
            guidance=guidance,
            height_px=height_px,
            keep=keep,
            keep_inserted=keep_inserted,
            feather_px=feather_px,
            batch_size=batch_size,
        )
        if mode not in get_args(SceneMode):
            raise SettingError(f"{who}: mode={mode!r}", expected=" or ".join(map(repr, get_args(SceneMode))))
        check_template(who, "prompt", prompt, ["caption", "domain"])
        self.mode: SceneMode = mode
        self.strengths = _strengths(who, strength)
        for value in self.strengths if mode == "image-to-image" else ():
            self._check_strength(who, value, steps)
        if not 0 < overlap <= 0.5:
            raise SettingError(f"{who}: overlap={overlap}", expected="over 0, at most 0.5")
        if control_scale < 0:
            raise SettingError(f"{who}: control_scale={control_scale}", expected="0 or more")
        if isinstance(palette, Palette) and classes is not None:
            raise SettingError(f"{who}: classes= with a Palette", expected="its classes given to the Palette itself")
        self.palette = palette if isinstance(palette, Palette) else Palette(palette, classes)
        self.prompt, self.phrase = prompt, domain_words(DOMAIN_PHRASES, domain) if phrase is None else phrase
        self.default_caption, self.control_scale, self.overlap = default_caption, float(control_scale), overlap
        settings = LoadSettings(
            device=device, dtype=dtype, scheduler=scheduler, lora=lora, vae=vae, safety_checker=safety_checker
        )
        self._ready(load_controlnet(model, controlnet, settings, mode), settings, steps, guidance)
        self.controlnet = model_identity(controlnet)
        self._union = type(self.loaded.pipe.controlnet).__name__ == "ControlNetUnionModel"
        self.texts = TextEmbeddings(self.loaded)
        self.tile_px = self._tile(who, tile_px)
        self._check_channels(None)
        if self._union and self.loaded.pipe.controlnet.config.num_control_type <= _SEGMENTATION:
            raise ModelError(
                f"the union ControlNet {str(controlnet)!r} has "
                f"{self.loaded.pipe.controlnet.config.num_control_type} types of conditions",
                expected=f"{_SEGMENTATION + 1} or more; label maps are number {_SEGMENTATION}",
                hint="use xinsir/controlnet-union-sdxl-1.0",
            )

    def _tile(self, who: str, tile_px: int | None) -> int:
        unit = self._multiple_of()
        if tile_px is None:
            sample = self.loaded.pipe.unet.config.sample_size
            side = sample if isinstance(sample, int) else min(sample)
            tile_px = max(unit, side * self.loaded.pipe.vae_scale_factor // unit * unit)
        if tile_px < 2 * unit or tile_px % unit:
            raise SettingError(f"{who}: tile_px={tile_px}", expected=f"a multiple of {unit}, {2 * unit} or more")
        return tile_px

    def _check_channels(self, schema: LabelSchema | None) -> None:
        has = self.palette.channels(schema)
        config = self.loaded.pipe.controlnet.config
        takes = config.conditioning_channels
        if has is not None and has != takes:
            raise ModelError(
                f"the ControlNet {self.controlnet!r} takes conditions of {takes} channels, "
                f"the palette {self.palette.name!r} has {has}",
                expected="the palette that the ControlNet was trained with",
                hint="palette='ade20k' has 3 channels, 'one-channel' 1, 'one-hot' one per class that is not ignored",
                command="--backend-arg palette=ade20k has 3 channels, one-channel 1, one-hot one per class",
            )

    def describe(self) -> dict[str, Json]:
        """JSON values of everything that decides what is made; part of a cache's fingerprint."""
        return {
            **super().describe(),
            "controlnet": self.controlnet,
            "control_scale": self.control_scale,
            "mode": self.mode,
            "strength": list(self.strengths) if self.mode == "image-to-image" else None,
            "prompt": self.prompt,
            "phrase": self.phrase,
            "default_caption": self.default_caption,
            "tile_px": self.tile_px,
            "overlap": self.overlap,
            **self.palette.describe(),
        }

    def check_schema(self, schema: LabelSchema | None) -> None:
        """Check that frames with labels of this schema can be shifted.

        Raises:
            SchemaError: no schema; a palette without one of its classes; a class to keep that it does not know.
            ModelError: a condition with other channels than the ControlNet takes.
        """
        self.palette.check(schema)
        self._check_channels(schema)
        super().check_schema(schema)

    def _strength(self, frame: SceneFrame) -> float:
        return self.strengths[min(max(frame.severity, 1), 5) - 1]

    def _group(self, frame: SceneFrame) -> float | None:
        return self._strength(frame) if self.mode == "image-to-image" else None

    def _text(self, frame: SceneFrame) -> str:
        caption = frame.caption.strip() or self.default_caption
        return self.prompt.format(caption=caption, domain=self.phrase)

    def _provenance(self, frame: SceneFrame, text: str) -> dict[str, Json]:
        strength = {"strength": self._strength(frame)} if self.mode == "image-to-image" else {}
        made = {"controlnet": self.controlnet, "palette": self.palette.name, "mode": self.mode}
        return {**super()._provenance(frame, text), **made, **strength}

    @torch.no_grad()
    def _run(
        self, frames: Sequence[SceneFrame], fits: Sequence[FrameFit], texts: Sequence[str]
    ) -> tuple[list[torch.Tensor], list[bool]]:
        conditions = torch.stack(
            [
                self.palette.encode(fit.labels(frame.labels.cpu()), frame.schema)
                for frame, fit in zip(frames, fits, strict=True)
            ]
        )
        height, width = fits[0].painted_hw
        arguments: dict[str, Any] = self.texts.arguments(
            [(text, self.negative_prompt or "") for text in texts], guided=self.guidance > 1
        )
        arguments |= {"guidance_scale": self.guidance, "controlnet_conditioning_scale": self.control_scale}
        if self._union:
            arguments |= {"control_image": [conditions], "control_mode": [_SEGMENTATION]}
        else:
            arguments["control_image" if self.mode == "image-to-image" else "image"] = conditions
        if self.mode == "image-to-image":
            images = [fit.image(frame.image.cpu()) for frame, fit in zip(frames, fits, strict=True)]
            arguments |= {"image": torch.stack(images), "strength": self._strength(frames[0])}
        if "pooled_prompt_embeds" in arguments:
            # SDXL is told the size of a picture; in tiles, it only ever sees one of a tile's size.
            seen = (min(height, self.tile_px), min(width, self.tile_px))
            arguments |= {"original_size": seen, "target_size": seen}

        def run() -> Any:
            return self.loaded.pipe(
                height=height,
                width=width,
                num_inference_steps=self.steps,
                generator=[generator(frame.seed, "scene") for frame in frames],
                output_type="pt",
                **arguments,
            )

        if max(height, width) <= self.tile_px:
            return output_images(run(), len(frames))
        scale = self.loaded.pipe.vae_scale_factor
        with in_tiles(self.loaded.pipe, self.tile_px // scale, max(1, round(self.overlap * self.tile_px / scale))):
            return output_images(run(), len(frames))


def _strengths(who: str, strength: float | Sequence[float]) -> tuple[float, ...]:
    values = (strength,) * 5 if isinstance(strength, int | float) else tuple(strength)
    if len(values) != 5:
        raise SettingError(
            f"{who}: strength={strength!r}", expected="a number, or five: one for each severity from 1 to 5"
        )
    return values
