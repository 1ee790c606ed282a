"""Make an object look as if the scene's camera had taken it: light, colour, contrast, haze, sharpness, grain.

Every correction is partial and bounded, so that the object keeps its character: a white sheep on dark asphalt gets
darker, not grey. Colours are converted to CIE Lab and back with kornia (`kornia.color.rgb_to_lab` and `lab_to_rgb`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import kornia
import torch
import torch.nn.functional as F

from poc_aug.backends.paste.scene_quality import edge_blur_px, gaussian_blur, noise_level, quantile
from poc_aug.masks import bounds
from poc_aug.seeding import uniform
from poc_aug.types import Box, Json

MAX_BLUR_PX = 2.0
MAX_GRAIN = 6.0
"""In levels of 255."""

GRAIN_BLUR_PX = 0.6
GRAIN_STD = 0.496
"""Fraction of white noise's standard deviation that remains after a blur of `GRAIN_BLUR_PX`."""

VISIBILITY_M = 350.0
"""Distance at which haze takes 1 - 1/e of an object's contrast on a dull day."""


@dataclass(frozen=True, slots=True)
class HarmoniseDraw:
    """The random numbers of one harmonisation; each is a fraction in [0, 1] of the full correction.

    Attributes:
        tone: lightness.
        colour: saturation and colour cast.
        contrast: contrast and black level.
        grain: noise.
        grounding: darkening of the object towards its foot.
    """

    tone: float
    colour: float
    contrast: float
    grain: float
    grounding: float


def draw_harmonise(rng: torch.Generator, strength: float) -> HarmoniseDraw:
    """Draw a harmonisation's random numbers around ``strength`` (0 turns colour and light off)."""
    tone, colour, contrast = (min(1.0, strength * uniform(rng, 0.6, 1.4)) for _ in range(3))
    return HarmoniseDraw(tone, colour, contrast, grain=uniform(rng, 0.6, 1.0), grounding=uniform(rng, 0.08, 0.22))


def match_colours(
    colours: torch.Tensor,
    mask: torch.Tensor,
    scene: torch.Tensor,
    box_yxhw: Box,
    distance_m: float | None,
    draw: HarmoniseDraw,
) -> tuple[torch.Tensor, dict[str, Json]]:
    """Move the object's light and colour towards the scene's, in CIE Lab (after Reinhard et al. 2001, bounded).

    Args:
        colours: float ``[3, h, w]`` in [0, 1]: the object's colours.
        mask: bool ``[h, w]``: the object's pixels.
        scene: float ``[3, H, W]`` in [0, 1]: the crop.
        box_yxhw: the object's box in the crop.
        distance_m: how far away it is, if known.
        draw: the random numbers.

    Returns:
        The new colours, and the corrections for the provenance.
    """
    around = _lab(_surroundings(scene, box_yxhw)).flatten(1)
    whole = _lab(F.avg_pool2d(scene[None], 2)[0] if min(scene.shape[1:]) >= 32 else scene)[0].flatten()
    lab = _lab(colours)
    object_lab = lab[:, mask]

    scene_light, object_light = float(around[0].mean()), round(float(object_lab[0].mean()), 2)
    gain = _clamp(((scene_light + 10) / (object_light + 10)) ** (0.8 * draw.tone), 0.4, 1.2)
    contrast = ((float(around[0].std()) + 8) / (float(object_lab[0].std(correction=0)) + 8)) ** (0.3 * draw.contrast)
    contrast = _clamp(contrast, 0.75, 1.15)
    chroma = ((_chroma(around) + 10) / (_chroma(object_lab) + 10)) ** (0.4 * draw.colour)
    chroma = _clamp(chroma, 0.55, 1.1)
    # Asphalt is nearly neutral, so its mean colour approximates the colour of the light.
    cast = [_clamp(0.8 * draw.colour * float(around[i].mean()), -9.0, 9.0) for i in (1, 2)]

    light = ((lab[0] - object_light) * contrast + object_light) * gain
    scene_black, scene_white = float(quantile(whole, 0.01)), float(quantile(whole, 0.995))
    object_black = float(quantile(object_lab[0], 0.02)) * gain
    lift = _clamp(draw.contrast * 0.6 * (scene_black - object_black), 0.0, 7.0)
    light = light + lift * (1 - light / 100)
    light = _soft_ceiling(light, knee=_clamp(scene_white - 5, 45.0, 100.0), strength=draw.tone)
    veil = 0.0 if distance_m is None else (1 - math.exp(-distance_m / VISIBILITY_M)) * draw.contrast
    veil = _clamp(veil, 0.0, 0.3)
    airlight = _clamp(float(quantile(whole, 0.8)), 0.0, 100.0)
    light = light * (1 - veil) + airlight * veil
    factor = chroma * (1 - veil)
    tinted = torch.stack((light, lab[1] * factor + cast[0], lab[2] * factor + cast[1]))
    done: dict[str, Json] = {
        "gain": gain,
        "contrast": contrast,
        "chroma": chroma,
        "black_lift": lift,
        "veil": veil,
        "draw": {name: round(float(value), 3) for name, value in asdict(draw).items()},
    }
    return kornia.color.lab_to_rgb(tinted[None])[0].clamp(0, 1), done


def darken_foot(colours: torch.Tensor, mask: torch.Tensor, draw: HarmoniseDraw) -> torch.Tensor:
    """Darken an object's colours (float ``[3, h, w]``) towards the foot of ``mask``, where the ground hides the sky."""
    top, _, height, _ = bounds(mask)
    foot = top + height - 1
    over = (foot - torch.arange(mask.shape[0], dtype=colours.dtype)).clamp(min=0) / max(foot - top, 1)
    return colours * (1 - draw.grounding * torch.exp(-over / 0.15))[None, :, None]


def match_sharpness(
    colours: torch.Tensor, opacity: torch.Tensor, scene: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Json]]:
    """Blur an object (float ``[3, h, w]``, opacity ``[h, w]``) that is sharper than the scene (float ``[3, H, W]``).

    The blur is at most `MAX_BLUR_PX`; opacity, whose edge is as sharp as the scaled cut-out, is blurred equally.
    """
    object_blur, scene_blur = edge_blur_px(colours, opacity >= 0.5), edge_blur_px(scene)
    if object_blur is None or scene_blur is None or scene_blur <= object_blur:
        return colours, opacity, {"blur_px": 0.0}
    blur = _clamp(math.sqrt(scene_blur**2 - object_blur**2), 0.0, MAX_BLUR_PX)
    if blur < 0.1:
        return colours, opacity, {"blur_px": 0.0}
    blurred = gaussian_blur(torch.cat((colours, opacity[None])), blur)
    return blurred[:3], blurred[3], {"blur_px": blur}


def add_grain(
    colours: torch.Tensor, mask: torch.Tensor, scene: torch.Tensor, draw: HarmoniseDraw, rng: torch.Generator
) -> tuple[torch.Tensor, dict[str, Json]]:
    """Add the noise that the scene (float ``[3, H, W]``) has and the object (float ``[3, h, w]``) lacks."""
    missing = noise_level(scene) ** 2 - noise_level(colours, mask) ** 2
    level = _clamp(255 * math.sqrt(max(missing, 0.0)), 0.0, MAX_GRAIN) * draw.grain / 255
    if level < 0.5 / 255:
        return colours, {"grain": 0.0}
    # After demosaicing and compression, noise is coarser than a pixel and mostly in lightness.
    noise = gaussian_blur(torch.randn((1, *mask.shape), generator=rng), GRAIN_BLUR_PX)
    noise = noise * (level / GRAIN_STD)
    return (colours + noise).clamp(0, 1), {"grain": round(level * 255, 2)}


def _surroundings(scene: torch.Tensor, box_yxhw: Box) -> torch.Tensor:
    """The box grown by half its size to each side, but not upwards: mostly the ground that it stands on."""
    y, x, h, w = box_yxhw
    top, left = max(0, y + h // 4), max(0, x - w // 2)
    return scene[:, top : y + h + max(h, w) // 2, left : x + w + w // 2]


def _lab(colours: torch.Tensor) -> torch.Tensor:
    # kornia's conversion takes float tensors as they are; those of scikit-image and OpenCV, which are no core
    # dependencies, take arrays.
    lab: torch.Tensor = kornia.color.rgb_to_lab(colours[None])[0]
    return lab


def _chroma(lab: torch.Tensor) -> float:
    return float(torch.hypot(lab[1], lab[2]).mean())


def _soft_ceiling(light: torch.Tensor, knee: float, strength: float) -> torch.Tensor:
    """Compress what is lighter than ``knee``, because nothing in a dim scene is white."""
    over = (light - knee).clamp(min=0)
    headroom = 100 - knee
    squeezed = knee + headroom * torch.tanh(over / max(headroom, 1)) * 0.6
    bounded = torch.where(light > knee, squeezed, light)
    return light + strength * (bounded - light)


def _clamp(value: float, low: float, high: float) -> float:
    # Rounded, because sums over many pixels differ in their last bits with the number of threads, and pixels must not.
    return round(min(max(value, low), high), 3)
