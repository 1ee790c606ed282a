"""Rain: streaks at their distances, a wet ground that mirrors, a veil, and drops on the lens when it pours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.geometry import scene_geometry
from poc_aug.scenes.weather.lens_drops import LensDrops
from poc_aug.scenes.weather.overcast import airlight_of, cover_with, strength_of, to_pixels, under_clouds, veil
from poc_aug.scenes.weather.particles import particle_cover, particles_in_view
from poc_aug.scenes.weather.roadway import roadway
from poc_aug.scenes.weather.surface_kinds import SurfaceKind
from poc_aug.scenes.weather.wet_ground import Wetness, wet_ground
from poc_aug.scenes.weather.world_noise import GroundNoise

_COOL = (0.94, 1.0, 1.03)


@dataclass(frozen=True, slots=True)
class _Rainfall:
    per_m3: float
    opacity: float
    visibility_m: float
    sky: float
    contrast: float
    colour: float
    wetness: Wetness
    lens_drops: int


_RAINFALLS = (
    _Rainfall(4.0, 0.06, 5000.0, 0.9, 0.97, 0.95, Wetness(0.22, 0.12, 0.05, 0.05), 0),
    _Rainfall(10.0, 0.08, 2000.0, 0.75, 0.94, 0.90, Wetness(0.30, 0.26, 0.14, 0.10), 0),
    _Rainfall(20.0, 0.11, 900.0, 0.55, 0.90, 0.83, Wetness(0.38, 0.45, 0.27, 0.15), 0),
    _Rainfall(34.0, 0.14, 450.0, 0.35, 0.86, 0.75, Wetness(0.46, 0.62, 0.42, 0.20), 25),
    _Rainfall(44.0, 0.19, 220.0, 0.18, 0.81, 0.66, Wetness(0.55, 0.78, 0.58, 0.26), 80),
)


def rain(
    image: torch.Tensor,
    labels: torch.Tensor,
    camera: Camera,
    severity: int,
    generator: torch.Generator,
    *,
    schema: LabelSchema,
    depth_m: torch.Tensor | None = None,
    kinds: Mapping[str, SurfaceKind] | None = None,
) -> torch.Tensor:
    """A frame in the rain; a pure function of its arguments.

    Args:
        image: uint8 ``[3, H, W]``.
        labels: integer ``[H, W]``.
        camera: the frame's camera.
        severity: from 1, a drizzle on a damp road, to 5, a downpour with drops on the lens.
        generator: a generator on the CPU.
        schema: names the classes of ``labels``.
        depth_m: float32 ``[H, W]``, known distances in metres, instead of those from labels and camera.
        kinds: kinds of class names, in place of or besides the known ones.

    Returns:
        uint8 ``[3, H, W]``.

    Raises:
        SettingError: a severity that is not 1 to 5.

    Example:
        >>> from poc_aug.labels.schema import SCHEMAS
        >>> labels = torch.full((64, 128), 10)  # sky over road
        >>> labels[32:] = 0
        >>> frame = torch.full((3, 64, 128), 90, dtype=torch.uint8)
        >>> camera = Camera(horizon_row=31.0, camera_height_m=1.4, focal_px=128.0, centre_col=63.5)
        >>> seed = torch.Generator().manual_seed(1)
        >>> wet = rain(frame, labels, camera, 3, seed, schema=SCHEMAS["cityscapes-trainIds"])
        >>> wet.shape, wet.dtype
        (torch.Size([3, 64, 128]), torch.uint8)
    """
    rainfall = strength_of(severity, _RAINFALLS, "rain")
    size_hw = image.shape[1], image.shape[2]
    slant = (float(torch.rand((), generator=generator)) - 0.5) * 0.3
    noise = GroundNoise(generator)
    drops = particles_in_view(
        size_hw,
        camera,
        generator,
        per_m3=rainfall.per_m3,
        reach_m=(0.6, 12.0),
        size_m=(0.0012, 0.0035),
        fall_m=0.11,
        slant=slant,
        scatter=0.04,
        opacity=rainfall.opacity,
    )
    lens = LensDrops(rainfall.lens_drops, generator)
    geometry = scene_geometry(labels, schema, camera, depth_m=depth_m, kinds=kinds)
    light = under_clouds(image, contrast=rainfall.contrast, colour=rainfall.colour, tint=_COOL)
    airlight = airlight_of(light, geometry, _COOL)
    light = wet_ground(light, geometry, roadway(labels, schema, kinds), rainfall.wetness, noise, airlight)
    light = veil(light, geometry, airlight, visibility_m=rainfall.visibility_m, sky=rainfall.sky)
    light = cover_with(light, particle_cover(drops, geometry.depth_m), airlight * 1.15)
    if rainfall.lens_drops:
        light = lens.over(light)
    return to_pixels(light)
