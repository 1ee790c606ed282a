"""The scene's exposure, estimated from the crop: brightness, colour cast, haze, sharpness, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poc_aug.noise import FloatArray
from poc_aug.types import Box

# Reflectance of worn dry asphalt (Levinson & Akbari 2002 give 0.10 to 0.18).
_ASPHALT = 0.14
# Luminance of linear RGB (ITU-R BT.709): another quantity than the luma of encoded values (BT.601).
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
# Behind windscreens, cameras record paints paler than their reflectance; chosen by eye on Cityscapes and CamVid.
_SATURATION = 0.86


@dataclass(frozen=True)
class Exposure:
    """How the camera turns light into picture values.

    Attributes:
        gain: linear RGB of a white, level, open surface, ``[3]``.
        haze: linear level of black, ``[3]``.
        blur_px: sigma of the picture's softness.
        noise: standard deviation of its noise, in 0 to 255.
    """

    gain: FloatArray
    haze: FloatArray
    blur_px: float
    noise: float


def to_linear(image: FloatArray) -> FloatArray:
    """Decode sRGB values in [0, 1] to linear."""
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(value: FloatArray) -> FloatArray:
    """Encode linear values as sRGB in [0, 1]."""
    v = np.clip(value, 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * np.maximum(v, 1e-6) ** (1 / 2.4) - 0.055).astype(np.float32)


def develop(radiance: FloatArray, exposure: Exposure) -> FloatArray:
    """Relative radiance ``[3, N]`` to linear picture values in [0, 1], highlights rolled off."""
    grey = np.einsum("c,cn->n", _LUMINANCE, radiance)
    value = (grey + (radiance - grey) * np.float32(_SATURATION)) * exposure.gain[:, None]
    value = value * (1 - exposure.haze[:, None]) + exposure.haze[:, None]
    knee = np.float32(0.62)
    over = np.maximum(value - knee, 0)
    return np.asarray(np.minimum(value, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee) * 0.8)), dtype=np.float32)


def estimate_exposure(image: NDArray[np.uint8], box_yxhw: Box) -> Exposure:
    """Estimate from the ground around an object's foot, and from the whole crop.

    The ground is assumed to be asphalt: its median colour gives brightness and cast (medians, because lane markings
    and shadows may cross it).

    Args:
        image: uint8 ``[3, h, w]``.
        box_yxhw: where the object stands.
    """
    height, width = image.shape[1:]
    y, x, h, w = box_yxhw
    size = max(h, w)
    rows = slice(max(0, y + h - max(3, size // 5)), max(min(height, y + h + max(3, size // 4)), 1))
    cols = slice(max(0, x - size // 3), max(min(width, x + w + size // 3), 1))
    nearby = to_linear(image[:, rows, cols].reshape(3, -1).astype(np.float32) / np.float32(255))
    ground = np.median(nearby, axis=1) if nearby.shape[1] else np.full(3, 0.12, dtype=np.float32)
    level = float(ground @ _LUMINANCE)
    cast = np.clip(ground / max(level, 1e-4), 0.7, 1.4) ** 0.7
    light = float(np.clip(level / _ASPHALT, 0.02, 6))
    # Bright ground may as well be pale paving as strong light, so the light follows it less than proportionally.
    light = min(light, light**0.8)
    pixels = image[:, :: max(1, height // 96), :: max(1, width // 96)].reshape(3, -1)
    black = to_linear(np.asarray(np.percentile(pixels, 1, axis=1) / 255, dtype=np.float32))
    # A crop of nothing but road holds no black, so only a small part of its darkest tone counts as haze.
    haze = np.clip(black * 0.2, 0, 0.012)
    return Exposure(
        gain=(light * cast).astype(np.float32),
        haze=haze.astype(np.float32),
        blur_px=_softness(image),
        noise=_noise(image),
    )


def _noise(image: NDArray[np.uint8]) -> float:
    """Noise from the quietest tenth of 8x8 blocks' diagonal detail (after Immerkaer 1996 and Donoho 1994)."""
    grey = image.astype(np.float32).mean(axis=0)
    diagonal = (grey[1:, 1:] - grey[:-1, 1:] - grey[1:, :-1] + grey[:-1, :-1]) / 2
    h, w = (s // 8 * 8 for s in diagonal.shape)
    if h == 0 or w == 0:
        return 0.0
    blocks = np.abs(diagonal[:h, :w]).reshape(h // 8, 8, w // 8, 8).mean(axis=(1, 3))
    # A normal distribution's mean absolute deviation is 0.8 sigma; averaging the channels divided it by up to sqrt(3).
    return float(np.clip(np.percentile(blocks, 10) / 0.8 * 1.4, 0, 3.5))


def _softness(image: NDArray[np.uint8]) -> float:
    """Sigma of the blur from the ratio of fine to coarser detail, 0.35 to 1.1 px."""
    grey = image.astype(np.float32).mean(axis=0)
    fine = np.abs(np.diff(grey, axis=1))
    if fine.shape[1] < 8:
        return 0.5
    coarse = np.abs(grey[:, 3:] - grey[:, :-3])[:, :]
    strong = coarse > max(12.0, float(np.percentile(coarse, 90)))
    if int(strong.sum()) < 20:
        return 0.5
    steepest = np.maximum(np.maximum(fine[:, :-2], fine[:, 1:-1]), fine[:, 2:])[strong]
    ratio = float(np.median(steepest / coarse[strong]))
    # An edge blurred with sigma s has erf-shaped steps: 1 px takes about 0.84 of it at s = 0.35, 0.4 at s = 0.95.
    return float(np.interp(ratio, [0.40, 0.55, 0.70, 0.85], [1.0, 0.75, 0.55, 0.40]))
