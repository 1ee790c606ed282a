"""What filling a cache costs, as measured: seconds of a device per attempt, bytes per object.

Each figure is that of a file in ``benchmarks/results``, which says how it was measured; nothing is scaled to other
devices, models or settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poc_aug.cache import Codec


@dataclass(frozen=True)
class MeasuredRate:
    """How long one attempt at an object takes on a device.

    Attributes:
        device: the device.
        located: where objects may stand comes from the "labels", or from a prompt (a "locator").
        attempts_per_s: median of the attempts per second.
        setting: what was measured.
        file: the file of the figure.

    Example:
        >>> from poc_aug.paper_sets.measured_rates import RATES
        >>> [round(rate.seconds, 2) for rate in RATES]
        [0.6, 0.69]
    """

    device: str
    located: str
    attempts_per_s: float
    setting: str
    file: str = "generation_gpu.json"

    @property
    def seconds(self) -> float:
        """Seconds of the device per attempt."""
        return 1 / self.attempts_per_s


STEPS = 50
"""Denoising steps of the measured rates."""

_SETTING = "Stable Diffusion 1.5 inpainting in full size, 50 steps, batches of 16, boxes of 300 px"

RATES = (
    MeasuredRate("NVIDIA H100 80GB HBM3", "labels", 1.67259, _SETTING),
    MeasuredRate("NVIDIA H100 80GB HBM3", "locator", 1.45926, _SETTING),
)
"""The measured rates: one inpainting pass with Grounding DINO and SAM ViT-H."""

MEASURED_MODELS = (
    "stable-diffusion-v1-5/stable-diffusion-inpainting",
    "sd2-community/stable-diffusion-2-inpainting",
)
"""Models for which `RATES` are shown: the measured one, and that of POC, of the same input size and family."""

OBJECT_BYTES: Mapping[Codec, float] = {
    "delta-zstd": 398_105 / 3,
    "webp": 305_944 / 3,
    "webp-lossy": 37_315.5 / 3,
}
"""Bytes of a cache per object, a disc of 400 px on frames of 2048×1024, by codec (``cache_read.json``)."""

RENDERED_BYTES: Mapping[Codec, float] = {"delta-zstd": 82_610 / 3, "webp": 67_590.8 / 3, "webp-lossy": 24_242 / 3}
"""The same for rendered objects in real sizes."""

CUT_OUT_BYTES: Mapping[Codec, float] = {"delta-zstd": 53_554.5 / 2.91667}
"""The same for cut-outs of COCO in real sizes."""
