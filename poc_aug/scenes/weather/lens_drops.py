"""Drops on the lens: small lenses, out of focus, that show the whole scene upside down."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

_STRETCH = 0.72
"""How much of the frame's height a drop shows to each side of itself."""


class LensDrops:
    """Where drops lie on the lens, and their outlines.

    Args:
        count: how many.
        generator: a generator on the CPU.

    Example:
        >>> drops = LensDrops(12, torch.Generator().manual_seed(1))
        >>> light = torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(2))
        >>> drops.over(light.clone()).shape, bool((drops.over(light.clone()) != light).any())
        (torch.Size([3, 64, 128]), True)
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._draws = torch.rand(count, 7, generator=generator)

    def over(self, light: torch.Tensor) -> torch.Tensor:
        """The drops over a frame, float32 ``[3, H, W]`` in linear light. Changes ``light`` itself."""
        height, width = light.shape[1:]
        draws = self._draws.to(light.device)
        radius = (0.008 + 0.030 * draws[:, 2] ** 3) * height + 1
        side = (2.6 * radius).ceil().long() + 1
        count = side * side
        which = torch.repeat_interleave(torch.arange(len(count), device=light.device), count)
        nth = torch.arange(len(which), device=light.device) - (count.cumsum(0) - count)[which]
        down = torch.div(nth, side[which], rounding_mode="floor")
        centre_row, centre_col = draws[:, 0] * height, draws[:, 1] * width
        row = (centre_row - 1.3 * radius).floor()[which] + down
        col = (centre_col - 1.3 * radius).floor()[which] + (nth - down * side[which])
        y, x = (row - centre_row[which]) / radius[which], (col - centre_col[which]) / radius[which]
        # Drops hang: wider below; and none is a circle.
        angle = torch.atan2(y, x)
        phase = draws[which, 3:5] * (2 * math.pi)
        outline = 1 + 0.10 * torch.sin(2 * angle + phase[:, 0]) + 0.06 * torch.sin(3 * angle + phase[:, 1]) + 0.08 * y
        reach = torch.sqrt(x * x + y * y) / outline
        soft = 0.4 + 0.4 * draws[which, 5]
        cover = ((1 - reach) / soft).clamp(0, 1)
        cover = cover * cover * (3 - 2 * cover) * 0.92
        near = (cover > 0) & (row >= 0) & (row < height) & (col >= 0) & (col < width)
        x, y, reach, cover, which = x[near], y[near], reach[near], cover[near], which[near]
        index = row[near].long() * width + col[near].long()
        # The image in a drop is upside down and bends towards its rim.
        bend = _STRETCH * (0.55 + 0.45 * reach**2)
        seen_row = (centre_row[which] / height - y * bend) * 2 - 1
        seen_col = (centre_col[which] / width - x * bend * height / width) * 2 - 1
        scene = F.interpolate(light[None], (max(height // 16, 1), max(width // 16, 1)), mode="area")
        points = torch.stack([seen_col, seen_row], dim=-1)[None, None]
        shown = F.grid_sample(scene, points, padding_mode="reflection", align_corners=False)[0, :, 0]
        shown = shown * (1.04 - 0.4 * reach**4 * (0.6 - 0.4 * y).clamp(0, 1))
        places, which = torch.unique(index, return_inverse=True)  # drops that touch become one
        sums = torch.zeros(4, len(places), device=light.device)
        sums.index_add_(1, which, torch.cat([shown * cover, cover[None]]))
        opacity = sums[3].clamp(max=1)
        flat = light.reshape(3, -1)
        flat[:, places] = torch.lerp(flat[:, places], sums[:3] / sums[3].clamp(min=1e-6), opacity)
        return flat.reshape(light.shape)
