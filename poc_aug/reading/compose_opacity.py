"""How much of an insertion shows: its own matte, else its feathered mask; and which pixels that touches."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from poc_aug.errors import SettingError
from poc_aug.masks import feather, window
from poc_aug.types import Insertion


def check_feather(insertion: Insertion, sigma_px: float) -> None:
    """Check that an insertion's patch holds the pixels that a feather needs.

    Raises:
        SettingError: it does not.
    """
    if not 0 <= sigma_px <= insertion.max_sigma_px:
        raise SettingError(
            f"sigma_px={sigma_px}",
            expected=f"0 to {insertion.max_sigma_px}: the insertion holds no pixels beyond that feather",
            hint="choose a smaller sigma_px, or make the cache with a larger max_sigma_px in the recipe",
        )


def opacity(insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """How much of the patch shows: uint8 ``[h, w]``, 255 is opaque; its own matte, else its feathered mask.

    Raises:
        SettingError: a feather wider than the patch holds pixels for.
    """
    if insertion.alpha is not None:
        return insertion.alpha
    check_feather(insertion, sigma_px)
    return feather(insertion.mask, sigma_px).mul_(255).round_().to(torch.uint8)


def support(insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """The pixels that composing may change: bool ``[h, w]`` in the patch's rectangle."""
    touched = opacity(insertion, sigma_px) > 0
    return touched if insertion.shade is None else touched | (insertion.shade > 0)


def covered(insertions: Iterable[Insertion], size_hw: tuple[int, int], sigma_px: float) -> torch.Tensor:
    """The pixels that an object or its soft edge covers: bool ``[H, W]`` of the frame; shadows do not count."""
    mask = torch.zeros(size_hw, dtype=torch.bool)
    for insertion in insertions:
        mask[window(insertion.box_yxhw)] |= opacity(insertion, sigma_px) > 0
    return mask
