"""Low sun: driving towards a sun near the horizon."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.geometry import SceneGeometry, scene_geometry
from poc_aug.scenes.weather.light_maps import (
    bands,
    encoded_light,
    enlarged,
    enlarged_rows,
    grey_balance,
    linear_light,
    luminance,
    masked_mean,
    reduced,
    reduced_light,
    sampled,
)
from poc_aug.scenes.weather.light_sun import LowSun, away_from, lobe, low_sun_position, sun_shadows
from poc_aug.scenes.weather.light_surfaces import own_car, soft_sky
from poc_aug.scenes.weather.overcast import strength_of
from poc_aug.scenes.weather.surface_kinds import SurfaceKind


@dataclass(frozen=True, slots=True)
class Sunlight:
    """One severity of low sun.

    Attributes:
        glare: veiling glare at the sun itself, linear light.
        shade: light on what turns its shady side to us, as a share.
        sun: light on the sunlit ground.
        sheen: mirror light on the road below the sun.
        haze: extinction of the air per metre, which the sun lights up.
        warmth: how far sunlight is orange, 0 to 1.
    """

    glare: float
    shade: float
    sun: float
    sheen: float
    haze: float
    warmth: float


SUNLIGHT: tuple[Sunlight, ...] = (
    Sunlight(0.30, 0.66, 1.30, 0.30, 0.0005, 0.60),
    Sunlight(0.75, 0.50, 1.40, 0.60, 0.0008, 0.70),
    Sunlight(1.60, 0.38, 1.50, 1.00, 0.0013, 0.78),
    Sunlight(3.30, 0.29, 1.55, 1.50, 0.0020, 0.84),
    Sunlight(7.00, 0.22, 1.60, 2.20, 0.0032, 0.88),
)
"""From a sun that only warms the picture to one that almost blinds."""

_THICK_M = {
    SurfaceKind.VEGETATION: 5.0,
    SurfaceKind.STRUCTURE: 12.0,
    SurfaceKind.POST: 0.5,
    SurfaceKind.PERSON: 0.6,
    SurfaceKind.VEHICLE: 3.5,
    SurfaceKind.OBJECT: 1.0,
}
_ORANGE = (1.0, 0.66, 0.32)
_PALE = (1.0, 0.93, 0.80)


def low_sun(
    image: torch.Tensor,
    labels: torch.Tensor,
    camera: Camera,
    severity: int,
    generator: torch.Generator,
    *,
    schema: LabelSchema,
    depth_m: torch.Tensor | None = None,
) -> torch.Tensor:
    """A frame against a sun near the horizon.

    The sun stands in the sky, or just above the frame; what stands in front of it hides it. Facades and vehicles turn
    their shady side to us and cast long shadows towards us; the road shines below the sun; glare veils all the more
    the nearer to the sun, and highlights are blown.

    Args:
        image: uint8 ``[3, H, W]``, RGB.
        labels: integer ``[H, W]``.
        camera: the frame's camera.
        severity: 1 (a warm, hazy sun) to 5 (almost blinding).
        generator: on the CPU; where the sun stands, and the smears on the windscreen.
        schema: names the classes of ``labels``.
        depth_m: float32 ``[H, W]``, a known depth in metres, in place of the estimate from labels and camera.

    Returns:
        uint8 ``[3, H, W]``.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> image = torch.full((3, 32, 64), 120, dtype=torch.uint8)
        >>> labels = torch.full((32, 64), 10)  # sky
        >>> labels[12:] = 0  # road
        >>> camera = Camera(horizon_row=12.0, camera_height_m=1.4, focal_px=64.0, centre_col=31.5)
        >>> schema = SCHEMAS["cityscapes-trainIds"]
        >>> bright = low_sun(image, labels, camera, 5, torch.Generator().manual_seed(0), schema=schema)
        >>> int(bright[:, :12].max()) > 240
        True
    """
    level = strength_of(severity, SUNLIGHT, "low-sun")
    height, width = labels.shape
    draws = torch.rand(3, generator=generator, dtype=torch.float64)
    smears = torch.rand(1, 9, 17, generator=generator)

    step = 2 if width > 1000 else 1
    geometry = scene_geometry(labels, schema, camera, depth_m=depth_m)
    kinds, depth = sampled(geometry.kinds, step), sampled(geometry.depth_m, step)
    small = reduced_light(image, step)
    coarse = 4 if kinds.shape[1] > 400 else 2
    is_sky, value = kinds == int(SurfaceKind.SKY), luminance(small)
    sky = soft_sky(value, is_sky, masked_mean(value, is_sky, 0.5))
    sun = low_sun_position(reduced(sky[None], coarse)[0].cpu(), camera, draws, step=step * coarse)

    times, plus = _sunlight(small, sky, kinds, depth, geometry, sun, smears, level, step, coarse)
    maps = torch.cat([times, plus])
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    for rows in bands((height, width), image.device):
        part = enlarged_rows(maps, step, rows, (height, width))
        light = linear_light(image[:, rows]).mul_(part[:3]).add_(part[3:])
        # Film and sensors give way slowly: highlights roll off, and are white at last.
        out[:, rows] = encoded_light(light.mul_(-1.35).exp_().neg_().add_(1))
    return out


def _sunlight(
    small: torch.Tensor,
    sky: torch.Tensor,
    kinds: torch.Tensor,
    depth: torch.Tensor,
    geometry: SceneGeometry,
    sun: LowSun,
    smears: torch.Tensor,
    level: Sunlight,
    step: int,
    coarse: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the picture's light is multiplied by, and what is added to it: ``[3, h, w]`` each."""
    height, width = kinds.shape
    device, camera = kinds.device, geometry.camera
    value = luminance(small)
    average = max(masked_mean(value, kinds != int(SurfaceKind.SKY), 0.1), 1e-3)
    orange = 1 + level.warmth * (torch.tensor(_ORANGE, device=device) - 1)
    pale = torch.tensor(_PALE, device=device)
    angle = away_from(sun, camera, (height, width), step=step, device=device)

    # Light on surfaces.
    level_ground = (kinds == int(SurfaceKind.GROUND)) | (kinds == int(SurfaceKind.TERRAIN))
    level_ground |= (kinds == int(SurfaceKind.EGO)) & ~own_car(kinds)  # the road, seen through an emblem
    ground = level_ground.float()
    thick = torch.zeros(len(SurfaceKind), device=device)
    for kind, metres in _THICK_M.items():
        thick[int(kind)] = metres
    few = step * coarse
    rows = torch.arange(height, device=device, dtype=torch.float32)[:, None] * step
    far = camera.focal_px * camera.camera_height_m / (rows - camera.horizon_row).clamp(min=1.0)
    depth = torch.where(level_ground & (kinds == int(SurfaceKind.EGO)), far, depth)
    thickness = thick[kinds.long()]
    # Thin posts must not fall between the samples.
    nearest = -torch.nn.functional.max_pool2d(
        -torch.where(thickness > 0, depth, torch.inf)[None], coarse, coarse, ceil_mode=True
    )[0]
    thickest = torch.nn.functional.max_pool2d(thickness[None], coarse, coarse, ceil_mode=True)[0]
    nearest = torch.where(thickest > 0, nearest, sampled(depth, coarse))
    few_ground = sampled(level_ground, coarse)
    nearest = torch.where(few_ground, sampled(depth, coarse), nearest)
    thickest = torch.where(few_ground, 0, thickest)
    shadow = sun_shadows(nearest, thickest, few_ground, sun, camera, step=few)
    soft = enlarged(shadow[None], coarse, (height, width))[0]
    lit = ground * (1 - soft)
    # Surfaces that the sun grazes from the side are lit a little.
    cols = torch.arange(width, device=device, dtype=torch.float32)[None] * step
    aside = ((cols - sun.col).abs() / camera.focal_px).clamp_(max=1.0)
    shade = level.shade * (1 + 0.5 * (1 - level.shade) * aside)
    cool = torch.tensor([0.95, 1.0, 1.08], device=device)
    cool = cool * grey_balance(small, kinds == int(SurfaceKind.GROUND))
    times = cool[:, None, None] * shade * (1 - sky) * (1 - 0.25 * soft * ground)
    times += (orange * (level.sun - level.shade))[:, None, None] * lit
    dusk = torch.lerp(
        torch.tensor([0.80, 0.95, 1.15], device=device)[:, None, None], orange[:, None, None], lobe(angle, 16.0)
    )
    times += (0.40 * sky)[None] * dusk

    # The road mirrors the sun at a flat angle, under it, most far away.
    fall = ((rows - camera.horizon_row) / camera.focal_px).clamp_(min=0)
    rise = max((camera.horizon_row - sun.row) / camera.focal_px, 0.02)
    flat = torch.exp(-(fall / (rise + 0.12)).square_())
    beam = torch.exp(-((cols - sun.col) / camera.focal_px / (0.05 + 0.35 * fall)).square_())
    rough = (value / average).clamp(0.3, 2.0)
    paved = (level_ground & (kinds != int(SurfaceKind.TERRAIN))).float()
    sheen = level.sheen * flat * beam * rough * lit * paved * (0.35 + 0.65 * sun.open)

    # The air glows towards the sun, the sky most.
    visible = 0.2 + 0.8 * sun.open
    air = 1 - torch.exp(depth.clamp(max=2000.0) * -level.haze)
    air = torch.lerp(air * 0.5, torch.ones_like(air), sky)
    glow = (1.2 * lobe(angle, 9.0) + 6.0 * lobe(angle, 1.6).square_()) * (0.35 + 0.12 * level.glare)
    plus = (orange * 0.6 + 0.4)[:, None, None] * (air * glow)
    plus += (orange * pale)[:, None, None] * sheen
    disc = torch.exp(-((angle / math.radians(0.5)) ** 4)) * 40.0
    plus += disc * sky

    # The lens and the windscreen spread its light over everything.
    small_hw = -(-height // coarse), -(-width // coarse)
    spread = away_from(sun, camera, small_hw, step=few, device=device)
    veil = 0.80 * lobe(spread, 2.4) + 0.11 * lobe(spread, 11.0) + 0.008
    smear = torch.nn.functional.interpolate(smears[None].to(device), small_hw, mode="bicubic")[0, 0]
    veil *= level.glare * visible * (0.93 + 0.14 * smear)
    plus += torch.lerp(pale, orange, 0.3)[:, None, None] * enlarged(veil[None], coarse, (height, width))
    return times, plus
