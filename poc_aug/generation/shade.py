"""The shadow that a model painted around its object, recovered as the ``shade`` of a `poc_aug.types.Insertion`.

An inpainted object stands in a box that was repainted as a whole. The box shows its shadow, but only the object's own
pixels are kept. The shadow is therefore measured as how much darker the surroundings became; that factor, applied to
the untouched base, gives the shadow without the repainted ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F

from poc_aug.errors import SettingError
from poc_aug.gaussian import filter_separable, gaussian_weights
from poc_aug.luma import luma
from poc_aug.masks import bounds, connected_components, dilate, window
from poc_aug.recipe import Recipe
from poc_aug.types import Crop, Filled, Part

MIN_SHADE = 4
"""Weaker shade is cut to 0, so that patches stay small; a step of 3 levels in 255 is not visible."""

MAX_SHADE = 217
"""0.85 of the base: anything darker is an object, not its shadow."""

_FINE_PX = 1.0
"""Standard deviation of the finer of the two smoothings."""
_NOISE_LEVELS = 3.0
"""A smoothed change of at most this many levels of 255 is noise."""
_TEXTURE = 2.0
"""A change smoothed over ``sigma`` pixels is no shadow either below this many times ``deviation / sigma``.

The deviation is that of the fine changes nearby, of texture that the model repainted. White noise of that deviation
would leave 0.28 times ``deviation / sigma``; texture is correlated over several pixels and leaves more.
"""
_RISE = 0.6
"""Height above the foot up to which the ground around an object is visible, in multiples of its longer side."""
_MIN_BLOCKS = 8
_MAX_REPAINTING = 16.0
"""Levels; anything darker that was painted next to the object's upper part is an object, and says nothing about the
ground."""
_TINT = (0.14, 0.28)
"""Change of colour, relative to the luma, up to which a darkening is a shadow, and from which it is none.

Shadows under an open sky are bluer than the sunlit ground by a few percent of encoded values.
"""


def with_recovered_shade(recipe: Recipe, crop: Crop, filled: Filled, parts: Sequence[Part]) -> Filled:
    """``filled`` with the shade that its picture shows, if the recipe asks for it and the inserter gave none.

    Pasted background (``filled.unlabelled``) holds no shadow on the base.
    """
    if not recipe.recover_shade or filled.shade is not None or filled.unlabelled or not parts:
        return filled
    union = torch.stack([part.mask for part in parts]).any(dim=0)
    return replace(filled, shade=recover_shade(crop.image, filled.image, union))


def recover_shade(
    original: torch.Tensor, filled: torch.Tensor, mask: torch.Tensor, *, reach: float = 0.75
) -> torch.Tensor:
    """The shadow of an object on its surroundings, from pictures without and with it.

    Both lumas are smoothed before they are divided, since a model repaints the ground's texture, not only its
    light. A darkening counts as shadow if it exceeds noise, keeps the colour, lies near the object and is connected
    with a darkening at the object's foot. Pixels right at the mask are not used, since they mix object and ground:
    the shade there is that of the nearest ground.

    Args:
        original: uint8 ``[3, h, w]``, the crop.
        filled: uint8 ``[3, h, w]``, the crop with the object in it.
        mask: bool ``[h, w]``, the object.
        reach: distance from the object's bounding box beyond which the shade is 0, in multiples of the box's longer
            side. It fades over the last third.

    Returns:
        uint8 ``[h, w]``: how much the object darkens the base, ``base * (255 - shade) / 255``. 0 on the object, on
        ground that did not become darker, and everywhere for an empty mask.

    Raises:
        SettingError: pictures and mask of different sizes, or a negative reach.

    Example:
        >>> import torch
        >>> ground = torch.full((3, 80, 80), 120, dtype=torch.uint8)
        >>> mask = torch.zeros(80, 80, dtype=torch.bool)
        >>> mask[20:60, 30:50] = True
        >>> painted = ground.clone()
        >>> painted[:, 56:66, 20:60] = 60  # its shadow: half of the light
        >>> painted[:, mask] = 200
        >>> shade = recover_shade(ground, painted, mask)
        >>> bool(shade[mask].any()), int(shade[60, 40])
        (False, 128)
    """
    if original.shape != filled.shape or original.shape[-2:] != mask.shape:
        raise SettingError(
            f"recover_shade: pictures of {list(original.shape)} and {list(filled.shape)}, mask of {list(mask.shape)}",
            expected="two pictures [3, h, w] and a mask [h, w] of the same size",
        )
    if reach < 0:
        raise SettingError(f"recover_shade: reach={reach}", expected="0 or more")
    shade = torch.zeros(mask.shape, dtype=torch.uint8)
    if not bool(mask.any()):
        return shade
    near = _nearness(mask, reach)
    box_yxhw = bounds(near > 0)
    if box_yxhw[2] == 0:
        return shade
    inner = window(box_yxhw)
    repainting = _repainting(original, filled, mask)
    cut = original[:, *inner].float(), filled[:, *inner].float(), mask[inner], near[inner]
    shade[inner] = _shade(*cut, repainting)
    return shade


def _repainting(original: torch.Tensor, filled: torch.Tensor, mask: torch.Tensor) -> float:
    """Levels by which repainting alone darkens the ground, in blocks next to the object's upper part.

    No shadow lies there: a model may paint all of its box a little darker, or with other texture.
    """
    size = _longer_side(mask)
    y, _, h, _ = bounds(mask)
    head = y + h - math.ceil(_RISE * size)
    block = max(2, round(3 * _wide_px(size)))  # as wide as the Gaussian
    if min(head, mask.shape[1]) < block:
        return 0.0
    change = luma(filled[:, :head].float() - original[:, :head].float())
    painted = ((change != 0) & ~dilate(mask[:head], 2)).float()
    share = F.avg_pool2d(painted[None, None], block)[0, 0]
    mean = F.avg_pool2d((change * painted)[None, None], block)[0, 0] / share.clamp(min=1e-6)
    drops = -mean[share > 0.5]
    if drops.numel() < _MIN_BLOCKS:
        return 0.0
    return min(max(0.0, float(drops.quantile(0.9))), _MAX_REPAINTING)


def _wide_px(size: int) -> float:
    return min(max(0.02 * size, 1.5), 6.0)


def _shade(
    original: torch.Tensor, filled: torch.Tensor, mask: torch.Tensor, near: torch.Tensor, repainting: float
) -> torch.Tensor:
    size = _longer_side(mask)
    wide = _wide_px(size)
    known = (~dilate(mask, min(max(1, round(0.005 * size)), 4))).float()
    fine = _means(original, filled, known, _FINE_PX)
    change = luma(filled - original)
    texture = ((change - luma(fine[1] - fine[0])) ** 2 * known)[None]
    spread = (_mean(texture, known, 2 * wide)[0]).sqrt()
    sharp = _darkening(*fine, spread / _FINE_PX, repainting)
    soft = _darkening(*_means(original, filled, known, wide), spread / wide, repainting)
    # Contact shadows are a few pixels wide: the fine smoothing shows what the wide one misses by more than noise.
    missed = _over(2 * (sharp.drop - soft.drop).abs(), sharp.floor)
    dark = torch.lerp(soft.dark * soft.certain, sharp.dark * sharp.certain, missed) * near
    levels = (dark * 255).round().clamp(0, MAX_SHADE)
    levels = torch.where((levels >= MIN_SHADE) & ~mask, levels, 0).to(torch.uint8)
    return torch.where(_at_the_foot(levels > 0, mask, size), levels, 0)


def _means(
    original: torch.Tensor, filled: torch.Tensor, known: torch.Tensor, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Local means of both pictures, over known pixels only: float32 ``[3, h, w]`` each."""
    means = _mean(torch.cat((original, filled)) * known, known, sigma)
    return means[:3], means[3:]


def _mean(weighted: torch.Tensor, weight: torch.Tensor, sigma: float) -> torch.Tensor:
    smooth = _blur(torch.cat((weighted, weight[None])), sigma)
    return torch.where(smooth[-1] > 1e-3, smooth[:-1] / smooth[-1].clamp(min=1e-3), 0)


class _Darkening(NamedTuple):
    """Maps ``[h, w]``: levels lost, how many of them may be noise, the share of light lost, certainty in [0, 1]."""

    drop: torch.Tensor
    floor: torch.Tensor
    dark: torch.Tensor
    certain: torch.Tensor


def _darkening(ground: torch.Tensor, painted: torch.Tensor, noise: torch.Tensor, repainting: float) -> _Darkening:
    """How much darker the ground became, and how certain it is that this is a shadow."""
    was, now = luma(ground), luma(painted)
    ratio = (now / was.clamp(min=1)).clamp(0, 1)
    floor = (_TEXTURE * noise).clamp(min=max(_NOISE_LEVELS, repainting))
    tint = (painted - ratio * ground).abs().amax(0) / now.clamp(min=16)
    keeps_colour = ((_TINT[1] - tint) / (_TINT[1] - _TINT[0])).clamp(0, 1)
    return _Darkening(was - now, floor, 1 - ratio, _over(was - now, floor) * keeps_colour)


def _over(value: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """0 up to the floor, 1 from twice the floor."""
    return ((value - floor) / floor).clamp(0, 1)


def _longer_side(mask: torch.Tensor) -> int:
    return max(bounds(mask)[2:])


def _nearness(mask: torch.Tensor, reach: float) -> torch.Tensor:
    """1 at the object, falling to 0 at the reach around its bounding box and above its middle."""
    top, left, height, width = bounds(mask)
    bottom, right = float(top + height - 1), float(left + width - 1)
    size = max(height, width)
    y = torch.arange(mask.shape[0], dtype=torch.float32)
    x = torch.arange(mask.shape[1], dtype=torch.float32)
    away_y = torch.maximum(float(top) - y, y - bottom).clamp(min=0)
    away_x = torch.maximum(float(left) - x, x - right).clamp(min=0)
    far = reach * size
    near = ((far - torch.hypot(away_y[:, None], away_x[None])) / max(far / 3, 1)).clamp(0, 1)
    # The ground on which a shadow lies is visible around the foot, not behind the object's head.
    rise = _RISE * size
    return near * ((rise - (bottom - y)) / max(rise / 3, 1)).clamp(0, 1)[:, None]


def _at_the_foot(dark: torch.Tensor, mask: torch.Tensor, size: int) -> torch.Tensor:
    """The parts of ``dark`` that come near the lowest third of the object."""
    rows = mask.any(1).nonzero()[:, 0]
    foot = mask.clone()
    foot[: int(rows[-1]) + 1 - max(1, round(len(rows) / 3))] = False
    numbers, count = connected_components(dark)
    if count == 0:
        return dark
    kept = torch.zeros(count + 1, dtype=torch.bool)
    kept[numbers[dilate(foot, max(3, round(0.05 * size)))].long()] = True
    kept[0] = False
    return kept[numbers.long()]


def _blur(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Separable Gaussian of maps ``[n, h, w]``, zero outside; wide ones on a coarser grid."""
    step = max(1, int(sigma / 1.5))
    weights = gaussian_weights(sigma, int(3 * sigma / step + 0.5), step=step)
    return filter_separable(maps, weights, weights, steps_yx=(step, step))
