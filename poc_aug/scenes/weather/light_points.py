"""Lamps in the scene: where they are, the light that they throw on what is around them, and how they look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from poc_aug.camera_model import Camera
from poc_aug.scenes.weather.light_regions import Float64s

WARM = (1.0, 0.62, 0.28)
"""Sodium and warm LED lamps."""
NEUTRAL = (1.0, 0.86, 0.66)
COLD = (0.86, 0.95, 1.0)
"""Cold LED lamps, and tubes."""
RED = (1.0, 0.045, 0.02)
"""Tail lights."""
HEADLIGHT = (1.0, 0.95, 0.84)


@dataclass(frozen=True, slots=True)
class PointLights:
    """Lamps; all arrays are float64 of ``[n]``, colours ``[n, 3]``.

    Attributes:
        row: row of the frame in pixels; may lie outside of it.
        col: column.
        depth_m: metres along the optical axis.
        radius_m: radius of the luminous disc.
        radiance: linear light of the disc, 1 is white.
        power: what it throws on its surroundings: linear light of a white surface at one metre.
        colour: linear RGB, the strongest channel 1.
    """

    row: Float64s
    col: Float64s
    depth_m: Float64s
    radius_m: Float64s
    radiance: Float64s
    power: Float64s
    colour: Float64s

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: np.typing.NDArray[np.bool_] | Sequence[int]) -> PointLights:
        """Some of them."""
        index = np.asarray(chosen)
        index = index if index.dtype == np.bool_ else index.astype(np.int64)
        return PointLights(*(getattr(self, f.name)[index] for f in fields(self)))


def point_lights(
    row: Float64s, col: Float64s, depth_m: Float64s, *, radius_m: float, radiance: float, power: float, colour: Float64s
) -> PointLights:
    """Lamps of one kind.

    Example:
        >>> one = np.array([10.0])
        >>> len(point_lights(one, one, one, radius_m=0.1, radiance=4.0, power=2.0, colour=np.ones((1, 3))))
        1
    """
    count = len(row)
    radius, light, thrown = (np.full(count, value, dtype=np.float64) for value in (radius_m, radiance, power))
    row, col, depth_m = (np.asarray(a, dtype=np.float64) for a in (row, col, depth_m))
    return PointLights(row, col, depth_m, radius, light, thrown, np.asarray(colour, np.float64).reshape(count, 3))


def joined(groups: Sequence[PointLights]) -> PointLights:
    """All lamps of some groups."""
    return PointLights(*(np.concatenate([getattr(g, f.name) for g in groups]) for f in fields(PointLights)))


@dataclass(frozen=True, slots=True)
class LitPoints:
    """Where the pixels of a map are in the world: float32 ``[h, w]``.

    Attributes:
        rows: ``[h, 1]``, the frame's rows.
        right_m: metres to the right of the camera.
        up_m: metres over the ground.
        depth_m: metres along the optical axis; finite.
        level: 1 on level surfaces, 0 on upright ones.
        receives: 1 where light falls, 0 on the sky.
    """

    rows: torch.Tensor
    right_m: torch.Tensor
    up_m: torch.Tensor
    depth_m: torch.Tensor
    level: torch.Tensor
    receives: torch.Tensor


def thrown_light(lamps: PointLights, points: LitPoints, camera: Camera, *, most: int = 6) -> torch.Tensor:
    """Light of the strongest ``most`` lamps on surfaces: float32 ``[3, h, w]``.

    Falls with the square of the distance; level surfaces get the cosine of its angle too.
    """
    light = torch.zeros(3, *points.depth_m.shape, device=points.depth_m.device)
    nearness = lamps.power / np.maximum(lamps.depth_m, 4.0) ** 2
    for i in np.argsort(-nearness, kind="stable")[:most]:
        if lamps.power[i] <= 0:
            continue
        depth = float(lamps.depth_m[i])
        per_px = depth / camera.focal_px
        up = camera.camera_height_m - (float(lamps.row[i]) - camera.horizon_row) * per_px
        right = (float(lamps.col[i]) - camera.centre_col) * per_px
        away = (points.depth_m - depth).square_()
        away += (points.right_m - right).square_()
        away += (points.up_m - up).square_()
        away += 6.0
        # Uprights face the lamp at any angle; the ground sees it at its elevation.
        ground = (max(up, 0.3) * away.rsqrt()).sub_(0.5).mul_(points.level).add_(0.5)
        falling = ground.div_(away).mul_(points.receives)
        colour = lamps.colour[i] * float(lamps.power[i])
        for channel in range(3):
            light[channel].add_(falling, alpha=float(colour[channel]))
    return light


def draw_discs(light: torch.Tensor, lamps: PointLights, camera: Camera, *, step: int, hidden: torch.Tensor) -> None:
    """Add the luminous discs themselves to ``light``, float32 ``[3, h, w]`` at ``1 / step`` of the frame's size.

    Discs smaller than a pixel become as dim as they are small.

    Args:
        light: changed in place.
        lamps: the lamps.
        camera: the frame's camera.
        step: pixels of the frame per pixel of ``light``.
        hidden: float32 ``[h, w]``, depth in metres: nearer surfaces hide a lamp.
    """
    height, width = light.shape[-2:]
    for i in range(len(lamps)):
        true_px = camera.focal_px * float(lamps.radius_m[i]) / float(lamps.depth_m[i]) / step
        radius = max(true_px, 0.75)
        row, col = (float(lamps.row[i]) + 0.5) / step - 0.5, (float(lamps.col[i]) + 0.5) / step - 0.5
        reach = radius + 1.5
        top, bottom = max(0, math.floor(row - reach)), min(height, math.ceil(row + reach) + 1)
        left, right = max(0, math.floor(col - reach)), min(width, math.ceil(col + reach) + 1)
        if top >= bottom or left >= right:
            continue
        down = torch.arange(top, bottom, device=light.device, dtype=torch.float32)[:, None] - row
        across = torch.arange(left, right, device=light.device, dtype=torch.float32)[None] - col
        disc = (radius + 0.5 - torch.sqrt(down * down + across * across)).clamp_(0, 1)
        visible = hidden[top:bottom, left:right] > 0.75 * float(lamps.depth_m[i])
        disc *= visible * float(lamps.radiance[i]) * min(1.0, true_px / radius) ** 2
        colour = torch.tensor(lamps.colour[i], dtype=torch.float32, device=light.device)
        light[:, top:bottom, left:right] += colour[:, None, None] * disc


def lamp_glow(
    lamps: PointLights, camera: Camera, *, step: int, size_hw: tuple[int, int], haze: float, device: torch.device
) -> torch.Tensor:
    """Glow around lamps: float32 ``[3, h, w]`` at ``1 / step`` of the frame's size.

    The lens spreads a narrow part and a wide one, the same at any distance; the air between adds a halo that is as wide
    as its angle and stronger the more haze the light passes.

    Args:
        lamps: the lamps.
        camera: the frame's camera.
        step: pixels of the frame per pixel of the glow.
        size_hw: height and width of the glow.
        haze: extinction of the air per metre.
        device: where the glow is computed.
    """
    height, width = size_hw
    if len(lamps) == 0:
        return torch.zeros(3, height, width, device=device)

    def column(values: Float64s) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]

    rows = torch.arange(height, device=device, dtype=torch.float32)[None, :, None] * step + (step - 1) / 2
    cols = torch.arange(width, device=device, dtype=torch.float32)[None, None] * step + (step - 1) / 2
    away = (rows - column(lamps.row)).square() + (cols - column(lamps.col)).square()
    radius_px = camera.focal_px * lamps.radius_m / lamps.depth_m
    flux = lamps.radiance * math.pi * radius_px**2
    depth_haze = 1 - np.exp(-haze * lamps.depth_m)
    focal = camera.focal_px
    total = torch.zeros(len(lamps), height, width, device=device)
    # Widths in radians; shares of the flux.
    parts = ((0.0035, 0.22 + 0 * depth_haze), (0.012, 0.2 + 0.4 * depth_haze), (0.05, 0.05 + 0.4 * depth_haze))
    for width_rad, share in parts:
        squared = np.maximum((focal * width_rad) ** 2, radius_px**2)
        strength = flux * share / (2 * math.pi * squared)
        total += column(strength) * (1 + away / column(squared)).pow_(-1.5)
    colours = torch.tensor(lamps.colour, dtype=torch.float32, device=device)
    return torch.einsum("nc,nhw->chw", colours, total)
