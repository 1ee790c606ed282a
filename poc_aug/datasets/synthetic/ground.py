"""The ground: asphalt with markings, kerbs, pavement, grass, and the shadows on it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from poc_aug.datasets.synthetic.filters import detail, lerp, lerp_rgb, pulse, smooth, srgb, stripes, tint
from poc_aug.datasets.synthetic.street_camera import F32, Canvas, Layer, Rect, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import END_M, KERB_HEIGHT_M, VEHICLE_SIZE_M, Street, StreetScene
from poc_aug.noise import fbm_2d, hash_unit, value_noise_2d

_UP = np.array([0, 1, 0], np.float32)
_PAINT = srgb("dcdad2")
_GRASS = srgb("5d6f35")
_DRY_GRASS = srgb("8a8450")
_KERB = srgb("a7a39b")


def draw_ground(
    canvas: Canvas, camera: StreetCamera, scene: StreetScene, light: StreetLight, ids: dict[str, int]
) -> None:
    """Fill the picture below the horizon."""
    pinhole, street = camera.pinhole, scene.street
    top = int(np.clip(np.ceil(pinhole.horizon_row + 0.3), 0, camera.height_px))
    rect = Rect(top, 0, camera.height_px, camera.width_px)
    if rect.empty:
        return
    right, down = camera.rays(rect)
    road_z = np.minimum(pinhole.camera_height_m / down, np.float32(4 * END_M))
    side = np.where(right < 0, 0, 1)
    kerb_m = np.asarray(street.kerb_m, np.float32)[side]
    # Height at which the ray crosses the plane of the kerb: below its foot it hits road, above its edge the pavement.
    kerb_z = kerb_m / np.maximum(np.abs(right), np.float32(1e-4))
    kerb_y = np.float32(pinhole.camera_height_m) - down * kerb_z
    row_m = kerb_z / np.float32(pinhole.focal_px)
    on_road = 1 - np.clip(kerb_y / row_m + np.float32(0.5), 0, 1)
    off_road = np.clip((kerb_y - KERB_HEIGHT_M) / row_m + np.float32(0.5), 0, 1)
    for number in (0, 1):
        for near, far in street.side_streets[number]:
            open_here = pulse(road_z, near, far, road_z * road_z / (pinhole.focal_px * pinhole.camera_height_m))
            open_here = open_here * (side == number)
            on_road = np.maximum(on_road, open_here)
            off_road = off_road * (1 - open_here)
    rgb = np.empty((*on_road.shape, 3), np.float32)
    rgb[:] = _KERB * light.sky.ambient_rgb
    labels = np.full(on_road.shape, ids["sidewalk"], np.uint8)
    kerb = 1 - on_road - off_road
    where = kerb > 0
    if where.any():
        z = np.broadcast_to(kerb_z, where.shape)[where]
        x = np.broadcast_to(np.where(side == 0, -kerb_m, kerb_m), where.shape)[where]
        rgb[where] = light.haze(_kerb_face(x, kerb_y[where], z, street, light), z)
    where = off_road > 0
    if where.any():
        flat = np.broadcast_to(down, where.shape)[where]
        z = np.minimum((pinhole.camera_height_m - KERB_HEIGHT_M) / flat, np.float32(4 * END_M))
        x = np.broadcast_to(right, where.shape)[where] * z
        colour, grass = _pavement(x, z, camera, scene, light)
        rgb[where] = lerp_rgb(rgb[where], light.haze(colour, z), off_road[where])
        labels[where] = np.where(grass & (off_road[where] > 0.5), ids["terrain"], labels[where])
    where = on_road > 0
    z = np.broadcast_to(road_z, where.shape)[where]
    x = np.broadcast_to(right, where.shape)[where] * z
    rgb[where] = lerp_rgb(rgb[where], light.haze(_road(x, z, camera, scene, light), z), on_road[where])
    labels[on_road >= 0.5] = ids["road"]
    canvas.over(Layer(rect, rgb, np.ones(on_road.shape, np.float32), labels))


def _footprints(x: F32, z: F32, camera: StreetCamera, height_m: float) -> tuple[F32, F32]:
    """Size of a pixel on the ground along ``x`` and ``z``, in metres."""
    focal = np.float32(camera.pinhole.focal_px)
    along = z * z / (focal * np.float32(height_m))
    across = z / focal * np.maximum(1, np.abs(x) / np.float32(height_m))
    return across, along


def _road(x: F32, z: F32, camera: StreetCamera, scene: StreetScene, light: StreetLight) -> F32:
    street, seed = scene.street, scene.street.seed
    fx, fz = _footprints(x, z, camera, camera.pinhole.camera_height_m)
    foot = np.sqrt(fx * fz)
    tone = np.float32(0.80) + np.float32(0.4) * fbm_2d(z * np.float32(0.10), x * np.float32(0.35), seed, 3)
    tone += (fbm_2d(z * np.float32(0.8), x * np.float32(1.6), seed + 7, 2) - 0.5) * (0.30 * detail(1.2, fz))
    near = foot < 0.10
    if near.any():
        grain = value_noise_2d(z[near] * 24, x[near] * 24, seed + 1) - np.float32(0.5)
        fine = hash_unit((z[near] * 70).astype(np.int32), (x[near] * 70).astype(np.int32), seed=seed + 2)
        tone[near] += grain * (0.30 * detail(0.10, foot[near])) + (fine - np.float32(0.5)) * (
            0.22 * detail(0.05, foot[near])
        )
    # Tyres polish and darken two tracks per lane.
    for centre in _lane_centres(street):
        for track in (-0.8, 0.8):
            wobble = x - np.float32(centre + track)
            tone *= 1 - np.float32(0.09) * np.exp(-(wobble * wobble) * np.float32(9))
        tone *= 1 - np.float32(0.05) * np.exp(-((x - np.float32(centre)) ** 2) * np.float32(5))
    tone *= _repairs(x, z, fx, fz, seed)
    # Dust and wet leaves gather along the kerbs.
    gutter = np.minimum(np.abs(x + street.kerb_m[0]), np.abs(x - street.kerb_m[1]))
    tone *= 1 - np.float32(0.28) * np.exp(-gutter * np.float32(3.5))
    rgb = tint(tone, street.asphalt_rgb)
    paint = _markings(x, z, fx, fz, street)
    painted = np.flatnonzero(paint)
    wear = fbm_2d(z[painted] * np.float32(3.1), x[painted] * np.float32(3.1), seed + 3, 2)
    left = paint[painted] * (1 - np.float32(0.75) * smooth(wear, 0.50, 0.72))
    rgb[painted] = lerp_rgb(rgb[painted], _PAINT * np.float32(0.78), left)
    lit = light.sunlit(x, 0.0, z)
    open_sky = np.float32(0.92) - np.float32(0.25) * np.exp(-gutter)
    contact, cast = _vehicle_shadows(x, z, scene, light)
    return light.shade(rgb, _UP, lit * (1 - cast), open_sky * (1 - contact))


def _lane_centres(street: Street) -> list[float]:
    edges = [-street.kerb_m[0], *sorted(street.lines_m), street.kerb_m[1]]
    return [(a + b) / 2 for a, b in pairwise(edges)]


def _repairs(x: F32, z: F32, fx: F32, fz: F32, seed: int) -> F32:
    """Rectangles of newer asphalt with tarred edges, manhole covers and cracks, as a factor."""
    factor = np.ones_like(x)
    for number in range(5):
        u = hash_unit(np.arange(6), number, seed=seed + 11)
        near, length = 6 + 12 * number + 9 * float(u[0]), 1.2 + 6 * float(u[1])
        middle, half = -5 + 9 * float(u[2]), 0.35 + 1.0 * float(u[3])
        inside = pulse(x, middle - half, middle + half, fx) * pulse(z, near, near + length, fz)
        outer = pulse(x, middle - half - 0.05, middle + half + 0.05, fx) * pulse(
            z, near - 0.05, near + length + 0.05, fz
        )
        factor *= 1 + inside * np.float32(0.30 * float(u[4]) - 0.20) - (outer - inside) * np.float32(0.35)
        cover_x, cover_z = -2.5 + 5 * float(u[5]), near + length + 4
        distance = np.sqrt((x - np.float32(cover_x)) ** 2 + (z - np.float32(cover_z)) ** 2)
        rim = np.maximum(fx, fz)
        ring = pulse(distance, 0.29, 0.34, rim)
        ribs = stripes(x * 11, 0, 0.5, fx * 11) * pulse(distance, -1, 0.29, rim)
        factor *= 1 - np.float32(0.45) * ring - np.float32(0.25) * ribs - np.float32(0.12) * (distance < 0.29)
    near_rows = fz < 0.25
    if near_rows.any():
        xs, zs = x[near_rows], z[near_rows]
        wander = fbm_2d(zs * np.float32(0.45), xs * np.float32(0.45), seed + 5, 4)
        crack = np.abs(wander - np.float32(0.5)) * np.float32(9)
        patchy = smooth(value_noise_2d(zs * np.float32(0.21), xs * np.float32(0.21), seed + 6), 0.45, 0.7)
        foot = fz[near_rows]
        line = np.clip(1 - crack * 14 / (1 + 40 * foot), 0, 1) / (1 + 6 * foot)
        factor[near_rows] *= 1 - np.float32(0.36) * patchy * line
    return factor


def _markings(x: F32, z: F32, fx: F32, fz: F32, street: Street) -> F32:
    paint = np.zeros_like(x)
    start = street.crossing_m
    for line in street.lines_m:
        dash = stripes((z + np.float32(2.0)) / 6, 0, 0.5, fz / 6)
        if start:
            dash = dash * (1 - pulse(z, start - 8, start + 4, fz))
            dash = np.maximum(dash, pulse(z, start - 9, start - 1.2, fz))
        paint = np.maximum(paint, dash * pulse(x, line - 0.07, line + 0.07, fx))
    if start:
        left, right = street.kerb_m
        across = pulse(x, 0.4 - left, right - 0.4, fx)
        paint = np.maximum(paint, across * pulse(z, start, start + 3.5, fz) * stripes(x, 0, 0.5, fx))
        own = min((line for line in street.lines_m if line < 0), key=abs, default=-left)
        stop = pulse(x, own + 0.15, right - 0.3, fx) * pulse(z, start - 1.6, start - 1.1, fz)
        paint = np.maximum(paint, stop)
    return paint


def _vehicle_shadows(x: F32, z: F32, scene: StreetScene, light: StreetLight) -> tuple[F32, F32]:
    """How much vehicles darken the light of the sky below them, and how much of the sun they shade."""
    contact, cast = np.zeros_like(x), np.zeros_like(x)
    sx, sy, sz = scene.sky.sun
    for vehicle in scene.vehicles:
        length, width, height = VEHICLE_SIZE_M[vehicle.kind]
        half_x, half_z = width / 2, length / 2
        margin = 2.0 + 1.6 * height * abs(sz) / max(sy, 0.2)
        near = np.abs(z - np.float32(vehicle.z)) < half_z + margin
        if not near.any():
            continue
        px, pz = x[near] - np.float32(vehicle.x), z[near] - np.float32(vehicle.z)
        outside = _box_distance(px, pz, half_x - 0.08, half_z - 0.15)
        under = np.where(outside < 0, np.float32(0.93), np.float32(0.80) * np.exp(-outside * np.float32(3.2)))
        contact[near] = np.maximum(contact[near], under)
        if scene.sky.weather == "overcast":
            continue
        # The shadow is the vehicle's footprint swept along the light; each point is compared with the nearest one.
        reach_x, reach_z = -sx / max(sy, 0.2) * height * 0.85, -sz / max(sy, 0.2) * height * 0.85
        sweep = reach_x * reach_x + reach_z * reach_z
        t = np.clip((px * np.float32(reach_x) + pz * np.float32(reach_z)) / np.float32(sweep), 0, 1)
        t = np.where(outside < 0, np.float32(0), t)
        far = _box_distance(px - t * np.float32(reach_x), pz - t * np.float32(reach_z), half_x - 0.1, half_z - 0.3)
        soft = np.float32(0.10) + np.float32(0.22) * t
        cast[near] = np.maximum(cast[near], np.clip(np.float32(0.5) - far / soft, 0, 1))
    return contact, cast


def _box_distance(x: F32, z: F32, half_x: float, half_z: float) -> F32:
    dx, dz = np.abs(x) - np.float32(half_x), np.abs(z) - np.float32(half_z)
    outer = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dz, 0) ** 2)
    return np.asarray(outer + np.minimum(np.maximum(dx, dz), 0), np.float32)


def _kerb_face(x: F32, y: F32, z: F32, street: Street, light: StreetLight) -> F32:
    stone = np.float32(0.85) + np.float32(0.3) * hash_unit(np.floor(z).astype(np.int32), 3, seed=street.seed)
    joint = 1 - np.float32(0.45) * (stripes(z, 0, 0.02, z * np.float32(2e-3)) > 0)
    foot = lerp(0.55, 1.0, smooth(y, 0.0, 0.10))
    rgb = tint(stone * joint * foot, _KERB)
    normals = np.stack([-np.sign(x), np.zeros_like(x), np.zeros_like(x)], axis=-1)
    return light.shade(rgb, normals, light.sunlit(x, 0.05, z), np.float32(0.8))


def _pavement(x: F32, z: F32, camera: StreetCamera, scene: StreetScene, light: StreetLight) -> tuple[F32, np.ndarray]:
    street, seed = scene.street, scene.street.seed
    fx, fz = _footprints(x, z, camera, camera.pinhole.camera_height_m - KERB_HEIGHT_M)
    number = np.where(x < 0, 0, 1)
    behind = np.abs(x) - np.asarray(street.kerb_m, np.float32)[number]
    front = np.asarray(street.front_m, np.float32)[number]
    grass_m = np.asarray(street.grass_m, np.float32)[number]
    slab = np.float32(street.slab_m)
    joints = np.maximum(stripes(behind / slab, 0, 0.05, fx / slab), stripes(z / slab, 0, 0.05, fz / slab))
    cell = hash_unit(np.floor(z / slab).astype(np.int32), np.floor(behind / slab).astype(np.int32), seed=seed)
    clear = np.minimum(detail(float(slab) * 1.5, fx), detail(float(slab) * 1.5, fz))
    tone = 1 + (cell - np.float32(0.5)) * np.float32(0.20) * clear - joints * np.float32(0.30)
    tone *= np.float32(0.86) + np.float32(0.28) * fbm_2d(z * np.float32(0.5), x * np.float32(0.5), seed + 21, 3)
    rgb = lerp_rgb(tint(tone, street.paving_rgb), _KERB, pulse(behind, -1, 0.16, fx))
    grass = (grass_m > 0) & (behind > 0.16) & (behind < grass_m)
    grass |= (np.abs(x) > front + 0.5) & (z > 0)
    if grass.any():
        xs, zs = x[grass], z[grass]
        blades = value_noise_2d(zs * 9, xs * 14, seed + 31) * detail(0.2, fz[grass])
        patches = fbm_2d(zs * np.float32(0.7), xs * np.float32(0.7), seed + 32, 3)
        lawn = lerp_rgb(_GRASS, _DRY_GRASS, smooth(patches, 0.45, 0.75) * np.float32(0.8))
        rgb[grass] = lawn * (np.float32(0.65) + np.float32(0.5) * blades + np.float32(0.25) * patches)[:, None]
    lit = light.sunlit(x, KERB_HEIGHT_M, z)
    wall = np.maximum(front - np.abs(x), 0)
    open_sky = np.float32(0.85) - np.float32(0.4) * np.exp(-wall * np.float32(0.9))
    for tree in scene.trees:
        if tree.z < 80:
            gap = np.sqrt((x - np.float32(tree.x)) ** 2 + (z - np.float32(tree.z)) ** 2)
            open_sky = open_sky * (1 - np.float32(0.6) * np.exp(-gap * np.float32(3)))
    for figure in scene.figures:
        gap = ((x - np.float32(figure.x)) / np.float32(0.38)) ** 2 + (
            (z - np.float32(figure.z)) / np.float32(0.30)
        ) ** 2
        open_sky = open_sky * (1 - np.float32(0.65) * np.exp(-gap))
    return light.shade(rgb, _UP, lit, open_sky), grass
