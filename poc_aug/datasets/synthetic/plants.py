"""Trees and bushes: clusters of leafy balls on a trunk, drawn as sprites facing the camera."""

from __future__ import annotations

import numpy as np

from poc_aug.datasets.synthetic.filters import lerp_rgb, smooth, srgb, tint
from poc_aug.datasets.synthetic.street_camera import F32, Canvas, Layer, StreetCamera
from poc_aug.datasets.synthetic.street_light import StreetLight
from poc_aug.datasets.synthetic.street_scene import Tree
from poc_aug.noise import hash_unit, value_noise_2d

_BARK = srgb("4f4438")
_MOST_BALLS = 46


def draw_tree(canvas: Canvas, camera: StreetCamera, tree: Tree, light: StreetLight, label: int) -> None:
    """Draw a tree that stands on the pavement."""
    if tree.z < 1.5:
        return
    half, top = tree.crown_m * 1.15, tree.trunk_m + tree.crown_h * 1.1
    rect = camera.rect((tree.x + a, y, tree.z) for a in (-half, half) for y in (0.0, top))
    if rect.empty:
        return
    right, down = camera.rays(rect)
    x = right[0] * np.float32(tree.z) - np.float32(tree.x)
    y = np.float32(camera.pinhole.camera_height_m) - down[:, 0] * np.float32(tree.z)
    pixel = tree.z / camera.pinhole.focal_px
    shape = (len(y), len(x))
    rgb, alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    if tree.trunk_m > 0:
        _trunk(tree, light, x, y, pixel, rgb, alpha)
    crown = np.flatnonzero(y > tree.trunk_m - 0.6 * tree.crown_m)
    if len(crown):
        window = slice(crown[0], crown[-1] + 1)
        leaves, cover = _crown(tree, light, x, y[window], pixel)
        rgb[window] = lerp_rgb(tint(alpha[window], rgb[window]), leaves, cover)
        rgb[: window.start] *= alpha[: window.start][..., None]
        rgb[window.stop :] *= alpha[window.stop :][..., None]
        alpha[window] = np.maximum(alpha[window], cover)
    else:
        rgb *= alpha[..., None]
    rgb = light.haze(rgb, tree.z, alpha)
    canvas.over(Layer(rect, rgb, alpha, label))


def _crown(tree: Tree, light: StreetLight, x: F32, y: F32, pixel: float) -> tuple[F32, F32]:
    """Colour ``[h, w, 3]`` and coverage ``[h, w]`` of the leaves."""
    shape = (len(y), len(x))
    leaf = np.float32(1 / max(0.13, 1.7 * pixel))
    ragged = value_noise_2d(y[:, None] * leaf, x[None] * leaf, tree.seed)
    ragged += np.float32(0.6) * value_noise_2d(y[:, None] * leaf * 2.1, x[None] * leaf * 2.1, tree.seed + 1)
    ragged *= np.float32(1 / 1.6)
    roughness = (ragged - np.float32(0.5)) * np.float32(1.5)
    # Per pixel, for the ball in front: depth, relief, and how it faces the sun and the sky.
    depth, bulge, facing, upward = (np.full(shape, v, np.float32) for v in (-1e9, 0, 0, 0))
    edge = np.full(shape, -1e9, np.float32)
    sun = np.asarray(light.sky.sun, np.float32)
    for cx, cy, cz, radius in _balls(tree, pixel):
        rows = np.searchsorted(-y, (-cy - 1.3 * radius, -cy + 1.3 * radius))
        cols = np.searchsorted(x, (cx - 1.3 * radius, cx + 1.3 * radius))
        if rows[0] == rows[1] or cols[0] == cols[1]:
            continue
        window = (slice(*rows), slice(*cols))
        dx = (x[window[1]] - np.float32(cx))[None] * np.float32(1 / radius)
        dy = (y[window[0]] - np.float32(cy))[:, None] * np.float32(1 / radius)
        within = 1 - (dx * dx + dy * dy + roughness[window])
        np.maximum(edge[window], within * np.float32(0.5 * radius / pixel), out=edge[window])
        relief = np.sqrt(np.maximum(within, 0))
        nearer = relief * np.float32(radius) - np.float32(cz)
        visible = (within > np.float32(-2 * pixel / radius)) & (nearer > depth[window])
        np.copyto(depth[window], nearer, where=visible)
        np.copyto(bulge[window], relief, where=visible)
        np.copyto(facing[window], dx * sun[0] + dy * sun[1] - relief * sun[2], where=visible)
        np.copyto(upward[window], dy, where=visible)
    cover = np.clip(edge + np.float32(0.5), 0, 1)
    # Half of each normal is that of the crown as a whole, so that it does not look like bubbles.
    wide = (x * np.float32(1 / tree.crown_m))[None]
    tall = ((y - tree.trunk_m - 0.45 * tree.crown_h) * np.float32(2 / tree.crown_h))[:, None]
    deep = np.sqrt(np.maximum(1 - wide * wide - tall * tall, np.float32(0.05)))
    facing = np.float32(0.5) * (facing + wide * sun[0] + tall * sun[1] - deep * sun[2])
    upward = np.clip(np.float32(0.5) * (upward + tall), -1, 1)
    # Leaves scatter light: it wraps round the crown, and leaves low or deep in the crown are dark.
    sunny = np.clip(facing * np.float32(0.75) + np.float32(0.32), 0, 1) * np.float32(0.80)
    inner = smooth(((y - tree.trunk_m) / tree.crown_h)[:, None] + np.float32(0.25) * bulge, -0.15, 1.0)
    open_sky = (np.float32(0.28) + np.float32(0.72) * inner) * (np.float32(0.55) + np.float32(0.45) * upward)
    clumps = value_noise_2d(y[:, None] * np.float32(1.3), x[None] * np.float32(1.3), tree.seed + 2)
    tone = (np.float32(0.30) + np.float32(1.35) * ragged) * (np.float32(0.8) + np.float32(0.4) * clumps)
    lit = sunny * (np.float32(0.35) + np.float32(0.65) * inner) * tone
    ambient = np.maximum(open_sky, np.float32(0.12)) * tone
    rgb = tint(lit, light.sky.sun_rgb * tree.rgb) + tint(ambient, light.sky.ambient_rgb * tree.rgb)
    return rgb, cover


def _balls(tree: Tree, pixel: float) -> list[tuple[float, float, float, float]]:
    """``(x, y, z, radius)`` of the leafy balls, from the trunk's foot, in an egg-shaped crown."""
    count = int(np.clip(0.8 * tree.crown_m / pixel, 8, _MOST_BALLS))
    number = np.arange(count)
    u = [hash_unit(number, k, seed=tree.seed + 40).astype(float) for k in range(4)]
    height = u[0]
    angle, out = 2 * np.pi * u[1], np.sqrt(u[2])
    wide = np.sqrt(np.clip(1 - ((height - 0.42) / 0.62) ** 2, 0.05, 1))
    spread = tree.crown_m * 0.74 * wide * out
    radius = tree.crown_m * (0.24 + 0.16 * u[3]) * (_MOST_BALLS / count) ** 0.3
    cy = tree.trunk_m + tree.crown_h * (0.10 + 0.80 * height)
    return list(zip(spread * np.cos(angle), cy, spread * np.sin(angle), radius, strict=True))


def _trunk(tree: Tree, light: StreetLight, x: F32, y: F32, pixel: float, rgb: F32, alpha: F32) -> None:
    """The trunk and two boughs; changes ``rgb`` and ``alpha``."""
    thick = 0.055 * tree.crown_m + 0.05
    top = tree.trunk_m + 0.45 * tree.crown_h
    lit = np.float32(0.35 if light.sky.weather != "overcast" else 1.0)
    for lean, start in ((0.0, 0.0), (0.42, 0.45), (-0.38, 0.52)):
        rows = np.flatnonzero((y > start * top - pixel) & (y < top))
        reach = abs(lean) * tree.crown_m + 2 * thick + 0.15
        cols = np.flatnonzero(np.abs(x) < reach + pixel)
        if not len(rows) or not len(cols):
            continue
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        px, py = x[window[1]][None], y[window[0]][:, None]
        rise = np.clip(py / np.float32(top), 0, 1)
        half = np.float32(thick) * (1 - np.float32(0.65) * rise) * np.float32(0.55 if start else 1.0)
        if not start:
            half = half + np.float32(0.10) * np.exp(-6 * np.maximum(py, 0))
        off = (px - np.float32(lean * tree.crown_m) * np.maximum(rise - start, 0)) / half
        cover = np.clip((1 - np.abs(off)) * half / np.float32(pixel) + np.float32(0.5), 0, 1)
        cover = cover * np.clip((py - np.float32(0.05)) / np.float32(pixel) + np.float32(0.5), 0, 1)
        across = np.clip(off, -1, 1)
        normal = np.stack(np.broadcast_arrays(across, np.float32(0), -np.sqrt(1 - across * across)), axis=-1)
        grain = value_noise_2d(py * 5, px / np.float32(thick) * 4, tree.seed + 3)
        tone = np.float32(0.6) + np.float32(0.7) * grain
        colour = light.shade(tint(tone, _BARK), normal, np.broadcast_to(lit, across.shape), np.float32(0.65))
        rgb[window] = np.where((cover > 0)[..., None], colour, rgb[window])
        alpha[window] = np.maximum(alpha[window], cover)


def leaf_tint(rgb: F32, warm: float) -> F32:
    """Turn leaf colour ``rgb`` towards autumn by ``warm`` in [0, 1]."""
    return lerp_rgb(rgb, srgb("9a7a26"), np.float32(warm))
