"""Where objects may stand, found by text in the whole image: "the road" (POC §3.1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
import xxhash

from poc_aug.backends.finding import Finder
from poc_aug.errors import RecipeError
from poc_aug.types import Sample


class PromptLocator:
    """Finds a location by text; each image is searched once, whatever its variants and retries.

    Args:
        finder: text to masks; may be an annotator's own (``annotator.finder``), so that models are loaded once.
        cache_size: how many results are kept, packed to one bit a pixel.

    Attributes:
        searched: how many searches were run; a result that was kept does not count.

    Raises:
        RecipeError: a setting outside its limits.
    """

    def __init__(self, finder: Finder, *, cache_size: int = 256) -> None:
        if cache_size < 1:
            raise RecipeError(f"cache_size={cache_size}", expected="1 or more")
        self.finder = finder
        self.cache_size = cache_size
        self.searched = 0
        self._kept: OrderedDict[tuple[str, str, str], np.ndarray[Any, Any]] = OrderedDict()

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {"locator": "prompt", "version": 1, "finder": self.finder.describe()}

    def locate(self, sample: Sample, location: str) -> torch.Tensor:
        """Valid area, bool ``[H, W]``: everything found for the location; nothing found is an empty area."""
        # Datasets may share keys between splits: the pixels are part of the name.
        key = (sample.key, location, xxhash.xxh3_128_hexdigest(sample.image.contiguous().numpy().tobytes()))
        if key not in self._kept:
            found = self.finder.find([sample.image], [[text_of(location)]])[0][0]
            area = found.masks.any(dim=0) if len(found.scores) else torch.zeros(sample.size_hw, dtype=torch.bool)
            self.searched += 1
            self._kept[key] = np.packbits(area.numpy())
            if len(self._kept) > self.cache_size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        h, w = sample.size_hw
        return torch.from_numpy(np.unpackbits(self._kept[key], count=h * w).reshape(h, w).astype(bool))


def text_of(location: str) -> str:
    """A class name as the text to look for: "road" is "the road"."""
    return location if location.lower().startswith("the ") else f"the {location}"
