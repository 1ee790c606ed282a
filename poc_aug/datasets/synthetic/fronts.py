"""Appearance of a house front, in metres along the wall and up: bare wall, openings, shops, panes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.datasets.synthetic.filters import Number, detail, lerp, lerp_rgb, pulse, smooth, srgb, stripes, tint
from poc_aug.datasets.synthetic.street_camera import F32
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import Building
from poc_aug.noise import fbm_2d, hash_unit

_FRAME = srgb("e6e4dd")
_DARK = srgb("14171a")
_LAMP = srgb("ffc477")
_CURTAIN = srgb("cfc9bb")


@dataclass(frozen=True, slots=True)
class Wall:
    """Points of a wall that the pixels show, in metres.

    Attributes:
        s: position along the wall.
        y: height.
        fs: size of the pixel's footprint along ``s``.
        fy: size of the pixel's footprint along ``y``.
        pane_s: ``s`` at which the ray meets the window panes, which lie behind the wall.
        pane_y: ``y`` at which it does.
        z: distance ahead of the camera.
    """

    s: F32
    y: F32
    fs: F32
    fy: F32
    pane_s: F32
    pane_y: F32
    z: F32


def wall_colours(
    wall: Wall, house: Building, light: StreetLight, normal: F32, lit: F32, length: float, right: F32, down: F32
) -> F32:
    """Light from a front towards the camera, linear ``[h, w, 3]``.

    Args:
        wall: points that the pixels show.
        house: the house that the front belongs to.
        light: light of the scene.
        normal: normal of the front, ``[3]``.
        lit: share of the sun that reaches each point, ``[h, w]``.
        length: length of the front, in metres.
        right: slopes of the rays to the right, ``[1, w]``, from `StreetCamera.rays`.
        down: slopes of the rays downwards, ``[h, 1]``.
    """
    bay = np.float32(length / house.bays)
    storey = np.float32((house.height_m - house.ground_floor_m) / house.floors)
    base = np.float32(house.ground_floor_m)
    u, v = wall.s / bay, (wall.y - base) / storey
    pu, pv = wall.pane_s / bay, (wall.pane_y - base) / storey
    wu, wv, wpu, wpv = wall.fs / bay, wall.fy / storey, wall.fs / bay, wall.fy / storey
    upper = pulse(wall.y, float(base), house.height_m - 0.25, wall.fy)
    half_w = np.float32(0.5 * house.window_w / bay)
    low = np.float32(0.9 / storey) if house.style != "modern" else np.float32(0.95 / storey)
    high = np.minimum(low + np.float32(house.window_h / storey), np.float32(0.94))

    surface, relief = _plain_wall(wall, house, u, v, wu, wv)
    openings: F32 = stripes(u, 0.5 - half_w, 0.5 + half_w, wu) * stripes(v, low, high, wv) * upper
    # The pane lies behind the wall: at an angle, part of the opening shows the reveal instead.
    glazed = stripes(pu, 0.5 - half_w, 0.5 + half_w, wpu) * stripes(pv, low, high, wpv) * upper
    glazing: F32 = np.minimum(openings, glazed)
    frame_u, frame_v = np.float32(0.07) / bay, np.float32(0.07) / storey
    sash = stripes(pu, 0.5 - half_w + frame_u, 0.5 - 0.4 * frame_u, wpu)
    sash = sash + stripes(pu, 0.5 + 0.4 * frame_u, 0.5 + half_w - frame_u, wpu)
    pane: F32 = np.minimum(sash * stripes(pv, low + frame_v, high - frame_v, wpv) * upper, glazing)

    if house.trimmed:
        rim_u, rim_v = np.float32(0.14) / bay, np.float32(0.14) / storey
        rim = stripes(u, 0.5 - half_w - rim_u, 0.5 + half_w + rim_u, wu) * stripes(v, low - rim_v, high + rim_v, wv)
        surface = lerp_rgb(surface, house.trim_rgb, rim * upper)
    sill_u = np.float32(0.10) / bay
    sill = stripes(u, 0.5 - half_w - sill_u, 0.5 + half_w + sill_u, wu) * upper
    surface = lerp_rgb(surface, house.trim_rgb * np.float32(1.05), sill * stripes(v, low - 0.035, low, wv))
    relief *= 1 - np.float32(0.30) * sill * stripes(v, low - 0.085, low - 0.035, wv)

    surface, openings, glazing, pane = _ground_floor(wall, house, surface, openings, glazing, pane, length)
    albedo = lerp_rgb(surface, surface * np.float32(0.80), openings)
    albedo = lerp_rgb(albedo, _FRAME if house.style != "modern" else _DARK * 3, glazing)
    shadow = np.float32(0.80) * lerp(0.62, 1.0, smooth(wall.y, 0, 3.0)) * lerp(0.8, 1.0, smooth(wall.y, 2, 12))
    inside = lerp(1.0, 0.62, np.maximum(openings - glazing, 0))
    direct = lit * lerp(1.0, 0.55, openings)
    rgb: F32 = light.shade(tint(relief, albedo), normal, direct, shadow * inside)
    if not pane.any():
        return rgb
    return lerp_rgb(rgb, _glass(wall, house, light, normal, u, v, pv, low, high, right, down), pane)


def _plain_wall(wall: Wall, house: Building, u: F32, v: F32, wu: F32, wv: F32) -> tuple[F32, F32]:
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
        surface = lerp_rgb(tint(tone, house.wall_rgb), house.trim_rgb * np.float32(0.6), mortar * np.float32(0.55))
    elif house.style == "modern":
        joint = np.maximum(stripes(v, 0.0, 0.012, wv), stripes(u, 0.0, 0.012, wu))
        surface = tint(tone * (1 - np.float32(0.35) * joint), house.wall_rgb)
    else:
        surface = tint(tone, house.wall_rgb)
    relief = np.ones_like(wall.y)
    top = house.height_m
    cornice = pulse(wall.y, top - 0.42, top, wall.fy)
    surface = lerp_rgb(surface, house.trim_rgb, cornice)
    relief *= 1 - np.float32(0.38) * pulse(wall.y, top - 0.75, top - 0.42, wall.fy)
    relief *= 1 - np.float32(0.25) * pulse(wall.y, top - 0.16, top - 0.10, wall.fy)
    if house.style != "modern":
        base = house.ground_floor_m
        surface = lerp_rgb(surface, house.trim_rgb, pulse(wall.y, base - 0.05, base + 0.22, wall.fy))
        relief *= 1 - np.float32(0.32) * pulse(wall.y, base - 0.25, base - 0.05, wall.fy)
    edge = stripes(wall.s / 400, 0, 0.0002, wall.fs / 400)
    relief *= 1 - np.float32(0.4) * edge
    surface = lerp_rgb(surface, house.trim_rgb * np.float32(0.45), pulse(wall.y, -1, 0.55, wall.fy) * np.float32(0.8))
    return surface, relief


def _ground_floor(
    wall: Wall, house: Building, surface: F32, openings: F32, glazing: F32, pane: F32, length: float
) -> tuple[F32, F32, F32, F32]:
    """Shop windows under a sign, or windows and a door."""
    top = house.ground_floor_m
    if house.ground_floor == "shop":
        bays = max(1, round(length / 4.2))
        bay = np.float32(length / bays)
        low, high, rim = 0.55, top - 0.95, np.float32(0.09) / bay
        sides = (0.06, 0.94)
        sign = pulse(wall.y, top - 0.85, top - 0.28, wall.fy) * pulse(wall.s, 0.25, length - 0.25, wall.fs)
        surface = lerp_rgb(surface, house.shop_rgb, sign)
        letters = _letters(wall, house, bay, top)
        surface = lerp_rgb(surface, _FRAME, letters * np.float32(0.85))
        pillar = pulse(wall.y, -1, top - 0.85, wall.fy)
        surface = lerp_rgb(
            surface, lerp(house.shop_rgb * np.float32(0.35), house.trim_rgb * np.float32(0.5), 0.5), pillar
        )
    else:
        bays = house.bays
        bay = np.float32(length / bays)
        low, high, rim = 1.15, top - 0.75, np.float32(0.07) / bay
        half = 0.5 * house.window_w / float(bay)
        sides = (0.5 - half, 0.5 + half)
    u, pu, wu = wall.s / bay, wall.pane_s / bay, wall.fs / bay
    hole = stripes(u, *sides, wu) * pulse(wall.y, low, high, wall.fy)
    back = np.minimum(hole, stripes(pu, *sides, wu) * pulse(wall.pane_y, low, high, wall.fy))
    glass = stripes(pu, sides[0] + rim, sides[1] - rim, wu) * pulse(wall.pane_y, low + 0.1, high - 0.1, wall.fy)
    # One bay holds the door.
    at = (house.seed % bays + 0.5) * bay
    here = pulse(wall.s, at - 0.5 * bay, at + 0.5 * bay, wall.fs)
    door = pulse(wall.s, at - 0.62, at + 0.62, wall.fs) * pulse(wall.y, 0.1, 2.55, wall.fy)
    leaf = pulse(wall.pane_s, at - 0.55, at + 0.55, wall.fs) * pulse(wall.pane_y, 0.1, 2.45, wall.fy)
    if house.ground_floor == "flat":
        hole, back, glass = hole * (1 - here), back * (1 - here), glass * (1 - here)
    surface = lerp_rgb(surface, house.trim_rgb * np.float32(0.7), door)
    surface = lerp_rgb(surface, house.shop_rgb * np.float32(0.5), np.minimum(leaf, door))
    hole, back, glass = hole * (1 - door), back * (1 - door), glass * (1 - door)
    light_over = pulse(wall.pane_s, at - 0.42, at + 0.42, wall.fs) * pulse(wall.pane_y, 1.3, 2.3, wall.fy)
    glass = np.maximum(glass, np.minimum(light_over, door) * np.float32(0.8))
    return surface, np.maximum(openings, hole), np.maximum(glazing, back), np.maximum(pane, np.minimum(glass, 1))


def _letters(wall: Wall, house: Building, bay: Number, top: float) -> F32:
    """Strokes that read as a shop's name from a distance."""
    cell = np.float32(0.34)
    column = np.floor(wall.s / cell)
    stroke = hash_unit(column.astype(np.int32), house.seed & 0xFFFF)
    written = (np.mod(np.floor(wall.s / bay), 2) == 0) & (stroke > 0.18)
    inside = stripes(wall.s / cell, 0.12, 0.12 + 0.28, wall.fs / cell)
    bar = stripes(wall.s / cell, 0.12, 0.80, wall.fs / cell)
    middle = top - 0.565
    tall = pulse(wall.y, middle - 0.15, middle + 0.15, wall.fy)
    thin = pulse(wall.y, middle + 0.08, middle + 0.15, wall.fy) + (stroke > 0.55) * pulse(
        wall.y, middle - 0.15, middle - 0.08, wall.fy
    )
    centred = stripes(wall.s / bay, 0.15, 0.85, wall.fs / bay)
    strokes: F32 = np.maximum(inside * tall, bar * np.minimum(thin, 1)) * written * centred
    return strokes


def _goods(wall: Wall, house: Building) -> F32:
    """Shelves and what lies on them behind a shop window, as a brightness; fades to its mean far away."""
    shelf, item = np.float32(0.46), np.float32(0.21)
    # Shelves stand a metre behind the pane, so they shift against it as the camera passes.
    s = wall.pane_s + np.float32(0.35)
    row = np.floor(wall.pane_y / shelf)
    kind = hash_unit(row.astype(np.int32), np.floor(s / item).astype(np.int32), seed=house.seed + 3)
    tall = stripes(wall.pane_y / shelf, 0.08, 0.35 + 0.5 * kind, wall.fy / shelf)
    board = stripes(wall.pane_y / shelf, 0.0, 0.08, wall.fy / shelf)
    full = np.maximum(tall * (np.float32(0.2) + np.float32(0.8) * kind) * (kind > 0.22), board * np.float32(0.6))
    clear = detail(0.4, wall.fs) * (wall.pane_y < 2.2)
    glow = fbm_2d(wall.pane_y * np.float32(0.8), wall.pane_s * np.float32(0.6), house.seed + 4, 2)
    return lerp(np.float32(0.3), full, clear) * np.float32(0.55) + np.float32(0.45) * glow


def _glass(
    wall: Wall,
    house: Building,
    light: StreetLight,
    normal: F32,
    u: F32,
    v: F32,
    pv: F32,
    low: Number,
    high: Number,
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
    # Old panes are not quite flat, so each mirrors a little higher or lower.
    tilt = (which - np.float32(0.5)) * np.float32(0.25)
    mirrored[..., 1] += tilt
    across = np.abs(right / length)
    fresnel = np.float32(0.10) + np.float32(0.75) * np.power(1 - np.clip(across, 0, 1), 3)
    fresnel = np.clip(fresnel + np.float32(0.10), 0, 0.8)
    room = np.broadcast_to(_DARK * light.sky.ambient_rgb * np.float32(0.9), (*floor.shape, 3))
    height = np.clip((pv - floor - low) / np.maximum(high - low, np.float32(0.1)), 0, 1)
    drawn = ((lamp > 0.45) & (height > np.float32(1.2) * which)).astype(np.float32) * (v > 0)
    folds = np.float32(0.75) + np.float32(0.25) * stripes(u * 28, 0, 0.5, wall.fs * 8)
    curtain = tint(np.broadcast_to(folds, floor.shape), _CURTAIN * light.sky.ambient_rgb * np.float32(0.30))
    inside = lerp_rgb(room, curtain, drawn * np.float32(0.85))
    shop = (v < 0).astype(np.float32) * (house.ground_floor == "shop")
    goods = _goods(wall, house)
    display = tint(np.float32(0.06) + np.float32(0.34) * goods, lerp_rgb(house.shop_rgb, _CURTAIN, goods))
    display = display * light.sky.ambient_rgb
    inside = lerp_rgb(inside, display, shop)
    if light.sky.lamps_on:
        on = np.maximum((which > 0.55) * (v > 0), shop).astype(np.float32)
        glow = lerp(0.45, 1.0, height) * (np.float32(0.5) + lamp) * np.float32(0.9)
        inside = inside + (on * glow * (1 - 0.4 * drawn))[..., None] * _LAMP * (0.55 + 0.9 * goods * shop)[..., None]
    return lerp_rgb(inside, light.mirror(mirrored), np.broadcast_to(fresnel, floor.shape))
