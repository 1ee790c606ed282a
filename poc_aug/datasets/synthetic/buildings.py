"""House fronts in true perspective: planes parallel to the road, with windows set back into the wall."""

from __future__ import annotations

import numpy as np

from poc_aug.datasets.synthetic.filters import lerp, lerp_rgb, pulse, smooth, srgb, stripes, tint
from poc_aug.datasets.synthetic.fronts import Wall, wall_colours
from poc_aug.datasets.synthetic.street_camera import NEAR_M, Canvas, Layer, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import Building
from poc_aug.noise import fbm_2d

_INSET_M = 0.16
_DEPTH_M = 11.0
_DARK = srgb("14171a")


def draw_building(canvas: Canvas, camera: StreetCamera, house: Building, light: StreetLight, label: int) -> None:
    """Draw a house; houses farther away must be drawn before it."""
    for layer in (_end_wall, _roof, _front):
        drawn = layer(camera, house, light, label)
        if drawn is not None:
            canvas.over(drawn)


def _front(camera: StreetCamera, house: Building, light: StreetLight, label: int) -> Layer | None:
    pinhole, x = camera.pinhole, house.side * house.front_m
    near = max(house.near_m, NEAR_M * 2)
    if house.far_m <= near:
        return None
    rect = camera.rect((x, y, z) for y in (0.0, house.height_m) for z in (near, house.far_m))
    if rect.empty:
        return None
    right, down = camera.rays(rect)
    facing = right * house.side
    z = (house.front_m / np.maximum(facing, np.float32(1e-4))).astype(np.float32)
    fs = z * z / np.float32(pinhole.focal_px * house.front_m)
    y = np.float32(pinhole.camera_height_m) - down * z
    fy = z / np.float32(pinhole.focal_px)
    edges = np.abs(np.array([near, house.far_m + 0.02 * house.far_m]))
    u_near, u_far = (house.front_m / edges * pinhole.focal_px).astype(np.float32)
    coverage = pulse(facing * np.float32(pinhole.focal_px), u_far, u_near, 1.0)
    coverage = coverage * pulse(y, 0.02, house.height_m, fy)
    ratio = np.float32((house.front_m + _INSET_M) / house.front_m)
    wall = Wall(
        s=(z - np.float32(house.near_m)),
        y=y,
        fs=fs,
        fy=fy,
        pane_s=z * ratio - np.float32(house.near_m),
        pane_y=np.float32(pinhole.camera_height_m) + (y - np.float32(pinhole.camera_height_m)) * ratio,
        z=z,
    )
    normal = np.array([-house.side, 0, 0], np.float32)
    lit = light.sunlit(np.float32(x) - house.side * np.float32(0.05), y, z)
    rgb = wall_colours(wall, house, light, normal, lit, house.far_m - house.near_m, right, down)
    rgb = light.haze(rgb, np.broadcast_to(z, y.shape))
    return Layer(rect, tint(coverage, rgb), coverage, label)


def _end_wall(camera: StreetCamera, house: Building, light: StreetLight, label: int) -> Layer | None:
    """The gable towards the camera, visible over a lower neighbour or across a gap."""
    pinhole, z = camera.pinhole, house.near_m
    if z < 2:
        return None
    inner, outer = house.front_m, house.front_m + _DEPTH_M
    top = house.height_m + house.roof_m
    rect = camera.rect((house.side * x, y, z) for x in (inner, outer) for y in (0.0, top))
    if rect.empty:
        return None
    right, down = camera.rays(rect)
    s = right * np.float32(house.side * z) - np.float32(inner)
    y = np.float32(pinhole.camera_height_m) - down * np.float32(z)
    pixel = np.float32(z / pinhole.focal_px)
    eaves = house.height_m + np.minimum(np.minimum(s, _DEPTH_M - s) * house.roof_slope, house.roof_m)
    coverage = pulse(s, 0, _DEPTH_M, pixel) * np.clip((eaves - y) / pixel + np.float32(0.5), 0, 1)
    coverage = coverage * np.clip(y / pixel + np.float32(0.5), 0, 1)
    stain = fbm_2d(y * np.float32(0.4), s * np.float32(0.4) + house.near_m, house.seed + 5, 3)
    tone = (np.float32(0.72) + np.float32(0.4) * stain) * lerp(0.75, 1.0, smooth(y, 0, 2.5))
    normal = np.array([0, 0, -1], np.float32)
    lit = light.sunlit((s + np.float32(inner)) * house.side, y, np.float32(z - 0.1), trees=False)
    plain = house.wall_rgb * np.float32(0.82) if house.style != "brick" else house.wall_rgb
    rgb = light.shade(tint(tone, plain), normal, lit, np.float32(0.8))
    rgb = light.haze(rgb, np.full(y.shape, z, np.float32))
    return Layer(rect, tint(coverage, rgb), coverage, label)


def _roof(camera: StreetCamera, house: Building, light: StreetLight, label: int) -> Layer | None:
    """The slope above the eaves, visible if it is steeper than the line of sight."""
    pinhole, near = camera.pinhole, max(house.near_m, NEAR_M * 2)
    if house.roof_m <= 0 or house.far_m <= near:
        return None
    run = house.roof_m / house.roof_slope
    rect = camera.rect(
        (house.side * (house.front_m + k * run), house.height_m + k * house.roof_m, z)
        for k in (0, 1)
        for z in (near, house.far_m)
    )
    if rect.empty:
        return None
    right, down = camera.rays(rect)
    slope = np.float32(house.roof_slope)
    start = np.float32(house.front_m + (pinhole.camera_height_m - house.height_m) / house.roof_slope)
    bottom = right * house.side + down / slope
    if start <= 0:
        # From below, the eaves hide the roof.
        z = np.where(bottom < 0, start / np.minimum(bottom, np.float32(-1e-4)), np.float32(1e6))
    else:
        z = np.where(bottom > 0, start / np.maximum(bottom, np.float32(1e-4)), np.float32(1e6))
    z = z.astype(np.float32)
    rise = np.float32(pinhole.camera_height_m) - down * z - np.float32(house.height_m)
    fy = np.maximum(np.abs(z), np.float32(0.5)) / np.float32(pinhole.focal_px)
    fz = fy * np.maximum(z / np.float32(house.front_m), 1)
    s = z - np.float32(house.near_m)
    length = house.far_m - house.near_m
    coverage = pulse(s, near - house.near_m, length * 1.01, fz) * pulse(rise, 0, house.roof_m, fy)
    tiles = stripes(rise * 4, 0, 0.35, fy * 4)
    tone = np.float32(0.95) - np.float32(0.25) * tiles
    tone *= np.float32(0.8) + np.float32(0.4) * fbm_2d(rise * np.float32(0.8), s * np.float32(0.5), house.seed, 3)
    tiled = tint(tone, house.roof_rgb)
    bay = length / house.bays
    dormer = stripes(s / bay, 0.30, 0.70, fz / bay) * pulse(rise, 0.30 * house.roof_m, 0.82 * house.roof_m, fy)
    pane = stripes(s / bay, 0.36, 0.64, fz / bay) * pulse(rise, 0.38 * house.roof_m, 0.74 * house.roof_m, fy)
    rgb = lerp_rgb(lerp_rgb(tiled, house.trim_rgb * np.float32(0.8), dormer), _DARK, pane * np.float32(0.9))
    flat = np.array([-house.side * house.roof_slope, 1, 0], np.float32)
    normal = flat / np.float32(np.linalg.norm(flat))
    lit = np.ones(z.shape, np.float32)
    rgb = light.haze(light.shade(rgb, normal, lit, np.float32(0.95)), np.clip(z, 1, 500))
    return Layer(rect, tint(coverage, rgb), coverage, label)
