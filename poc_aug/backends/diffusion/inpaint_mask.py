"""The mask of an inpainting pass: the region's box, grown and blurred as the pass asks."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from poc_aug.recipe import InpaintPass
from poc_aug.types import Box


def scale_box(box_yxhw: Box, factor: float, size_hw: tuple[int, int]) -> Box:
    """The box scaled by ``factor`` about its centre, clipped to the crop.

    Example:
        >>> scale_box((10, 10, 20, 40), 1.5, (64, 64))
        (5, 0, 30, 60)
    """
    y, x, h, w = box_yxhw
    more_y, more_x = round(h * (factor - 1) / 2), round(w * (factor - 1) / 2)
    top, left = max(y - more_y, 0), max(x - more_x, 0)
    return top, left, min(y + h + more_y, size_hw[0]) - top, min(x + w + more_x, size_hw[1]) - left


def box_mask(box_yxhw: Box, settings: InpaintPass, crop_hw: tuple[int, int], model_hw: tuple[int, int]) -> torch.Tensor:
    """Mask of a pass in the model's input size, float32 ``[H, W]`` in [0, 1].

    It is blurred with a box filter, as in GenVal, which softens both sides of the box's edge.
    """
    y, x, h, w = scale_box(box_yxhw, settings.grow, crop_hw)
    scale_y, scale_x = model_hw[0] / crop_hw[0], model_hw[1] / crop_hw[1]
    mask = torch.zeros(model_hw)
    mask[round(y * scale_y) : round((y + h) * scale_y), round(x * scale_x) : round((x + w) * scale_x)] = 1
    if settings.mask_blur_px > 1:
        width = settings.mask_blur_px | 1  # odd, so that the filter is centred
        row = torch.full((1, 1, 1, width), 1 / width)
        half = width // 2
        blurred = F.conv2d(F.pad(mask[None, None], (half, half, half, half), mode="replicate"), row)
        mask = F.conv2d(blurred, row.transpose(2, 3))[0, 0].clamp(0, 1)
    return mask


def paste_mask(box_yxhw: Box, settings: InpaintPass, crop_hw: tuple[int, int], mask: torch.Tensor) -> torch.Tensor:
    """The weight of a pass's picture over the crop, in the crop's own size, float32 ``[h, w]`` in [0, 1]."""
    if settings.mask_blur_px > 1:
        return F.interpolate(mask[None, None], size=crop_hw, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    y, x, h, w = scale_box(box_yxhw, settings.grow, crop_hw)
    exact = torch.zeros(crop_hw)
    exact[y : y + h, x : x + w] = 1
    return exact
