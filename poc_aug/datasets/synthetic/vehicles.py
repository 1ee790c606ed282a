"""Cars, vans, trucks and buses: ray-cast solids with painted windows, lamps and wheels, and mirroring paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poc_aug.datasets.synthetic.bodies import Shape, shape_of
from poc_aug.datasets.synthetic.filters import lerp_rgb, smooth, srgb
from poc_aug.datasets.synthetic.street_camera import F32, Canvas, Layer, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import VEHICLE_SIZE_M, Vehicle
from poc_aug.datasets.synthetic.street_solids import intersect, rounded_normals
from poc_aug.datasets.synthetic.vehicle_paint import FINE_M, paint_vehicle, windows

_SAMPLES = 2
_GLASS = srgb("101417")


def draw_vehicle(canvas: Canvas, camera: StreetCamera, vehicle: Vehicle, light: StreetLight, label: int) -> None:
    """Draw a vehicle that stands on the road."""
    length, width, height = VEHICLE_SIZE_M[vehicle.kind]
    reach = 0.5 * width + 0.5 * length * abs(np.sin(vehicle.yaw)) + 0.25
    ahead = 0.5 * length + 0.2
    if vehicle.z - ahead < 1.0:
        return
    rect = camera.rect(
        (vehicle.x + a, y, vehicle.z + b) for a in (-reach, reach) for y in (0.0, height) for b in (-ahead, ahead)
    )
    if rect.empty:
        return
    cos, sin = np.cos(vehicle.yaw) * vehicle.heading, np.sin(vehicle.yaw) * vehicle.heading
    axes = np.array([[sin, 0, cos], [0, 1, 0], [cos, 0, -sin]], np.float32)
    origin = axes @ np.array([-vehicle.x, camera.pinhole.camera_height_m, -vehicle.z], np.float32)
    solid = shape_of(vehicle.kind)
    right, down = camera.rays(rect)
    shape = (len(down), right.shape[1])
    rays = _directions(np.broadcast_to(right, shape).ravel(), np.broadcast_to(down, shape).ravel(), axes)
    distance, part = _cast(solid, origin, rays)
    # Only pixels on an outline need more than one ray; far away all are.
    fine = vehicle.z / camera.pinhole.focal_px < FINE_M
    rough = _outline(part.reshape(shape)).ravel() if fine else np.ones(len(part), np.bool_)
    inner = np.flatnonzero((part > 0) & ~rough)
    fringe = np.flatnonzero(rough)
    rgb, alpha = np.zeros((len(part), 3), np.float32), np.zeros(len(part), np.float32)

    def shaded(directions: F32, reach: F32, which: NDArray[np.int8]) -> F32:
        local = origin + directions.T * reach[:, None]
        normal = _normals(solid, local, which)
        view = directions.T / np.linalg.norm(directions.T, axis=1, keepdims=True)
        pixel = reach / np.float32(camera.pinhole.focal_px)
        return light.haze(_shaded(vehicle, solid, local, normal, view, which, pixel, axes, light), reach)

    if len(inner):
        rgb[inner] = shaded(rays[:, inner], distance[inner], part[inner])
        alpha[inner] = 1
    if len(fringe):
        steps = (np.arange(_SAMPLES, dtype=np.float32) + 0.5) / _SAMPLES - 0.5
        offset = steps / np.float32(camera.pinhole.focal_px)
        row, col = np.divmod(fringe, shape[1])
        sub_right = (right[0][col][:, None, None] + offset[None, None, :] + 0 * offset[None, :, None]).ravel()
        sub_down = (down[:, 0][row][:, None, None] + offset[None, :, None] + 0 * offset[None, None, :]).ravel()
        extra = _directions(sub_right, sub_down, axes)
        reach, which = _cast(solid, origin, extra)
        hit = np.flatnonzero(which)
        colours = np.zeros((len(which), 3), np.float32)
        if len(hit):
            colours[hit] = shaded(extra[:, hit], reach[hit], which[hit])
        rgb[fringe] = colours.reshape(len(fringe), -1, 3).mean(axis=1)
        alpha[fringe] = (which > 0).reshape(len(fringe), -1).mean(axis=1)
    canvas.over(Layer(rect, rgb.reshape(*shape, 3), alpha.reshape(shape), label))


def _directions(right: F32, down: F32, axes: F32) -> F32:
    """Rays ``[3, N]`` in the vehicle's axes."""
    return np.asarray(axes @ np.stack([right, -down, np.ones_like(right)]), np.float32)


def _outline(part: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Pixels next to a pixel of another part."""
    edge = np.zeros(part.shape, np.bool_)
    across, along = part[:, 1:] != part[:, :-1], part[1:] != part[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= along
    edge[:-1] |= along
    return edge


def _cast(solid: Shape, origin: F32, rays: F32) -> tuple[F32, NDArray[np.int8]]:
    """Distance of the first hit and the part hit: 0 nothing, 1 body, 2 cabin, 3 and on a wheel."""
    distance = intersect(solid.body, origin, rays)
    part = np.isfinite(distance).astype(np.int8)
    if solid.cabin is not None:
        reach = intersect(solid.cabin, origin, rays)
        closer = reach < distance
        distance[closer], part[closer] = reach[closer], 2
    number = 3
    for along, radius in solid.wheels:
        for side in (-1, 1):
            # The far side's wheels show below the body, as a cylinder without caps.
            reach, on_cap = _wheel(origin, rays, along, radius, side * solid.track)
            closer = reach < distance
            distance[closer], part[closer] = reach[closer], number
            part[closer & on_cap] = number + 1
            number += 2
    return distance, part


def _normals(solid: Shape, p: F32, part: NDArray[np.int8]) -> F32:
    normal = np.zeros_like(p)
    for number, convex in ((1, solid.body), (2, solid.cabin)):
        if convex is not None and (on := part == number).any():
            normal[on] = rounded_normals(convex, p[on], solid.rounding)
    number = 3
    for along, radius in solid.wheels:
        for side in (-1, 1):
            tread, cap = part == number, part == number + 1
            normal[tread, 0] = (p[tread, 0] - np.float32(along)) / np.float32(radius)
            normal[tread, 1] = (p[tread, 1] - np.float32(radius)) / np.float32(radius)
            normal[cap, 2] = side
            number += 2
    return normal


def _wheel(origin: F32, rays: F32, along: float, radius: float, outer: float) -> tuple[F32, NDArray[np.bool_]]:
    """Hits of a wheel, a cylinder 0.2 m wide whose outer cap is at ``right = outer``; and whether the cap is hit."""
    ol, oy = np.float32(origin[0] - along), np.float32(origin[1] - radius)
    a = rays[0] ** 2 + rays[1] ** 2 + np.float32(1e-9)
    b = ol * rays[0] + oy * rays[1]
    root = b * b - a * (ol * ol + oy * oy - np.float32(radius * radius))
    tread = (-b - np.sqrt(np.maximum(root, 0))) / a
    at = origin[2] + rays[2] * tread
    inner = outer - np.sign(outer) * 0.2
    on_tread = (root > 0) & (tread > 0) & (at > min(inner, outer)) & (at < max(inner, outer))
    tread = np.where(on_tread, tread, np.float32(np.inf)).astype(np.float32)
    towards = rays[2] * np.float32(outer) < 0
    cap = (np.float32(outer) - origin[2]) / np.where(towards, rays[2], np.float32(-np.sign(outer)))
    off = (ol + rays[0] * cap) ** 2 + (oy + rays[1] * cap) ** 2
    on_cap = towards & (cap > 0) & (off < np.float32(radius * radius)) & (cap < tread)
    return np.where(on_cap, cap, tread).astype(np.float32), on_cap


def _shaded(
    vehicle: Vehicle,
    solid: Shape,
    p: F32,
    normal: F32,
    view: F32,
    part: NDArray[np.int8],
    pixel: F32,
    axes: F32,
    light: StreetLight,
) -> F32:
    sky = light.sky
    up = p[:, 1]
    glass = windows(vehicle, solid, p, normal, part, pixel)
    albedo, gloss, glow = paint_vehicle(vehicle, solid, p, normal, part, pixel)
    albedo = lerp_rgb(albedo, np.broadcast_to(_GLASS, albedo.shape), glass)
    outward = normal @ axes
    mirrored = view - 2 * (view * normal).sum(axis=1, keepdims=True) * normal
    world = np.stack([p @ axes[:, 0] + np.float32(vehicle.x), up, p @ axes[:, 2] + np.float32(vehicle.z)], axis=-1)
    lit = light.sunlit(world[:, 0], world[:, 1], world[:, 2])
    # Low parts face the dark road and the car's own shadow.
    open_sky = np.float32(0.45) + np.float32(0.55) * smooth(up, 0.1, 0.9)
    rgb: F32 = light.shade(albedo, outward, lit, open_sky)
    cosine = np.clip(-(view * normal).sum(axis=1), 0, 1)
    fresnel = np.float32(0.07) + np.float32(0.90) * np.power(1 - cosine, 4)
    fresnel = fresnel * np.maximum(gloss, glass) + glass * np.float32(0.08)
    reflection = light.mirror(np.asarray(mirrored @ axes, np.float32))
    rgb = rgb + reflection * (fresnel * smooth(up, 0.15, 0.5))[:, None]
    if sky.weather != "overcast":
        toward = np.clip((mirrored @ axes) @ np.asarray(sky.sun, np.float32), 0, 1)
        spark = np.power(toward, 220) * 3.5 + np.power(toward, 24) * 0.12
        rgb = rgb + (spark * lit * np.maximum(gloss, glass))[:, None] * sky.sun_rgb
    return np.asarray(rgb + glow, np.float32)
