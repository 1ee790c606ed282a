"""Sphere tracing of a model (Hart, "Sphere Tracing", The Visual Computer 1996)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poc_aug.backends.rendered.model import Model
from poc_aug.noise import FloatArray

Bounds = tuple[FloatArray, FloatArray]
"""Low and high corner of an axis-aligned box, float32 ``[3]`` each."""

_MOST_STEPS = 72
# Closer than this fraction of a pixel, a ray is on the surface; larger values visibly thicken silhouettes.
_HIT_FRACTION = 0.08


@dataclass(frozen=True)
class Hits:
    """Where rays meet a model.

    Attributes:
        hit: bool ``[N]``.
        t: distance along the ray, ``[N]``; meaningful only where hit.
        grazes: bool ``[N]``: missed, but passed within a pixel of the surface.
    """

    hit: NDArray[np.bool_]
    t: FloatArray
    grazes: NDArray[np.bool_]


def bounds_of(points: FloatArray) -> Bounds:
    """Corners of a box around hull points ``[3, K]``, a little larger."""
    slack = np.float32(0.01) + 0.01 * np.ptp(points, axis=1)
    return points.min(axis=1) - slack, points.max(axis=1) + slack


def intersect_box(origin: FloatArray, ray: FloatArray, bounds: Bounds) -> tuple[FloatArray, FloatArray]:
    """Distances at which rays enter and leave an axis-aligned box; a ray that enters after it leaves misses the box.

    Args:
        origin: float32 ``[3]`` or ``[3, N]``.
        ray: float32 ``[3, N]``.
        bounds: low and high corner, ``[3]`` each.
    """
    start = origin[:, None] if origin.ndim == 1 else origin
    safe = np.where(np.abs(ray) < 1e-7, np.float32(1e-7), ray)
    a = (bounds[0][:, None] - start) / safe
    b = (bounds[1][:, None] - start) / safe
    return np.minimum(a, b).max(axis=0), np.maximum(a, b).min(axis=0)


def sphere_trace(model: Model, origin: FloatArray, ray: FloatArray, bounds: Bounds, pixel: float) -> Hits:
    """First hit of each ray.

    Args:
        model: what is drawn.
        origin: start of all rays, float32 ``[3]``.
        ray: unit directions, float32 ``[3, N]``.
        bounds: box around the model.
        pixel: width of a pixel at distance 1.
    """
    count = ray.shape[1]
    enter, leave = intersect_box(origin, ray, bounds)
    t = np.maximum(enter, np.float32(1e-3))
    hit = np.zeros(count, dtype=bool)
    grazes = np.zeros(count, dtype=bool)
    active = np.flatnonzero(t < leave)
    for step in range(_MOST_STEPS):
        if active.size == 0:
            break
        at = t[active]
        d = model.distance(origin[:, None] + ray[:, active] * at)
        size = at * np.float32(pixel)
        # Rays still creeping along a surface at the end count as hits.
        fraction = _HIT_FRACTION if step < _MOST_STEPS - 1 else 1.5
        landed = d < size * np.float32(fraction)
        hit[active[landed]] = True
        grazes[active[d < size]] = True
        at = at + np.where(landed, 0, np.maximum(d, size * np.float32(0.2)) * np.float32(model.pace))
        t[active] = at
        active = active[~landed & (at < leave[active])]
    return Hits(hit=hit, t=t, grazes=grazes & ~hit)


def normals(model: Model, p: FloatArray, step: float) -> FloatArray:
    """Unit normals of a model's surface at points ``[3, N]``, from four samples ``step`` metres apart."""
    total = np.zeros_like(p)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        offset = np.array(corner, dtype=np.float32)[:, None]
        total += offset * model.distance(p + offset * np.float32(step))
    return unit_vectors(total)


def unit_vectors(v: FloatArray) -> FloatArray:
    """Vectors ``[3, N]`` of length 1."""
    return np.asarray(v / np.maximum(np.sqrt((v * v).sum(axis=0)), np.float32(1e-9)), dtype=np.float32)


def soft_visibility(
    model: Model,
    origin: FloatArray,
    direction: FloatArray,
    bounds: Bounds,
    width: float,
    steps: int = 14,
    start: float = 0.004,
) -> FloatArray:
    """Fraction of a wide cone of light that reaches points past the model.

    Distance-field soft shadows as described by Quilez (2010): the least ratio of clearance to distance along
    the ray is the free fraction of the cone.

    Args:
        model: what casts the shadow.
        origin: points ``[3, N]``.
        direction: towards the light, float32 ``[3]``.
        bounds: box around the model.
        width: half width of the cone at distance 1 (0.1: a hazy sun, 0.5: part of the bright sky).
        steps: most steps.
        start: distance of the first step, which keeps a surface from shadowing itself.

    Returns:
        float32 ``[N]`` in [0, 1].
    """
    # The penumbra extends beyond the model itself.
    size = float((bounds[1] - bounds[0]).max())
    pad = np.float32(width * size)
    ray = np.repeat(direction[:, None], origin.shape[1], axis=1)
    enter, leave = intersect_box(origin, ray, (bounds[0] - pad, bounds[1] + pad))
    t = np.maximum(enter, np.float32(start))
    free = np.ones(origin.shape[1], dtype=np.float32)
    active = np.flatnonzero(t < leave)
    stride = np.float32(1.2 * size / steps)
    for _ in range(steps):
        if active.size == 0:
            break
        at = t[active]
        d = model.distance(origin[:, active] + direction[:, None] * at)
        # -1: the cone's far side is blocked too; the smooth transition is the penumbra.
        free[active] = np.minimum(free[active], np.clip(d / (np.float32(width) * at), -1, 1))
        at = at + np.clip(d, stride * np.float32(0.25), stride) * np.float32(model.pace)
        t[active] = at
        active = active[(at < leave[active]) & (free[active] > -0.98)]
    half = 0.5 + 0.5 * free
    return np.asarray(half * half * (3 - 2 * half), dtype=np.float32)
