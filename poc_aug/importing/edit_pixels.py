"""Alpha, patch and shade that make edited pixels of base pixels, to the bit.

Composing blends in whole numbers, each step rounded (`poc_aug.reading.compose`)::

    shaded = round(base * (255 - shade) / 255)
    shown  = round((shaded * (255 - alpha) + patch * alpha) / 255)

So each edited pixel has many exact solutions, of which these are taken:

- **on the object**: alpha 255, and the edited pixel as the patch;
- **beside it, if one shade gives all three channels**: that shade, and no patch: it is a shadow, or looks like one;
- **within the feather's reach of the object**: the alpha that a mixture of base and object suggests, where the object's
  colour is the mean of its pixels nearby; if no patch of 0 to 255 gives the edited pixel with it, the smallest alpha
  with which one does. For any alpha the patches that give a pixel are whole numbers of a range of at least 1, so there
  is one if that range is within 0 to 255;
- **farther away**: alpha 255 again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from poc_aug.errors import SettingError

Pixels = npt.NDArray[np.uint8]
"""uint8 ``[n, 3]``, some pixels of an image."""

_Ints = npt.NDArray[np.int32]

_SAME_COLOUR = 12.0
"""Levels of 255: an object that differs less from the base than this says nothing about alpha."""


class Blend(NamedTuple):
    """What gives some pixels.

    Attributes:
        alpha: uint8 ``[n]``.
        patch: uint8 ``[n, 3]``.
    """

    alpha: npt.NDArray[np.uint8]
    patch: Pixels


def exact_shade(base: Pixels, edited: Pixels) -> npt.NDArray[np.uint8]:
    """The shade that makes each edited pixel of its base pixel exactly; 0 if there is none, or nothing changed.

    Example:
        >>> base = np.array([[200, 100, 0], [200, 100, 0]], np.uint8)
        >>> exact_shade(base, np.array([[100, 50, 0], [100, 60, 0]], np.uint8)).tolist()
        [127, 0]
    """
    was, now = base.astype(np.int32), edited.astype(np.int32)
    divisor = np.maximum(was, 1)
    # A channel without light stays dark under any shade.
    least = np.where(was > 0, _ceil_div(255 * now - 127, divisor), np.where(now > 0, 256, 0)).max(axis=1)
    most = np.where(was > 0, (255 * now + 127) // divisor, 255).min(axis=1)
    least, most = np.maximum(least, 0), np.minimum(most, 254)
    light = (least + most + 1) // 2
    changed = (base != edited).any(axis=1)
    return np.where(changed & (least <= most), 255 - light, 0).astype(np.uint8)


def exact_blend(base: Pixels, edited: Pixels, colour: npt.NDArray[np.float64] | None = None) -> Blend:
    """Alpha and patch that make each edited pixel of its base pixel exactly.

    Args:
        base: the pixels before.
        edited: the pixels after.
        colour: float ``[n, 3]``, the object's colour near each pixel; ``None``: alpha is 255.

    Raises:
        SettingError: arguments of different shapes.

    Example:
        >>> base, edited = np.array([[100, 100, 100]], np.uint8), np.array([[150, 100, 100]], np.uint8)
        >>> blend = exact_blend(base, edited, np.array([[200.0, 100.0, 100.0]]))
        >>> blend.alpha.tolist(), blend.patch.tolist()
        ([128], [[200, 100, 100]])
    """
    if base.shape != edited.shape or (colour is not None and colour.shape != base.shape):
        raise SettingError(
            f"exact_blend: pixels of {base.shape} and {edited.shape}", expected="pixels [n, 3] of one number"
        )
    if colour is None:
        return Blend(np.full(len(base), 255, np.uint8), edited.copy())
    was, now = base.astype(np.int32), edited.astype(np.int32)
    alpha: _Ints = np.maximum(_mixture(was, now, colour), _least_alpha(was, now))[:, None]
    low = np.maximum(_ceil_div(255 * now - 127 - (255 - alpha) * was, alpha), 0)
    high = np.minimum((255 * now + 127 - (255 - alpha) * was) // alpha, 255)
    patch = np.clip(np.rint(colour).astype(np.int32), low, high)
    return Blend(alpha[:, 0].astype(np.uint8), patch.astype(np.uint8))


def _mixture(was: _Ints, now: _Ints, colour: npt.NDArray[np.float64]) -> _Ints:
    """How far each pixel has moved from the base towards the object's colour: 0 to 255."""
    towards = colour - was
    length = (towards**2).sum(axis=1)
    share = ((now - was) * towards).sum(axis=1) / np.maximum(length, 1)
    share = np.where(length >= 3 * _SAME_COLOUR**2, share, 0)
    mixed: _Ints = np.rint(np.clip(share, 0, 1) * 255).astype(np.int32)
    return mixed


def _least_alpha(was: _Ints, now: _Ints) -> _Ints:
    """The smallest alpha with which some patch of 0 to 255 gives each pixel, at least 1."""
    brighter = _ceil_div(255 * (now - was) - 127, np.maximum(255 - was, 1))
    darker = _ceil_div(255 * (was - now) - 127, np.maximum(was, 1))
    least: _Ints = np.clip(np.where(now > was, brighter, darker).max(axis=1), 1, 255)
    return least


def _ceil_div(a: _Ints, b: _Ints) -> _Ints:
    return np.negative(np.negative(a) // b)
