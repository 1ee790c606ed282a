"""What light is computed with: linear values of pixels, maps at a fraction of the frame's size, and the way back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in luminance (ITU-R BT.709)."""
_BAND_PX = 1 << 17
"""Pixels that are worked on at a time on the CPU: their maps stay in its cache."""


def linear_light(image: torch.Tensor) -> torch.Tensor:
    """The light behind an image: float32 in [0, 1] from uint8.

    The square of the stored value is close to sRGB's curve, and far cheaper.

    Example:
        >>> linear_light(torch.tensor([0, 128, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2520, 1.0000])
    """
    return image.float().mul_(1 / 255).square_()


def encoded_light(light: torch.Tensor) -> torch.Tensor:
    """The uint8 image of linear light; what is out of [0, 1] is clipped. Works in place.

    Example:
        >>> encoded_light(torch.tensor([0.0, 0.252, 7.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return light.clamp_(0, 1).sqrt_().mul_(255).add_(0.5).to(torch.uint8)


def bands(size_hw: tuple[int, int], device: torch.device) -> Iterator[slice]:
    """The rows of a frame in bands of an even number of rows; on a GPU, all at once.

    Example:
        >>> list(bands((100, 4096), torch.device("cpu")))
        [slice(0, 32, None), slice(32, 64, None), slice(64, 96, None), slice(96, 100, None)]
    """
    height, width = size_hw
    rows = max(8, _BAND_PX // width // 8 * 8) if device.type == "cpu" else height
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def reduced_light(image: torch.Tensor, step: int) -> torch.Tensor:
    """The light behind an image, averaged over blocks of ``step`` pixels (1, 2, 4 or 8): float32 ``[3, h, w]``."""
    parts = bands((image.shape[-2], image.shape[-1]), image.device)
    return torch.cat([reduced(linear_light(image[:, rows]), step) for rows in parts], dim=1)


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
    while step % 2 == 0:  # 3x faster than pooling
        maps = maps[..., ::2, :] + maps[..., 1::2, :]
        maps = maps[..., ::2].add(maps[..., 1::2]).mul_(0.25)
        step //= 2
    return F.avg_pool2d(maps, step) if step > 1 else maps


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
    """Maps from `reduced`, back at the frame's size, smoothly; 10x faster than ``interpolate`` on the CPU.

    Args:
        maps: float32 ``[n, h, w]``.
        step: a power of two.
        size_hw: the frame's size.

    Example:
        >>> enlarged(torch.tensor([[[0.0, 4.0]]]), 2, (1, 4))
        tensor([[[0., 1., 3., 4.]]])
    """
    height, width = size_hw
    while step > 1:
        step //= 2
        rows, cols = -(-height // step), -(-width // step)
        maps = _doubled_rows(_doubled_columns(maps)[..., :cols])[..., :rows, :]
    return maps


def enlarged_rows(maps: torch.Tensor, step: int, rows: slice, size_hw: tuple[int, int]) -> torch.Tensor:
    """Some rows of what `enlarged` gives; ``rows`` starts at a multiple of ``step``.

    Example:
        >>> maps = torch.arange(8.0).reshape(1, 4, 2)
        >>> torch.equal(enlarged_rows(maps, 2, slice(2, 6), (8, 4)), enlarged(maps, 2, (8, 4))[:, 2:6])
        True
    """
    low = max(rows.start // step - 1, 0)
    high = min(-(-rows.stop // step) + 1, maps.shape[-2])
    part = enlarged(maps[..., low:high, :], step, ((high - low) * step, size_hw[1]))
    return part[..., rows.start - low * step : rows.stop - low * step, :]


def _doubled_columns(maps: torch.Tensor) -> torch.Tensor:
    before = torch.cat([maps[..., :1], maps[..., :-1]], dim=-1)
    after = torch.cat([maps[..., 1:], maps[..., -1:]], dim=-1)
    # Complex numbers are pairs of neighbours in memory: the fastest way to interleave.
    pairs = torch.complex(before.lerp_(maps, 0.75), after.lerp_(maps, 0.75))
    return torch.view_as_real(pairs).flatten(-2)


def _doubled_rows(maps: torch.Tensor) -> torch.Tensor:
    count, width = maps.shape[-2:]
    out = maps.new_empty((*maps.shape[:-2], count, 2, width))
    first, second = out[..., 0, :], out[..., 1, :]
    torch.lerp(maps[..., :-1, :], maps[..., 1:, :], 0.75, out=first[..., 1:, :])
    torch.lerp(maps[..., :-1, :], maps[..., 1:, :], 0.25, out=second[..., :-1, :])
    first[..., 0, :] = maps[..., 0, :]
    second[..., -1, :] = maps[..., -1, :]
    return out.flatten(-3, -2)


def box_blurred(maps: torch.Tensor, radius: int, times: int = 2) -> torch.Tensor:
    """Float maps ``[n, h, w]`` averaged over squares of ``2 * radius + 1`` pixels, ``times`` times in turn.

    What lies beyond the border does not count. Wide squares are averaged at a fraction of the size.

    Example:
        >>> box_blurred(torch.tensor([[[0.0, 3.0, 0.0, 0.0]]]), 1, times=1)
        tensor([[[1.5000, 1.0000, 1.0000, 0.0000]]])
    """
    step = 1
    while radius >= 4 * step:
        step *= 2
    size = maps.shape[-2], maps.shape[-1]
    small, reach = reduced(maps, step), max(1, round(radius / step))
    for _ in range(times):
        for kernel, padding in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
            small = _mean_along(small, kernel, padding)
    return enlarged(small, step, size)


def _mean_along(maps: torch.Tensor, kernel: tuple[int, int], padding: tuple[int, int]) -> torch.Tensor:
    return F.avg_pool2d(maps[None], kernel, 1, padding, count_include_pad=False)[0]


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


def grey_balance(light: torch.Tensor, grey: torch.Tensor) -> torch.Tensor:
    """Factors ``[3]`` of red, green and blue without the cast of a surface that is grey; luminance stays.

    Args:
        light: linear light ``[3, h, w]``.
        grey: bool ``[h, w]``: the road; without any, the factors are 1.

    Example:
        >>> grey_balance(torch.tensor([0.2, 0.3, 0.3])[:, None, None], torch.tensor([[True]]))
        tensor([1.3937, 0.9291, 0.9291])
    """
    if not bool(grey.any()):
        return torch.ones(3, device=light.device)
    cast = light[:, grey].mean(dim=1).clamp(min=1e-3)
    return ((cast * torch.tensor(LUMINANCE, device=light.device)).sum() / cast).clamp(0.7, 1.4)
