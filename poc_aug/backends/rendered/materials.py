"""Building blocks of materials (colours, level-of-detail noise, wear), and the plain materials.

Noise is cut off at the size of a pixel (``texel``), so that textures need no supersampling to be free of aliasing:
the frequency clamping of Norton et al., "Clamping" (SIGGRAPH 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poc_aug.backends.rendered.model import Surface
from poc_aug.noise import FloatArray, fbm_3d

Rgb = tuple[float, float, float]
DUST: Rgb = (0.30, 0.27, 0.22)
RUST: Rgb = (0.16, 0.060, 0.025)
# Used metal is scratched and oxidised, so part of its reflection is practically diffuse.
_BARE = 0.65


def linear_rgb(red: int, green: int, blue: int) -> Rgb:
    """Linear reflectance of an sRGB colour given as 0 to 255."""
    values = [v / 255 for v in (red, green, blue)]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return (r, g, b)


def uniform_colour(colour: Rgb, count: int) -> FloatArray:
    """One colour for ``count`` points: ``[3, count]``."""
    return np.repeat(np.array(colour, dtype=np.float32)[:, None], count, axis=1)


def mix_colours(a: FloatArray, b: FloatArray | Rgb, weight: FloatArray | float) -> FloatArray:
    """``a`` where the weight is 0, ``b`` where it is 1."""
    other = np.array(b, dtype=np.float32)[:, None] if isinstance(b, tuple) else b
    return np.asarray(a + (other - a) * weight, dtype=np.float32)


def smoothstep(low: float, high: float, x: FloatArray) -> FloatArray:
    """0 below ``low``, 1 above ``high``, smooth between; falling if ``low > high``."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def soft_band(x: FloatArray, half_width: float, texel: float) -> FloatArray:
    """1 where ``|x| < half_width``, with an antialiased edge of one texel."""
    half = np.float32(max(texel, 1e-4) * 0.7)
    return np.asarray(np.clip((half_width - np.abs(x)) / half * 0.5 + 0.5, 0, 1), dtype=np.float32)


def grain(
    p: FloatArray,
    size: float,
    seed: int,
    texel: float,
    octaves: int = 4,
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> FloatArray:
    """Noise around 0, mostly between -1 and 1, with features of ``size`` metres and finer.

    Args:
        p: points ``[3, N]``.
        size: wavelength of the coarsest octave in metres.
        seed: of the pattern.
        texel: octaves finer than about two texels are left out.
        octaves: most octaves.
        stretch: features are this much longer along each axis.

    Returns:
        float32 ``[N]``; zero if even the coarsest octave is too fine to be seen.
    """
    usable = int(np.floor(np.log2(max(size / (1.6 * texel), 1e-6)))) + 1
    if usable < 1:
        return np.zeros(p.shape[1], dtype=np.float32)
    scale = np.array([1 / (size * s) for s in stretch], dtype=np.float32)[:, None]
    return (fbm_3d((p * scale).T, seed, min(usable, octaves)) - np.float32(0.5)) * np.float32(3.2)


def brightness(amount: FloatArray) -> FloatArray:
    """Brightness factor from centred noise; never negative."""
    return np.maximum(1 + amount, 0.05)


@dataclass(frozen=True)
class Plain:
    """One colour with mottling, scuffs and small relief: plastics, rubber, paint.

    Attributes:
        colour: linear RGB.
        seed: of its noise.
        roughness: of the clean surface.
        mottle: strength of the slow change of brightness.
        scuffs: how much is scratched and bleached, 0 to 1.
        relief: height of the relief in metres.
        relief_size: wavelength of the relief in metres.
    """

    colour: Rgb
    seed: int
    roughness: float = 0.55
    mottle: float = 0.12
    scuffs: float = 0.3
    relief: float = 0.0004
    relief_size: float = 0.03

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(self.mottle * grain(p, 0.25, self.seed, texel))
        worn = smoothstep(0.55, 1.1, grain(p, 0.09, self.seed + 1, texel, 5, (1.0, 0.35, 1.0))) * self.scuffs
        pale = tuple(0.25 + 0.55 * c for c in self.colour)
        albedo = mix_colours(albedo, (pale[0], pale[1], pale[2]), worn * 0.42)
        return Surface.of(albedo, np.clip(self.roughness + 0.3 * worn, 0, 1))

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return self.relief * grain(p, self.relief_size, self.seed + 2, texel, 3)


@dataclass(frozen=True)
class Metal:
    """Bare metal, brushed, with rust or white corrosion.

    Attributes:
        colour: linear reflectance of the metal.
        seed: of its noise.
        rust: fraction that is rusty, 0 to 1.
        roughness: of the clean metal.
        oxide: colour of the corrosion.
    """

    colour: Rgb
    seed: int
    rust: float = 0.4
    roughness: float = 0.45
    oxide: Rgb = RUST

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        brushed = brightness(0.10 * grain(p, 0.06, self.seed, texel, 4) + 0.08 * grain(p, 0.4, self.seed + 1, texel))
        patches = grain(p, 0.14, self.seed + 2, texel, 5)
        patches = patches + 0.4 * grain(p, 0.02, self.seed + 4, texel, 2)
        rusty = smoothstep(0.9 - 2.1 * self.rust, 1.9 - 2.1 * self.rust, patches)
        oxide = uniform_colour(self.oxide, p.shape[1]) * brightness(0.45 * grain(p, 0.03, self.seed + 3, texel))
        albedo = mix_colours(uniform_colour(self.colour, p.shape[1]) * brushed, oxide, rusty)
        return Surface.of(albedo, self.roughness + (0.9 - self.roughness) * rusty, 0.04, _BARE * (1 - rusty))

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return 0.0005 * grain(p, 0.04, self.seed + 2, texel, 3)


@dataclass(frozen=True)
class Stone:
    """Concrete, brick, rock: speckled and pitted.

    Attributes:
        colour: linear RGB.
        seed: of its noise.
        contrast: strength of stains and speckle.
        relief: height of the relief in metres.
        relief_size: its wavelength in metres.
    """

    colour: Rgb
    seed: int
    contrast: float = 0.3
    relief: float = 0.004
    relief_size: float = 0.06

    def look(self, p: FloatArray, n: FloatArray, texel: float) -> Surface:
        """See `Material`."""
        stains = grain(p, 0.3, self.seed, texel, 5)
        speckle = grain(p, 0.012, self.seed + 1, texel, 2)
        uneven = np.asarray(0.8 * stains + 0.5 * speckle, dtype=np.float32)
        albedo = uniform_colour(self.colour, p.shape[1]) * brightness(self.contrast * uneven)
        pits = smoothstep(0.8, 1.2, grain(p, 0.03, self.seed + 2, texel, 2))
        return Surface.of(albedo * (1 - 0.5 * pits), 0.95, 0.03)

    def bump(self, p: FloatArray, texel: float) -> FloatArray | None:
        """See `Material`."""
        return self.relief * grain(p, self.relief_size, self.seed + 3, texel, 4)


def add_grime(surface: Surface, p: FloatArray, n: FloatArray, grime: float, seed: int, texel: float) -> Surface:
    """Road dust on a surface: splashed from below, settled on top, streaked by rain.

    Args:
        surface: the clean surface.
        p: points ``[3, N]`` in the object's frame: metres over the ground are ``p[1]``.
        n: normals ``[3, N]``.
        grime: how dirty, 0 to 1.
        seed: of the pattern.
        texel: size of a pixel in metres.
    """
    if grime <= 0:
        return surface
    patches = grain(p, 0.22, seed, texel, 4)
    splash = np.exp(-np.maximum(p[1], 0) / np.float32(0.10)) * np.clip(0.75 + 0.6 * patches, 0, 1.3)
    settled = np.clip(n[1], 0, 1) ** 2 * np.clip(0.35 + 0.4 * patches, 0, 1)
    streaks = np.clip(grain(p, 0.05, seed + 1, texel, 3, (1.0, 7.0, 1.0)) - 0.15, 0, 1) * (1 - np.abs(n[1]))
    weight = np.clip(np.float32(grime) * (0.75 * splash + 0.5 * settled + 0.35 * streaks + 0.1), 0, 0.85)
    level = surface.albedo.mean(axis=0)
    # Dust brightens darker surfaces and stains brighter ones: on white it is darker than clean dust.
    tone = np.array(DUST, dtype=np.float32)[:, None] * np.clip(0.45 + 0.8 * level, 0.35, 1.0)
    return Surface(
        albedo=mix_colours(surface.albedo, np.asarray(tone, dtype=np.float32), weight),
        roughness=surface.roughness + (1 - surface.roughness) * weight,
        specular=surface.specular,
        metal=surface.metal * (1 - weight),
    )
