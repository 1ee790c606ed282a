"""Patterns averaged exactly over a pixel's footprint, so that nothing flickers or makes moiré in the distance.

After the filtered pulse train of Ebert et al., "Texturing and Modeling", ch. 2.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from poc_aug.datasets.synthetic.street_camera import F32

_MIN_WIDTH = np.float32(1e-3)
# NumPy is slow where the innermost axis has three elements: from this size on a channel at a time is twice as fast.
_FEW = 3000
Number: TypeAlias = float | np.floating[Any] | NDArray[Any]
"""A scalar, or an array that broadcasts."""


def _integral(x: F32, low: Number, high: Number) -> F32:
    whole = np.floor(x)
    return np.asarray(whole * (high - low) + np.clip(x - whole, low, high), dtype=np.float32)


def stripes(x: Number, low: Number, high: Number, width: Number) -> F32:
    """Share of the interval of ``width`` around ``x`` whose fraction lies in ``[low, high)``: period 1."""
    w = np.maximum(np.asarray(width, np.float32), _MIN_WIDTH)
    centre = np.asarray(x, np.float32)
    half = w * np.float32(0.5)
    return (_integral(centre + half, low, high) - _integral(centre - half, low, high)) / w


def pulse(x: Number, low: Number, high: Number, width: Number) -> F32:
    """Share of the interval of ``width`` around ``x`` that lies in ``[low, high]``."""
    w = np.maximum(np.asarray(width, np.float32), _MIN_WIDTH)
    centre = np.asarray(x, np.float32)
    half = w * np.float32(0.5)
    overlap = np.minimum(centre + half, high) - np.maximum(centre - half, low)
    return np.asarray(np.maximum(overlap, 0) / w, dtype=np.float32)


def detail(wavelength: float, width: Number) -> F32:
    """How much of a texture of ``wavelength`` survives a footprint of ``width``: 1 near, 0 far away."""
    share: F32 = np.clip(np.float32(1.6) - 2 * np.asarray(width, np.float32) / np.float32(wavelength), 0, 1)
    return share


def smooth(x: Number, low: float, high: float) -> F32:
    """Smoothstep: 0 below ``low``, 1 above ``high``; falls where ``high < low``."""
    t = np.clip((np.asarray(x, np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    result: F32 = t * t * (3 - 2 * t)
    return result


def lerp(a: Number, b: Number, weight: Number) -> F32:
    """``a`` where ``weight`` is 0, ``b`` where it is 1."""
    first = np.asarray(a, np.float32)
    return np.asarray(first + (np.asarray(b, np.float32) - first) * np.asarray(weight, np.float32), np.float32)


def lerp_rgb(a: F32, b: F32, weight: Number) -> F32:
    """As `lerp`, for colours ``[..., 3]`` or ``[3]`` and a weight ``[...]``."""
    w = np.asarray(weight, np.float32)
    shape = np.broadcast_shapes(a.shape, b.shape, (*w.shape, 3))
    if w.size < _FEW:
        return lerp(a, b, w[..., None])
    mixed = np.empty(shape, np.float32)
    for channel in range(3):
        first = a[..., channel]
        mixed[..., channel] = first + (b[..., channel] - first) * w
    return mixed


def tint(tone: F32, rgb: F32) -> F32:
    """Brightness ``[...]`` times a colour ``[3]`` or colours ``[..., 3]``."""
    if tone.size < _FEW:
        return np.asarray(tone[..., None] * rgb, np.float32)
    tinted = np.empty((*tone.shape, 3), np.float32)
    for channel in range(3):
        np.multiply(tone, rgb[..., channel], out=tinted[..., channel])
    return tinted


def srgb(code: str) -> F32:
    """Linear light float32 ``[3]`` of a colour written ``"rrggbb"`` in sRGB."""
    value = np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)
