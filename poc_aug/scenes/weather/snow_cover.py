"""Snow that has fallen: white on what faces upwards, lit and shaded as what lies below it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from poc_aug.scenes.weather.geometry import SceneGeometry
from poc_aug.scenes.weather.overcast import LUMA
from poc_aug.scenes.weather.surface_kinds import SurfaceKind
from poc_aug.scenes.weather.world_noise import GroundGrid, GroundNoise, ground_grid

_STEP = 2
"""Snow has soft edges: it is laid out at half the size."""
_LANE_M = 3.4
_TRACK_M = 0.75
_TRACK_WIDTH_M = 0.24
_EMBLEM = 0.15
"""Rows of which the camera's own car takes less than this show an emblem, or nothing of it."""
_FARTHER = 1.03
"""What is seen above a top edge is behind it if it is so many times as far away."""
# How thick snow lies on top of what stands, compared with a car's roof.
_CAPS = {
    SurfaceKind.VEHICLE: 1.0,
    SurfaceKind.OBJECT: 0.8,
    SurfaceKind.POST: 0.7,
    SurfaceKind.STRUCTURE: 1.8,
    SurfaceKind.VEGETATION: 3.0,
    SurfaceKind.PERSON: 0.35,
}


@dataclass(frozen=True, slots=True)
class SnowDepth:
    """How much has fallen.

    Attributes:
        road: share of the road that is white, 0 to 1, before cars drove on it.
        footway: that of other paved ground.
        terrain: that of grass and soil.
        vegetation: that of the leaves and twigs that face upwards.
        cap_m: how high it lies on a car's roof, in metres.
        dust: share of a car's upper half, and of ledges, that is dusted.
    """

    road: float
    footway: float
    terrain: float
    vegetation: float
    cap_m: float
    dust: float


@dataclass(frozen=True, slots=True)
class SnowCover:
    """Snow on a coarse grid, of every second row and column.

    Attributes:
        share: float32 ``[h, w]``, how much of each pixel is white, 0 to 1.
        shade: float32 ``[h, w]``, its brightness, 1 in the open.
    """

    share: torch.Tensor
    shade: torch.Tensor


def laid_over(light: torch.Tensor, cover: SnowCover, white: torch.Tensor) -> torch.Tensor:
    """Lay snow over a frame, float32 ``[3, H, W]`` in linear light. Changes ``light`` itself.

    Args:
        light: the frame.
        cover: the snow.
        white: float32 ``[3]``, its colour in the open.
    """
    planes = torch.stack([1 - cover.share, cover.share * cover.shade])
    planes = F.interpolate(planes[None], scale_factor=_STEP, mode="bilinear", align_corners=False)[0]
    kept, added = planes[:, : light.shape[1], : light.shape[2]]
    for channel in range(3):
        light[channel].mul_(kept).add_(added * white[channel])
    return light


def snow_cover(
    light: torch.Tensor, geometry: SceneGeometry, road: torch.Tensor, depth: SnowDepth, noise: GroundNoise
) -> SnowCover:
    """Where snow lies, and how bright it is.

    Args:
        light: float32 ``[3, H, W]``, linear.
        geometry: of the frame.
        road: bool ``[H, W]``, where cars drive.
        depth: how much has fallen.
        noise: where it lies first.
    """
    luma = torch.tensordot(torch.tensor(LUMA, device=light.device), light[:, ::_STEP, ::_STEP], dims=1)
    kinds, road = geometry.kinds[::_STEP, ::_STEP], road[::_STEP, ::_STEP]
    depth_m = geometry.depth_m[::_STEP, ::_STEP].clamp(0.5, 400.0)
    height, width = geometry.kinds.shape
    grid = ground_grid((height, width), geometry.camera, _STEP, light.device)
    road = road | _seen_through(kinds)
    terrain = kinds == int(SurfaceKind.TERRAIN)
    footway = (kinds == int(SurfaceKind.GROUND)) & ~road
    level = road | footway | terrain
    share = torch.zeros_like(luma)
    shade = torch.ones_like(luma)
    rows = level.any(dim=1).nonzero()
    if len(rows):
        part = slice(int(rows[0]), None)
        below = ground_grid((height, width), geometry.camera, _STEP, light.device, int(rows[0]))
        on_ground, shade[part] = _on_ground(luma[part], (road[part], footway[part], terrain[part]), below, depth, noise)
        share[part] = torch.where(level[part], on_ground, 0)
    standing = _on_things(luma, kinds, depth_m, geometry, grid, depth, noise)
    share = torch.where(level, share, standing)
    shade = torch.where(level, shade, 1.0)
    return SnowCover(_softened(share), shade)


def _on_ground(
    luma: torch.Tensor,
    surfaces: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    grid: GroundGrid,
    depth: SnowDepth,
    noise: GroundNoise,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Share and shade of the snow on road, footways and terrain."""
    road, footway, terrain = surfaces
    level = road | footway | terrain
    # Light and shadow on the ground: its brightness against that of all of its kind.
    ratio = torch.zeros_like(luma)
    for surface in surfaces:
        mean = torch.where(surface, luma, 0).sum() / surface.sum().clamp(min=1)
        ratio = torch.where(surface, luma / mean.clamp(min=1e-3), ratio)
    weight = level.float()
    radius = max(luma.shape[1] // 256, 1)
    smooth = _box(ratio.clamp(max=1.1), radius) / _box(weight, radius).clamp(min=1e-3)
    fine = 0.6 * noise.at(grid, (0.13, 0.2), shift=23.9) + 0.4 * noise.at(grid, (0.04, 0.06), shift=41.3)
    drifts = 0.5 * noise.at(grid, (1.3, 1.9)) + 0.3 * noise.at(grid, (0.42, 0.6), shift=11.3) + 0.2 * fine
    # Traffic draws it out along the road.
    smears = 0.45 * noise.at(grid, (0.6, 5.0), shift=5.9) + 0.3 * noise.at(grid, (0.25, 1.6), shift=17.1) + 0.25 * fine
    relief = torch.where(road, smears, drifts)
    # From each lane's middle, where the road is as wide as it seems: ruts of wheels.
    meander = 0.5 * (noise.sample(grid.z_m / 14 + 3.7, torch.full_like(grid.z_m, 8.5)) - 0.5)
    aside = torch.remainder(grid.x_m + meander + _LANE_M / 2, _LANE_M) - _LANE_M / 2
    ruts = torch.exp(-(((aside.abs() - _TRACK_M) / _TRACK_WIDTH_M) ** 2))
    ruts = (ruts * (0.75 + 0.5 * (noise.at(grid, (0.3, 1.6), shift=31.1) - 0.5))).clamp(0, 1)
    fallen = torch.where(footway, depth.footway, torch.where(terrain, depth.terrain, depth.road - 0.35 * ruts))
    # On grass, blades stick out of it; on all ground, paint and joints shine through while it is thin.
    fallen = fallen + torch.where(terrain, 0.25, 0.06) * (ratio - smooth).clamp(-1, 1)
    share = ((relief - (0.86 - 0.72 * fallen)) * 4.5 + 0.5).clamp(0, 1) * (0.72 + 0.28 * fallen).clamp(max=1)
    share = torch.where(road, share * (1 - 0.75 * ruts), share)
    sheltered = ((smooth - 0.2) * 3).clamp(0.25, 1)  # under cars
    shade = smooth.clamp(0.35, 1.25).sqrt() * (0.93 + 0.14 * fine)
    shade = torch.where(road, shade * (0.86 + 0.14 * depth.road - 0.12 * ruts), shade)
    return share * sheltered, shade


def _on_things(
    luma: torch.Tensor,
    kinds: torch.Tensor,
    depth_m: torch.Tensor,
    geometry: SceneGeometry,
    grid: GroundGrid,
    depth: SnowDepth,
    noise: GroundNoise,
) -> torch.Tensor:
    """Share of snow on what stands: on its top edge, on leaves, on ledges, on the upper half of cars."""
    height, width = luma.shape
    px_per_m = geometry.camera.focal_px / _STEP / depth_m
    rows = torch.arange(height, dtype=torch.float32, device=luma.device)[:, None].expand(height, width)
    cols = torch.arange(width, dtype=torch.float32, device=luma.device)[None]
    # Noise on the upright plane that each pixel lies in.
    y, x = rows / px_per_m, (cols - geometry.camera.centre_col / _STEP) / px_per_m
    rough = noise.sample(y / 0.35 + depth_m * 0.37, x / 0.35)
    edge = torch.zeros_like(kinds, dtype=torch.bool)
    edge[1:] = (kinds[1:] != kinds[:-1]) | (depth_m[:-1] > depth_m[1:] * _FARTHER)
    exposed = torch.zeros_like(edge)
    exposed[1:] = edge[1:] & (depth_m[:-1] > depth_m[1:] * _FARTHER)
    top = torch.where(edge, rows, 0).cummax(dim=0).values
    exposed = torch.gather(exposed, 0, top.long())
    slope = torch.zeros_like(top)
    slope[:, 2:-2] = (top[:, 4:] - top[:, :-4]).abs() / 4
    flat = (1.3 - slope).clamp(0, 1)
    table = torch.zeros(len(SurfaceKind), device=luma.device)
    for kind, factor in _CAPS.items():
        table[int(kind)] = factor
    thick_px = table[kinds.long()] * depth.cap_m * px_per_m * (0.5 + rough)
    cap = (1.5 - (rows - top) / thick_px.clamp(min=0.4)).clamp(0, 1) * exposed * flat * (thick_px > 0.2)
    detail = luma / _box(luma, 3).clamp(min=1e-4) - 1
    leaves = (detail * 2.2 + 0.35 + 0.9 * (rough - 0.5)).clamp(0, 1) * depth.vegetation
    below = torch.zeros_like(luma)
    below[:-2] = luma[:-2] - luma[2:]
    ledges = (below / luma.clamp(min=0.02) - 0.35).clamp(0, 1) * depth.dust
    foot = (geometry.foot_row[::_STEP, ::_STEP] / _STEP).clamp(-height, 2 * height)
    up = (foot - rows) / (foot - top).clamp(min=1)
    share = torch.where(kinds == int(SurfaceKind.VEGETATION), leaves, 0)
    share = torch.where(kinds == int(SurfaceKind.STRUCTURE), ledges, share)
    vehicles = kinds == int(SurfaceKind.VEHICLE)
    parked = vehicles.any(dim=1).nonzero()
    if len(parked):
        part = slice(int(parked[0]), int(parked[-1]) + 1)
        crumbs = 0.45 * rough[part] + 0.55 * noise.sample(y[part] / 0.07 + depth_m[part] * 1.7, x[part] / 0.11)
        crumbs = ((up[part] - 0.5) * 4).clamp(0, 1) * ((crumbs - 0.78 + 0.55 * depth.dust) * 6).clamp(0, 1)
        share[part] = torch.where(vehicles[part], crumbs, share[part])
    return torch.maximum(share, cap)


def _seen_through(kinds: torch.Tensor) -> torch.Tensor:
    """Parts of the camera's own car that are small upon its bonnet: an emblem, labelled with the road around it."""
    own = kinds == int(SurfaceKind.EGO)
    return own & (own.float().mean(dim=1, keepdim=True) < _EMBLEM)


def _softened(maps: torch.Tensor) -> torch.Tensor:
    """A slight blur: snow has no hard edge."""
    return _box(maps, 1)


def _box(plane: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over a square of ``2 radius + 1`` pixels, the border repeated."""
    for dim in (0, 1):
        size = plane.shape[dim]
        pad = (0, 0, radius, radius) if dim == 0 else (radius, radius, 0, 0)
        padded = F.pad(plane[None], pad, mode="replicate")[0]
        total = padded.narrow(dim, 0, size).clone()
        for shift in range(1, 2 * radius + 1):
            total += padded.narrow(dim, shift, size)
        plane = total.div_(2 * radius + 1)
    return plane
