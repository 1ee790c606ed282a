"""Gaussian weights and separable filters of float maps, for all that smooths pictures.

Two uses keep a Gaussian of their own and say why: `poc_aug.masks.feather` (single masks, where shifted sums are faster
than a convolution) and `poc_aug.backends.rendered.draw.soften` (NumPy, as the whole renderer).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F


def gaussian_weights(sigma: float, radius: int, *, step: int = 1) -> torch.Tensor:
    """Samples of a Gaussian at the multiples of ``step`` from ``-radius * step`` to ``radius * step``.

    Args:
        sigma: standard deviation.
        radius: number of samples on each side of the centre.
        step: distance between samples.

    Returns:
        float32 ``[2 * radius + 1]``; they sum to 1.

    Example:
        >>> gaussian_weights(1.0, 1)
        tensor([0.2741, 0.4519, 0.2741])
    """
    i = torch.arange(-radius, radius + 1, dtype=torch.float32) * step
    weights = torch.exp(-(i**2) / (2 * sigma**2))
    return weights / weights.sum()


def filter_separable(
    maps: torch.Tensor,
    column: torch.Tensor,
    row: torch.Tensor,
    *,
    border: Literal["zero", "replicate"] = "zero",
    steps_yx: tuple[int, int] = (1, 1),
) -> torch.Tensor:
    """Filter each map by the outer product of two vectors of odd length.

    Args:
        maps: float ``[n, h, w]``.
        column: weights along the height, of the maps' dtype.
        row: weights along the width, of the maps' dtype.
        border: what lies beyond the border: zeros, or the border's pixels repeated.
        steps_yx: with more than 1, the maps are averaged over blocks of this size, filtered there (the weights are
            those of the coarse grid) and interpolated back: 10x faster for wide filters. With zeros beyond the
            border only.

    Returns:
        float ``[n, h, w]``.

    Example:
        >>> point, weights = torch.zeros(1, 3, 5), gaussian_weights(1.0, 1)
        >>> point[0, 1, 2] = 1
        >>> filter_separable(point, weights, weights)[0, 1]
        tensor([0.0000, 0.1238, 0.2042, 0.1238, 0.0000])
    """
    height, width = maps.shape[-2:]
    (step_y, step_x), radius_y, radius_x = steps_yx, len(column) // 2, len(row) // 2
    planes = maps[:, None]
    padding = (radius_y, 0), (0, radius_x)
    if border == "replicate":
        planes = F.pad(planes, (radius_x, radius_x, radius_y, radius_y), mode="replicate")
        padding = (0, 0), (0, 0)
    coarse = (step_y, step_x) != (1, 1)
    if coarse:
        planes = F.avg_pool2d(F.pad(planes, (0, -width % step_x, 0, -height % step_y)), (step_y, step_x))
    planes = F.conv2d(planes, column[None, None, :, None], padding=padding[0])
    planes = F.conv2d(planes, row[None, None, None, :], padding=padding[1])
    if coarse:
        size = planes.shape[-2] * step_y, planes.shape[-1] * step_x
        planes = F.interpolate(planes, size, mode="bilinear", align_corners=False)
    return planes[:, 0, :height, :width]
