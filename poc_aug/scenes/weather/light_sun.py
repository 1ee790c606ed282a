"""A sun near the horizon: where it may stand, its glare, and the shadows that it casts on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera
from poc_aug.scenes.weather.light_maps import box_blurred

_LOWEST, _HIGHEST = math.tan(math.radians(1.2)), math.tan(math.radians(14.0))
_HALF_WIDTH = math.tan(math.radians(24.0))
_AUREOLE_RAD = math.radians(1.5)
_MARCH = 64
_FADES_M = 80.0
_EDGE_M = 0.11


@dataclass(frozen=True, slots=True)
class LowSun:
    """Where the sun stands in a frame.

    Attributes:
        row: row in pixels; may lie above the frame.
        col: column.
        open: how much of its surroundings is sky, 0 to 1: the rest hides behind what stands in front of it.
    """

    row: float
    col: float
    open: float


def low_sun_position(sky: torch.Tensor, camera: Camera, draws: torch.Tensor, *, step: int) -> LowSun:
    """Draw where the sun stands: in the sky, near the horizon if it is free there, otherwise just above the frame.

    Args:
        sky: float32 ``[h, w]`` in [0, 1] at ``1 / step`` of the frame's size, on the CPU.
        camera: the frame's camera.
        draws: float64 ``[3]`` in [0, 1).
        step: pixels of the frame per pixel of ``sky``.

    Example:
        >>> camera = Camera(horizon_row=40.0, camera_height_m=1.4, focal_px=100.0, centre_col=50.0)
        >>> sky = (torch.arange(80)[:, None] < 36).float().expand(80, 100)
        >>> sun = low_sun_position(sky, camera, torch.tensor([0.5, 0.5, 0.5]).double(), step=1)
        >>> sun.row < 36, sun.open > 0.9
        (True, True)
    """
    height, width = sky.shape
    radius = max(1, round(_AUREOLE_RAD * camera.focal_px / step))
    free = box_blurred(sky[None], radius, 1)[0]
    rows = torch.arange(height, dtype=torch.float32)[:, None] * step + (step - 1) / 2
    cols = torch.arange(width, dtype=torch.float32)[None] * step + (step - 1) / 2
    rise = (camera.horizon_row - rows) / camera.focal_px
    aside = (cols - camera.centre_col).abs() / camera.focal_px
    allowed = (rise > _LOWEST) & (rise < _HIGHEST) & (aside < _HALF_WIDTH)
    # The lower the better, and before us rather than at the side.
    weight = torch.where(allowed, free.clamp(min=0) ** 3, 0) * sky * (1 / (0.03 + rise.clamp(min=0))) / (0.15 + aside)
    total = weight.flatten().double().cumsum(0)
    if float(total[-1]) > 1e-6:
        at = int(torch.searchsorted(total, draws[:1] * total[-1], right=True).clamp(max=total.numel() - 1))
        at_row, at_col = divmod(at, width)
        return LowSun(float(rows[at_row, 0]), float(cols[0, at_col]), float(free[at_row, at_col]))
    col = camera.centre_col + (2 * float(draws[1]) - 1) * 0.6 * _HALF_WIDTH * camera.focal_px
    col = min(max(col, 0.1 * width * step), 0.9 * width * step)
    edge = float(sky[0, min(max(int(col / step), 0), width - 1)])
    over = (0.02 + 0.05 * float(draws[2])) * camera.focal_px
    row = min(-over, camera.horizon_row - _LOWEST * camera.focal_px)
    return LowSun(row, col, 0.45 + 0.55 * edge)


def away_from(
    sun: LowSun, camera: Camera, size_hw: tuple[int, int], *, step: int, device: torch.device
) -> torch.Tensor:
    """Angle between each pixel and the sun, in radians: float32 ``[h, w]`` at ``1 / step`` of the frame's size."""
    rows = torch.arange(size_hw[0], device=device, dtype=torch.float32)[:, None] * step + (step - 1) / 2
    cols = torch.arange(size_hw[1], device=device, dtype=torch.float32)[None] * step + (step - 1) / 2
    return ((rows - sun.row).square() + (cols - sun.col).square()).sqrt_().div_(camera.focal_px).atan_()


def lobe(angle: torch.Tensor, width_degrees: float) -> torch.Tensor:
    """Scattered light by angle: 1 at the sun, a half at ``width_degrees``, falling with the square of the angle.

    Example:
        >>> lobe(torch.tensor([0.0, 0.1745329]), 10.0)
        tensor([1.0000, 0.5000])
    """
    return (angle / math.radians(width_degrees)).square_().add_(1).reciprocal_()


def sun_shadows(
    depth_m: torch.Tensor, thickness_m: torch.Tensor, ground: torch.Tensor, sun: LowSun, camera: Camera, *, step: int
) -> torch.Tensor:
    """How far the ground lies in the shadow of what stands between it and the sun: float32 ``[h, w]`` in [0, 1].

    The way from a point of the ground to the sun is, in the picture, the line to where the sun is seen, and its inverse
    depth falls to 0 along it. A point is in shadow if that way passes behind something, by no more than what that is
    thick.

    Args:
        depth_m: float32 ``[h, w]`` at ``1 / step`` of the frame's size; infinite on the sky.
        thickness_m: how thick what stands there is; 0 where nothing stands.
        ground: bool ``[h, w]``, where shadows fall.
        sun: where the sun stands.
        camera: the frame's camera.
        step: pixels of the frame per pixel of the maps.
    """
    height, width = depth_m.shape
    depth_m = depth_m.clamp(max=2000.0)
    sun_row, sun_col = (sun.row + 0.5) / step - 0.5, (sun.col + 0.5) / step - 0.5
    flat_depth, flat_thickness = depth_m.flatten(), thickness_m.flatten()
    points = ground.flatten().nonzero()[:, 0]
    depth = flat_depth[points]
    down = torch.div(points, width, rounding_mode="floor") - sun_row
    across = points % width - sun_col
    shadow, before = torch.zeros_like(depth), depth
    for i in range(_MARCH):
        # Denser near the point itself: its own foot decides most.
        left = 1 - ((i + 0.5) / _MARCH) ** 1.3
        # What the upper border cuts goes on above it.
        row = (down * left).add_(sun_row + 0.5).clamp_(0, height - 1).long()
        col = (across * left).add_(sun_col + 0.5).floor_().long()
        index = col.clamp(0, width - 1).add_(row, alpha=width)
        stands, thick = flat_depth[index], flat_thickness[index]
        way = depth / left
        # Things are at least as thick as a step is long, or thin ones would be stepped over.
        hit = (way > stands) & (way < stands + torch.maximum(thick, way - before)) & (thick > 0)
        hit &= (col >= 0) & (col < width)
        # The farther away what casts it, the weaker the shadow: the sun is wide, and its haze fills it.
        shadow = torch.maximum(shadow, hit * torch.exp((depth - stands).clamp_(max=0) / _FADES_M))
        before = way
    full = torch.zeros_like(flat_depth)
    full[points] = shadow
    return _with_soft_edges(full.view(height, width), ground.float(), depth_m, camera.focal_px / step)


def _with_soft_edges(shadow: torch.Tensor, ground: torch.Tensor, depth_m: torch.Tensor, focal: float) -> torch.Tensor:
    """Edges as wide as a low sun's on rough ground; what is no ground does not count."""
    radius = _EDGE_M * focal / depth_m.clamp(min=2.0)
    maps = torch.stack([shadow * ground, ground])
    out = shadow * ground
    wide = 1
    while wide < 24:
        blurred = box_blurred(maps, wide, 2)
        out = torch.lerp(out, blurred[0] / blurred[1].clamp(min=1e-3), (radius / wide).clamp(0, 1))
        wide *= 3
    return out * (ground > 0)
