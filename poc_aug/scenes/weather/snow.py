"""Snowfall: flakes at their distances, white on what faces upwards, flat light and a veil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from poc_aug.camera_model import Camera
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.weather.geometry import scene_geometry
from poc_aug.scenes.weather.overcast import airlight_of, cover_with, strength_of, to_pixels, under_clouds, veil
from poc_aug.scenes.weather.particles import particle_cover, particles_in_view
from poc_aug.scenes.weather.roadway import roadway
from poc_aug.scenes.weather.snow_cover import SnowDepth, laid_over, snow_cover
from poc_aug.scenes.weather.surface_kinds import SurfaceKind
from poc_aug.scenes.weather.world_noise import GroundNoise

_COLD = (0.95, 1.0, 1.05)
_BRIGHT = 0.6
_LARGEST_GAIN = 2.0
_WHITE = 1.06


@dataclass(frozen=True, slots=True)
class _Snowfall:
    per_m3: float
    visibility_m: float
    sky: float
    contrast: float
    colour: float
    fallen: SnowDepth


_SNOWFALLS = (
    _Snowfall(1.5, 5000.0, 0.8, 0.96, 0.95, SnowDepth(0.05, 0.18, 0.28, 0.12, 0.02, 0.03)),
    _Snowfall(4.0, 2000.0, 0.6, 0.93, 0.90, SnowDepth(0.20, 0.40, 0.52, 0.25, 0.04, 0.10)),
    _Snowfall(10.0, 900.0, 0.4, 0.89, 0.84, SnowDepth(0.45, 0.70, 0.80, 0.42, 0.07, 0.22)),
    _Snowfall(22.0, 420.0, 0.2, 0.84, 0.76, SnowDepth(0.75, 0.94, 1.00, 0.60, 0.11, 0.38)),
    _Snowfall(48.0, 200.0, 0.08, 0.79, 0.68, SnowDepth(1.05, 1.10, 1.15, 0.78, 0.16, 0.55)),
)


def snow(
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
    """A frame in snowfall; a pure function of its arguments.

    Args:
        image: uint8 ``[3, H, W]``.
        labels: integer ``[H, W]``.
        camera: the frame's camera.
        severity: from 1, the first flakes on the grass, to 5, a snowstorm over a white street.
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
        >>> white = snow(frame, labels, camera, 4, seed, schema=SCHEMAS["cityscapes-trainIds"])
        >>> bool(white[:, 40:].float().mean() > 120)  # the road
        True
    """
    snowfall = strength_of(severity, _SNOWFALLS, "snow")
    size_hw = image.shape[1], image.shape[2]
    slant = (float(torch.rand((), generator=generator)) - 0.5) * 1.2
    noise = GroundNoise(generator)
    flakes = particles_in_view(
        size_hw,
        camera,
        generator,
        per_m3=snowfall.per_m3,
        reach_m=(0.5, 14.0),
        size_m=(0.003, 0.009),
        fall_m=0.012,
        slant=slant,
        scatter=0.5,
        opacity=0.85,
        aperture_m=0.008,
    )
    geometry = scene_geometry(labels, schema, camera, depth_m=depth_m, kinds=kinds)
    light = under_clouds(image, contrast=snowfall.contrast, colour=snowfall.colour, tint=_COLD)
    airlight = airlight_of(light, geometry, _COLD)
    # Snow lights the street from below, and cameras expose for it.
    gain = (_BRIGHT / airlight.mean()).clamp(1, _LARGEST_GAIN) ** min(severity / 3, 1.0)
    light.mul_(gain)
    airlight = (airlight * gain).clamp(max=0.85)
    cover = snow_cover(light, geometry, roadway(labels, schema, kinds), snowfall.fallen, noise)
    light = laid_over(light, cover, airlight * _WHITE)
    light = veil(light, geometry, airlight, visibility_m=snowfall.visibility_m, sky=snowfall.sky)
    light = cover_with(light, particle_cover(flakes, geometry.depth_m), (airlight * 1.2).clamp(max=0.95))
    return to_pixels(light)
