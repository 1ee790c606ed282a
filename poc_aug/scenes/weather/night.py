"""Night: the light of a frame taken away by class, and given back by the lamps that stand in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.geometry import SceneGeometry, scene_geometry
from poc_aug.scenes.weather.light_beams import headlight_beams
from poc_aug.scenes.weather.light_maps import (
    LUMINANCE,
    bands,
    box_blurred,
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
    smooth_step,
)
from poc_aug.scenes.weather.light_points import (
    HEADLIGHT,
    RED,
    LitPoints,
    PointLights,
    draw_discs,
    joined,
    lamp_glow,
    thrown_light,
)
from poc_aug.scenes.weather.light_sources import (
    lamps_out_of_sight,
    light_scene,
    lit_windows,
    signal_light,
    street_lamps,
    vehicle_lights,
)
from poc_aug.scenes.weather.light_surfaces import own_car, soft_sky
from poc_aug.scenes.weather.overcast import strength_of
from poc_aug.scenes.weather.surface_kinds import SurfaceKind


@dataclass(frozen=True, slots=True)
class Night:
    """One severity of night.

    Attributes:
        ambient: linear light of the scene's average without lamps, at most.
        share: the same as a share of the frame's own average.
        sky: light of the sky as a share of the darkest class's.
        lamps: share of street lamps that are lit.
        windows: share of windows that are lit.
        vehicles: share of vehicles whose lights are on.
        beams: strength of our own headlights.
        saturation: what is left of colours without lamps.
        cold: strength of the blue cast, 0 to 1.
        shot: noise that grows with the light: its variance per linear light.
        read: noise of the sensor itself: its standard deviation in linear light.
        haze: extinction of the air per metre.
        low: how far roofs and crowns are darker than the street, 0 to 1.
    """

    ambient: float
    share: float
    sky: float
    lamps: float
    windows: float
    vehicles: float
    beams: float
    saturation: float
    cold: float
    shot: float
    read: float
    haze: float
    low: float


NIGHTS: tuple[Night, ...] = (
    Night(0.085, 0.68, 0.95, 0.95, 0.20, 0.55, 0.35, 0.88, 0.75, 1e-5, 0.0006, 0.0006, 0.22),
    Night(0.042, 0.40, 0.78, 1.00, 0.32, 0.65, 0.70, 0.76, 0.70, 4e-5, 0.0010, 0.0009, 0.45),
    Night(0.020, 0.21, 0.60, 0.90, 0.28, 0.70, 0.95, 0.62, 0.60, 9e-5, 0.0012, 0.0012, 0.62),
    Night(0.0088, 0.105, 0.50, 0.50, 0.15, 0.65, 0.95, 0.48, 0.60, 1.6e-4, 0.0014, 0.0014, 0.68),
    Night(0.0034, 0.044, 0.45, 0.10, 0.05, 0.50, 0.80, 0.34, 0.65, 2.4e-4, 0.0014, 0.0016, 0.60),
)
"""From dusk with the lamps just lit to a rural night with little light."""

_OF_KIND = {
    SurfaceKind.UNKNOWN: 0.85,
    SurfaceKind.SKY: 0.5,
    SurfaceKind.GROUND: 1.15,
    SurfaceKind.TERRAIN: 0.75,
    SurfaceKind.VEGETATION: 0.55,
    SurfaceKind.STRUCTURE: 0.75,
    SurfaceKind.POST: 0.85,
    SurfaceKind.PERSON: 0.85,
    SurfaceKind.VEHICLE: 0.85,
    SurfaceKind.OBJECT: 0.85,
    SurfaceKind.EGO: 0.7,
}
"""Exposure by class, beside the average's."""
_KNEE = 1.6
"""Daylight more than this times brighter than the average is taken down: at night nothing is lit by the sun."""


def night(
    image: torch.Tensor,
    labels: torch.Tensor,
    camera: Camera,
    severity: int,
    generator: torch.Generator,
    *,
    schema: LabelSchema,
    depth_m: torch.Tensor | None = None,
) -> torch.Tensor:
    """A frame at night.

    The sky darkens most, then vegetation and facades; the road keeps some light, and our headlights fall on it. Street
    lamps, windows, tail lights and headlights of vehicles are lit, with glow; the sensor is noisy.

    Args:
        image: uint8 ``[3, H, W]``, RGB.
        labels: integer ``[H, W]``.
        camera: the frame's camera.
        severity: 1 (dusk) to 5 (a rural night with little light).
        generator: on the CPU; what is lit, and the noise.
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
        >>> dark = night(image, labels, camera, 3, torch.Generator().manual_seed(0), schema=schema)
        >>> bool(dark[:, :12].float().mean() < dark[:, 12:].float().mean() < 120)
        True
    """
    level = strength_of(severity, NIGHTS, "night")
    height, width = labels.shape
    step = 2 if width > 1000 else 1
    draws = torch.rand(512, 4, generator=generator, dtype=torch.float64)
    grain = torch.randn(height, width, generator=generator).to(image.device)
    blotches = torch.randn(3, -(-height // 2), -(-width // 2), generator=generator).to(image.device)

    geometry = scene_geometry(labels, schema, camera, depth_m=depth_m)
    small = _SmallFrame.of(image, geometry, step)
    lamps, shine = _lit(small, labels, schema, draws, level)
    by_daylight, rays = _exposure(small, lamps, level)
    maps = torch.cat([by_daylight[None], rays, shine])
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    for rows in bands((height, width), image.device):
        light = linear_light(image[:, rows])
        part = enlarged_rows(maps, step, rows, (height, width))
        scale, times, plus = part[0], part[1:4], part[4:]
        value = luminance(light)
        relative = value * scale
        # Daylight's contrast is taken down: nothing is lit by the sun any more.
        tone = (relative * (1 / _KNEE)).square_().add_(1).rsqrt_().mul_(scale)
        light = torch.lerp(value, light, level.saturation).mul_(tone).mul_(times).add_(plus)
        light += _noise(light, grain, blotches, rows, level)
        light.clamp_(min=0)
        light *= light.square().add_(1).rsqrt_()  # highlights roll off
        out[:, rows] = encoded_light(light)
    return out


@dataclass(frozen=True, slots=True)
class _SmallFrame:
    """The frame at ``1 / step`` of its size."""

    light: torch.Tensor
    kinds: torch.Tensor
    depth_m: torch.Tensor
    camera: Camera
    step: int

    @classmethod
    def of(cls, image: torch.Tensor, geometry: SceneGeometry, step: int) -> _SmallFrame:
        kinds, depth = sampled(geometry.kinds, step), sampled(geometry.depth_m, step)
        return cls(reduced_light(image, step), kinds, depth, geometry.camera, step)

    def of_kind(self, *kinds: SurfaceKind) -> torch.Tensor:
        mask = torch.zeros_like(self.kinds, dtype=torch.bool)
        for kind in kinds:
            mask |= self.kinds == int(kind)
        return mask


def _lit(
    small: _SmallFrame, labels: torch.Tensor, schema: LabelSchema, draws: torch.Tensor, level: Night
) -> tuple[PointLights, torch.Tensor]:
    """The lamps whose light falls on the scene, and float32 ``[3, h, w]``: what shines itself, and its glow."""
    height, width = small.kinds.shape
    coarse = 1 if width < 1500 else 2 if width < 3000 else 4
    scene = light_scene(
        small.light,
        small.kinds,
        sampled(labels, small.step),
        small.depth_m,
        small.camera,
        schema,
        draws,
        finest_step=small.step,
        step=coarse,
    )
    vehicles = vehicle_lights(scene, level.vehicles)
    windows = lit_windows(scene, level.windows, 0.13)
    lamps = joined([street_lamps(scene, level.lamps), lamps_out_of_sight(scene, level.lamps), vehicles.lamps])

    device, value = small.light.device, luminance(small.light)
    found = torch.cat([windows.light, windows.threshold[None], vehicles.red[None], signal_light(scene)[None]])
    maps = enlarged(found.to(device), coarse, (height, width))
    # Panes end where the picture's own frames and bars do.
    pane = 1 - smooth_step(value / maps[3].clamp(min=1e-4), 0.66, 0.86)
    shine = (
        maps[:3] * pane.mul_(0.8).add_(0.2) * (0.5 + 0.5 * (value / (0.4 * maps[3]).clamp(min=1e-4)).clamp_(max=2.0))
    )
    red = torch.tensor(RED, device=device)[:, None, None]
    shine += red * (0.9 * maps[4])
    shine += small.light * (2.2 * maps[5])
    area = reduced(shine, 4)
    draw_discs(shine, lamps, small.camera, step=small.step, hidden=small.depth_m)

    glow_step = 8 if width > 256 else 2
    glow_hw = -(-height // glow_step), -(-width // glow_step)
    glow = lamp_glow(lamps, small.camera, step=small.step * glow_step, size_hw=glow_hw, haze=level.haze, device=device)
    shine += enlarged(glow, glow_step, (height, width))
    radius = max(1, round(0.003 * width / 4))
    spread = 0.16 * box_blurred(area, radius, 3) + 0.08 * box_blurred(area, 5 * radius, 2)
    shine += enlarged(spread, 4, (height, width))
    return lamps, shine


def _exposure(small: _SmallFrame, lamps: PointLights, level: Night) -> tuple[torch.Tensor, torch.Tensor]:
    """What daylight is divided by, ``[h, w]``, and the light of the night, ``[3, h, w]``."""
    device, value = small.light.device, luminance(small.light)
    sky, leaves = small.of_kind(SurfaceKind.SKY), small.of_kind(SurfaceKind.VEGETATION)
    bonnet = own_car(small.kinds)
    average = max(masked_mean(value, ~sky & ~bonnet, 0.1), 1e-3)
    average_sky = max(masked_mean(value, sky, 0.5), 1e-3)
    average_leaves = min(max(masked_mean(value, leaves, average), 0.25 * average), average)
    by_daylight = torch.where(leaves, 1 / average_leaves, 1 / average)
    # Frames that are dark by day lose less.
    ambient = min(level.ambient, level.share * max(average, average**0.6 * 0.06**0.4), 0.7 * average)

    table = torch.zeros(len(SurfaceKind), device=device)
    for kind, share in _OF_KIND.items():
        table[int(kind)] = share
    table[int(SurfaceKind.VEGETATION)] *= (average_leaves / average) ** 0.5
    points = _points(small, bonnet)
    # What lights a street hangs low: roofs and crowns fade into the dark.
    low = 1 - level.low * (1 - torch.exp(points.up_m.clamp(0, 60) * -0.12))
    base = table[small.kinds.long()] * low
    # The sky is darker than the darkest class.
    relative = value * by_daylight
    relative *= (1 + (relative / _KNEE) ** 2).rsqrt()
    relative *= base
    flat = small.kinds.flatten().long()
    counts = torch.bincount(flat, minlength=len(SurfaceKind))
    sums = torch.bincount(flat, weights=relative.flatten(), minlength=len(SurfaceKind))
    seen = counts > 0.004 * flat.numel()
    seen[[int(kind) for kind in (SurfaceKind.SKY, SurfaceKind.UNKNOWN, SurfaceKind.EGO)]] = False
    darkest = float((sums / counts)[seen].min()) if bool(seen.any()) else 0.5
    over_horizon = 1 - (points.rows / max(small.camera.horizon_row, 1.0)).clamp(0, 1)
    sky_share = soft_sky(value, sky, average_sky)
    # What is bright between leaves is sky too.
    bright = max(3.5 * average_leaves, min(0.5 * average_sky, 8 * average_leaves))
    sky_share = torch.maximum(sky_share, leaves * smooth_step(value, 0.6 * bright, bright))
    base = torch.lerp(base, level.sky * darkest * (1.25 - 0.5 * over_horizon), sky_share)
    by_daylight = torch.lerp(by_daylight, torch.full_like(by_daylight, 1 / average_sky), sky_share)

    tint = _cold(small, level)
    rays = (tint * ambient)[:, None, None] * base
    # Frames that are dark by day are taken with less light, of lamps too.
    gain = min(1.0, average / 0.06) ** 0.6
    rays += 0.15 * gain * _lamp_light(lamps, points, small.camera, small.step)
    seen = torch.where(points.receives > 0, points.depth_m, torch.inf)
    beams = headlight_beams(seen, points.level, small.camera, step=small.step)
    rays += torch.tensor(HEADLIGHT, device=device)[:, None, None] * (0.11 * gain * level.beams * beams)
    return by_daylight, rays


def _lamp_light(lamps: PointLights, points: LitPoints, camera: Camera, step: int) -> torch.Tensor:
    """Light of the lamps on ground and uprights, ``[3, h, w]``; each is smooth: half the size is enough."""
    height, width = points.depth_m.shape
    right, up, depth, receives = (
        sampled(a, 2) for a in (points.right_m, points.up_m, points.depth_m, points.receives * (1 - points.level))
    )
    rows = torch.arange(depth.shape[0], device=depth.device, dtype=torch.float32)[:, None] * (2 * step) + step
    upright = LitPoints(rows, right, up, depth, torch.zeros_like(depth), receives)
    # Depth of what stands is known by its foot: its steps would show as edges of light.
    maps = torch.cat([thrown_light(lamps, upright, camera), receives[None]])
    maps = box_blurred(maps, max(2, width // 160), 2)
    on_uprights = maps[:3] / maps[3].clamp(min=1e-3)
    below = (rows - camera.horizon_row).clamp(min=1.0)
    plane = (camera.focal_px * camera.camera_height_m / below).expand_as(depth)
    ones, aside = torch.ones_like(depth), right / depth * plane
    on_ground = thrown_light(lamps, LitPoints(rows, aside, 0 * ones, plane, ones, ones), camera)
    both = enlarged(torch.cat([on_uprights, on_ground]), 2, (height, width))
    return torch.lerp(both[:3], both[3:], points.level).mul_(points.receives)


def _cold(small: _SmallFrame, level: Night) -> torch.Tensor:
    """Colour of what light there is without lamps, ``[3]``: blue, without the cast that the frame's road shows."""
    device = small.light.device
    weights = torch.tensor(LUMINANCE, device=device)
    cold = torch.tensor([0.58, 0.90, 1.60], device=device)
    tint = 1 + level.cold * (cold / (cold * weights).sum() - 1)
    return tint * grey_balance(small.light, small.of_kind(SurfaceKind.GROUND))


def _points(small: _SmallFrame, bonnet: torch.Tensor) -> LitPoints:
    device, half, camera = small.kinds.device, (small.step - 1) / 2, small.camera
    rows = torch.arange(small.kinds.shape[0], device=device, dtype=torch.float32)[:, None] * small.step + half
    cols = torch.arange(small.kinds.shape[1], device=device, dtype=torch.float32)[None] * small.step + half
    # An emblem on the bonnet is labelled with all that is seen through it.
    through = (small.kinds == int(SurfaceKind.EGO)) & ~bonnet
    ground = camera.focal_px * camera.camera_height_m / (rows - camera.horizon_row).clamp(min=1.0)
    depth = torch.where(through, ground, small.depth_m.clamp(max=1000.0))
    level = small.of_kind(SurfaceKind.GROUND, SurfaceKind.TERRAIN) | through
    receives = ~small.of_kind(SurfaceKind.SKY) & ~bonnet
    per_px = depth / camera.focal_px
    up = camera.camera_height_m - (rows - camera.horizon_row) * per_px
    right = (cols - camera.centre_col) * per_px
    return LitPoints(rows, right, up, depth, level.float(), receives.float())


def _noise(light: torch.Tensor, grain: torch.Tensor, blotches: torch.Tensor, rows: slice, level: Night) -> torch.Tensor:
    """Noise of the sensor: of the photons and of reading; neighbours share some of it, colours more of it."""
    above = max(rows.start - 1, 0)
    shared = grain[rows] * 0.8
    shared[:, 1:].add_(grain[rows, :-1], alpha=0.4)
    shared[rows.start == 0 :].add_(grain[above : rows.stop - 1], alpha=0.4)
    height, width = grain.shape
    noise = enlarged_rows(blotches, 2, rows, (height, width)).mul(0.6).add_(shared)
    return noise.mul_((light * level.shot).clamp_(min=0).add_(level.read**2).sqrt_())
