"""House fronts in true perspective: planes parallel to the road, with windows set back into the wall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.render.noise import fbm_2d, hash_unit
from poc_aug.synthetic.camera import F32, NEAR_M, Camera, Canvas, Layer
from poc_aug.synthetic.filters import band, blend, detail, mix, smooth, srgb, stripes
from poc_aug.synthetic.light import Light
from poc_aug.synthetic.scene import Building

_INSET_M = 0.16
_DEPTH_M = 11.0
_FRAME = srgb("e6e4dd")
_DARK = srgb("14171a")
_LAMP = srgb("ffc477")
_CURTAIN = srgb("cfc9bb")


@dataclass(frozen=True, slots=True)
class _Wall:
    """Points of a wall seen by the pixels: ``s`` along it and ``y`` up, with the pixel's footprint; metres."""

    s: F32
    y: F32
    fs: F32
    fy: F32
    pane_s: F32
    """``s`` where the ray meets the window panes, which lie behind the wall."""
    pane_y: F32
    z: F32


def draw_building(canvas: Canvas, camera: Camera, house: Building, light: Light, label: int) -> None:
    """Draw a house; houses farther away must have been drawn before."""
    for layer in (_end_wall, _roof, _front):
        drawn = layer(camera, house, light, label)
        if drawn is not None:
            canvas.over(drawn)


def _front(camera: Camera, house: Building, light: Light, label: int) -> Layer | None:
    view, x = camera.view, house.side * house.front_m
    near = max(house.near_m, NEAR_M * 2)
    if house.far_m <= near:
        return None
    rect = camera.rect((x, y, z) for y in (0.0, house.height_m) for z in (near, house.far_m))
    if rect.empty:
        return None
    right, down = camera.rays(rect)
    facing = right * house.side
    z = (house.front_m / np.maximum(facing, np.float32(1e-4))).astype(np.float32)
    fs = z * z / np.float32(view.focal_px * house.front_m)
    y = np.float32(view.camera_height_m) - down * z
    fy = z / np.float32(view.focal_px)
    edges = np.abs(np.array([near, house.far_m + 0.02 * house.far_m]))
    u_near, u_far = (house.front_m / edges * view.focal_px).astype(np.float32)
    coverage = band(facing * np.float32(view.focal_px), u_far, u_near, 1.0)
    coverage = coverage * band(y, 0.02, house.height_m, fy)
    ratio = np.float32((house.front_m + _INSET_M) / house.front_m)
    wall = _Wall(
        s=(z - np.float32(house.near_m)),
        y=y,
        fs=fs,
        fy=fy,
        pane_s=z * ratio - np.float32(house.near_m),
        pane_y=np.float32(view.camera_height_m) + (y - np.float32(view.camera_height_m)) * ratio,
        z=z,
    )
    normal = np.array([-house.side, 0, 0], np.float32)
    lit = light.sunlit(np.float32(x) - house.side * np.float32(0.05), y, z)
    rgb = _wall_colours(wall, house, light, normal, lit, house.far_m - house.near_m, right, down)
    rgb = light.haze(rgb, np.broadcast_to(z, y.shape))
    return Layer(rect, rgb * coverage[..., None], coverage, label)


def _end_wall(camera: Camera, house: Building, light: Light, label: int) -> Layer | None:
    """The gable towards the camera, seen over a lower neighbour or across a gap."""
    view, z = camera.view, house.near_m
    if z < 2:
        return None
    inner, outer = house.front_m, house.front_m + _DEPTH_M
    top = house.height_m + house.roof_m
    rect = camera.rect((house.side * x, y, z) for x in (inner, outer) for y in (0.0, top))
    if rect.empty:
        return None
    right, down = camera.rays(rect)
    s = right * np.float32(house.side * z) - np.float32(inner)
    y = np.float32(view.camera_height_m) - down * np.float32(z)
    pixel = np.float32(z / view.focal_px)
    eaves = house.height_m + np.minimum(np.minimum(s, _DEPTH_M - s) * house.roof_slope, house.roof_m)
    coverage = band(s, 0, _DEPTH_M, pixel) * np.clip((eaves - y) / pixel + np.float32(0.5), 0, 1)
    coverage = coverage * np.clip(y / pixel + np.float32(0.5), 0, 1)
    stain = fbm_2d(y * np.float32(0.4), s * np.float32(0.4) + house.near_m, house.seed + 5, 3)
    tone = (np.float32(0.72) + np.float32(0.4) * stain) * mix(0.75, 1.0, smooth(y, 0, 2.5))
    normal = np.array([0, 0, -1], np.float32)
    lit = light.sunlit((s + np.float32(inner)) * house.side, y, np.float32(z - 0.1), trees=False)
    plain = house.wall_rgb * np.float32(0.82) if house.style != "brick" else house.wall_rgb
    rgb = light.shade(tone[..., None] * plain, normal, lit, np.float32(0.8))
    rgb = light.haze(rgb, np.full(y.shape, z, np.float32))
    return Layer(rect, rgb * coverage[..., None], coverage, label)


def _roof(camera: Camera, house: Building, light: Light, label: int) -> Layer | None:
    """The slope above the eaves, visible where it is steeper than the line of sight."""
    view, near = camera.view, max(house.near_m, NEAR_M * 2)
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
    start = np.float32(house.front_m + (view.camera_height_m - house.height_m) / house.roof_slope)
    bottom = right * house.side + down / slope
    if start <= 0:
        # The eaves hide it from below.
        z = np.where(bottom < 0, start / np.minimum(bottom, np.float32(-1e-4)), np.float32(1e6))
    else:
        z = np.where(bottom > 0, start / np.maximum(bottom, np.float32(1e-4)), np.float32(1e6))
    z = z.astype(np.float32)
    rise = np.float32(view.camera_height_m) - down * z - np.float32(house.height_m)
    fy = np.maximum(np.abs(z), np.float32(0.5)) / np.float32(view.focal_px)
    fz = fy * np.maximum(z / np.float32(house.front_m), 1)
    s = z - np.float32(house.near_m)
    length = house.far_m - house.near_m
    coverage = band(s, near - house.near_m, length * 1.01, fz) * band(rise, 0, house.roof_m, fy)
    tiles = stripes(rise * 4, 0, 0.35, fy * 4)
    tone = np.float32(0.95) - np.float32(0.25) * tiles
    tone *= np.float32(0.8) + np.float32(0.4) * fbm_2d(rise * np.float32(0.8), s * np.float32(0.5), house.seed, 3)
    rgb = tone[..., None] * house.roof_rgb
    bay = length / house.bays
    dormer = stripes(s / bay, 0.30, 0.70, fz / bay) * band(rise, 0.30 * house.roof_m, 0.82 * house.roof_m, fy)
    pane = stripes(s / bay, 0.36, 0.64, fz / bay) * band(rise, 0.38 * house.roof_m, 0.74 * house.roof_m, fy)
    rgb = blend(blend(rgb, house.trim_rgb * np.float32(0.8), dormer), _DARK, pane * np.float32(0.9))
    flat = np.array([-house.side * house.roof_slope, 1, 0], np.float32)
    normal = flat / np.float32(np.linalg.norm(flat))
    lit = np.ones(z.shape, np.float32) if light.sky.weather != "overcast" else np.ones(z.shape, np.float32)
    rgb = light.haze(light.shade(rgb, normal, lit, np.float32(0.95)), np.clip(z, 1, 500))
    return Layer(rect, rgb * coverage[..., None], coverage, label)


def _wall_colours(
    wall: _Wall, house: Building, light: Light, normal: F32, lit: F32, length: float, right: F32, down: F32
) -> F32:
    bay = np.float32(length / house.bays)
    storey = np.float32((house.height_m - house.ground_floor_m) / house.floors)
    base = np.float32(house.ground_floor_m)
    u, v = wall.s / bay, (wall.y - base) / storey
    pu, pv = wall.pane_s / bay, (wall.pane_y - base) / storey
    wu, wv, wpu, wpv = wall.fs / bay, wall.fy / storey, wall.fs / bay, wall.fy / storey
    upper = band(wall.y, float(base), house.height_m - 0.25, wall.fy)
    half_w = np.float32(0.5 * house.window_w / bay)
    low = np.float32(0.9 / storey) if house.style != "modern" else np.float32(0.95 / storey)
    high = np.minimum(low + np.float32(house.window_h / storey), np.float32(0.94))

    surface, relief = _plain_wall(wall, house, u, v, wu, wv)
    openings = stripes(u, 0.5 - half_w, 0.5 + half_w, wu) * stripes(v, low, high, wv) * upper
    # The pane lies behind the wall: seen at an angle, part of the opening shows the reveal instead.
    seen = stripes(pu, 0.5 - half_w, 0.5 + half_w, wpu) * stripes(pv, low, high, wpv) * upper
    seen = np.minimum(openings, seen)
    frame_u, frame_v = np.float32(0.07) / bay, np.float32(0.07) / storey
    sash = stripes(pu, 0.5 - half_w + frame_u, 0.5 - 0.4 * frame_u, wpu)
    sash = sash + stripes(pu, 0.5 + 0.4 * frame_u, 0.5 + half_w - frame_u, wpu)
    pane = np.minimum(sash * stripes(pv, low + frame_v, high - frame_v, wpv) * upper, seen)

    if house.trimmed:
        rim_u, rim_v = np.float32(0.14) / bay, np.float32(0.14) / storey
        rim = stripes(u, 0.5 - half_w - rim_u, 0.5 + half_w + rim_u, wu) * stripes(v, low - rim_v, high + rim_v, wv)
        surface = blend(surface, house.trim_rgb, rim * upper)
    sill_u = np.float32(0.10) / bay
    sill = stripes(u, 0.5 - half_w - sill_u, 0.5 + half_w + sill_u, wu) * upper
    surface = blend(surface, house.trim_rgb * np.float32(1.05), sill * stripes(v, low - 0.035, low, wv))
    relief = relief * (1 - np.float32(0.30) * sill * stripes(v, low - 0.085, low - 0.035, wv))

    surface, openings, seen, pane = _ground_floor(wall, house, surface, openings, seen, pane, length)
    albedo = blend(surface, surface * np.float32(0.80), openings)
    albedo = blend(albedo, _FRAME if house.style != "modern" else _DARK * 3, seen)
    shadow = np.float32(0.80) * mix(0.62, 1.0, smooth(wall.y, 0, 3.0)) * mix(0.8, 1.0, smooth(wall.y, 2, 12))
    inside = mix(1.0, 0.62, np.maximum(openings - seen, 0))
    rgb = light.shade(albedo * relief[..., None], normal, lit * mix(1.0, 0.55, openings), shadow * inside)

    if pane.max() > 0:
        glass = _glass(wall, house, light, normal, u, v, pv, low, high, right, down)
        rgb = blend(rgb, glass, pane)
    return rgb


def _plain_wall(wall: _Wall, house: Building, u: F32, v: F32, wu: F32, wv: F32) -> tuple[F32, F32]:
    """Colour of the bare wall, and a factor for the shadows of its relief."""
    grain = fbm_2d(wall.y * np.float32(0.55), wall.s * np.float32(0.45), house.seed, 3)
    streaks = fbm_2d(wall.y * np.float32(0.10), wall.s * np.float32(1.7), house.seed + 1, 2)
    tone = np.float32(0.80) + np.float32(0.26) * grain + np.float32(0.16) * (streaks - np.float32(0.3))
    if house.style == "brick":
        course, brick = np.float32(0.085), np.float32(0.26)
        row = np.floor(wall.y / course)
        clear = np.minimum(detail(0.14, wall.fy), detail(0.34, wall.fs))
        mortar = np.maximum(
            stripes(wall.y / course, 0, 0.16, wall.fy / course),
            stripes(wall.s / brick + 0.5 * np.mod(row, 2), 0, 0.07, wall.fs / brick) * (clear > 0),
        )
        spread = hash_unit(row.astype(np.int32), np.floor(wall.s / brick + 0.5 * np.mod(row, 2)).astype(np.int32))
        tone = tone * (1 + (spread - np.float32(0.5)) * np.float32(0.45) * clear)
        surface = blend(tone[..., None] * house.wall_rgb, house.trim_rgb * np.float32(0.6), mortar * np.float32(0.55))
    elif house.style == "modern":
        joint = np.maximum(stripes(v, 0.0, 0.012, wv), stripes(u, 0.0, 0.012, wu))
        surface = (tone * (1 - np.float32(0.35) * joint))[..., None] * house.wall_rgb
    else:
        surface = tone[..., None] * house.wall_rgb
    relief = np.ones_like(wall.y)
    top = house.height_m
    cornice = band(wall.y, top - 0.42, top, wall.fy)
    surface = blend(surface, house.trim_rgb, cornice)
    relief *= 1 - np.float32(0.38) * band(wall.y, top - 0.75, top - 0.42, wall.fy)
    relief *= 1 - np.float32(0.25) * band(wall.y, top - 0.16, top - 0.10, wall.fy)
    if house.style != "modern":
        base = house.ground_floor_m
        surface = blend(surface, house.trim_rgb, band(wall.y, base - 0.05, base + 0.22, wall.fy))
        relief *= 1 - np.float32(0.32) * band(wall.y, base - 0.25, base - 0.05, wall.fy)
    edge = stripes(wall.s / 400, 0, 0.0002, wall.fs / 400)
    relief *= 1 - np.float32(0.4) * edge
    surface = blend(surface, house.trim_rgb * np.float32(0.45), band(wall.y, -1, 0.55, wall.fy) * np.float32(0.8))
    return surface, relief


def _ground_floor(
    wall: _Wall, house: Building, surface: F32, openings: F32, seen: F32, pane: F32, length: float
) -> tuple[F32, F32, F32, F32]:
    """Shop windows under a sign, or windows and a door."""
    top = house.ground_floor_m
    if house.ground_floor == "shop":
        bays = max(1, round(length / 4.2))
        bay = np.float32(length / bays)
        low, high, rim = 0.55, top - 0.95, np.float32(0.09) / bay
        sides = (0.06, 0.94)
        sign = band(wall.y, top - 0.85, top - 0.28, wall.fy) * band(wall.s, 0.25, length - 0.25, wall.fs)
        surface = blend(surface, house.shop_rgb, sign)
        letters = _letters(wall, house, bay, top)
        surface = blend(surface, _FRAME, letters * np.float32(0.85))
        pillar = band(wall.y, -1, top - 0.85, wall.fy)
        surface = blend(surface, mix(house.shop_rgb * np.float32(0.35), house.trim_rgb * np.float32(0.5), 0.5), pillar)
    else:
        bays = house.bays
        bay = np.float32(length / bays)
        low, high, rim = 1.15, top - 0.75, np.float32(0.07) / bay
        half = 0.5 * house.window_w / float(bay)
        sides = (0.5 - half, 0.5 + half)
    u, pu, wu = wall.s / bay, wall.pane_s / bay, wall.fs / bay
    hole = stripes(u, *sides, wu) * band(wall.y, low, high, wall.fy)
    back = np.minimum(hole, stripes(pu, *sides, wu) * band(wall.pane_y, low, high, wall.fy))
    glass = stripes(pu, sides[0] + rim, sides[1] - rim, wu) * band(wall.pane_y, low + 0.1, high - 0.1, wall.fy)
    # One bay holds the door.
    at = (house.seed % bays + 0.5) * bay
    here = band(wall.s, at - 0.5 * bay, at + 0.5 * bay, wall.fs)
    door = band(wall.s, at - 0.62, at + 0.62, wall.fs) * band(wall.y, 0.1, 2.55, wall.fy)
    leaf = band(wall.pane_s, at - 0.55, at + 0.55, wall.fs) * band(wall.pane_y, 0.1, 2.45, wall.fy)
    if house.ground_floor == "flat":
        hole, back, glass = hole * (1 - here), back * (1 - here), glass * (1 - here)
    surface = blend(surface, house.trim_rgb * np.float32(0.7), door)
    surface = blend(surface, house.shop_rgb * np.float32(0.5), np.minimum(leaf, door))
    hole, back, glass = hole * (1 - door), back * (1 - door), glass * (1 - door)
    light_over = band(wall.pane_s, at - 0.42, at + 0.42, wall.fs) * band(wall.pane_y, 1.3, 2.3, wall.fy)
    glass = np.maximum(glass, np.minimum(light_over, door) * np.float32(0.8))
    return surface, np.maximum(openings, hole), np.maximum(seen, back), np.maximum(pane, np.minimum(glass, 1))


def _letters(wall: _Wall, house: Building, bay: F32, top: float) -> F32:
    """Strokes that read as a shop's name from a distance."""
    cell = np.float32(0.34)
    column = np.floor(wall.s / cell)
    stroke = hash_unit(column.astype(np.int32), house.seed & 0xFFFF)
    written = (np.mod(np.floor(wall.s / bay), 2) == 0) & (stroke > 0.18)
    inside = stripes(wall.s / cell, 0.12, 0.12 + 0.28, wall.fs / cell)
    bar = stripes(wall.s / cell, 0.12, 0.80, wall.fs / cell)
    middle = top - 0.565
    tall = band(wall.y, middle - 0.15, middle + 0.15, wall.fy)
    thin = band(wall.y, middle + 0.08, middle + 0.15, wall.fy) + (stroke > 0.55) * band(
        wall.y, middle - 0.15, middle - 0.08, wall.fy
    )
    centred = stripes(wall.s / bay, 0.15, 0.85, wall.fs / bay)
    return np.maximum(inside * tall, bar * np.minimum(thin, 1)) * written * centred


def _glass(
    wall: _Wall,
    house: Building,
    light: Light,
    normal: F32,
    u: F32,
    v: F32,
    pv: F32,
    low: F32,
    high: F32,
    right: F32,
    down: F32,
) -> F32:
    """Panes: a dark room with curtains or lamps behind a mirror of the street and the sky."""
    length = np.sqrt(1 + right * right + down * down)
    mirrored = np.stack(np.broadcast_arrays(-right / length, -down / length, 1 / length), axis=-1)
    floor = np.floor(v).astype(np.int32)
    column = np.broadcast_to(np.floor(u), floor.shape).astype(np.int32)
    which = hash_unit(floor, column, seed=house.seed)
    lamp = hash_unit(floor, column, seed=house.seed + 9)
    # Old panes are not quite flat: each mirrors a little higher or lower.
    tilt = (which - np.float32(0.5)) * np.float32(0.25)
    mirrored[..., 1] += tilt
    across = np.abs(right / length)
    fresnel = np.float32(0.10) + np.float32(0.75) * np.power(1 - np.clip(across, 0, 1), 3)
    fresnel = np.clip(fresnel + np.float32(0.10), 0, 0.8)
    room = np.broadcast_to(_DARK * light.sky.ambient_rgb * np.float32(0.9), (*floor.shape, 3))
    height = np.clip((pv - floor - low) / np.maximum(high - low, np.float32(0.1)), 0, 1)
    drawn = ((lamp > 0.45) & (height > np.float32(1.2) * which)).astype(np.float32) * (v > 0)
    folds = np.float32(0.75) + np.float32(0.25) * stripes(u * 28, 0, 0.5, wall.fs * 8)
    curtain = (_CURTAIN * light.sky.ambient_rgb * np.float32(0.30)) * np.broadcast_to(folds, floor.shape)[..., None]
    inside = blend(room, curtain, drawn * np.float32(0.85))
    shop = (v < 0).astype(np.float32) * (house.ground_floor == "shop")
    goods = fbm_2d(wall.pane_y * np.float32(1.6), wall.pane_s * np.float32(1.3), house.seed + 3, 3)
    display = blend(house.shop_rgb, _CURTAIN, goods) * (np.float32(0.25) * goods)[..., None] * light.sky.ambient_rgb
    inside = blend(inside, display, shop)
    if light.sky.lamps_on:
        on = np.maximum((which > 0.55) * (v > 0), shop).astype(np.float32)
        glow = mix(0.45, 1.0, height) * (np.float32(0.5) + lamp) * np.float32(0.9)
        inside = inside + (on * glow * (1 - 0.4 * drawn))[..., None] * _LAMP * (0.55 + 0.9 * goods * shop)[..., None]
    return mix(inside, light.mirror(mirrored), np.broadcast_to(fresnel, floor.shape)[..., None])
