"""What is painted on a vehicle's solids, in its own axes and metres: windows, lamps, plates, seams, wheels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poc_aug.datasets.synthetic.bodies import Shape
from poc_aug.datasets.synthetic.filters import lerp_rgb, pulse, srgb
from poc_aug.datasets.synthetic.street_camera import F32
from poc_aug.datasets.synthetic.street_scene import VEHICLE_SIZE_M, Vehicle

FINE_M = 0.05
"""Pixel size from which seams, grilles and plates are left out."""

_TYRE = srgb("1b1b1c")
_RIM = srgb("a9acb0")
_BLACK = srgb("17181a")
_CHROME = srgb("b8bcc0")
_RED = srgb("a5120e")
_WHITE = srgb("e8e8e4")
_LAMP = srgb("fff0cf")


def windows(vehicle: Vehicle, solid: Shape, p: F32, normal: F32, part: NDArray[np.int8], pixel: F32) -> F32:
    """Coverage of glass."""
    along, up, across = p[:, 0], p[:, 1], np.abs(p[:, 2])
    sideways = np.abs(normal[:, 2]) > 0.62
    between = pulse(up, solid.belt, solid.roof, pixel)
    length, width, _ = VEHICLE_SIZE_M[vehicle.kind]
    if solid.cabin is None or vehicle.kind == "truck":
        front = np.float32(length / 2)
        ends = pulse(across, -1, 0.5 * width - 0.16, pixel) * (np.abs(normal[:, 0]) > 0.6)
        if vehicle.kind == "truck":
            ahead = ends * (along > 0) * between * (part == 2)
            doors = pulse(along, 2.05, 3.15, pixel) * between * sideways * (part == 2)
            cover: F32 = ahead + doors
            return np.minimum(cover, np.float32(1))
        ahead = ends * pulse(up, 1.0, 2.62, pixel) * (along > 0)
        behind = ends * pulse(up, 1.55, 2.55, pixel) * (along < 0)
        panes = 1 - np.minimum(sum((pulse(along, k - 0.05, k + 0.05, pixel) for k in _BUS_PILLARS), np.float32(0)), 1)
        sides = pulse(along, -front + 0.35, front - 0.25, pixel) * between * sideways * panes
        cover = ahead + behind + sides
        return np.minimum(cover, np.float32(1))
    # Distances to the slanted windscreens, so that side windows end in slanted pillars.
    screens = solid.cabin.normals[[1, 6]] @ p.T - solid.cabin.offsets[[1, 6], None]
    inside = pulse(-screens[0], 0.10, 50, pixel) * pulse(-screens[1], 0.13, 50, pixel)
    panes = inside * between
    for pillar in solid.pillars:
        panes = panes * (1 - pulse(along, pillar - 0.035, pillar + 0.035, pixel))
    if vehicle.kind == "van" and vehicle.seed % 2:
        panes = panes * (along > 0.2)
    facing = np.abs(normal[:, 0]) > 0.25
    lean = np.abs(solid.cabin.normals[7]) @ np.abs(p.T) - solid.cabin.offsets[7]
    screen = pulse(-lean, 0.085, 50, pixel) * pulse(up, solid.belt - 0.02, solid.roof + 0.045, pixel) * facing
    return np.where(part == 2, np.where(sideways, panes, screen), 0).astype(np.float32)


_BUS_PILLARS = (-4.2, -2.8, -1.4, 0.0, 1.4, 2.8, 4.2)


def paint_vehicle(
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
        stripe = pulse(up, 0.75, 0.95, pixel)
        albedo = lerp_rgb(albedo, np.broadcast_to(_WHITE, p.shape), stripe)
    sideways = np.abs(normal[:, 2]) > 0.7
    skirt = pulse(up, -1, 0.30 if not large else 0.45, pixel)
    albedo = lerp_rgb(albedo, np.broadcast_to(_BLACK, p.shape), skirt * np.float32(0.9))
    gloss *= 1 - np.float32(0.85) * skirt
    fine = float(pixel.min()) < FINE_M
    if not large and fine:
        side = sideways * (part == 1)
        seams = sum(
            (pulse(along, k - 0.007, k + 0.007, pixel) for k in (0.95, *solid.pillars[:1], -1.22)), np.float32(0)
        )
        dark = np.minimum(seams, 1) * side * pulse(up, 0.33, solid.belt - 0.04, pixel)
        handles = sum((pulse(along, k - 0.10, k + 0.08, pixel) for k in (-0.25, -1.05)), np.float32(0))
        dark = dark + handles * side * pulse(up, solid.belt - 0.19, solid.belt - 0.155, pixel) * np.float32(0.8)
        # The crease along the side, and the edge between body and windows.
        dark = dark + pulse(up, solid.belt - 0.30, solid.belt - 0.28, pixel) * side * np.float32(0.25)
        dark = dark + pulse(up, solid.belt - 0.06, solid.belt - 0.03, pixel) * (part == 2) * np.float32(0.7)
        albedo = lerp_rgb(albedo, np.broadcast_to(_BLACK, p.shape), np.minimum(dark, 1) * np.float32(0.85))
    glow = np.zeros_like(p)
    _ends(vehicle, solid, p, normal, part, pixel, albedo, gloss, glow, half, width, fine)
    # Wheels, and the dark arches above them.
    for wheel, radius in solid.wheels:
        r = np.sqrt((along - np.float32(wheel)) ** 2 + (up - np.float32(radius)) ** 2)
        on_side = sideways & (part != 2)
        arch = pulse(r, -1, radius + 0.06, pixel) * on_side
        np.copyto(albedo, lerp_rgb(albedo, np.broadcast_to(_BLACK * np.float32(0.4), p.shape), arch))
        gloss *= 1 - arch
        tyre = pulse(r, -1, radius, pixel) * on_side
        np.copyto(albedo, lerp_rgb(albedo, np.broadcast_to(_TYRE, p.shape), tyre))
        turn = np.arctan2(up - np.float32(radius), along - np.float32(wheel))
        spokes = np.float32(0.35) + np.float32(0.65) * (np.cos(turn * 5 + np.float32(vehicle.seed % 7)) > -0.25)
        rim = pulse(r, -1, 0.68 * radius, pixel) * on_side
        np.copyto(albedo, lerp_rgb(albedo, _RIM * spokes[:, None].astype(np.float32), rim))
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
            nonlocal colour, shine, light
            colour = lerp_rgb(colour, np.broadcast_to(rgb, colour.shape), cover)
            shine = shine + (np.float32(polish) - shine) * cover
            if emitted is not None:
                light = light + emitted * cover[:, None]

        def box(left: float, right: float, low: float, high: float) -> F32:
            return pulse(across, left, right, size) * pulse(up, low, high, size)  # noqa: B023

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
            figures = pulse(np.mod(across, 0.09), 0.02, 0.065, size) * pulse(across, 0.0, 0.21, size)
            put(_BLACK, figures * pulse(up, low + 0.025, low + 0.09, size) * np.float32(0.85), 0.2)
        albedo[here], gloss[here], glow[here] = colour, shine, light
