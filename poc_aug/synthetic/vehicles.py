"""Cars, vans, trucks and buses: ray-cast solids with painted windows, lamps and wheels, and mirroring paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poc_aug.synthetic.bodies import Shape, shape_of
from poc_aug.synthetic.camera import F32, Camera, Canvas, Layer
from poc_aug.synthetic.filters import band, blend, smooth, srgb
from poc_aug.synthetic.light import Light
from poc_aug.synthetic.scene import VEHICLE_SIZE_M, Vehicle
from poc_aug.synthetic.solids import intersect, rounded_normals

_SAMPLES = 2
_FINE_M = 0.05
"""Where a pixel is larger, seams, grilles and plates are left out."""
_TYRE = srgb("1b1b1c")
_RIM = srgb("a9acb0")
_GLASS = srgb("101417")
_BLACK = srgb("17181a")
_CHROME = srgb("b8bcc0")
_RED = srgb("a5120e")
_WHITE = srgb("e8e8e4")
_LAMP = srgb("fff0cf")


def draw_vehicle(canvas: Canvas, camera: Camera, vehicle: Vehicle, light: Light, label: int) -> None:
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
    origin = axes @ np.array([-vehicle.x, camera.view.camera_height_m, -vehicle.z], np.float32)
    solid = shape_of(vehicle.kind)
    right, down = camera.rays(rect)
    shape = (len(down), right.shape[1])
    rays = _directions(np.broadcast_to(right, shape).ravel(), np.broadcast_to(down, shape).ravel(), axes)
    distance, part = _cast(solid, origin, rays)
    # Only pixels on an outline need more than one ray; far away all are.
    fine = vehicle.z / camera.view.focal_px < _FINE_M
    rough = _outline(part.reshape(shape)).ravel() if fine else np.ones(len(part), np.bool_)
    inner = np.flatnonzero((part > 0) & ~rough)
    fringe = np.flatnonzero(rough)
    rgb, alpha = np.zeros((len(part), 3), np.float32), np.zeros(len(part), np.float32)

    def shaded(some: F32, reach: F32, which: NDArray[np.int8]) -> F32:
        local = origin + some.T * reach[:, None]
        normal = _normals(solid, local, which)
        view = some.T / np.linalg.norm(some.T, axis=1, keepdims=True)
        pixel = reach / np.float32(camera.view.focal_px)
        return light.haze(_shaded(vehicle, solid, local, normal, view, which, pixel, axes, light), reach)

    if len(inner):
        rgb[inner] = shaded(rays[:, inner], distance[inner], part[inner])
        alpha[inner] = 1
    if len(fringe):
        steps = (np.arange(_SAMPLES, dtype=np.float32) + 0.5) / _SAMPLES - 0.5
        offset = steps / np.float32(camera.view.focal_px)
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
    """Pixels beside a pixel of another part."""
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
            # The far side's wheels are seen below the body: as a cylinder without caps.
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
    light: Light,
) -> F32:
    sky = light.sky
    up = p[:, 1]
    glass = _windows(vehicle, solid, p, normal, part, pixel)
    albedo, gloss, glow = _paint(vehicle, solid, p, normal, part, pixel)
    albedo = blend(albedo, np.broadcast_to(_GLASS, albedo.shape), glass)
    outward = normal @ axes
    mirrored = view - 2 * (view * normal).sum(axis=1, keepdims=True) * normal
    world = np.stack([p @ axes[:, 0] + np.float32(vehicle.x), up, p @ axes[:, 2] + np.float32(vehicle.z)], axis=-1)
    lit = light.sunlit(world[:, 0], world[:, 1], world[:, 2])
    # What is low sees the dark road and the car's own shadow.
    open_sky = np.float32(0.45) + np.float32(0.55) * smooth(up, 0.1, 0.9)
    rgb = light.shade(albedo, outward, lit, open_sky)
    cosine = np.clip(-(view * normal).sum(axis=1), 0, 1)
    fresnel = np.float32(0.07) + np.float32(0.90) * np.power(1 - cosine, 4)
    fresnel = fresnel * np.maximum(gloss, glass) + glass * np.float32(0.08)
    seen = light.mirror(np.asarray(mirrored @ axes, np.float32))
    rgb = rgb + seen * (fresnel * smooth(up, 0.15, 0.5))[:, None]
    if sky.weather != "overcast":
        toward = np.clip((mirrored @ axes) @ np.asarray(sky.sun, np.float32), 0, 1)
        spark = np.power(toward, 220) * 3.5 + np.power(toward, 24) * 0.12
        rgb = rgb + (spark * lit * np.maximum(gloss, glass))[:, None] * sky.sun_rgb
    return np.asarray(rgb + glow, np.float32)


def _windows(vehicle: Vehicle, solid: Shape, p: F32, normal: F32, part: NDArray[np.int8], pixel: F32) -> F32:
    """Coverage of glass."""
    along, up, across = p[:, 0], p[:, 1], np.abs(p[:, 2])
    sideways = np.abs(normal[:, 2]) > 0.62
    between = band(up, solid.belt, solid.roof, pixel)
    length, width, _ = VEHICLE_SIZE_M[vehicle.kind]
    if solid.cabin is None or vehicle.kind == "truck":
        front = np.float32(length / 2)
        ends = band(across, -1, 0.5 * width - 0.16, pixel) * (np.abs(normal[:, 0]) > 0.6)
        if vehicle.kind == "truck":
            ahead = ends * (along > 0) * between * (part == 2)
            doors = band(along, 2.05, 3.15, pixel) * between * sideways * (part == 2)
            return np.minimum(ahead + doors, 1)
        ahead = ends * band(up, 1.0, 2.62, pixel) * (along > 0)
        behind = ends * band(up, 1.55, 2.55, pixel) * (along < 0)
        panes = 1 - np.minimum(sum((band(along, k - 0.05, k + 0.05, pixel) for k in _BUS_PILLARS), np.float32(0)), 1)
        sides = band(along, -front + 0.35, front - 0.25, pixel) * between * sideways * panes
        return np.minimum(ahead + behind + sides, 1)
    # Distances to the slanted screens, so that side windows end in slanted pillars.
    screens = solid.cabin.normals[[1, 6]] @ p.T - solid.cabin.offsets[[1, 6], None]
    inside = band(-screens[0], 0.10, 50, pixel) * band(-screens[1], 0.13, 50, pixel)
    panes = inside * between
    for pillar in solid.pillars:
        panes = panes * (1 - band(along, pillar - 0.035, pillar + 0.035, pixel))
    if vehicle.kind == "van" and vehicle.seed % 2:
        panes = panes * (along > 0.2)
    facing = np.abs(normal[:, 0]) > 0.25
    lean = np.abs(solid.cabin.normals[7]) @ np.abs(p.T) - solid.cabin.offsets[7]
    screen = band(-lean, 0.085, 50, pixel) * band(up, solid.belt - 0.02, solid.roof + 0.045, pixel) * facing
    return np.where(part == 2, np.where(sideways, panes, screen), 0).astype(np.float32)


_BUS_PILLARS = (-4.2, -2.8, -1.4, 0.0, 1.4, 2.8, 4.2)


def _paint(
    vehicle: Vehicle, solid: Shape, p: F32, normal: F32, part: NDArray[np.int8], pixel: F32
) -> tuple[F32, F32, F32]:
    """Reflectance ``[N, 3]``, gloss ``[N]`` and emitted light ``[N, 3]``."""
    along, up = p[:, 0], p[:, 1]
    length, width, _ = VEHICLE_SIZE_M[vehicle.kind]
    half = length / 2
    large = vehicle.kind in ("bus", "truck")
    albedo = np.broadcast_to(vehicle.rgb, p.shape).copy()
    gloss = np.full(len(p), 0.9, np.float32)
    if vehicle.kind == "truck":
        albedo[part == 1] = _WHITE * np.float32(0.8)
        gloss[part == 1] = 0.25
    if vehicle.kind == "bus":
        stripe = band(up, 0.75, 0.95, pixel)
        albedo = blend(albedo, np.broadcast_to(_WHITE, p.shape), stripe)
    sideways = np.abs(normal[:, 2]) > 0.7
    skirt = band(up, -1, 0.30 if not large else 0.45, pixel)
    albedo = blend(albedo, np.broadcast_to(_BLACK, p.shape), skirt * np.float32(0.9))
    gloss *= 1 - np.float32(0.85) * skirt
    fine = float(pixel.min()) < _FINE_M
    if not large and fine:
        side = sideways * (part == 1)
        seams = sum(
            (band(along, k - 0.007, k + 0.007, pixel) for k in (0.95, *solid.pillars[:1], -1.22)), np.float32(0)
        )
        dark = np.minimum(seams, 1) * side * band(up, 0.33, solid.belt - 0.04, pixel)
        handles = sum((band(along, k - 0.10, k + 0.08, pixel) for k in (-0.25, -1.05)), np.float32(0))
        dark = dark + handles * side * band(up, solid.belt - 0.19, solid.belt - 0.155, pixel) * np.float32(0.8)
        # The crease along the side, and the edge between body and windows.
        dark = dark + band(up, solid.belt - 0.30, solid.belt - 0.28, pixel) * side * np.float32(0.25)
        dark = dark + band(up, solid.belt - 0.06, solid.belt - 0.03, pixel) * (part == 2) * np.float32(0.7)
        albedo = blend(albedo, np.broadcast_to(_BLACK, p.shape), np.minimum(dark, 1) * np.float32(0.85))
    glow = np.zeros_like(p)
    _ends(vehicle, solid, p, normal, part, pixel, albedo, gloss, glow, half, width, fine)
    # Wheels, and the dark arches above them.
    for wheel, radius in solid.wheels:
        r = np.sqrt((along - np.float32(wheel)) ** 2 + (up - np.float32(radius)) ** 2)
        beside = sideways & (part != 2)
        arch = band(r, -1, radius + 0.06, pixel) * beside
        np.copyto(albedo, blend(albedo, np.broadcast_to(_BLACK * np.float32(0.4), p.shape), arch))
        gloss *= 1 - arch
        tyre = band(r, -1, radius, pixel) * beside
        np.copyto(albedo, blend(albedo, np.broadcast_to(_TYRE, p.shape), tyre))
        turn = np.arctan2(up - np.float32(radius), along - np.float32(wheel))
        spokes = np.float32(0.35) + np.float32(0.65) * (np.cos(turn * 5 + np.float32(vehicle.seed % 7)) > -0.25)
        rim = band(r, -1, 0.68 * radius, pixel) * beside
        np.copyto(albedo, blend(albedo, _RIM * spokes[:, None].astype(np.float32), rim))
    tread = (part >= 3) & ~sideways
    albedo[tread], gloss[tread] = _TYRE, 0
    return albedo, gloss, glow


def _ends(
    vehicle: Vehicle,
    solid: Shape,
    p: F32,
    normal: F32,
    part: NDArray[np.int8],
    pixel: F32,
    albedo: F32,
    gloss: F32,
    glow: F32,
    half: float,
    width: float,
    fine: bool,
) -> None:
    """Lamps, plates and grilles; changes ``albedo``, ``gloss`` and ``glow``."""
    w, nose = width / 2, solid.nose
    truck = vehicle.kind == "truck"
    for end in (1, -1):
        on_body = part == (2 if truck and end > 0 else 1)
        here = np.flatnonzero(on_body & (p[:, 0] * end > half - 0.45) & (normal[:, 0] * end > 0.25))
        if not len(here):
            continue
        up, across, size = p[here, 1], np.abs(p[here, 2]), pixel[here]
        colour, shine, light = albedo[here], gloss[here], glow[here]

        def put(rgb: F32, cover: F32, polish: float, emitted: F32 | None = None) -> None:
            nonlocal colour, shine, light  # noqa: B023
            colour = blend(colour, np.broadcast_to(rgb, colour.shape), cover)  # noqa: B023
            shine = shine + (np.float32(polish) - shine) * cover  # noqa: B023
            if emitted is not None:
                light = light + emitted * cover[:, None]  # noqa: B023

        def box(left: float, right: float, low: float, high: float) -> F32:
            return band(across, left, right, size) * band(up, low, high, size)  # noqa: B023

        if end > 0:
            lit = vehicle.heading < 0 and vehicle.lamps
            lamp = box(w - 0.42, w - 0.02, nose - 0.24, nose - 0.08)
            put(_WHITE * np.float32(0.8), lamp, 1.0, np.float32(1.3) * _LAMP if lit else None)
            put(_BLACK, box(-1, 0.44, nose - 0.25, nose - 0.11), 0.4)
            if fine:
                put(_BLACK, box(w - 0.42, w - 0.02, nose - 0.25, nose - 0.235), 0.2)
                put(_CHROME * np.float32(0.35), box(w - 0.27, w - 0.13, nose - 0.21, nose - 0.11), 1.0)
                put(_CHROME, box(-1, 0.44, nose - 0.185, nose - 0.17), 1.0)
                put(_CHROME, box(-1, 0.06, nose - 0.22, nose - 0.14), 1.0)
                put(_BLACK, box(-1, 0.66, 0.27, 0.38), 0.1)
        else:
            tail = solid.belt - 0.10 if vehicle.kind not in ("bus", "truck") else 1.15
            strong = np.float32(3.0 if vehicle.lamps else 0.25)
            put(_RED, box(w - 0.36, w, tail - 0.20, tail), 1.0, _RED * strong)
            if fine:
                put(_WHITE * np.float32(0.6), box(w - 0.34, w - 0.18, tail - 0.19, tail - 0.145), 1.0)
                put(_RED * np.float32(0.35), box(w - 0.36, w, tail - 0.135, tail - 0.125), 0.6)
                if not truck and vehicle.kind != "bus":
                    gate = box(0.615, 0.63, 0.56, solid.belt) + box(-1, 0.63, 0.545, 0.56)
                    put(_BLACK, gate * np.float32(0.8), 0.1)
                    put(_CHROME, box(-1, 0.055, tail - 0.10, tail - 0.02), 1.0)
                    put(_CHROME, box(-1, 0.30, tail - 0.155, tail - 0.14), 1.0)
                put(_BLACK, box(-1, 0.68, 0.20, 0.40), 0.1)
                put(_RED * np.float32(0.6), box(w - 0.34, w - 0.16, 0.44, 0.475), 0.8)
        if fine:
            low = 0.64 if end < 0 else 0.42
            put(_WHITE, box(-1, 0.26, low, low + 0.115), 0.2)
            figures = band(np.mod(across, 0.09), 0.02, 0.065, size) * band(across, 0.0, 0.21, size)
            put(_BLACK, figures * band(up, low + 0.025, low + 0.09, size) * np.float32(0.85), 0.2)
        albedo[here], gloss[here], glow[here] = colour, shine, light
