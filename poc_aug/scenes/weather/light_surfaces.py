"""What a surface is to the light: sky beyond its label's outline, the road through an emblem on the bonnet."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from poc_aug.scenes.weather.light_maps import box_blurred, smooth_step
from poc_aug.scenes.weather.surface_kinds import SurfaceKind


def soft_sky(value: torch.Tensor, sky: torch.Tensor, average_sky: float) -> torch.Tensor:
    """How far a pixel shows the sky, in [0, 1].

    Outlines of labels miss those of the picture by some pixels: what is as bright as the sky next to it, is sky. The
    sun's light would otherwise stay as a bright line around roofs and crowns.
    """
    share = sky.float()
    radius = max(2, round(0.005 * sky.shape[1]))
    near = box_blurred(torch.stack([share, share * value]), radius, 1)
    beside = (near[0] / 0.06).clamp_(max=1)
    bright = smooth_step(value / (near[1] / near[0].clamp(min=1e-3)).clamp(min=0.2 * average_sky), 0.22, 0.6)
    return torch.maximum(share, beside * bright)


def own_car(kinds: torch.Tensor) -> torch.Tensor:
    """Runs that reach the lower border, of our own car or not labelled: its bonnet, in schemas that do not name it."""
    ours = ((kinds == int(SurfaceKind.UNKNOWN)) | (kinds == int(SurfaceKind.EGO))).to(torch.uint8)
    height, width = kinds.shape
    high = ours.flip(0).cummin(0).values.sum(0).float()[None, None]
    # An emblem that stands on the bonnet is narrow.
    half = max(1, width // 40)
    lowest = -F.max_pool1d(F.pad(-high, (half, half), mode="replicate"), 2 * half + 1, stride=1)
    high = F.max_pool1d(F.pad(lowest, (half, half), mode="replicate"), 2 * half + 1, stride=1)[0]
    return torch.arange(height, 0, -1, device=kinds.device)[:, None] <= high
