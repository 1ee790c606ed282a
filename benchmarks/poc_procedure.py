"""The procedure of POC's public code, written anew from its description: one image at a time.

The location is found with Grounded-SAM in the full frame, Grounding DINO on the CPU, SAM in float32; positions are
tested one at a time; the text encoder runs in every call. Answers of the random models are replaced after the models
have run in full, as in the other arms.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from random_models import Models
from torchvision.transforms.v2 import functional as tv

from poc_aug.backends.finders.grounding_dino import GroundingDinoDetector
from poc_aug.optional_imports import require

_NEEDED = {"extra": "generate", "purpose": "the benchmark"}

Stage = Callable[[str], Any]


class PocProcedure:
    """One insertion after the other.

    Args:
        models: the models on disk.
        device: of the diffusion model and of SAM.
        steps: denoising steps.
        detector_device: of Grounding DINO ("cpu" in the public code).
    """

    def __init__(
        self, models: Models, device: str, steps: int, detector_device: str = "cpu", size_px: int = 800
    ) -> None:
        from segment_anything import SamPredictor

        from poc_aug.backends.finders.segment_anything import SegmentAnythingSegmenter

        dtype = torch.float16 if device == "cuda" else torch.float32
        self.pipe: Any = require("diffusers", **_NEEDED).StableDiffusionInpaintPipeline.from_pretrained(
            models.inpainting, dtype=dtype, safety_checker=None
        )
        self.pipe.to(device)
        self.pipe.set_progress_bar_config(disable=True)
        self.side = self.pipe.unet.config.sample_size * self.pipe.vae_scale_factor
        self.detector = GroundingDinoDetector(
            models.detector,
            models.detector_config,
            text_encoder=models.text_encoder,
            device=detector_device,
            size_px=size_px,
            batch_size=1,
        )
        self.sam = SamPredictor(SegmentAnythingSegmenter(models.sam, device=device, dtype="float32").model)
        self.steps = steps
        self.seconds: dict[str, float] = {}

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def insert(
        self, image: torch.Tensor, road: torch.Tensor, prompt: str, side: int, seed: int
    ) -> np.ndarray[Any, Any]:
        """One insertion.

        Args:
            image: uint8 ``[3, H, W]``.
            road: bool ``[H, W]``, what stands in for the location found by the random models.
            prompt: what to insert.
            side: side of the box in pixels.
            seed: seed of the draws.
        """
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        with self._stage("location"):
            self._grounded_sam(image, pixels, "the road")
        with self._stage("region"):
            y, x = _place(road.numpy(), side, seed)
        with self._stage("insert"):
            reach = int(side * 1.2)
            top = min(max(y + side // 2 - reach // 2, 0), pixels.shape[0] - reach)
            left = min(max(x + side // 2 - reach // 2, 0), pixels.shape[1] - reach)
            crop = pixels[top : top + reach, left : left + reach]
            mask = np.zeros(crop.shape[:2], dtype=np.uint8)
            mask[y - top : y - top + side, x - left : x - left + side] = 255
            size = (self.side, self.side)
            painted = self.pipe(
                prompt=prompt,
                image=Image.fromarray(crop).resize(size),
                mask_image=Image.fromarray(mask).resize(size),
                height=self.side,
                width=self.side,
                num_inference_steps=self.steps,
                guidance_scale=7.5,
                generator=torch.Generator().manual_seed(seed),
            ).images[0]
            filled = np.asarray(painted.resize((reach, reach)))
        with self._stage("annotate"):
            self._grounded_sam(torch.from_numpy(filled.copy()).permute(2, 0, 1), filled, "the object")
        with self._stage("blend"):
            mask = np.zeros(pixels.shape[:2], dtype=np.float32)
            mask[y : y + side, x : x + side] = 1
            soft = tv.gaussian_blur(torch.from_numpy(mask)[None], [7, 7], [1.0, 1.0])[0].numpy()
            alpha = np.maximum(mask, soft)[..., None]
            frame = pixels.astype(np.float32)
            frame[top : top + reach, left : left + reach] = filled
            blended: np.ndarray[Any, Any] = (alpha * frame + (1 - alpha) * pixels).astype(np.uint8)
            return blended

    def _grounded_sam(self, image: torch.Tensor, pixels: np.ndarray[Any, Any], text: str) -> None:
        self.detector.detect([image], [text])
        h, w = pixels.shape[:2]
        self.sam.set_image(pixels)
        self.sam.predict(box=np.array([w // 4, h // 4, 3 * w // 4, 3 * h // 4]), multimask_output=True)


def _place(valid: np.ndarray[Any, Any], side: int, seed: int) -> tuple[int, int]:
    """Positions of the valid area in random order, tested one at a time: half of the box on it, 50 px to the border."""
    positions = list(zip(*(axis.tolist() for axis in np.nonzero(valid)), strict=True))
    random.Random(seed).shuffle(positions)
    for y, x in positions:
        inside = 50 <= y <= valid.shape[0] - side - 50 and 50 <= x <= valid.shape[1] - side - 50
        if valid[y : y + side, x : x + side].mean() >= 0.5 and inside:
            return y, x
    return valid.shape[0] - side - 50, (valid.shape[1] - side) // 2
