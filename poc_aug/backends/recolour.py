"""Other colours for a cut-out: the same shape in more looks, so that a small bank is not learnt by heart.

Hue, saturation, contrast and brightness, as torchvision's ``ColorJitter`` for whole pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import kornia
import torch

from poc_aug.seeding import uniform

SATURATION = (0.3, 1.7)
CONTRAST = (0.7, 1.4)
BRIGHTNESS = (0.7, 1.3)


@dataclass(frozen=True, slots=True)
class RecolourDraw:
    """The random numbers of one object's new colours.

    Attributes:
        hue_deg: angle by which every hue turns, -180 to 180.
        saturation: factor.
        contrast: factor of the distance from the object's mean colour.
        brightness: factor.
    """

    hue_deg: float
    saturation: float
    contrast: float
    brightness: float


def draw_recolour(rng: torch.Generator, share: float) -> RecolourDraw | None:
    """New colours for a ``share`` of all draws, ``None`` for the others."""
    if uniform(rng, 0, 1) >= share:
        return None
    return RecolourDraw(
        uniform(rng, -180, 180), uniform(rng, *SATURATION), uniform(rng, *CONTRAST), uniform(rng, *BRIGHTNESS)
    )


def recolour(colours: torch.Tensor, mask: torch.Tensor, draw: RecolourDraw) -> torch.Tensor:
    """The object in other colours; its texture stays.

    Args:
        colours: float ``[3, h, w]`` in [0, 1].
        mask: bool ``[h, w]``: where the mean colour is taken.
        draw: the random numbers.

    Returns:
        float ``[3, h, w]`` in [0, 1].
    """
    hue, saturation, value = kornia.color.rgb_to_hsv(colours[None])[0]
    turned = torch.stack([(hue + math.radians(draw.hue_deg)) % (2 * math.pi), saturation * draw.saturation, value])
    turned[1:].clamp_(0, 1)
    changed: torch.Tensor = kornia.color.hsv_to_rgb(turned[None])[0]
    mean = changed[:, mask].mean(dim=1)[:, None, None]
    return (((changed - mean) * draw.contrast + mean) * draw.brightness).clamp(0, 1)
