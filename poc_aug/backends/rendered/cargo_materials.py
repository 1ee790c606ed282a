"""Materials of lost cargo that depend on the shape they cover: cardboard, boards, film, cloth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.backends.rendered.materials import (
    Rgb,
    brightness,
    grain,
    mix_colours,
    smoothstep,
    soft_band,
    uniform_colour,
)
from poc_aug.backends.rendered.model import Surface
from poc_aug.backends.rendered.solids import Repeated
from poc_aug.noise import FloatArray, hash_unit

INK: Rgb = (0.05, 0.04, 0.035)


def _cells(u: FloatArray, size: float, texel: float, seed: int, v: FloatArray | None = None) -> FloatArray:
    """One random value around 0 per cell of ``size`` metres; fades out if cells are too fine to be seen."""
    fade = float(np.clip(size / (1.2 * texel) - 0.6, 0, 1))
    row = np.floor(u / np.float32(size))
    column = np.zeros_like(row) if v is None else np.floor(v / np.float32(size))
    return (hash_unit(row.astype(np.int64), column.astype(np.int64), seed=seed) - np.float32(0.5)) * np.float32(fade)


@dataclass(frozen=True)
class Cardboard:
    """A corrugated box: tape along the seam, print, a label, worn edges.

    Attributes:
        half: half extents of the box in metres.
        colour: linear RGB of the board.
        seed: of its noise.
        tape: colour of the tape, or ``None``.
        ink: strength of the print, 0 to 1.
        label: whether a white address label is stuck on.
        damp: how stained it is, 0 to 1.
    """

    half: tuple[float, float, float]
    colour: Rgb
    seed: int
    tape: Rgb | None = (0.33, 0.22, 0.11)
    ink: float = 0.6
    label: bool = True
    damp: float = 0.3

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        fibre = grain(p, 0.02, self.seed, texel, 3)
        cloud = grain(p, 0.30, self.seed + 1, texel, 4)
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(0.05 * fibre + 0.07 * cloud)
        wet = smoothstep(0.3, 0.9, grain(p, 0.24, self.seed + 2, texel, 5) - 2.5 * (p[1] + self.half[1])) * self.damp
        albedo = mix_colours(albedo, (self.colour[0] * 0.42, self.colour[1] * 0.38, self.colour[2] * 0.33), wet)
        x, y, z = p
        top, side_x, side_z = (np.abs(n[i]) > 0.7 for i in (1, 0, 2))
        if self.ink > 0:
            shown = self._print(x, y, texel) * side_z + self._print(z + 0.31, y, texel) * side_x
            albedo = mix_colours(albedo, INK, shown * np.float32(self.ink) * (1 - 0.4 * np.clip(fibre, 0, 1)))
        rough = np.full(p.shape[1], 0.92, dtype=np.float32)
        folded = top | (side_x & (np.abs(y) > self.half[1] - 0.012))
        albedo *= 1 - 0.75 * soft_band(z, 0.0022, texel) * folded * min(1.0, 0.0044 / texel)
        if self.tape is not None:
            long = self.half[1] * 0.35 + 0.02
            on = soft_band(z + 0.002 * np.sin(x * 40), 0.026, texel) * (
                top | (side_x & (np.abs(y) > self.half[1] - long))
            )
            albedo = mix_colours(albedo, self.tape, on * 0.8)
            rough = rough - 0.5 * on
        if self.label:
            albedo = self._labelled(albedo, x, y, side_z & (n[2] < 0), texel)
        edge = np.sort(np.array(self.half, dtype=np.float32)[:, None] - np.abs(p), axis=0)[1]
        worn = smoothstep(0.016, 0.002, edge + 0.006 * grain(p, 0.03, self.seed + 3, texel, 3))
        pale = (min(1.0, self.colour[0] * 1.35), self.colour[1] * 1.38, self.colour[2] * 1.45)
        return Surface.of(mix_colours(albedo, pale, worn * 0.45), rough)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return 0.004 * grain(p, 0.22, self.seed + 4, texel, 3)

    def _print(self, u: FloatArray, v: FloatArray, texel: float) -> FloatArray:
        """Lines of block letters over a bar, in the upper half of the side."""
        height = self.half[1] * 0.20
        line = np.floor((v - self.half[1] * 0.30) / np.float32(height))
        inside = (v - self.half[1] * 0.30) / np.float32(height) - line
        width = np.float32(height * 0.62)
        letter = np.floor(u / width)
        stroke = hash_unit(
            np.floor(u / width * 3).astype(np.int64),
            np.floor(v / np.float32(height) * 4).astype(np.int64),
            seed=self.seed + 8,
        )
        present = hash_unit(letter.astype(np.int64), line.astype(np.int64), seed=self.seed + 9) > 0.18
        gap = (u / width - letter > 0.16) & (inside > 0.18)
        shown = (stroke > 0.30) & present & gap & (line >= 0) & (line < 2)
        reach = np.abs(u) < min(self.half[0], self.half[2]) * 0.62
        average = np.clip(texel / (width / 3) - 0.5, 0, 1)
        return np.asarray((shown * (1 - average) + 0.4 * average * (line >= 0) * (line < 2)) * reach, np.float32)

    def _labelled(self, albedo: FloatArray, x: FloatArray, y: FloatArray, side: FloatArray, texel: float) -> FloatArray:
        w, h = min(0.075, self.half[0] * 0.4), min(0.05, self.half[1] * 0.35)
        u, v = x - self.half[0] * 0.42, y + self.half[1] * 0.35
        on = soft_band(u, w, texel) * soft_band(v, h, texel) * side
        lines = (_cells(v, 0.009, texel, self.seed + 5) > 0.12) & (np.abs(u) < w * 0.85) & (v > -h * 0.1)
        bars = (_cells(u, 0.004, texel, self.seed + 6) > 0.05) & (np.abs(u) < w * 0.8) & (v < -h * 0.2) & (v > -h * 0.8)
        paper = mix_colours(uniform_colour((0.72, 0.72, 0.70), x.size), INK, (lines | bars).astype(np.float32) * 0.8)
        return mix_colours(albedo, paper, on)


@dataclass(frozen=True)
class Wood:
    """Boards with grain along ``axis``; each copy of a `Repeated` board gets its own pattern.

    Attributes:
        half: half extents of one board.
        colour: linear RGB.
        seed: of its noise.
        grey: how weathered, 0 to 1.
        boards: the repeated solid, which distinguishes the copies.
        axis: index of the coordinate along the grain.
        around: whether the ends are boards too, with grain along ``z`` (the four sides of a crate).
    """

    half: tuple[float, float, float]
    colour: Rgb
    seed: int
    grey: float = 0.3
    boards: Repeated | None = None
    axis: int = 0
    around: bool = False

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        q, tone = self._own(p)
        along, across = q[self.axis], q[[i for i in range(3) if i != self.axis]]
        fibre = self._fibre(q, texel)
        warp = 0.5 * grain(q, 0.25, self.seed + 1, texel, 2, self._stretch(5.0))
        rings = np.sin((across[1] + 0.6 * across[0]) * np.float32(2 * np.pi / 0.022) + 7 * warp)
        rings *= np.float32(np.clip(0.022 / (2.5 * texel) - 0.4, 0, 1))
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(0.16 * fibre + 0.09 * rings + tone)
        knots = self._knots(along, across, texel)
        albedo = albedo * (1 - 0.6 * knots)
        level = albedo.mean(axis=0)
        worn = np.clip(self.grey * (1 + 0.6 * grain(q, 0.35, self.seed + 2, texel, 4)), 0, 1)
        albedo = mix_colours(albedo, np.stack([level * 0.92, level * 0.90, level * 0.86]) * np.float32(0.85), worn)
        if not self.around:
            albedo = albedo * (1 - 0.35 * smoothstep(0.6, 0.8, np.abs(n[self.axis])))
        return Surface.of(albedo, 0.88)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        q, _ = self._own(p)
        return 0.0012 * self._fibre(q, texel)

    def _stretch(self, by: float) -> tuple[float, float, float]:
        return (by if self.axis == 0 else 1.0, by if self.axis == 1 else 1.0, by if self.axis == 2 else 1.0)

    def _fibre(self, q: FloatArray, texel: float) -> FloatArray:
        return grain(q, 0.018, self.seed, texel, 3, self._stretch(22.0))

    def _own(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points moved to another place in the pattern for each board, and the board's brightness."""
        if self.around:
            end = np.abs(p[0]) > self.half[0] - 0.004
            p = np.stack([np.where(end, p[2], p[0]), p[1], np.where(end, p[0], p[2])])
        if self.boards is None:
            return p, np.zeros(p.shape[1], dtype=np.float32)
        number = (self.boards.cell(p) * 2).astype(np.int64)
        value = hash_unit(number[0], number[1], number[2], seed=self.seed + 3)
        return p + value * np.float32(9), (value - np.float32(0.5)) * np.float32(0.35)

    def _knots(self, along: FloatArray, across: FloatArray, texel: float) -> FloatArray:
        if texel > 0.02:
            return np.zeros_like(along)
        cell = np.floor(along / np.float32(0.42)).astype(np.int64)
        place = (hash_unit(cell, seed=self.seed + 4) - np.float32(0.5)) * np.float32(0.3)
        other = (hash_unit(cell, seed=self.seed + 5) - np.float32(0.5)) * np.float32(2 * max(self.half) * 0.1)
        u = along - (cell + np.float32(0.5)) * np.float32(0.42) - place
        v = across[1] - other
        return smoothstep(1.3, 0.5, np.sqrt((u / 0.016) ** 2 + (v / 0.010) ** 2))


@dataclass(frozen=True)
class Film:
    """Thin crumpled plastic: rubbish bags, tarpaulin. Glossy, with a highlight on every fold.

    Attributes:
        colour: linear RGB.
        seed: of its noise.
        crease: height of the creases in metres.
        roughness: of the film.
    """

    colour: Rgb
    seed: int
    crease: float = 0.008
    roughness: float = 0.3

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        thin = brightness(0.15 * grain(p, 0.12, self.seed, texel))
        return Surface.of(uniform_colour(self.colour, p.shape[1]) * thin, self.roughness, 0.05)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        # Ridges at the noise's zero crossings: sharp creases with slack film between them.
        wide = np.abs(grain(p, 0.16, self.seed + 1, texel, 3))
        fine = np.abs(grain(p, 0.055, self.seed + 2, texel, 2))
        return np.asarray(-self.crease * (np.minimum(wide, 0.5) + 0.35 * np.minimum(fine, 0.5)), dtype=np.float32)


@dataclass(frozen=True)
class Cloth:
    """Woven cloth: mattress ticking, carpet, canvas.

    Attributes:
        colour: linear RGB of the ground.
        accent: linear RGB of the stripes or figures.
        seed: of its noise.
        stripe_m: spacing of the stripes along ``axis``; 0: none.
        axis: index of the coordinate across the stripes.
        figures: strength of an irregular woven figure.
        stains: how stained, 0 to 1.
        pile: height of the relief in metres.
    """

    colour: Rgb
    accent: Rgb
    seed: int
    stripe_m: float = 0.0
    axis: int = 0
    figures: float = 0.0
    stains: float = 0.3
    pile: float = 0.001

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(
            0.07 * grain(p, 0.015, self.seed, texel, 2) + 0.07 * grain(p, 0.3, self.seed + 1, texel)
        )
        if self.stripe_m > 0:
            u = p[self.axis]
            off = u - np.rint(u / np.float32(self.stripe_m)) * np.float32(self.stripe_m)
            contrast = np.float32(np.clip(self.stripe_m / (3 * texel) - 0.5, 0, 1))
            stripes = soft_band(off, self.stripe_m * 0.14, texel) * contrast + 0.28 * (1 - contrast)
            albedo = mix_colours(albedo, self.accent, stripes * 0.8)
        if self.figures > 0:
            figure = smoothstep(0.10, 0.45, np.abs(grain(p, 0.07, self.seed + 2, texel, 3)))
            albedo = mix_colours(albedo, self.accent, figure * np.float32(self.figures))
        stain = smoothstep(0.45, 0.75, grain(p, 0.35, self.seed + 3, texel, 5)) * self.stains
        brown = albedo * np.array([0.62, 0.52, 0.40], dtype=np.float32)[:, None]
        return Surface.of(mix_colours(albedo, brown, stain), 1.0, 0.03)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return self.pile * grain(p, 0.02, self.seed + 4, texel, 2) + 6 * self.pile * grain(p, 0.25, self.seed, texel, 2)
