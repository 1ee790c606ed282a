"""Cleaning masks: dropping specks and filling pinholes."""

from __future__ import annotations

import torch

from poc_aug.errors import SettingError
from poc_aug.masks import connected_components


def clean_mask(mask: torch.Tensor, *, speck_fraction: float = 0.02, hole_fraction: float = 0.01) -> torch.Tensor:
    """Drop small islands and fill small holes until none is left: cleaning a clean mask changes nothing.

    Islands are 8-connected and the background is 4-connected, so that a closed line of pixels encloses a hole.

    Args:
        mask: bool ``[h, w]``.
        speck_fraction: islands smaller than this fraction of the largest one are dropped; the largest never is.
        hole_fraction: enclosed holes smaller than this fraction of the largest island are filled.

    Returns:
        bool ``[h, w]``.

    Raises:
        SettingError: a fraction outside 0 to 1.

    Example:
        >>> mask = torch.zeros(20, 20, dtype=torch.bool)
        >>> mask[2:18, 2:12] = True
        >>> mask[8, 6] = False  # a pinhole
        >>> mask[10, 18] = True  # a speck
        >>> cleaned = clean_mask(mask)
        >>> bool(cleaned[8, 6]), bool(cleaned[10, 18])
        (True, False)
    """
    for name, value in (("speck_fraction", speck_fraction), ("hole_fraction", hole_fraction)):
        if not 0 <= value <= 1:
            raise SettingError(f"{name}={value}", expected="0 to 1")
    # A filled hole enlarges its island, and with it the limits for specks and pinholes. The loop ends: no step makes a
    # new island, and a step that drops none only adds pixels.
    while True:
        cleaned = _step(mask, speck_fraction, hole_fraction)
        if torch.equal(cleaned, mask):
            return cleaned
        mask = cleaned


def _step(mask: torch.Tensor, speck_fraction: float, hole_fraction: float) -> torch.Tensor:
    if not bool(mask.any()):
        return mask.clone()
    islands, count = connected_components(mask)
    areas = torch.bincount(islands.flatten(), minlength=count + 1)
    areas[0] = 0
    largest = int(areas.max())
    cleaned = (areas >= max(1.0, speck_fraction * largest))[islands]
    holes, count = connected_components(~cleaned, diagonal=False)
    fill = torch.bincount(holes.flatten(), minlength=count + 1) < hole_fraction * largest
    # Holes that reach the border are not enclosed, and label 0 is the mask itself.
    fill[torch.cat([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    fill[0] = False
    return cleaned | fill[holes]
