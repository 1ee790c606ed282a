"""Rays against convex solids bounded by planes, with rounded-looking edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poc_aug.synthetic.camera import F32

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


@dataclass(frozen=True, slots=True)
class Hits:
    """Where rays meet a solid: ``distance`` float32 ``[N]`` (``inf``: nowhere), ``normal`` float32 ``[N, 3]``."""

    distance: F32
    normal: F32


def intersect(solid: Convex, origin: F32, rays: F32, rounding_m: float) -> Hits:
    """First hits of rays with a convex solid.

    Args:
        solid: the solid.
        origin: where all rays start, outside of it, float32 ``[3]``.
        rays: directions, float32 ``[N, 3]``.
        rounding_m: how far around an edge the normals turn from one face to the next.
    """
    speed = rays @ solid.normals.T
    gap = solid.offsets - solid.normals @ origin
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = gap / speed
    entering = np.where(speed < 0, reach, -np.inf).max(axis=1)
    leaving = np.where(speed > 0, reach, np.inf).min(axis=1)
    # A ray parallel to a face and outside of it never enters.
    missed = ((speed == 0) & (gap < 0)).any(axis=1) | (entering > leaving) | (entering <= 0)
    distance = np.where(missed, np.float32(np.inf), entering).astype(np.float32)
    at = np.where(missed, np.float32(0), distance)
    depth = at[:, None] * speed - gap
    weights = np.exp(np.clip(depth * np.float32(1 / rounding_m), -30, 0))
    normal = weights @ solid.normals
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    return Hits(distance, normal.astype(np.float32))
