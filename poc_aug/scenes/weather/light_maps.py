"""What light is computed with: linear values of pixels, maps at a fraction of the frame's size, and the way back."""

from __future__ import annotations

import torch
import torch.nn.functional as F

GAMMA = 2.2
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in luminance (ITU-R BT.709)."""


def linear_light(image: torch.Tensor) -> torch.Tensor:
    """The light behind an image: float32 in [0, 1] from uint8.

    Example:
        >>> linear_light(torch.tensor([0, 128, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2195, 1.0000])
    """
    return image.float().div_(255).pow_(GAMMA)


def encoded_light(light: torch.Tensor) -> torch.Tensor:
    """The uint8 image of linear light; what is out of [0, 1] is clipped. Works in place.

    Example:
        >>> encoded_light(torch.tensor([0.0, 0.2195, 7.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return light.clamp_(0, 1).pow_(1 / GAMMA).mul_(255).add_(0.5).to(torch.uint8)


def luminance(light: torch.Tensor) -> torch.Tensor:
    """Luminance ``[h, w]`` of linear light ``[3, h, w]``."""
    red, green, blue = LUMINANCE
    return (light[0] * red).add_(light[1], alpha=green).add_(light[2], alpha=blue)


def reduced(maps: torch.Tensor, step: int) -> torch.Tensor:
    """Float maps ``[n, h, w]`` averaged over blocks of ``step`` pixels; the last blocks repeat the border.

    Example:
        >>> reduced(torch.arange(6.0).reshape(1, 2, 3), 2)
        tensor([[[2.0000, 3.5000]]])
    """
    if step == 1:
        return maps
    height, width = maps.shape[-2:]
    if height % step or width % step:
        maps = F.pad(maps[None], (0, -width % step, 0, -height % step), mode="replicate")[0]
    return F.avg_pool2d(maps, step)


def sampled(values: torch.Tensor, step: int) -> torch.Tensor:
    """One pixel per block of `reduced`, near its middle, of a map ``[h, w]`` of any type.

    Example:
        >>> sampled(torch.arange(15).reshape(3, 5), 2)
        tensor([[ 6,  8,  9],
                [11, 13, 14]])
    """
    if step == 1:
        return values
    height, width = values.shape
    rows = (torch.arange(-(-height // step), device=values.device) * step + step // 2).clamp_(max=height - 1)
    cols = (torch.arange(-(-width // step), device=values.device) * step + step // 2).clamp_(max=width - 1)
    return values[rows][:, cols]


def enlarged(maps: torch.Tensor, step: int, size_hw: tuple[int, int]) -> torch.Tensor:
    """Maps from `reduced`, back at the frame's size, bilinear; 10x faster than ``interpolate`` on the CPU.

    Example:
        >>> enlarged(torch.tensor([[[0.0, 4.0]]]), 4, (1, 8))
        tensor([[[0.0000, 0.0000, 0.5000, 1.5000, 2.5000, 3.5000, 4.0000, 4.0000]]])
    """
    if step == 1:
        return maps
    wide = _enlarged_along(maps.transpose(-1, -2), step, size_hw[1]).transpose(-1, -2)
    return _enlarged_along(wide.contiguous(), step, size_hw[0])


def _enlarged_along(maps: torch.Tensor, step: int, length: int) -> torch.Tensor:
    """Along the second last dimension."""
    count = maps.shape[-2]
    padded = torch.cat([maps[..., :1, :], maps, maps[..., -1:, :]], dim=-2)
    out = maps.new_empty((*maps.shape[:-2], count, step, maps.shape[-1]))
    for phase in range(step):
        at = (phase + 0.5) / step - 0.5  # in blocks, from the middle of the block
        first = 0 if at < 0 else 1
        weight = at + 1 - first
        torch.lerp(
            padded[..., first : first + count, :],
            padded[..., first + 1 : first + 1 + count, :],
            weight,
            out=out[..., phase, :],
        )
    return out.flatten(-3, -2)[..., :length, :]


def box_blurred(maps: torch.Tensor, radius: int, times: int = 2) -> torch.Tensor:
    """Float maps ``[n, h, w]`` averaged over squares of ``2 * radius + 1`` pixels, ``times`` times in turn.

    What lies beyond the border does not count. The time taken does not depend on the radius.

    Example:
        >>> box_blurred(torch.tensor([[[0.0, 3.0, 0.0, 0.0]]]), 1, times=1)
        tensor([[[1.5000, 1.0000, 1.0000, 0.0000]]])
    """
    for _ in range(times):
        for dim in (-1, -2):
            maps = _box_along(maps, radius, dim)
    return maps


def _box_along(maps: torch.Tensor, radius: int, dim: int) -> torch.Tensor:
    length = maps.shape[dim]
    sums = F.pad(maps.transpose(dim, -1).double().cumsum(-1), (1, 0))
    index = torch.arange(length, device=maps.device)
    low, high = (index - radius).clamp(min=0), (index + radius + 1).clamp(max=length)
    mean = (sums[..., high] - sums[..., low]) / (high - low)
    return mean.to(maps.dtype).transpose(dim, -1)


def masked_mean(values: torch.Tensor, mask: torch.Tensor, otherwise: float) -> float:
    """Mean of a map's pixels in a mask; ``otherwise`` if the mask is empty."""
    return float(values[mask].mean()) if bool(mask.any()) else otherwise


def smooth_step(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to ``low``, 1 from ``high``, smooth between.

    Example:
        >>> smooth_step(torch.tensor([0.0, 1.5, 9.0]), 1.0, 2.0)
        tensor([0.0000, 0.5000, 1.0000])
    """
    t = ((values - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
