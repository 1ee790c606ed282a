"""Value noise and fBm at arbitrary coordinates, by integer hashing: no state, no tables, no random generator.

Value noise after Perlin, "An Image Synthesizer" (SIGGRAPH 1985), with hashed lattice values in place of
gradients; fBm sums octaves as in Musgrave, "Texturing and Modeling" (ch. 14). The same coordinates and
seed give the same values on every machine that follows IEEE float32, whatever the shape of the arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poc_aug.errors import SettingError

FloatArray = NDArray[np.float32]
_UintArray = NDArray[np.uint32]

# Odd multipliers, one per axis: primes with well spread bits, so that neighbouring cells do not correlate.
_AXIS_PRIMES = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D))
_GAIN = 0.5
_LACUNARITY = 2.0
# A shift per octave: without it the lattices of all octaves coincide at the origin, which shows as a cross.
_OCTAVE_SHIFT = 17.31


def _mix(h: _UintArray) -> _UintArray:
    """Spread the bits of ``h`` (lowbias32 of Wellons, "Prospecting for Hash Functions"); works in place."""
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return h


def _as_seed(seed: int) -> np.uint32:
    mixed: np.uint32 = _mix(np.array([(seed ^ (seed >> 32)) & 0xFFFFFFFF], dtype=np.uint32))[0]
    return mixed


def hash_unit(*coordinates: ArrayLike, seed: int = 0) -> FloatArray:
    """Hash integer coordinates to float32 in ``[0, 1)``: one value per cell, for example the colour of each window.

    Args:
        coordinates: one to three integer arrays that broadcast together, one per axis; their low 32 bits
            count.
        seed: any integer.

    Returns:
        float32, the broadcast shape.

    Example:
        >>> hash_unit([0, 1, 2], seed=3).round(3)
        array([0.404, 0.872, 0.796], dtype=float32)
    """
    if not 1 <= len(coordinates) <= len(_AXIS_PRIMES):
        raise TypeError(f"hash_unit takes 1 to {len(_AXIS_PRIMES)} coordinates, got {len(coordinates)}")
    total: _UintArray = np.full(1, _as_seed(seed), dtype=np.uint32)
    shape = np.broadcast_shapes(*(np.shape(c) for c in coordinates))
    for axis, prime in zip(coordinates, _AXIS_PRIMES, strict=False):
        # At least 1-D: NumPy warns if a scalar overflows, but not if an array does.
        total = total + np.atleast_1d(axis).astype(np.int64).astype(np.uint32) * prime
    return _to_unit(_mix(total)).reshape(shape)


def _to_unit(h: _UintArray) -> FloatArray:
    # 24 bits: exact in float32, so that the result never rounds up to 1.
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _lattice(coordinate: ArrayLike, prime: np.uint32) -> tuple[_UintArray, _UintArray, FloatArray]:
    """Hash terms of the cells on both sides, and the smooth weight of the upper one."""
    x = np.asarray(coordinate, dtype=np.float32)
    floor = np.floor(x)
    t = x - floor
    low = floor.astype(np.int32).astype(np.uint32) * prime
    # The quintic of Perlin, "Improving Noise" (2002): flat curvature at the lattice, no visible creases.
    weight: FloatArray = np.asarray(
        t * t * t * (t * (t * np.float32(6) - np.float32(15)) + np.float32(10)), dtype=np.float32
    )
    weight = np.minimum(weight, np.float32(1))  # rounding takes it past 1 just below the upper cell
    return low, low + prime, weight


def _blend(a: FloatArray, b: FloatArray, weight: FloatArray) -> FloatArray:
    return a + (b - a) * weight


def value_noise_2d(y: ArrayLike, x: ArrayLike, seed: int) -> FloatArray:
    """Value noise with one lattice point per unit.

    Args:
        y: coordinates, float, any shape; must broadcast with ``x``. Magnitudes up to about ``1e5`` keep their
            fraction in float32.
        x: coordinates, as ``y``. Axes given as ``[H, 1]`` and ``[1, W]`` are cheaper than full grids.
        seed: any integer; another seed is another pattern.

    Returns:
        float32 in ``[0, 1]``, the broadcast shape, mean about 0.5.

    Example:
        >>> y, x = np.arange(3)[:, None] / 4, np.arange(4)[None] / 4
        >>> value_noise_2d(y, x, seed=1).shape
        (3, 4)
    """
    with np.errstate(over="ignore"):  # the hash overflows by design
        y0, y1, wy = _lattice(y, _AXIS_PRIMES[0])
        x0, x1, wx = _lattice(x, _AXIS_PRIMES[1])
        s = _as_seed(seed)
        y0, y1 = y0 + s, y1 + s
        top = _blend(_corner(y0 + x0), _corner(y0 + x1), wx)
        bottom = _blend(_corner(y1 + x0), _corner(y1 + x1), wx)
        return _blend(top, bottom, wy)


def value_noise_3d(p: ArrayLike, seed: int) -> FloatArray:
    """Value noise in space with one lattice point per unit: textures for solids, without seams.

    Args:
        p: points, float ``[..., 3]``.
        seed: any integer.

    Returns:
        float32 ``[...]`` in ``[0, 1]``, mean about 0.5.

    Example:
        >>> value_noise_3d([[0.2, 0.4, 0.1], [5.0, 1.5, 2.5]], seed=1).shape
        (2,)
    """
    points = np.asarray(p, dtype=np.float32)
    if points.ndim == 0 or points.shape[-1] != 3:
        raise TypeError(f"points must have shape [..., 3], got {list(points.shape)}")
    with np.errstate(over="ignore"):
        a0, a1, wa = _lattice(points[..., 0], _AXIS_PRIMES[0])
        b0, b1, wb = _lattice(points[..., 1], _AXIS_PRIMES[1])
        c0, c1, wc = _lattice(points[..., 2], _AXIS_PRIMES[2])
        s = _as_seed(seed)
        faces = []
        for a in (a0 + s, a1 + s):
            near = _blend(_corner(a + b0 + c0), _corner(a + b0 + c1), wc)
            far = _blend(_corner(a + b1 + c0), _corner(a + b1 + c1), wc)
            faces.append(_blend(near, far, wb))
        return _blend(faces[0], faces[1], wa)


def _corner(h: _UintArray) -> FloatArray:
    # Always a temporary sum of the caller, so mixing may overwrite it.
    return _to_unit(_mix(np.atleast_1d(h))).reshape(np.shape(h))


def fbm_2d(y: ArrayLike, x: ArrayLike, seed: int, octaves: int = 4) -> FloatArray:
    """Fractal noise: ``octaves`` of `value_noise_2d`, each twice as fine and half as strong.

    Args:
        y: coordinates, float, as in `value_noise_2d`.
        x: coordinates, float, as in `value_noise_2d`.
        seed: any integer.
        octaves: number of layers, at least 1.

    Returns:
        float32 in ``[0, 1]``, the broadcast shape, mean about 0.5.

    Example:
        >>> clouds = fbm_2d(np.arange(64)[:, None] / 16, np.arange(64)[None] / 16, seed=1)
        >>> clouds.shape, bool((clouds >= 0).all() and (clouds <= 1).all())
        ((64, 64), True)
    """
    yy, xx = np.asarray(y, dtype=np.float32), np.asarray(x, dtype=np.float32)
    total = np.zeros(np.broadcast_shapes(yy.shape, xx.shape), dtype=np.float32)
    weight = 0.0
    for octave in range(_checked(octaves)):
        scale, shift = np.float32(_LACUNARITY**octave), np.float32(_OCTAVE_SHIFT * octave)
        amplitude = _GAIN**octave
        total += np.float32(amplitude) * value_noise_2d(yy * scale + shift, xx * scale + shift, seed + octave)
        weight += amplitude
    return total * np.float32(1 / weight)


def fbm_3d(p: ArrayLike, seed: int, octaves: int = 4) -> FloatArray:
    """Fractal noise in space: ``octaves`` of `value_noise_3d`, each twice as fine and half as strong.

    Args:
        p: points, float ``[..., 3]``.
        seed: any integer.
        octaves: number of layers, at least 1.

    Returns:
        float32 ``[...]`` in ``[0, 1]``, mean about 0.5.

    Example:
        >>> fbm_3d([[0.2, 0.4, 0.1]], seed=1, octaves=2).shape
        (1,)
    """
    points = np.asarray(p, dtype=np.float32)
    total = np.zeros(points.shape[:-1], dtype=np.float32)
    weight = 0.0
    for octave in range(_checked(octaves)):
        scale, shift = np.float32(_LACUNARITY**octave), np.float32(_OCTAVE_SHIFT * octave)
        amplitude = _GAIN**octave
        total += np.float32(amplitude) * value_noise_3d(points * scale + shift, seed + octave)
        weight += amplitude
    return total * np.float32(1 / weight)


def _checked(octaves: int) -> int:
    if octaves < 1:
        raise SettingError(f"octaves={octaves}", expected="1 or more")
    return octaves
