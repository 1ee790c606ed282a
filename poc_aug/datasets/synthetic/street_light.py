"""Light: shading, shadows of houses and trees, reflections, haze."""

from __future__ import annotations

import numpy as np

from poc_aug.datasets.synthetic.filters import Number, lerp_rgb, smooth
from poc_aug.datasets.synthetic.street_camera import F32
from poc_aug.datasets.synthetic.street_scene import END_M, Sky, StreetScene, Tree

_STEP_M = 0.5
_START_M = -40.0
_SOFT = np.array([1, 2, 2, 2, 1], np.float32) / 8
_STREET_MIDDLE = np.array([0.10, 0.095, 0.085], np.float32)


class StreetLight:
    """The light of one scene. All colours are linear, float32 ``[..., 3]``."""

    def __init__(self, scene: StreetScene) -> None:
        self.sky: Sky = scene.sky
        self._trees = [t for t in scene.trees if t.trunk_m > 0 and t.z < 70]
        self._front = scene.street.front_m
        # Heights of the eaves along both building lines, one table per side.
        z = np.arange(_START_M, END_M, _STEP_M)
        self._eaves: list[F32] = [np.zeros(len(z), np.float32), np.zeros(len(z), np.float32)]
        for house in scene.buildings:
            if house.front_m > self._front[0 if house.side < 0 else 1] + 1:
                continue
            span = (z >= house.near_m) & (z < house.far_m)
            table = self._eaves[0 if house.side < 0 else 1]
            table[span] = house.height_m + 0.6 * house.roof_m
        for table in self._eaves:
            # The row continues behind the camera; otherwise its end would cut a bright wedge into the foreground.
            first = int(np.argmax(table > 0))
            table[:first] = table[first]
        # The sun is not a point, so steps from house to house cast soft edges too.
        self._eaves = [np.convolve(np.pad(t, 2, mode="edge"), _SOFT, mode="valid") for t in self._eaves]

    def haze(self, rgb: F32, z: Number, alpha: F32 | None = None) -> F32:
        """Mix with the colour of the air over ``z`` metres; ``alpha``: coverage that ``rgb`` is multiplied by."""
        air = 1 - np.exp(-np.asarray(z, np.float32) / np.float32(self.sky.haze_m))
        return lerp_rgb(rgb, self.sky.haze_rgb if alpha is None else alpha[..., None] * self.sky.haze_rgb, air)

    def sunlit(self, x: Number, y: Number, z: Number, trees: bool = True) -> F32:
        """Share of the sun that reaches points in the street: 0 in the shadow of houses, in between under trees."""
        sx, sy, sz = self.sky.sun
        px, py, pz = (np.asarray(v, np.float32) for v in (x, y, z))
        shape = np.broadcast_shapes(px.shape, py.shape, pz.shape)
        if self.sky.weather == "overcast":
            return np.ones(shape, np.float32)
        lit = np.ones(shape, np.float32)
        if abs(sx) > 0.05:
            side = 1 if sx > 0 else -1
            t = (side * self._front[0 if side < 0 else 1] - px) / np.float32(sx)
            t = np.maximum(t, 0)
            table = self._eaves[0 if side < 0 else 1]
            place = np.clip((pz + t * np.float32(sz) - _START_M) / _STEP_M, 0, len(table) - 1.001)
            at = place.astype(np.int32)
            eaves = table[at] + (table[at + 1] - table[at]) * (place - at).astype(np.float32)
            soft = np.float32(0.25) + np.float32(0.05) * t
            over = py + t * np.float32(sy) - eaves
            lit = np.clip(over / soft + np.float32(0.5), 0, 1).astype(np.float32)
        if trees:
            lit = np.broadcast_to(lit, shape).copy()
            if lit.size:
                heights, depths = (float(py.min()), float(py.max())), (float(pz.min()), float(pz.max()))
                for tree in self._trees:
                    drifts = [tree.z + (y - tree.trunk_m - 0.45 * tree.crown_h) * sz / sy for y in heights]
                    reach = 1.2 * tree.crown_m / sy
                    if min(drifts) - reach < depths[1] and max(drifts) + reach > depths[0]:
                        self._dapple(tree, lit, px, py, pz)
        return lit

    def _dapple(self, tree: Tree, lit: F32, px: F32, py: F32, pz: F32) -> None:
        """Shade ``lit`` under a tree's crown, a soft ball."""
        sx, sy, sz = (np.float32(v) for v in self.sky.sun)
        middle = np.float32(tree.trunk_m + 0.45 * tree.crown_h)
        # Most points are far from the shadow; one comparison along the street leaves few to compute.
        drift = (py - middle) * (sz / sy)
        near = np.broadcast_to(np.abs(pz - np.float32(tree.z) - drift) < tree.crown_m * 1.2 / sy, lit.shape)
        at = np.flatnonzero(near)
        if not len(at):
            return
        px, py, pz = (np.broadcast_to(v, lit.shape).ravel()[at] if v.ndim else v for v in (px, py, pz))
        dx, dy, dz = np.float32(tree.x) - px, middle - py, np.float32(tree.z) - pz
        along = dx * sx + dy * sy + dz * sz
        gap = (dx * dx + dy * dy + dz * dz - along * along) * np.float32(1 / (0.95 * tree.crown_m) ** 2)
        shade = np.minimum(np.clip(np.float32(1.25) - gap, 0, 1) * np.float32(1.6), 1)
        lit.reshape(-1)[at] *= 1 - np.float32(0.85) * shade

    def shade(self, albedo: F32, normal: F32, lit: F32, open_sky: Number) -> F32:
        """Diffuse light reflected by a surface.

        Args:
            albedo: reflectance ``[..., 3]``.
            normal: unit normals ``[..., 3]`` or ``[3]``.
            lit: share of the sun, ``[...]``.
            open_sky: share of the sky that is not hidden by surroundings (ambient occlusion), ``[...]``.
        """
        sky = self.sky
        facing = np.maximum(normal @ np.asarray(sky.sun, np.float32), 0) * lit
        open_sky = np.asarray(open_sky, np.float32)
        above = (np.float32(0.5) + np.float32(0.5) * normal[..., 1]) * open_sky
        below = open_sky - above
        shaded = np.empty(np.broadcast_shapes(albedo.shape, (*facing.shape, 3), (*above.shape, 3)), np.float32)
        for channel in range(3):
            light = facing * sky.sun_rgb[channel] + above * sky.ambient_rgb[channel] + below * sky.bounce_rgb[channel]
            np.multiply(albedo[..., channel], light, out=shaded[..., channel])
        return shaded

    def mirror(self, direction: F32) -> F32:
        """Light that a mirror shows in unit ``direction`` ``[..., 3]``: road, house fronts, sky."""
        sky, up = self.sky, direction[..., 1]
        ground = sky.ambient_rgb * np.float32(0.10)
        fronts = _STREET_MIDDLE * (sky.ambient_rgb + 0.25 * sky.sun_rgb)
        low = lerp_rgb(ground, fronts, smooth(up, -0.06, 0.06))
        # House fronts hide the sky to the sides, not along the street.
        edge = 0.12 + 0.38 * np.abs(direction[..., 0])
        high = lerp_rgb(sky.horizon_rgb, sky.zenith_rgb, smooth(up, 0.1, 0.9))
        return lerp_rgb(low, high, np.clip((up - edge) / np.float32(0.10) + np.float32(0.5), 0, 1))
