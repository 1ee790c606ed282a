"""Estimates of a picture's blur and noise, from the picture alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from poc_aug.gaussian import filter_separable, gaussian_weights
from poc_aug.luma import luma

_REBLUR_PX = 1.2
_MIN_EDGE_PIXELS = 24


def gaussian_blur(planes: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Separable Gaussian of float ``[c, h, w]``; the border's pixels are repeated outwards."""
    weights = gaussian_weights(sigma_px, max(1, int(3 * sigma_px + 0.5))).to(planes.dtype)
    return filter_separable(planes, weights, weights, border="replicate")


def edge_blur_px(colours: torch.Tensor, mask: torch.Tensor | None = None) -> float | None:
    """Blur of the sharper edges, as the sigma of a Gaussian in pixels.

    Blurring an edge of width ``s`` again by ``r`` lowers its gradient by ``sqrt(s**2 + r**2) / s``, which gives
    ``s`` (Zhuo and Sim, "Defocus map estimation from a single image", 2011).

    Args:
        colours: float ``[3, h, w]`` in [0, 1].
        mask: bool ``[h, w]``: the pixels to use; ``None``: all.

    Returns:
        The lower quartile over strong edges; ``None`` if there are too few.
    """
    if min(colours.shape[1:]) < 8:
        return None
    grey = luma(colours.float())
    sharp = _gradient(grey)
    reblurred = _gradient(gaussian_blur(grey[None], _REBLUR_PX)[0])
    usable = torch.ones_like(sharp, dtype=torch.bool) if mask is None else _inner(mask)
    usable[:2], usable[-2:], usable[:, :2], usable[:, -2:] = False, False, False, False
    if int(usable.sum()) < _MIN_EDGE_PIXELS:
        return None
    # Noise and asphalt have small gradients: below 0.03 per pixel nothing counts as an edge.
    threshold = max(0.03, float(quantile(sharp[usable], 0.95)))
    strong = usable & (sharp >= threshold)
    if int(strong.sum()) < _MIN_EDGE_PIXELS:
        return None
    ratio = (sharp[strong] / reblurred[strong].clamp(min=1e-4)).clamp(min=1.02)
    widths = _REBLUR_PX / torch.sqrt(ratio**2 - 1)
    return float(quantile(widths, 0.25))


def noise_level(colours: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Standard deviation of the noise in luma, from the calmest parts (after Immerkaer 1996).

    Args:
        colours: float ``[3, h, w]`` in [0, 1].
        mask: bool ``[h, w]``: the pixels to use; ``None``: all.

    Returns:
        In the units of ``colours``; 0 if there are too few pixels.
    """
    if min(colours.shape[1:]) < 8:
        return 0.0
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    response = F.conv2d(luma(colours.float())[None, None], kernel[None, None])[0, 0].abs()
    inside = torch.ones_like(response, dtype=torch.bool) if mask is None else _inner(mask)[1:-1, 1:-1]
    values = response[inside]
    if values.numel() < _MIN_EDGE_PIXELS:
        return 0.0
    # The median of |x| of a Gaussian is 0.6745 sigma, and the kernel's norm is 6; texture only raises the upper
    # half, so the 30th percentile (0.385 sigma) keeps clear of it.
    return float(quantile(values, 0.3)) / 0.385 / 6


def _gradient(grey: torch.Tensor) -> torch.Tensor:
    padded = F.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    return torch.hypot(across, down)


def _inner(mask: torch.Tensor) -> torch.Tensor:
    """A mask without its rim of 2 px, because edges of the silhouette are not edges of the object."""
    covered = F.max_pool2d((~mask)[None, None].float(), 5, stride=1, padding=2)[0, 0]
    return covered == 0


def quantile(values: torch.Tensor, q: float) -> torch.Tensor:
    """The ``q`` quantile of all values (at least one), without interpolation."""
    # kthvalue, because torch.quantile refuses more than 2**24 values and sorts them all.
    return values.flatten().kthvalue(max(1, round(q * values.numel()))).values
