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
_ROUGH = 0.55
"""What slabs and joints leave of the mirror, compared with a road."""
_WATER = 0.02
"""What water reflects at right angles (Schlick, "An Inexpensive BRDF Model", 1994, for a refractive index of 1.33)."""


@dataclass(frozen=True, slots=True)
class Wetness:
    """How wet the ground is.

    Attributes:
        darkness: how much of the dry ground's light is lost between its wet grains, 0 to 1.
        gloss: how smooth the film of water is outside of puddles: its share of a mirror, 0 to 1.
        puddles: share of the ground under puddles, 0 to 1.
        evenness: how far paint, shadows and patches of sun lose their contrast, 0 to 1.
    """

    darkness: float
    gloss: float
    puddles: float
    evenness: float


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
    light: torch.Tensor,
    geometry: SceneGeometry,
    road: torch.Tensor,
    wetness: Wetness,
    noise: GroundNoise,
    sky: torch.Tensor,
) -> torch.Tensor:
    """Make the ground wet. Changes ``light`` itself.

    The mirror is the stronger the more grazing it is seen (Fresnel, by Schlick's formula), that is, the farther away;
    it is sharper in puddles, whose places are noise on the ground.

    Args:
        light: float32 ``[3, H, W]``, linear.
        geometry: of the frame.
        road: bool ``[H, W]``, the ground that cars have made smooth; other paved ground is rougher.
        wetness: how wet.
        noise: places of the puddles.
        sky: float32 ``[3]``, the sky's light, linear.
    """
    ground = geometry.of_kind(SurfaceKind.GROUND)
    level = ground | geometry.of_kind(SurfaceKind.TERRAIN)
    rows_of_ground = ground.any(dim=1).nonzero()
    if len(rows_of_ground) == 0:
        return light
    height, width = ground.shape
    first = int(rows_of_ground[0]) // _STEP
    mirror = ground_mirror(light, geometry, level, sky, first)
    grid = ground_grid((height, width), geometry.camera, _STEP, light.device, first)
    below = geometry.camera.focal_px * geometry.camera.camera_height_m / grid.z_m
    cosine = below / torch.sqrt(below**2 + geometry.camera.focal_px**2)
    fresnel = _WATER + (1 - _WATER) * (1 - cosine) ** 5
    # Puddles are longer along the road: they stand in its ruts.
    relief = 0.6 * noise.at(grid, (1.1, 3.2)) + 0.4 * noise.at(grid, (0.35, 0.8), shift=19.3)
    puddle = ((relief - (1 - wetness.puddles) * 0.75) * 9).clamp(0, 1) * min(20 * wetness.puddles, 1)
    film = wetness.gloss * (0.7 + 0.6 * noise.at(grid, (0.22, 0.5), shift=7.7))
    share = fresnel * (film + (1 - film) * puddle)
    smooth = road[first * _STEP :: _STEP, ::_STEP]
    share = torch.where(smooth, share, share * _ROUGH)
    share = torch.where(mirror.hidden, share * 0.25, share)
    kept = (1 - share) * (1 - wetness.darkness * (0.8 + 0.2 * puddle))
    mean = light[:, ::4, ::4][:, ground[::4, ::4]].mean(dim=1) if bool(ground[::4, ::4].any()) else sky * 0
    added = _blurred(mirror, puddle * smooth, height) * share + mean[:, None, None] * kept * wetness.evenness
    planes = torch.cat([added, kept[None] * (1 - wetness.evenness)])
    planes = F.interpolate(planes[None], scale_factor=_STEP, mode="bilinear", align_corners=False)[0]
    region, below_first = light[:, first * _STEP :], slice(first * _STEP, None)
    planes = planes[:, : region.shape[1], :width]
    paved, unpaved = ground[below_first], level[below_first] & ~ground[below_first]
    kept = torch.where(paved, planes[3], torch.where(unpaved, 1 - 0.4 * wetness.darkness, 1.0))
    planes[:3].mul_(paved)
    region.mul_(kept).add_(planes[:3])
    return light


def ground_mirror(
    light: torch.Tensor, geometry: SceneGeometry, level: torch.Tensor, sky: torch.Tensor, first: int
) -> GroundMirror:
    """Mirror what stands on the ground about the row of its foot: row ``r`` below foot row ``f`` shows ``2 f - r``.

    Where several things are mirrored to one pixel, the nearest is seen, whose foot is lowest.

    Args:
        light: float32 ``[3, H, W]``.
        geometry: of the frame.
        level: bool ``[H, W]``, the ground that mirrors.
        sky: float32 ``[3]``.
        first: first row of the coarse grid that is asked for.
    """
    coarse = light[:, ::_STEP, ::_STEP]
    level, kinds = level[::_STEP, ::_STEP], geometry.kinds[::_STEP, ::_STEP]
    height, width = level.shape
    rows = torch.arange(height, device=light.device, dtype=torch.int32)[:, None].expand(height, width)
    stands = ~level & (kinds != int(SurfaceKind.SKY)) & (kinds != int(SurfaceKind.EGO))
    axis = _axes(geometry.foot_row[::_STEP, ::_STEP] / _STEP, stands, geometry, rows)
    target = 2 * axis - 1 - rows
    valid = stands & (target >= axis) & (target < height)
    axis_at = torch.full((height, width), -1, dtype=torch.int32, device=light.device)
    target = target.clamp_(0, height - 1).long()
    axis_at.scatter_reduce_(0, target, torch.where(valid, axis, -1), "amax")
    # What reaches the top of the picture goes on above it.
    top = torch.where(stands[0], axis[0], height)
    # The last thing over each pixel of the ground.
    edge = torch.zeros_like(level)
    edge[1:] = level[1:] & stands[:-1]
    last = torch.where(edge, rows, 0).cummax(dim=0).values[first:]
    foot_above = torch.gather(axis, 0, (last - 1).clamp(min=0).long())
    axis_at, rows, level = axis_at[first:], rows[first:], level[first:]
    axis_at = torch.where((rows >= 2 * top) & (axis_at < top), top, axis_at)
    axis_at, column = _without_holes(axis_at, level, stands, rows)
    source = (2 * axis_at - 1 - rows).clamp_(0, height - 1).long() * width + column
    found = level & (axis_at >= 0)
    mirrored = coarse.reshape(3, -1).index_select(1, source.reshape(-1)).reshape(3, *source.shape)
    shown = torch.where(found, mirrored, torch.where(level, sky[:, None, None], coarse[:, first:]))
    hidden = level & (last > 0) & (rows < foot_above)
    return GroundMirror(shown, (rows - axis_at).clamp(min=0) * found, hidden)


def _without_holes(
    axis_at: torch.Tensor, level: torch.Tensor, stands: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the mirror sees of things that are hidden in the frame: the nearest in its row. Axes, and columns."""
    height, width = stands.shape
    columns = torch.arange(width, device=stands.device).expand(axis_at.shape)
    found = axis_at >= 0
    left = torch.where(found, columns, -width).cummax(dim=1).values
    right = torch.where(found, columns, 2 * width).flip(1).cummin(dim=1).values.flip(1)
    nearest = torch.where(columns - left <= right - columns, left, right)
    inside = (nearest >= 0) & (nearest < width)
    nearest = torch.where(inside, nearest, columns)
    axis = torch.gather(axis_at, 1, nearest)
    source = (2 * axis - 1 - rows).clamp(0, height - 1).long()
    hole = level & ~found & inside & torch.gather(stands, 0, source)  # behind what stands there
    return torch.where(hole, axis, axis_at), torch.where(hole, nearest, columns)


def _axes(foot: torch.Tensor, stands: torch.Tensor, geometry: SceneGeometry, rows: torch.Tensor) -> torch.Tensor:
    """The row about which each pixel of what stands is mirrored: its foot, or its lower edge in its column."""
    height = len(rows)
    end = torch.where(stands, height, rows).flip(0).cummin(dim=0).values.flip(0)
    sill_px = (end - geometry.camera.horizon_row / _STEP).clamp(min=1) * (_GAP_M / geometry.camera.camera_height_m)
    foot = foot.clamp(-height, 2 * height).floor().int() + 1
    return torch.where(foot > end + sill_px, end, foot)


def _blurred(mirror: GroundMirror, puddle: torch.Tensor, height: int) -> torch.Tensor:
    """Blur a mirror up and down, as ripples do: more with the height of what is mirrored, less in puddles."""
    narrow = _column_blur(mirror.light, max(round(height / 260), 1))
    rows, width = puddle.shape
    block = max(height // 128, 1)
    coarse = F.pad(mirror.light, (0, 0, 0, -rows % block), mode="replicate")
    coarse = coarse.reshape(3, -1, block, width).mean(dim=2)
    wide = _column_blur(_column_blur(coarse, 1), 2)
    wide = F.interpolate(wide[None], (wide.shape[1] * block, width), mode="bilinear", align_corners=False)[0, :, :rows]
    rough = (mirror.height_px / (0.03 * height)).clamp(0, 1) * (1 - 0.75 * puddle)
    return torch.lerp(narrow, wide, rough)


def _column_blur(maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over ``2 radius + 1`` rows, the border's rows repeated."""
    rows = maps.shape[1]
    padded = F.pad(maps, (0, 0, radius, radius), mode="replicate")
    total = padded[:, :rows].clone()
    for shift in range(1, 2 * radius + 1):
        total += padded[:, shift : shift + rows]
    return total / (2 * radius + 1)
