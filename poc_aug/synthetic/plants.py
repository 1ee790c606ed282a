"""Trees and bushes: clusters of leafy balls on a trunk, drawn as sprites that face the camera."""

from __future__ import annotations

import numpy as np

from poc_aug.render.noise import hash_unit, value_noise_2d
from poc_aug.synthetic.camera import F32, Camera, Canvas, Layer
from poc_aug.synthetic.filters import blend, smooth, srgb
from poc_aug.synthetic.light import Light
from poc_aug.synthetic.scene import Tree

_SAMPLES = 2
_BARK = srgb("4f4438")
_BALLS = 46


def draw_tree(canvas: Canvas, camera: Camera, tree: Tree, light: Light, label: int) -> None:
    """Draw a tree that stands on the pavement."""
    if tree.z < 1.5:
        return
    half, top = tree.crown_m * 1.12, tree.trunk_m + tree.crown_h * 1.08
    rect = camera.rect((tree.x + a, y, tree.z) for a in (-half, half) for y in (0.0, top))
    if rect.empty:
        return
    # Far trees are small: sampling them finer costs nothing, near ones are large and need no finer leaves.
    right, down = camera.rays(rect, _SAMPLES)
    x = right[0] * np.float32(tree.z) - np.float32(tree.x)
    y = np.float32(camera.view.camera_height_m) - down[:, 0] * np.float32(tree.z)
    pixel = tree.z / camera.view.focal_px / _SAMPLES
    shape = (len(y), len(x))
    depth = np.full(shape, -np.inf, np.float32)
    rgb, alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    _trunk(tree, light, x, y, rgb, alpha)
    leaf = np.float32(1 / max(0.16, 2.5 * pixel))
    ragged = value_noise_2d(y[:, None] * leaf, x[None] * leaf, tree.seed)
    ragged += np.float32(0.6) * value_noise_2d(y[:, None] * leaf * 2.1, x[None] * leaf * 2.1, tree.seed + 1)
    ragged = ragged * np.float32(1 / 1.6)
    clumps = value_noise_2d(y[:, None] * np.float32(1.3), x[None] * np.float32(1.3), tree.seed + 2)
    sun = np.asarray(light.sky.sun, np.float32)
    for cx, cy, cz, radius in _balls(tree):
        rows = np.flatnonzero(np.abs(y - cy) < radius * 1.3)
        cols = np.flatnonzero(np.abs(x - cx) < radius * 1.3)
        if not len(rows) or not len(cols):
            continue
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        dx, dy = (x[window[1]] - cx)[None] / radius, (y[window[0]] - cy)[:, None] / radius
        rough = ragged[window]
        flat = dx * dx + dy * dy + (rough - np.float32(0.5)) * np.float32(1.5)
        bulge = np.sqrt(np.maximum(1 - flat, 0))
        nearer = cz * -1 + bulge * radius
        visible = (flat < 1) & (nearer > depth[window])
        if not visible.any():
            continue
        facing = np.clip(dx * sun[0] + dy * sun[1] - bulge * sun[2], -1, 1)
        # Leaves scatter: light wraps round, and what is low or deep in the crown is dark.
        sunny = np.clip(facing * np.float32(0.75) + np.float32(0.30), 0, 1) * np.float32(0.9)
        inner = smooth((y[window[0]] - tree.trunk_m)[:, None] / tree.crown_h + 0.25 * bulge, -0.15, 1.0)
        open_sky = (np.float32(0.28) + np.float32(0.72) * inner) * (np.float32(0.55) + np.float32(0.45) * dy.clip(-1, 1))
        tone = (np.float32(0.50) + np.float32(0.95) * rough) * (np.float32(0.8) + np.float32(0.4) * clumps[window])
        lit = (sunny * (np.float32(0.35) + np.float32(0.65) * inner))[..., None] * light.sky.sun_rgb
        ambient = np.maximum(open_sky, np.float32(0.12))[..., None] * light.sky.ambient_rgb
        colour = tone[..., None] * tree.rgb * (lit + ambient)
        target, deep, cover = rgb[window], depth[window], alpha[window]
        target[visible] = colour[visible]
        deep[visible] = np.broadcast_to(nearer, deep.shape)[visible]
        cover[visible] = 1
    rgb = light.haze(rgb, np.full(shape, tree.z, np.float32))
    canvas.over(Layer.from_samples(rect, rgb, alpha, label, _SAMPLES))


def _balls(tree: Tree) -> list[tuple[float, float, float, float]]:
    """``(x, y, z, radius)`` of the leafy balls, from the trunk's foot, in an egg-shaped crown."""
    number = np.arange(_BALLS)
    u = [hash_unit(number, k, seed=tree.seed + 40).astype(float) for k in range(4)]
    height = u[0]
    angle, out = 2 * np.pi * u[1], np.sqrt(u[2])
    wide = np.sqrt(np.clip(1 - ((height - 0.42) / 0.62) ** 2, 0.05, 1))
    spread = tree.crown_m * 0.74 * wide * out
    radius = tree.crown_m * (0.24 + 0.16 * u[3])
    cy = tree.trunk_m + tree.crown_h * (0.10 + 0.80 * height)
    return list(zip(spread * np.cos(angle), cy, spread * np.sin(angle), radius, strict=True))


def _trunk(tree: Tree, light: Light, x: F32, y: F32, rgb: F32, alpha: F32) -> None:
    """The trunk and two boughs; changes ``rgb`` and ``alpha``."""
    if tree.trunk_m <= 0:
        return
    thick = 0.055 * tree.crown_m + 0.05
    top = tree.trunk_m + 0.45 * tree.crown_h
    rise = np.clip(y / np.float32(top), 0, 1)[:, None]
    for lean, start in ((0.0, 0.0), (0.42, 0.45), (-0.38, 0.52)):
        bough = np.maximum(rise - start, 0)
        centre = np.float32(lean * tree.crown_m) * bough
        half = np.float32(thick) * (1 - np.float32(0.65) * rise) * (1.0 if not start else 0.55)
        half = half + np.float32(0.10) * np.exp(-y[:, None] * 6) * (0 if start else 1)
        off = (x[None] - centre) / half
        inside = (np.abs(off) < 1) & (y[:, None] > 0.05) & (y[:, None] < top) & (rise > start)
        across = np.clip(off, -1, 1)
        normal = np.stack(np.broadcast_arrays(across, np.float32(0), -np.sqrt(1 - across * across)), axis=-1)
        grain = value_noise_2d(y[:, None] * 5, (x / np.float32(thick))[None] * 4, tree.seed + 3)
        tone = np.float32(0.6) + np.float32(0.7) * grain
        lit = np.full(inside.shape, 0.35 if light.sky.weather != "overcast" else 1.0, np.float32)
        colour = light.shade(tone[..., None] * _BARK, normal, lit, np.float32(0.65))
        rgb[inside], alpha[inside] = colour[inside], 1


def leaf_tint(rgb: F32, warm: float) -> F32:
    """Turn leaf colour ``rgb`` towards autumn by ``warm`` in [0, 1]."""
    return blend(rgb, srgb("9a7a26"), np.float32(warm))
