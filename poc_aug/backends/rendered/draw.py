"""Drawing one object: colours with a matte.

Anti-aliasing is adaptive (Whitted, "An Improved Illumination Model for Shaded Display", CACM 1980): one ray per
pixel, then ``supersample``² rays for pixels where the surface, its material or its colour changes, or that are close
to the silhouette.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poc_aug.backends.rendered.exposure import develop
from poc_aug.backends.rendered.light import (
    ambient_occlusion,
    reflected_light,
    relief_normals,
    surface_normals,
)
from poc_aug.backends.rendered.materials import add_grime
from poc_aug.backends.rendered.raycast import soft_visibility, sphere_trace
from poc_aug.backends.rendered.stage import Stage
from poc_aug.noise import FloatArray

# Rays traced at once: fastest, as measured, if all of a step's arrays stay in the second-level cache.
_CHUNK = 16384
# Classes of the cosine between ray and normal, and how much longer a pixel's footprint is in each.
_FLAT_COS = (0.2, 0.5)
_FLAT_STRETCH = (4.0, 2.0, 1.0)


@dataclass(frozen=True)
class Samples:
    """Results of rays: linear picture values ``[3, N]``, hit, part and normals; zero where nothing was hit.

    ``visibility`` is how much of the sky and of the sun is visible from the surface, ``[2, N]``.
    """

    rgb: FloatArray
    hit: NDArray[np.bool_]
    grazes: NDArray[np.bool_]
    part: NDArray[np.int64]
    normal: FloatArray
    visibility: FloatArray


@dataclass(frozen=True)
class Picture:
    """A drawn object in its pixel rectangle.

    Attributes:
        top_left: row and column of the rectangle in the crop.
        rgb: linear, not premultiplied: float32 ``[3, h, w]``.
        alpha: coverage in [0, 1]: float32 ``[h, w]``.
    """

    top_left: tuple[int, int]
    rgb: FloatArray
    alpha: FloatArray


def pixel_rectangle(stage: Stage, size_hw: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Rows and columns ``(top, left, bottom, right)`` that the object may touch; ``None``: outside the crop."""
    row, col, _ = stage.pose.project(stage.model.points())
    pad = 3 + int(np.ceil(3 * stage.exposure.blur_px))
    top, left = max(0, int(row.min()) - pad), max(0, int(col.min()) - pad)
    bottom, right = min(size_hw[0], int(row.max()) + pad + 1), min(size_hw[1], int(col.max()) + pad + 1)
    return (top, left, bottom, right) if top < bottom and left < right else None


def draw_object(stage: Stage, size_hw: tuple[int, int], supersample: int) -> Picture | None:
    """Draw the object, anti-aliased and as soft as the scene; ``None`` if it is not in the crop."""
    rectangle = pixel_rectangle(stage, size_hw)
    if rectangle is None:
        return None
    top, left, bottom, right = rectangle
    h, w = bottom - top, right - left
    rows, cols = (a.ravel().astype(np.float32) for a in np.mgrid[top:bottom, left:right])
    first = _sample(stage, rows + 0.5, cols + 0.5)
    premultiplied, alpha = first.rgb.copy(), first.hit.astype(np.float32)
    refined = np.flatnonzero(_needs_supersampling(first, h, w))
    if refined.size and supersample > 1:
        visibility = _spread(first.visibility.reshape(2, h, w), first.hit.reshape(h, w)).reshape(2, -1)[:, refined]
        rays = supersample**2
        offset = (np.arange(supersample, dtype=np.float32) + 0.5) / supersample - 0.5
        dy, dx = (a.reshape(-1, 1) for a in np.meshgrid(offset, offset, indexing="ij"))
        # The grid is rotated slightly, so that edges close to the axes cross more of its rows.
        samples = _sample(
            stage,
            (rows[refined] + 0.5 + dy + 0.17 * dx).ravel(),
            (cols[refined] + 0.5 + dx - 0.17 * dy).ravel(),
            np.tile(visibility, rays),
        )
        premultiplied[:, refined] = samples.rgb.reshape(3, rays, -1).mean(axis=1)
        alpha[refined] = samples.hit.reshape(rays, -1).mean(axis=0)
    stack = np.concatenate([premultiplied, alpha[None]]).reshape(4, h, w)
    stack = soften(stack, stage.exposure.blur_px)
    alpha = np.clip(stack[3], 0, 1)
    return Picture((top, left), stack[:3] / np.maximum(alpha, 1e-3), alpha)


def _sample(stage: Stage, rows: FloatArray, cols: FloatArray, visibility: FloatArray | None = None) -> Samples:
    chunks = []
    for i in range(0, rows.size, _CHUNK):
        part = slice(i, i + _CHUNK)
        chunks.append(_sample_chunk(stage, rows[part], cols[part], None if visibility is None else visibility[:, part]))
    return Samples(
        rgb=np.concatenate([c.rgb for c in chunks], axis=1),
        hit=np.concatenate([c.hit for c in chunks]),
        grazes=np.concatenate([c.grazes for c in chunks]),
        part=np.concatenate([c.part for c in chunks]),
        normal=np.concatenate([c.normal for c in chunks], axis=1),
        visibility=np.concatenate([c.visibility for c in chunks], axis=1),
    )


def _sample_chunk(stage: Stage, rows: FloatArray, cols: FloatArray, visibility: FloatArray | None) -> Samples:
    model, pose, bounds = stage.model, stage.pose, stage.bounds
    ray = pose.rays(rows, cols)
    hits = sphere_trace(model, pose.eye, ray, bounds, 1 / pose.camera.focal_px)
    count = rows.size
    rgb, normal = np.zeros((3, count), np.float32), np.zeros((3, count), np.float32)
    visible = np.zeros((2, count), np.float32)
    part = np.full(count, -1, dtype=np.int64)
    hit = np.flatnonzero(hits.hit)
    if hit.size:
        along = ray[:, hit]
        p = np.asarray(pose.eye[:, None] + along * hits.t[hit], dtype=np.float32)
        n = surface_normals(model, p, pose.texel_m)
        part[hit], normal[:, hit] = model.part_at(p), n
        visible[:, hit] = _visibility(stage, p, n) if visibility is None else visibility[:, hit]
        rgb[:, hit] = develop(_shade(stage, p, n, along, part[hit], visible[:, hit]), stage.exposure)
    return Samples(rgb, hits.hit, hits.grazes, part, normal, visible)


def _visibility(stage: Stage, p: FloatArray, n: FloatArray) -> FloatArray:
    """How much of the sky and of the sun is visible from surface points: ``[2, N]``."""
    bounds, texel = stage.bounds, stage.pose.texel_m
    size = float((bounds[1] - bounds[0]).max())
    lifted = p + n * np.float32(max(0.002, 0.6 * texel))
    sky_visibility = ambient_occlusion(stage.model, p, n, float(np.clip(0.45 * size, 0.08, 0.5)))
    sun_visibility = soft_visibility(stage.model, lifted, stage.to_sun, bounds, stage.light.width, steps=12)
    return np.stack([sky_visibility, sun_visibility])


def _shade(
    stage: Stage, p: FloatArray, n: FloatArray, ray: FloatArray, part: NDArray[np.int64], visibility: FloatArray
) -> FloatArray:
    model, colour = stage.model, np.zeros_like(p)
    facing = np.abs((n * ray).sum(axis=0))
    # At a grazing angle, a pixel covers more of the surface, so textures have to be coarser there.
    angle_class = np.digitize(facing, _FLAT_COS)
    for number in np.unique(part):
        model_part = model.parts[int(number)]
        for group, stretch in enumerate(_FLAT_STRETCH):
            chosen = np.flatnonzero((part == number) & (angle_class == group))
            if not chosen.size:
                continue
            texel = stage.pose.texel_m * stretch
            q, m = p[:, chosen], n[:, chosen]
            local_n = m if model_part.rotation is None else np.asarray(model_part.rotation.T @ m, dtype=np.float32)
            surface = model_part.material.look(model_part.local(q), local_n, texel)
            surface = add_grime(surface, q, m, model.grime, stage.grime_seed, texel)
            fine = relief_normals(model, int(number), q, m, texel)
            sky, sun = visibility[:, chosen]
            colour[:, chosen] = reflected_light(surface, fine, ray[:, chosen], stage.light, stage.to_sun, sun, sky)
    return colour


def _spread(values: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Values ``[C, h, w]`` extended by one pixel beyond where they are known; 1 further away."""
    h, w = known.shape
    padded = np.pad(np.concatenate([values * known, known[None]]), ((0, 0), (1, 1), (1, 1)))
    total = np.zeros((values.shape[0] + 1, h, w), np.float32)
    for dy in range(3):
        for dx in range(3):
            total += padded[:, dy : dy + h, dx : dx + w]
    around = np.where(total[-1] > 0, total[:-1] / np.maximum(total[-1], 1), 1)
    return np.where(known, values, around).astype(np.float32)


def _needs_supersampling(samples: Samples, h: int, w: int) -> NDArray[np.bool_]:
    """Pixels that need more than one ray: bool ``[h * w]``."""
    part = samples.part.reshape(h, w)
    normal = samples.normal.reshape(3, h, w)
    tone = np.sqrt(samples.rgb.reshape(3, h, w).mean(axis=0))
    flag = samples.grazes.reshape(h, w).copy()
    for axis in (0, 1):
        lower = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        upper = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        differs = part[lower] != part[upper]
        both = (part[lower] >= 0) & (part[upper] >= 0)
        turn = (normal[(slice(None), *lower)] * normal[(slice(None), *upper)]).sum(axis=0)
        differs |= both & ((turn < 0.90) | (np.abs(tone[lower] - tone[upper]) > 0.06))
        flag[lower] |= differs
        flag[upper] |= differs
    return flag.ravel()


def soften(stack: FloatArray, sigma: float) -> FloatArray:
    """Blur ``[C, h, w]`` to a total softness of ``sigma``: Gaussian over the last two axes, zero beyond the border."""
    # Not `poc_aug.gaussian`: the renderer is NumPy throughout, and its weights are computed in float64.
    # Averaging over a pixel's square is already a blur of sigma 0.29.
    rest = float(np.sqrt(max(sigma**2 - 0.29**2, 0)))
    if rest < 0.15:
        return stack
    radius = max(1, int(np.ceil(3 * rest)))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / rest) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (1, 2):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[axis] = (radius, radius)
        padded = np.pad(stack, padding)
        length = stack.shape[axis]
        stack = sum(
            (k * np.take(padded, range(i, i + length), axis=axis) for i, k in enumerate(kernel)),
            start=np.zeros_like(stack),
        )
    return stack
