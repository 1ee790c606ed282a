"""Solids as signed distance functions: in metres, negative inside, for NumPy arrays of points.

Formulas after Hart, "Sphere Tracing" (The Visual Computer 1996), and the usual closed forms for boxes, cylinders
and cones. Points are float32 ``[3, N]`` (x right, y up, z away), distances float32 ``[N]``. Each solid also gives
points whose convex hull contains it, from which an object's size and pixel rectangle follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from poc_aug.noise import FloatArray

_CIRCLE = 28


class Solid(Protocol):
    """A shape that can be ray-cast."""

    def distance(self, p: FloatArray) -> FloatArray:
        """Signed distance of points ``[3, N]``, or a lower bound of it: float32 ``[N]``."""
        ...

    def points(self) -> FloatArray:
        """Points ``[3, K]`` whose convex hull contains the solid tightly."""
        ...


def _rounded(q: list[FloatArray], radius: float) -> FloatArray:
    """Distance to a rounded box from the offsets of its faces, one array per axis."""
    inside = q[0]
    for other in q[1:]:
        inside = np.maximum(inside, other)
    outside = np.zeros_like(inside)
    for offset in q:
        clipped = np.maximum(offset, 0)
        outside += clipped * clipped
    return np.asarray(np.sqrt(outside) + np.minimum(inside, 0) - np.float32(radius), dtype=np.float32)


def _circles(*rings: tuple[float, float]) -> FloatArray:
    """Points of circles around the y axis, each given as (radius, y)."""
    angle = np.linspace(0, 2 * np.pi, _CIRCLE, endpoint=False)
    return np.concatenate(
        [np.stack([r * np.cos(angle), np.full(_CIRCLE, y), r * np.sin(angle)]) for r, y in rings], axis=1
    ).astype(np.float32)


def directions(count: int) -> FloatArray:
    """Unit vectors spread evenly over the sphere (Fibonacci lattice): float32 ``[3, count]``."""
    i = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i
    xyz = [np.cos(azimuth) * np.sin(polar), np.cos(polar), np.sin(azimuth) * np.sin(polar)]
    return np.stack(xyz).astype(np.float32)


@dataclass(frozen=True)
class RoundedBox:
    """A box with half extents ``half`` and edges rounded by ``radius``."""

    half: tuple[float, float, float]
    radius: float = 0.0

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        return _rounded([np.abs(p[i]) - np.float32(self.half[i] - self.radius) for i in range(3)], self.radius)

    def points(self) -> FloatArray:
        """See `Solid`."""
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32).T
        centres = signs * (np.array(self.half, dtype=np.float32) - np.float32(self.radius))[:, None]
        if self.radius <= 0:
            return np.asarray(centres, dtype=np.float32)
        ball = np.array([v for v in np.ndindex(3, 3, 3) if v != (1, 1, 1)], dtype=np.float32).T - 1
        ball *= np.float32(self.radius) / np.sqrt((ball * ball).sum(axis=0))
        return (centres[:, :, None] + ball[:, None, :]).reshape(3, -1)


@dataclass(frozen=True)
class Cylinder:
    """A cylinder about the y axis with rounded edges; hollow if ``inner`` is over 0: tyre, pipe, rim."""

    outer: float
    half_height: float
    inner: float = 0.0
    radius: float = 0.0

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        rho = np.sqrt(p[0] * p[0] + p[2] * p[2])
        if self.inner > 0:
            middle, half = (self.outer + self.inner) / 2, (self.outer - self.inner) / 2
            rho = np.abs(rho - np.float32(middle))
        else:
            half = self.outer
        return _rounded(
            [rho - np.float32(half - self.radius), np.abs(p[1]) - np.float32(self.half_height - self.radius)],
            self.radius,
        )

    def points(self) -> FloatArray:
        """See `Solid`."""
        inset = self.radius * (1 - 2**-0.5)
        h = self.half_height
        rings = [(self.outer - inset, h - inset), (self.outer - inset, inset - h)]
        if self.radius > 0:
            rings += [(self.outer, h - self.radius), (self.outer, self.radius - h)]
            rings += [(self.outer - self.radius, h), (self.outer - self.radius, -h)]
        return _circles(*rings)


@dataclass(frozen=True)
class Frustum:
    """A truncated cone about the y axis; if ``wall`` is given, a shell of that thickness, open at the top."""

    bottom: float
    top: float
    half_height: float
    wall: float = 0.0
    radius: float = 0.0

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        rho = np.sqrt(p[0] * p[0] + p[2] * p[2])
        solid = self._profile(rho, p[1])
        if self.wall > 0:
            hollow = self._profile(rho + np.float32(self.wall), p[1] - np.float32(self.wall))
            above = p[1] > self.half_height - 2 * self.wall
            mouth = rho - np.float32(self.top - self.wall)
            solid = np.maximum(solid, np.where(above, -mouth, -hollow))
        return solid

    def _profile(self, rho: FloatArray, y: FloatArray) -> FloatArray:
        h, r = self.half_height, self.radius
        slope = (self.top - self.bottom) / (2 * h)
        cos = 1 / np.hypot(1.0, slope)
        side = (rho - np.float32((self.top + self.bottom) / 2 - r / cos) - np.float32(slope) * y) * np.float32(cos)
        # Side and end do not meet at a right angle; without this factor the distance at their edge would be too long.
        steep = np.float32((1 + abs(slope) * cos) ** -0.5)
        return np.asarray(steep * _rounded([side, np.abs(y) - np.float32(h - r)], r), dtype=np.float32)

    def points(self) -> FloatArray:
        """See `Solid`."""
        return _circles((self.bottom, -self.half_height), (self.top, self.half_height))


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid of semi-axes ``radii`` (a lower bound of the distance if they differ)."""

    radii: tuple[float, float, float]

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        if self.radii[0] == self.radii[1] == self.radii[2]:
            return np.asarray(np.sqrt((p * p).sum(axis=0)) - np.float32(self.radii[0]), dtype=np.float32)
        scale = np.array(self.radii, dtype=np.float32)[:, None]
        q = p / scale
        k0 = np.sqrt((q * q).sum(axis=0))
        q /= scale
        k1 = np.sqrt((q * q).sum(axis=0))
        return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-6), dtype=np.float32)

    def points(self) -> FloatArray:
        """See `Solid`."""
        return directions(160) * np.array(self.radii, dtype=np.float32)[:, None]


@dataclass(frozen=True)
class Capsule:
    """All points within ``radius`` of the segment from ``a`` to ``b``."""

    a: tuple[float, float, float]
    b: tuple[float, float, float]
    radius: float

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        a, ab = np.array(self.a, dtype=np.float32), np.subtract(self.b, self.a).astype(np.float32)
        pa = p - a[:, None]
        along = np.clip((ab @ pa) / np.float32(max(float(ab @ ab), 1e-12)), 0, 1)
        gap = pa - ab[:, None] * along
        return np.asarray(np.sqrt((gap * gap).sum(axis=0)) - np.float32(self.radius), dtype=np.float32)

    def points(self) -> FloatArray:
        """See `Solid`."""
        ball = directions(40) * np.float32(self.radius)
        return np.concatenate([ball + np.array(e, dtype=np.float32)[:, None] for e in (self.a, self.b)], axis=1)


@dataclass(frozen=True)
class Polyhedron:
    """The points behind all planes ``normals @ p = offsets`` (normals float32 ``[K, 3]``): a broken stone."""

    normals: FloatArray
    offsets: FloatArray

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        return np.asarray((self.normals @ p - self.offsets[:, None]).max(axis=0), dtype=np.float32)

    def points(self) -> FloatArray:
        """See `Solid`."""
        ray = directions(1200)
        facing = self.normals @ ray
        reach = np.where(facing > 1e-3, self.offsets[:, None] / np.maximum(facing, 1e-3), np.inf).min(axis=0)
        # Corners lie between the rays.
        return np.asarray(ray * reach * 1.02, dtype=np.float32)


@dataclass(frozen=True)
class Cut:
    """``body`` without ``tool``."""

    body: Solid
    tool: Solid

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        return np.maximum(self.body.distance(p), -self.tool.distance(p))

    def points(self) -> FloatArray:
        """See `Solid`."""
        return self.body.points()


@dataclass(frozen=True)
class Moved:
    """``body`` rotated by ``rotation`` (``[3, 3]``), then moved to ``centre``."""

    body: Solid
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: FloatArray | None = None

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        return self.body.distance(to_local(p, self.rotation, self.centre))

    def points(self) -> FloatArray:
        """See `Solid`."""
        return from_local(self.body.points(), self.rotation, self.centre)


@dataclass(frozen=True)
class Union:
    """The union of ``bodies``."""

    bodies: tuple[Solid, ...]

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        nearest = self.bodies[0].distance(p)
        for body in self.bodies[1:]:
            nearest = np.minimum(nearest, body.distance(p))
        return nearest

    def points(self) -> FloatArray:
        """See `Solid`."""
        return np.concatenate([body.points() for body in self.bodies], axis=1)


@dataclass(frozen=True)
class Repeated:
    """``counts`` copies of ``body`` per axis, ``spacing`` apart, centred; a copy must fit into its cell."""

    body: Solid
    spacing: tuple[float, float, float]
    counts: tuple[int, int, int]

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        return self.body.distance(p - self.cell(p) * np.array(self.spacing, dtype=np.float32)[:, None])

    def cell(self, p: FloatArray) -> FloatArray:
        """Index of the copy nearest to each point, per axis, centred on zero: float32 ``[3, N]``."""
        rows = []
        for i in range(3):
            last = (self.counts[i] - 1) / 2
            step = np.rint(p[i] / np.float32(self.spacing[i]) + np.float32(last)) - np.float32(last)
            rows.append(np.clip(step, -last, last))
        return np.asarray(np.stack(rows), dtype=np.float32)

    def points(self) -> FloatArray:
        """See `Solid`."""
        base, copies = self.body.points(), []
        for ends in np.ndindex(2, 2, 2):
            shift = [(e - 0.5) * (n - 1) * s for e, n, s in zip(ends, self.counts, self.spacing, strict=True)]
            copies.append(base + np.array(shift, dtype=np.float32)[:, None])
        return np.concatenate(copies, axis=1)


@dataclass(frozen=True)
class Eroded:
    """``body`` with ``depth(p)`` metres (never negative) removed from its surface: dents, folds, ribs, treads."""

    body: Solid
    depth: Callable[[FloatArray], FloatArray]

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        return self.body.distance(p) + self.depth(p)

    def points(self) -> FloatArray:
        """See `Solid`."""
        return self.body.points()


@dataclass(frozen=True)
class Bent:
    """``body`` lifted by ``curve * x * x`` metres at ``x``, for small curves: sagging boards, bent pipes."""

    body: Solid
    curve: float

    def distance(self, p: FloatArray) -> FloatArray:
        """See `Solid`."""
        q = p.copy()
        q[1] -= np.float32(self.curve) * p[0] * p[0]
        return self.body.distance(q)

    def points(self) -> FloatArray:
        """See `Solid`."""
        q = self.body.points().copy()
        q[1] += np.float32(self.curve) * q[0] * q[0]
        return q


def to_local(p: FloatArray, rotation: FloatArray | None, centre: tuple[float, float, float]) -> FloatArray:
    """Points in the frame of something rotated by ``rotation`` and moved to ``centre``."""
    q = p - np.array(centre, dtype=np.float32)[:, None]
    return q if rotation is None else np.asarray(rotation.T @ q, dtype=np.float32)


def from_local(q: FloatArray, rotation: FloatArray | None, centre: tuple[float, float, float]) -> FloatArray:
    """Inverse of `to_local`."""
    p = q if rotation is None else rotation @ q
    return np.asarray(p + np.array(centre, dtype=np.float32)[:, None], dtype=np.float32)


def rotation_about(axis: str, degrees: float) -> FloatArray:
    """Rotation about ``x``, ``y`` (yaw) or ``z``, right-handed: float32 ``[3, 3]``."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix.astype(np.float32)
