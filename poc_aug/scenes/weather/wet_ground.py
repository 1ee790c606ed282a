"""Wet ground: darker, and a mirror of what stands on it, blurred by its roughness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from poc_aug.scenes.weather.geometry import SceneGeometry
from poc_aug.scenes.weather.surface_kinds import SurfaceKind
from poc_aug.scenes.weather.world_noise import GroundNoise, ground_grid

_STEP = 2
"""Mirrored at half the size: a wet road blurs more than that."""
_GAP_M = 0.35
"""Up to so high over the ground a thing's lower edge belongs to its foot: the sill of a car between its wheels."""
_WATER = 0.02
"""What water reflects at right angles (Schlick, "An Inexpensive BRDF Model", 1994, for a refractive index of 1.33)."""


@dataclass(frozen=True, slots=True)
class Wetness:
    """How wet the ground is.

    Attributes:
        darkness: how much of the dry ground's light is lost between its wet grains, 0 to 1.
        gloss: how smooth the film of water is outside of puddles: its share of a mirror, 0 to 1.
        puddles: share of the ground under puddles, 0 to 1.
    """

    darkness: float
    gloss: float
    puddles: float


@dataclass(frozen=True, slots=True)
class GroundMirror:
    """What level ground would show as a mirror, on a coarse grid.

    Attributes:
        light: float32 ``[3, h, w]``: what stands on the ground, mirrored about its foot row; the sky where nothing
            stands; above the feet, the frame as it is.
        height_px: float32 ``[h, w]``: how far a pixel of the ground lies below the foot of what it shows, in rows.
        hidden: bool ``[h, w]``: ground under a thing, which shows its dark lower side.
    """

    light: torch.Tensor
    height_px: torch.Tensor
    hidden: torch.Tensor


def wet_ground(
    light: torch.Tensor, geometry: SceneGeometry, wetness: Wetness, noise: GroundNoise, sky: torch.Tensor
) -> torch.Tensor:
    """Make the ground wet. Changes ``light`` itself.

    The mirror is the stronger the more grazing it is seen (Fresnel, by Schlick's formula), that is, the farther away;
    it is sharper in puddles, whose places are noise on the ground.

    Args:
        light: float32 ``[3, H, W]``, linear.
        geometry: of the frame.
        wetness: how wet.
        noise: places of the puddles.
        sky: float32 ``[3]``, the sky's light, linear.
    """
    height, width = geometry.kinds.shape
    ground = geometry.of_kind(SurfaceKind.GROUND)
    level = ground | geometry.of_kind(SurfaceKind.TERRAIN)
    rows_of_ground = ground.any(dim=1).nonzero()
    if len(rows_of_ground) == 0:
        return light
    mirror = ground_mirror(light, geometry, level, sky)
    grid = ground_grid((height, width), geometry.camera, _STEP, light.device)
    below = geometry.camera.focal_px * geometry.camera.camera_height_m / grid.z_m
    cosine = below / torch.sqrt(below**2 + geometry.camera.focal_px**2)
    fresnel = _WATER + (1 - _WATER) * (1 - cosine) ** 5
    # Puddles are longer along the road: they stand in its ruts.
    relief = 0.6 * noise.at(grid, (1.1, 3.2)) + 0.4 * noise.at(grid, (0.35, 0.8), shift=19.3)
    puddle = ((relief - (1 - wetness.puddles) * 0.75) * 9).clamp(0, 1)
    film = wetness.gloss * (0.7 + 0.6 * noise.at(grid, (0.22, 0.5), shift=7.7))
    share = fresnel * (film + (1 - film) * puddle)
    share = torch.where(mirror.hidden, share * 0.25, share)
    reflected = _blurred(mirror, puddle)
    full = slice(int(rows_of_ground[0]), height)
    region, paved = light[:, full], ground[full]
    share, wet, *reflected_rows = (
        _enlarged(plane, (height, width))[full]
        for plane in (share, 1 - wetness.darkness * (0.8 + 0.2 * puddle), *reflected)
    )
    share = torch.where(paved, share, 0)
    kept = torch.where(paved, wet * (1 - share), torch.where(level[full], 1 - 0.4 * wetness.darkness, 1.0))
    for channel in range(3):
        region[channel].mul_(kept).add_(reflected_rows[channel].mul_(share))
    return light


def ground_mirror(light: torch.Tensor, geometry: SceneGeometry, level: torch.Tensor, sky: torch.Tensor) -> GroundMirror:
    """Mirror what stands on the ground about the row of its foot: row ``r`` below foot row ``f`` shows ``2 f - r``.

    Where several things are mirrored to one pixel, the nearest is seen, whose foot is lowest.

    Args:
        light: float32 ``[3, H, W]``.
        geometry: of the frame.
        level: bool ``[H, W]``, the ground that mirrors.
        sky: float32 ``[3]``.
    """
    coarse = F.avg_pool2d(light[None], _STEP, ceil_mode=True)[0]
    level, kinds = level[::_STEP, ::_STEP], geometry.kinds[::_STEP, ::_STEP]
    height, width = level.shape
    rows = torch.arange(height, device=light.device)[:, None].expand(height, width)
    stands = ~level & (kinds != int(SurfaceKind.SKY)) & (kinds != int(SurfaceKind.EGO))
    axis = _axes(geometry.foot_row[::_STEP, ::_STEP] / _STEP, stands, geometry, rows)
    target = 2 * axis - rows
    valid = stands & (target > rows) & (target < height)
    axis_at = torch.full_like(rows, -1).contiguous()
    axis_at.scatter_reduce_(0, target.clamp(0, height - 1), torch.where(valid, axis, -1), "amax")
    # What reaches the top of the picture goes on above it.
    top = torch.where(stands[0], axis[0], height)
    axis_at = torch.where((rows >= 2 * top) & (axis_at < top), top, axis_at)
    source = (2 * axis_at - rows).clamp(0, height - 1)
    found = level & (axis_at >= 0)
    mirrored = torch.gather(coarse, 1, source.expand(3, height, width))
    shown = torch.where(found, mirrored, torch.where(level, sky[:, None, None], coarse))
    # The last thing over each pixel of the ground.
    edge = torch.zeros_like(level)
    edge[1:] = level[1:] & stands[:-1]
    last = torch.where(edge, rows, 0).cummax(dim=0).values
    foot_above = torch.gather(torch.where(stands, axis, 0), 0, (last - 1).clamp(min=0))
    hidden = level & (last > 0) & (rows < foot_above)
    return GroundMirror(shown, (rows - axis_at).clamp(min=0) * found, hidden)


def _axes(foot: torch.Tensor, stands: torch.Tensor, geometry: SceneGeometry, rows: torch.Tensor) -> torch.Tensor:
    """The row about which each pixel of what stands is mirrored: its foot, or its lower edge in its column."""
    height = len(rows)
    ends = torch.where(stands, height, rows)
    end = ends.flip(0).cummin(dim=0).values.flip(0).clamp(max=height)
    px_per_m = (end - geometry.camera.horizon_row / _STEP).clamp(min=1) / geometry.camera.camera_height_m
    foot = torch.where(foot.isfinite(), foot, 0).round().long() + 1
    return torch.where(foot > end + (_GAP_M * px_per_m).long(), end, foot)


def _blurred(mirror: GroundMirror, puddle: torch.Tensor) -> torch.Tensor:
    """Blur a mirror up and down, as ripples do: more with the height of what is mirrored, less in puddles."""
    height, width = puddle.shape
    narrow = _column_blur(mirror.light, max(round(height / 130), 1))
    block = max(height // 64, 1)
    coarse = F.avg_pool2d(mirror.light[None], (block, 1), ceil_mode=True, count_include_pad=False)[0]
    wide = _column_blur(_column_blur(coarse, 1), 2)
    wide = F.interpolate(wide[None], (height, width), mode="bilinear", align_corners=False)[0]
    rough = (mirror.height_px / (0.06 * height)).clamp(0, 1) * (1 - 0.75 * puddle)
    return torch.lerp(narrow, wide, rough)


def _column_blur(maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over ``2 radius + 1`` rows, the border's rows repeated."""
    padded = F.pad(maps[None], (0, 0, radius, radius), mode="replicate")
    return F.avg_pool2d(padded, (2 * radius + 1, 1), stride=1)[0]


def _enlarged(plane: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(plane[None, None], size_hw, mode="bilinear", align_corners=False)[0, 0]
