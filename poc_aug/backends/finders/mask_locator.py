"""A locator that takes valid areas from existing masks: drivable-area maps, hand-drawn masks, another model's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from poc_aug.errors import DatasetError
from poc_aug.types import Sample

MaskLike = torch.Tensor | npt.NDArray[Any] | Image.Image


class MaskLocator:
    """Valid areas by sample key; a `Locator`, used instead of the labels.

    Args:
        find: returns the mask of a sample's key: bool or 0 / non-zero, ``[H, W]``, as tensor, array or PIL image. The
            same mask serves every location that a recipe names.
        name: name of the set of masks; part of the cache's fingerprint, since masks decide what is generated.

    Example:
        >>> road = torch.arange(8)[:, None].expand(8, 12) >= 5
        >>> locator = MaskLocator({"frame": road}.__getitem__, name="drawn by hand")
        >>> image, labels = torch.zeros(3, 8, 12, dtype=torch.uint8), torch.zeros(8, 12, dtype=torch.uint8)
        >>> locator.locate(Sample(image, labels, key="frame"), "road").sum()
        tensor(36)
    """

    def __init__(self, find: Callable[[str], MaskLike], name: str) -> None:
        self.find = find
        self.name = name

    def describe(self) -> dict[str, Any]:
        """The locator's kind and the name of its masks."""
        return {"locator": "masks", "name": self.name}

    def locate(self, sample: Sample, location: str) -> torch.Tensor:
        """Valid area of a sample, bool ``[H, W]``.

        Raises:
            DatasetError: a mask of another size or shape than the sample's image.
        """
        mask = self.find(sample.key)
        values = mask if isinstance(mask, torch.Tensor) else torch.from_numpy(np.array(mask))
        if tuple(values.shape) != sample.size_hw:
            raise DatasetError(
                f"mask {self.name!r} of sample {sample.key!r} has shape {tuple(values.shape)}",
                expected=f"{sample.size_hw}, as the image",
                hint="give a mask of one channel, in the image's own size",
            )
        return values != 0
