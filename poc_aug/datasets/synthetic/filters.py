"""Patterns averaged exactly over a pixel's footprint, so that nothing flickers or shows moiré in the distance.

After the filtered pulse and pulse train of Ebert et al., "Texturing and Modeling", ch. 2.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from poc_aug.datasets.synthetic.street_camera import F32

_MIN_WIDTH = np.float32(1e-3)
# NumPy is slow if the innermost axis has three elements; from this size on, one channel at a time is twice as fast.
_FEW = 3000
Number: TypeAlias = float | np.floating[Any] | NDArray[Any]
"""A scalar, or an array that broadcasts."""


def _integral(x: F32, low: Number, high: Number) -> F32:
    whole = np.floor(x)
    return np.asarray(whole * (high - low) + np.clip(x - whole, low, high), dtype=np.float32)


def stripes(x: Number, low: Number, high: Number, width: Number) -> F32:
    """Share of the interval of ``width`` around ``x`` that lies in stripes ``[low, high)``, repeated with period 1.

    Example:
        >>> from poc_aug.datasets.synthetic.filters import stripes
        >>> stripes([0.25, 0.5, 0.75, 1.25], 0.0, 0.5, width=0.25).tolist()
        [1.0, 0.5, 0.0, 1.0]
    """
    w = np.maximum(np.asarray(width, np.float32), _MIN_WIDTH)
    centre = np.asarray(x, np.float32)
    half = w * np.float32(0.5)
    return (_integral(centre + half, low, high) - _integral(centre - half, low, high)) / w


def pulse(x: Number, low: Number, high: Number, width: Number) -> F32:
    """Share of the interval of ``width`` around ``x`` that lies in ``[low, high]``.

    Example:
        >>> from poc_aug.datasets.synthetic.filters import pulse
        >>> pulse([-1.0, 0.0, 1.0], 0.0, 5.0, width=1.0).tolist()
        [0.0, 0.5, 1.0]
    """
    w = np.maximum(np.asarray(width, np.float32), _MIN_WIDTH)
    centre = np.asarray(x, np.float32)
    half = w * np.float32(0.5)
    overlap = np.minimum(centre + half, high) - np.maximum(centre - half, low)
    return np.asarray(np.maximum(overlap, 0) / w, dtype=np.float32)


def detail(wavelength: float, width: Number) -> F32:
    """How much of a texture of ``wavelength`` remains at a footprint of ``width``: 1 near, 0 far away.

    Example:
        >>> from poc_aug.datasets.synthetic.filters import detail
        >>> detail(1.0, [0.25, 0.5, 1.0]).round(2).tolist()
        [1.0, 0.600..., 0.0]
    """
    share: F32 = np.clip(np.float32(1.6) - 2 * np.asarray(width, np.float32) / np.float32(wavelength), 0, 1)
    return share


def smooth(x: Number, low: float, high: float) -> F32:
    """Smoothstep: 0 below ``low``, 1 above ``high``; it falls if ``high < low``.

    Example:
        >>> from poc_aug.datasets.synthetic.filters import smooth
        >>> smooth([-1.0, 0.25, 0.5, 2.0], 0.0, 1.0).tolist()
        [0.0, 0.15625, 0.5, 1.0]
    """
    t = np.clip((np.asarray(x, np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    result: F32 = t * t * (3 - 2 * t)
    return result


def lerp(a: Number, b: Number, weight: Number) -> F32:
    """Linear interpolation: ``a`` for a ``weight`` of 0, ``b`` for 1.

    Example:
        >>> from poc_aug.datasets.synthetic.filters import lerp
        >>> lerp(2.0, 4.0, [0.0, 0.5, 1.0]).tolist()
        [2.0, 3.0, 4.0]
    """
    first = np.asarray(a, np.float32)
    return np.asarray(first + (np.asarray(b, np.float32) - first) * np.asarray(weight, np.float32), np.float32)


def lerp_rgb(a: F32, b: F32, weight: Number) -> F32:
    """As `lerp`, for colours ``[..., 3]`` or ``[3]`` and a weight ``[...]``.

    Example:
        >>> import numpy as np
        >>> from poc_aug.datasets.synthetic.filters import lerp_rgb
        >>> lerp_rgb(np.zeros(3), np.ones(3), np.array([0.25, 1.0])).tolist()
        [[0.25, 0.25, 0.25], [1.0, 1.0, 1.0]]
    """
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
    """Brightness ``[...]`` times a colour ``[3]`` or colours ``[..., 3]``.

    Example:
        >>> import numpy as np
        >>> from poc_aug.datasets.synthetic.filters import tint
        >>> tint(np.array([0.5, 2.0]), np.array([1.0, 0.5, 0.0])).tolist()
        [[0.5, 0.25, 0.0], [2.0, 1.0, 0.0]]
    """
    if tone.size < _FEW:
        return np.asarray(tone[..., None] * rgb, np.float32)
    tinted = np.empty((*tone.shape, 3), np.float32)
    for channel in range(3):
        np.multiply(tone, rgb[..., channel], out=tinted[..., channel])
    return tinted


def srgb(code: str) -> F32:
    """Linear light float32 ``[3]`` of a colour written ``"rrggbb"`` in sRGB.

    Example:
        >>> from poc_aug.datasets.synthetic.filters import srgb
        >>> srgb("ff8000").round(3).tolist()
        [1.0, 0.216..., 0.0]
    """
    value = np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)
