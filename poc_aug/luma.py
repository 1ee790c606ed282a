"""Luma of RGB pictures by ITU-R BT.601, the weights that JPEG uses."""

from __future__ import annotations

import torch

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, as encoded (not linear light, whose luminance BT.709 weighs otherwise)."""


def luma(rgb: torch.Tensor) -> torch.Tensor:
    """Luma of a float picture ``[3, ...]``: ``[...]``, in the picture's own range.

    Example:
        >>> luma(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
        tensor([1.0000, 0.1140])
    """
    red, green, blue = LUMA_WEIGHTS
    return red * rgb[0] + green * rgb[1] + blue * rgb[2]
