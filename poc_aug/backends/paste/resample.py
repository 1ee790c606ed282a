"""Rotating and scaling a cut-out into its box: antialiased, standing on the box's bottom row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from poc_aug.backends.paste.contact_shadow import opaque_box
from poc_aug.backends.paste.matte import extend_colours
from poc_aug.backends.paste.scene_quality import gaussian_blur
from poc_aug.types import Box

BAND_PX = 12
"""Object colours are kept this far outside the mask: the reach of a feather of 4 px sigma."""


@dataclass(frozen=True, slots=True)
class PlacedCutout:
    """A scaled object and its place in the crop; its window may reach beyond the crop.

    Attributes:
        colours: float ``[3, h, w]`` in [0, 1], of the object everywhere in the window.
        opacity: float ``[h, w]`` in [0, 1]: how much of each pixel it covers; the mask is where this is at least half.
        alpha: float ``[h, w]`` in [0, 1]: the opacity, as blurred as the scene.
        y: the crop's row of the window's first row.
        x: the crop's column of its first column.
    """

    colours: torch.Tensor
    opacity: torch.Tensor
    alpha: torch.Tensor
    y: int
    x: int

    @property
    def mask(self) -> torch.Tensor:
        """Where it is at least half opaque, bool ``[h, w]``."""
        return self.opacity >= 0.5

    def windows(self, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The part of the window that lies in a crop of that size: in window and in crop coordinates."""
        h, w = self.opacity.shape
        top, left = max(0, -self.y), max(0, -self.x)
        bottom, right = min(h, height - self.y), min(w, width - self.x)
        inner = (slice(top, bottom), slice(left, right))
        return inner, (slice(top + self.y, bottom + self.y), slice(left + self.x, right + self.x))


def flip_and_rotate(
    image: torch.Tensor, alpha: torch.Tensor, *, flip: bool, rotate_deg: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror and rotate a cut-out.

    Args:
        image: uint8 ``[3, h, w]``, with colours that continue beyond the object.
        alpha: uint8 ``[h, w]``.
        flip: mirror left to right.
        rotate_deg: angle, counter-clockwise.

    Returns:
        Colours float64 ``[3, h', w']`` and opacity float64 ``[h', w']``, in [0, 1]. In float32, bilinear resampling
        and powers would differ in the last bit with the number of threads, and so one pixel in 100,000 by one level
        after rounding; but an object must not depend on whether a worker drew it.
    """
    colours, opacity = image.double() / 255, alpha.double() / 255
    if flip:
        colours, opacity = colours.flip(-1), opacity.flip(-1)
    if rotate_deg == 0:
        return colours, opacity
    height, width = opacity.shape
    angle = math.radians(rotate_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    new_h = math.ceil(height * abs(cos) + width * abs(sin)) + 2
    new_w = math.ceil(width * abs(cos) + height * abs(sin)) + 2
    rows = (torch.arange(new_h, dtype=torch.float64) - (new_h - 1) / 2)[:, None].expand(new_h, new_w)
    cols = (torch.arange(new_w, dtype=torch.float64) - (new_w - 1) / 2)[None].expand(new_h, new_w)
    across, down = cos * cols - sin * rows, sin * cols + cos * rows
    grid = torch.stack((across * 2 / width, down * 2 / height), dim=-1)[None]
    rotated = F.grid_sample(colours[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    opacity = F.grid_sample(opacity[None, None], grid, mode="bilinear", align_corners=False)[0, 0]
    return rotated, opacity


def fit_to_box(colours: torch.Tensor, opacity: torch.Tensor, box_yxhw: Box, *, soft: bool) -> PlacedCutout | None:
    """Scale an object to the largest size that fits into the box, centred on its bottom row.

    Colours need not be weighted by alpha here, because those next to the object are the object's own.

    Args:
        colours: float ``[3, h, w]`` in [0, 1].
        opacity: float ``[h, w]`` in [0, 1].
        box_yxhw: the box, in crop coordinates.
        soft: whether ``opacity`` is a soft matte.

    Returns:
        The object with `BAND_PX` of its colours around it; ``None`` if nothing of it remains at that size.
    """
    box_y, box_x, box_h, box_w = box_yxhw
    top, left, h, w = opaque_box(opacity)
    scale = min(box_h / h, box_w / w)
    if not soft and scale > 0.7:
        # An enlarged hard mask shows stair steps; smoothed first, it becomes a curve.
        opacity = gaussian_blur(opacity[None], 0.7 * max(1.0, scale) / scale)[0]
    for _ in range(4):
        size = (max(1, round(opacity.shape[0] * scale)), max(1, round(opacity.shape[1] * scale)))
        stacked = torch.cat((colours, opacity[None]))[None]
        scaled = F.interpolate(stacked, size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
        if not bool((scaled[3] >= 0.5).any()):
            return None
        top, left, h, w = opaque_box(scaled[3])
        if h <= box_h and w <= box_w:
            break
        scale *= min(box_h / h, box_w / w) * 0.999
    else:
        return None
    pad = (BAND_PX,) * 4
    padded = F.pad(scaled, pad)
    known = F.pad(torch.ones(size, dtype=scaled.dtype), pad)
    y = box_y + box_h - (top + h) - BAND_PX
    x = box_x + (box_w - w) // 2 - left - BAND_PX
    return PlacedCutout(extend_colours(padded[:3], known), padded[3], padded[3], y, x)
