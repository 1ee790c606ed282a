"""Skins of round cargo: tyres, traffic cones, painted drums, balls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.backends.rendered.materials import (
    RUST,
    Rgb,
    brightness,
    grain,
    mix_colours,
    smoothstep,
    soft_band,
    uniform_colour,
)
from poc_aug.backends.rendered.model import Surface
from poc_aug.noise import FloatArray, hash_unit


@dataclass(frozen=True)
class Tyre:
    """Worn rubber about the y axis: tread grooves, a ribbed side wall, road dust.

    Attributes:
        outer: outer radius in metres.
        inner: radius of the bead.
        half_width: half the tread's width.
        seed: of its noise.
    """

    outer: float
    inner: float
    half_width: float
    seed: int

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        rho = np.sqrt(p[0] * p[0] + p[2] * p[2])
        tread = smoothstep(self.outer - 0.025, self.outer - 0.008, rho)
        dust = np.clip(0.3 + 0.4 * grain(p, 0.12, self.seed, texel, 5), 0, 1)
        albedo = uniform_colour((0.022, 0.022, 0.023), p.shape[1]) * brightness(
            0.2 * grain(p, 0.03, self.seed + 1, texel)
        )
        albedo = mix_colours(albedo, (0.105, 0.098, 0.088), dust * (0.35 + 0.35 * tread))
        groove = self._grooves(p, texel) * tread
        return Surface.of(albedo * (1 - 0.75 * groove), 0.68 + 0.25 * tread)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        rho = np.sqrt(p[0] * p[0] + p[2] * p[2])
        share = (rho - self.inner) / (self.outer - self.inner)
        fade = np.float32(np.clip(0.012 / (1.5 * texel) - 0.3, 0, 1))
        ribs = 0.0010 * (smoothstep(0.02, 0.0, np.abs(share - 0.35)) + smoothstep(0.02, 0.0, np.abs(share - 0.62)))
        angle = np.arctan2(p[2], p[0])
        letters = (hash_unit(np.floor(angle * 16).astype(np.int64), seed=self.seed + 2) > 0.55) & (
            np.sin(angle * 2) > 0.35
        )
        raised = letters * smoothstep(0.09, 0.07, np.abs(share - 0.49)) * np.float32(0.0009)
        return np.asarray(fade * (ribs + raised) - 0.006 * self._grooves(p, texel) * (share > 0.9), dtype=np.float32)

    def _grooves(self, p: FloatArray, texel: float) -> FloatArray:
        angle = np.arctan2(p[2], p[0])
        y = p[1] / np.float32(self.half_width)
        # Three grooves around: one in the middle, one on each side.
        nearest = np.minimum(np.abs(y), np.abs(np.abs(y) - np.float32(0.45)))
        lengthwise = soft_band(nearest, 0.055, texel / self.half_width)
        slant = angle * np.float32(self.outer) + 0.35 * np.abs(p[1])
        pitch = np.float32(0.032)
        sipes = soft_band(slant - np.rint(slant / pitch) * pitch, 0.0035, texel) * (np.abs(y) > 0.5)
        fade = np.float32(np.clip(0.014 / texel - 0.35, 0, 1))
        return np.asarray(np.clip(lengthwise + sipes * fade, 0, 1), dtype=np.float32)


@dataclass(frozen=True)
class Banded:
    """A traffic cone's skin: reflecting bands by height along ``y``, scuffed.

    Attributes:
        colour: linear RGB of the body.
        bands: (middle, half width) of each band in metres along ``y``.
        band_colour: linear RGB of the bands.
        seed: of its noise.
    """

    colour: Rgb
    bands: tuple[tuple[float, float], ...]
    band_colour: Rgb
    seed: int

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(0.12 * grain(p, 0.15, self.seed, texel))
        rough = np.full(p.shape[1], 0.55, dtype=np.float32)
        for middle, half in self.bands:
            on = soft_band(p[1] - np.float32(middle), half, texel)
            sheet = uniform_colour(self.band_colour, p.shape[1]) * brightness(
                0.10 * grain(p, 0.05, self.seed + 1, texel)
            )
            albedo, rough = mix_colours(albedo, sheet, on), rough - 0.15 * on
        scuffs = smoothstep(0.5, 1.0, grain(p, 0.06, self.seed + 2, texel, 5, (1.0, 2.5, 1.0)))
        albedo = mix_colours(albedo, (0.10, 0.09, 0.085), scuffs * 0.55)
        return Surface.of(albedo, rough + 0.3 * scuffs)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return 0.0006 * grain(p, 0.04, self.seed + 3, texel, 3)


@dataclass(frozen=True)
class DrumPaint:
    """A painted steel drum about the y axis: chipped and rusting at hoops and rims, faded, printed.

    Attributes:
        colour: linear RGB of the paint.
        half_height: of the drum.
        seed: of its noise.
        rust: how rusty, 0 to 1.
        stencil: linear RGB of a painted band, or ``None``.
    """

    colour: Rgb
    half_height: float
    seed: int
    rust: float = 0.3
    stencil: Rgb | None = None

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        y = p[1] / np.float32(self.half_height)
        fade = 0.10 * grain(p, 0.35, self.seed, texel) + 0.05 * grain(p, 0.02, self.seed + 4, texel, 2)
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(fade)
        if self.stencil is not None:
            albedo = mix_colours(albedo, self.stencil, smoothstep(0.30, 0.29, np.abs(y)) * 0.9)
        exposed = np.maximum(smoothstep(0.86, 1.0, np.abs(y)), smoothstep(0.10, 0.0, np.abs(np.abs(y) - 0.34)) * 0.7)
        patches = grain(p, 0.12, self.seed + 1, texel, 6) + 0.75 * exposed
        streak = grain(p, 0.05, self.seed + 2, texel, 4, (1.0, 8.0, 1.0)) * 0.35
        rusty = smoothstep(1.35 - 1.5 * self.rust, 1.6 - 1.5 * self.rust, patches + streak)
        stain = smoothstep(0.9 - 1.3 * self.rust, 1.6 - 1.3 * self.rust, patches + 1.6 * streak) * 0.45
        oxide = uniform_colour(RUST, p.shape[1]) * brightness(0.5 * grain(p, 0.025, self.seed + 3, texel, 3))
        albedo = mix_colours(mix_colours(albedo, RUST, stain), oxide, rusty)
        return Surface.of(albedo, 0.42 + 0.25 * stain + 0.45 * rusty, 0.045)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return 0.004 * grain(p, 0.3, self.seed + 5, texel, 2) + 0.0004 * grain(p, 0.03, self.seed + 3, texel, 2)


@dataclass(frozen=True)
class BallSkin:
    """A ball about the origin: panels of a football, lines of a basketball, or beach-ball wedges.

    Attributes:
        style: "football", "basketball" or "wedges".
        colour: linear RGB.
        accent: linear RGB of panels, lines or wedges.
        seed: of its noise.
    """

    style: str
    colour: Rgb
    accent: Rgb
    seed: int

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        u = p / np.maximum(np.sqrt((p * p).sum(axis=0)), np.float32(1e-6))
        radius = float(np.sqrt((p * p).sum(axis=0)).mean())
        soft = texel / max(radius, 1e-3)
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(0.10 * grain(p, 0.06, self.seed, texel, 4))
        albedo = mix_colours(albedo, self.accent, self._figure(u, soft))
        worn = smoothstep(0.4, 0.9, grain(p, 0.07, self.seed + 1, texel, 5)) * 0.35
        return Surface.of(mix_colours(albedo, (0.16, 0.14, 0.12), worn), 0.5 + 0.3 * worn)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return 0.0003 * grain(p, 0.012, self.seed + 2, texel, 1)

    def _figure(self, u: FloatArray, soft: float) -> FloatArray:
        if self.style == "football":
            phi = (1 + 5**0.5) / 2
            centres = np.array([(0, s, t * phi) for s in (-1, 1) for t in (-1, 1)], dtype=np.float32)
            centres = np.concatenate([np.roll(centres, k, axis=1) for k in range(3)])
            centres /= np.float32(np.hypot(1, phi))
            # The pentagons of a truncated icosahedron, rounded to discs, and the seams between the hexagons.
            facing = np.sort(centres @ u, axis=0)
            seam = soft_band(facing[-1] - facing[-2], 0.018, soft) * smoothstep(0.93, 0.91, facing[-1])
            panels = smoothstep(0.938 - soft, 0.945 + soft, facing[-1])
            return np.asarray(np.maximum(panels, 0.6 * seam), dtype=np.float32)
        if self.style == "basketball":
            seams = [u[0], u[1], np.abs(u[2]) - 0.62 - 0.35 * u[0] * u[0]]
            return np.asarray(np.max([soft_band(s, 0.022, soft) for s in seams], axis=0), dtype=np.float32)
        wedge = np.arctan2(u[2], u[0]) * np.float32(3 / np.pi)
        edge = np.sin(wedge * np.float32(np.pi))
        return smoothstep(-0.04 - 3 * soft, 0.04 + 3 * soft, edge)
