"""Cleaning cut-outs: no fringe of the old background, and object colours beyond the object's edge.

A hand-drawn mask lies a pixel or so outside the object, and pixels at an edge mix object and background.
Pasted unchanged, they show as a halo. So the mask is eroded, the colours at its rim are trusted less than those
inside, and the inner colours are spread outwards: later feathering and resampling then find the object's colours
there, and never the old background's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from poc_aug.masks import bounds, connected_components, window

RIM_TRUST = 0.25
"""Weight of the colours in the outermost pixel ring: enough to keep legs two pixels wide, too little to show."""

SPECK_FRACTION = 0.01
"""Pieces smaller than this fraction of the largest one are dropped: strays would misplace the object's foot."""


def erode(mask: torch.Tensor, radius_px: int = 1) -> torch.Tensor:
    """Erode a mask (bool ``[h, w]``) by ``radius_px`` (4 neighbours); beyond the picture counts as outside."""
    for _ in range(radius_px):
        padded = F.pad(mask, (1, 1, 1, 1))
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def extend_colours(colours: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
    """Fill untrusted pixels from trusted ones by push-pull (Gortler et al., "The Lumigraph", 1996, section 3.4).

    Args:
        colours: float ``[3, h, w]``.
        trust: float ``[h, w]`` in [0, 1], not 0 everywhere. Fully trusted pixels keep their colour.

    Returns:
        float ``[3, h, w]``.
    """
    levels = [(colours * trust, trust[None])]
    while max(levels[-1][1].shape[-2:]) > 1:
        weighted, weight = levels[-1]
        pad = (0, weight.shape[-1] % 2, 0, weight.shape[-2] % 2)
        total = F.avg_pool2d(F.pad(weight, pad)[None], 2)[0] * 4
        mean = F.avg_pool2d(F.pad(weighted, pad)[None], 2)[0] * 4 / total.clamp(min=1e-12)
        weight = total.clamp(max=1)
        levels.append((mean * weight, weight))
    weighted, weight = levels.pop()
    filled = weighted / weight.clamp(min=1e-12)
    for weighted, weight in reversed(levels):
        size = (weight.shape[-2] + weight.shape[-2] % 2, weight.shape[-1] + weight.shape[-1] % 2)
        coarse = F.interpolate(filled[None], size, mode="bilinear", align_corners=False)[0]
        filled = weighted + (1 - weight) * coarse[:, : weight.shape[-2], : weight.shape[-1]]
    return filled


def clean_cutout(
    image: torch.Tensor, alpha: torch.Tensor, *, erode_px: int = 1
) -> tuple[torch.Tensor, torch.Tensor, bool] | None:
    """Trim a raw cut-out to its object, erode a hard mask, and spread the object's colours.

    A mask so thin that eroding would remove more than half of it is kept unchanged.

    Args:
        image: uint8 ``[3, h, w]``.
        alpha: uint8 ``[h, w]``; a hard mask if it holds only 0 and 255, otherwise a soft matte.
        erode_px: by how much a hard mask is eroded.

    Returns:
        Colours uint8 ``[3, h, w]``, alpha uint8 ``[h, w]`` and whether it is soft; ``None`` if no pixel is at least
        half opaque.

    Example:
        >>> alpha = torch.zeros(20, 30, dtype=torch.uint8)
        >>> alpha[5:15, 5:25] = 255
        >>> colours, opacity, soft = clean_cutout(torch.full((3, 20, 30), 90, dtype=torch.uint8), alpha)
        >>> opacity.shape, soft
        (torch.Size([8, 18]), False)
    """
    soft = bool(((alpha > 0) & (alpha < 255)).any())
    if not soft:
        mask = alpha > 0
        eroded = erode(mask, erode_px)
        if int(eroded.sum()) * 2 >= int(mask.sum()):
            mask = eroded
        alpha = mask.to(torch.uint8) * 255
    alpha = _without_specks(alpha)
    visible = alpha > 8 if soft else alpha > 0
    if not bool((alpha >= 128).any()):
        return None
    inner = window(bounds(visible))
    alpha, image = alpha[inner], image[:, *inner]
    if soft:
        # A matte's rim mixes in the old background until it is nearly opaque, so trust looks a little inwards.
        radius = max(1, round(0.006 * max(alpha.shape)))
        side = 2 * radius + 1
        inward = F.max_pool2d(-alpha[None, None].float(), (side, 1), stride=1, padding=(radius, 0))
        inward = -F.max_pool2d(inward, (1, side), stride=1, padding=(0, radius))[0, 0]
        trust = ((inward / 255 - 0.75) / 0.2).clamp(0, 1)
        trust = torch.maximum(trust, (alpha >= 128) * 0.002)
    else:
        mask = alpha > 0
        trust = torch.where(erode(mask), 1.0, RIM_TRUST) * mask
    # float64: see `poc_aug.backends.paste.resample.flip_and_rotate`.
    colours = extend_colours(image.double(), trust.double())
    # Means of neighbours often end in exactly a half; without the nudge, their last bit would decide the rounding.
    return (colours + 1e-6).round().clamp(0, 255).to(torch.uint8), alpha, soft


def _without_specks(alpha: torch.Tensor) -> torch.Tensor:
    labels, count = connected_components(alpha >= 128)
    if count < 2:
        return alpha
    areas = torch.bincount(labels.flatten(), minlength=count + 1)
    areas[0] = 0
    speck = areas < SPECK_FRACTION * areas.max()
    speck[0] = False
    return torch.where(speck[labels.long()], 0, alpha)
