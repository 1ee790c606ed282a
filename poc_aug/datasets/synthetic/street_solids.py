"""Rays against convex solids bounded by planes, with rounded-looking edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poc_aug.datasets.synthetic.street_camera import F32

Plane = tuple[tuple[float, float, float], tuple[float, float, float]]
"""``(outward normal, a point of the plane)``."""


@dataclass(frozen=True, slots=True)
class Convex:
    """The points ``p`` with ``normals @ p <= offsets``: float32 ``[P, 3]`` and ``[P]``."""

    normals: F32
    offsets: F32

    @classmethod
    def of(cls, planes: Sequence[Plane]) -> Convex:
        """From planes."""
        normals = np.array([n for n, _ in planes], np.float64)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        offsets = (normals * np.array([p for _, p in planes], np.float64)).sum(axis=1)
        return cls(normals.astype(np.float32), offsets.astype(np.float32))


def intersect(solid: Convex, origin: F32, rays: F32) -> F32:
    """Distances of the first hits of rays with a convex solid, float32 ``[N]``; ``inf`` where there is none.

    Args:
        solid: the solid.
        origin: start of all rays, outside of the solid, float32 ``[3]``.
        rays: directions, float32 ``[3, N]``, the layout that NumPy reduces fastest.
    """
    # A ray parallel to a face is turned by a tiny angle, so that it needs no special case.
    speed = solid.normals @ rays
    speed[speed == 0] = np.float32(1e-12)
    gap = (solid.offsets - solid.normals @ origin)[:, None]
    reach = gap / speed
    away = speed > 0
    leaving = np.where(away, reach, np.float32(np.inf)).min(axis=0)
    np.copyto(reach, np.float32(-np.inf), where=away)
    entering = reach.max(axis=0)
    hit = (entering <= leaving) & (entering > 0)
    return np.where(hit, entering, np.float32(np.inf)).astype(np.float32)


def rounded_normals(solid: Convex, points: F32, rounding_m: float) -> F32:
    """Unit normals float32 ``[N, 3]`` at surface points ``[N, 3]``, turning over ``rounding_m`` at each edge."""
    depth = solid.normals @ points.T - solid.offsets[:, None]
    weights = np.exp(np.clip(depth * np.float32(1 / rounding_m), -30, 0))
    normal = weights.T @ solid.normals
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6), np.float32)
