"""A soft contact shadow, from the object's silhouette alone.

Three parts, all flattened by perspective: the dark contact where the object touches the ground (its feet), the
ambient occlusion between them, where its body hides the sky, and a faint, blurred cast shadow to one side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from poc_aug.camera_model import Camera
from poc_aug.gaussian import filter_separable, gaussian_weights
from poc_aug.masks import bounds
from poc_aug.seeding import uniform
from poc_aug.types import Box

MAX_STRENGTH = 0.6
MIN_SHADE_LEVEL = 4
"""Weaker shade is set to 0, so that patches stay small; a step of 3 in 255 is not visible."""

_DEFAULT_FLATNESS = 0.16


@dataclass(frozen=True, slots=True)
class ShadowDraw:
    """The random numbers of one shadow.

    Attributes:
        strength: greatest darkness, as a fraction of the base.
        cast: weight of the cast shadow relative to the contact shadow.
        lean: sideways shift of the cast shadow, in object heights.
        reach: its length along the ground away from the viewer (negative) or towards the viewer (positive), in
            object heights before flattening.
    """

    strength: float
    cast: float
    lean: float
    reach: float


def draw_shadow(rng: torch.Generator) -> ShadowDraw:
    """Draw a shadow's random numbers."""
    side = 1.0 if uniform(rng, 0, 1) < 0.5 else -1.0
    front = 1.0 if uniform(rng, 0, 1) < 0.5 else -1.0
    return ShadowDraw(
        strength=uniform(rng, 0.42, 0.58),
        cast=uniform(rng, 0.15, 0.4),
        lean=side * uniform(rng, 0.2, 0.7),
        reach=front * uniform(rng, 0.3, 1.0),
    )


def flatness(camera: Camera | None, foot_row: float) -> float:
    """Foreshortening of the ground: the image height of a length away from the viewer over its width if laid sideways.

    For a pinhole camera over a flat ground this is (foot row - horizon) / focal length.
    """
    if camera is None:
        return _DEFAULT_FLATNESS
    return min(max((foot_row - camera.horizon_row) / camera.focal_px, 0.06), 0.5)


def contact_shadow(opacity: torch.Tensor, flat: float, draw: ShadowDraw) -> torch.Tensor:
    """Shade of the ground under and around an object.

    Args:
        opacity: float ``[h, w]`` in [0, 1]: coverage of the object in its crop.
        flat: see `flatness`.
        draw: the random numbers.

    Returns:
        uint8 ``[h, w]``; 0 above the object's mid-height, below `MIN_SHADE_LEVEL`, and at the crop's border.
    """
    opacity = opacity.float()
    y, x, h, w = opaque_box(opacity)
    # Nothing is drawn above the mid-height, so only the rows below it are processed.
    top, foot = y + h // 2, y + h - 1
    rows, width = opacity.shape[0] - top, opacity.shape[1]
    solid = opacity[y : y + h, x : x + w] >= 0.5
    # Height of the silhouette's underside above the foot row, per column.
    under = (h - 1) - solid.float().mul(torch.arange(1, h + 1)[:, None]).amax(0).sub(1)
    covered = solid.any(0)
    depth = max(1.5, 0.7 * flat * w)
    touch = torch.exp(-((under / depth) ** 2)) * covered
    hidden_sky = torch.exp(-under / (0.3 * h + depth)) * covered

    contact = torch.zeros((rows, width))
    contact[(foot - top - under).long().clamp(min=0), torch.arange(x, x + w)] = touch
    contact = _peak(_blur(contact, max(0.8, 0.16 * depth), max(0.9, 0.02 * w)))

    ambient = torch.zeros((rows, width))
    ambient[max(0, foot - top - int(0.25 * depth)), x : x + w] = hidden_sky
    narrow = _peak(_blur(ambient, max(0.9, 0.3 * depth), max(1.2, 0.05 * w)))
    wide = _peak(_blur(ambient, max(1.5, 0.55 * depth), max(2.0, 0.08 * w)))

    cast = _cast(opacity, top, foot - 0.25 * depth, (h, w), flat, draw)
    light = (1 - 0.7 * contact) * (1 - 0.55 * narrow) * (1 - 0.25 * wide) * (1 - draw.cast * cast)
    # 0.9: about what 1 - light reaches at a foot.
    shade = ((1 - light) / 0.9).clamp(max=1) * min(draw.strength, MAX_STRENGTH)
    fade = (torch.arange(rows, dtype=torch.float32) / max(0.25 * h, 1)).clamp(max=1)
    levels = torch.zeros_like(opacity)
    levels[top:] = (shade * fade[:, None] * 255).round()
    levels = (levels * _window(*opacity.shape)).round()
    return torch.where(levels >= MIN_SHADE_LEVEL, levels, 0).to(torch.uint8)


def opaque_box(opacity: torch.Tensor) -> Box:
    """Bounding box of what is at least half opaque in a map ``[h, w]``, which must not be empty."""
    return bounds(opacity >= 0.5)


def _cast(
    opacity: torch.Tensor, top: int, ground: float, size_hw: tuple[int, int], flat: float, draw: ShadowDraw
) -> torch.Tensor:
    """The silhouette laid on the ground: leaning sideways, flattened, fading and blurred; the rows from ``top`` on."""
    height, width = opacity.shape
    rows = torch.arange(top, height, dtype=torch.float32)[:, None].expand(height - top, width)
    cols = torch.arange(width, dtype=torch.float32)[None].expand(height - top, width)
    step = draw.reach * flat
    step = max(abs(step), 0.06) * (1 if step > 0 else -1)
    over = (rows - ground) / step
    from_row, from_col = ground - over, cols - over * draw.lean
    grid = torch.stack(((2 * from_col + 1) / width - 1, (2 * from_row + 1) / height - 1), dim=-1)
    laid = F.grid_sample(opacity[None, None], grid[None], mode="bilinear", align_corners=False)[0, 0]
    h, w = size_hw
    laid = laid * (over >= 0) * torch.exp(-over.clamp(min=0) / (0.5 * h))
    return _blur(laid, max(1.0, 0.1 * h * abs(step)), max(1.2, 0.035 * w))


def _peak(shape: torch.Tensor) -> torch.Tensor:
    return shape / shape.amax().clamp(min=1e-6)


def _window(height: int, width: int) -> torch.Tensor:
    """1 inside, falling to 0 at the crop's border, so that a shadow never ends in a straight edge."""

    def ramp(count: int) -> torch.Tensor:
        i = torch.arange(count, dtype=torch.float32)
        return (torch.minimum(i, count - 1 - i) / max(0.06 * count, 1)).clamp(max=1)

    return ramp(height)[:, None] * ramp(width)[None]


def _blur(shape: torch.Tensor, sigma_y: float, sigma_x: float) -> torch.Tensor:
    """Separable Gaussian of a map ``[h, w]``, zero outside; wide ones on a coarser grid (10x faster, same look)."""
    step_y, step_x = max(1, int(sigma_y / 2)), max(1, int(sigma_x / 2))
    column, row = (
        gaussian_weights(sigma, max(1, int(3 * sigma + 0.5))) for sigma in (sigma_y / step_y, sigma_x / step_x)
    )
    return filter_separable(shape[None], column, row, steps_yx=(step_y, step_x))[0]
