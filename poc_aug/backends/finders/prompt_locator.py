"""Valid areas for objects, found by text in the whole image: "the road" (POC §3.1)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xxhash

from poc_aug.backends.common.limits import check_counts
from poc_aug.backends.finders.answer_checks import check_count, check_masks
from poc_aug.backends.finders.finder_protocols import Finder
from poc_aug.errors import RecipeError
from poc_aug.recipe import Recipe
from poc_aug.types import Sample


class PromptLocator:
    """Finds a location by text; each image is searched once, however many variants and retries it has.

    It is safe to call from several threads: searches run one after another, and a thread that waits for the same
    image gets the other's result. Pickling keeps the finder and the settings, not the results.

    Args:
        finder: text to masks; may be an annotator's own (``annotator.finder``), so that models are loaded once.
        cache_size: how many results are kept, packed to one bit per pixel.

    Attributes:
        searched: how many searches were run, not counting cached results.

    Raises:
        SettingError: a setting outside its limits.

    Example:
        >>> from poc_aug.backends.finders.finder_protocols import Masks
        >>> class LowerHalf:  # stands for a model
        ...     def describe(self):
        ...         return {"finder": "lower half"}
        ...
        ...     def text_limit(self, text):
        ...         return len(text.split()), 77
        ...
        ...     def find(self, images, texts):
        ...         mask = torch.arange(8)[:, None].expand(8, 12) >= 4
        ...         masks = Masks(mask[None], torch.tensor([0.9]), torch.tensor([[0.0, 4.0, 12.0, 8.0]]))
        ...         return [[masks for _ in image_texts] for image_texts in texts]
        >>> locator = PromptLocator(LowerHalf())
        >>> image, labels = torch.zeros(3, 8, 12, dtype=torch.uint8), torch.zeros(8, 12, dtype=torch.uint8)
        >>> locator.locate(Sample(image, labels, key="frame"), "road").sum()
        tensor(48)
    """

    def __init__(self, finder: Finder, *, cache_size: int = 256) -> None:
        check_counts(cache_size=cache_size)
        self.finder = finder
        self.cache_size = cache_size
        self.searched = 0
        self._kept: OrderedDict[tuple[str, str, str, tuple[int, int]], npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, searched=0, _kept=OrderedDict(), _lock=threading.Lock())

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {"locator": "prompt", "version": 1, "finder": self.finder.describe()}

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that every location's text fits the detector's limit, unless all are read from the labels.

        Raises:
            RecipeError: a text that is too long; the message holds its tokens and the limit.
        """
        if recipe.locate_by == "labels":
            return
        of_objects = [spec.location for spec in recipe.objects if spec.location is not None]
        for location in dict.fromkeys(name for names in (recipe.location, *of_objects) for name in names):
            used, limit = self.finder.text_limit(location_prompt(location))
            if used > limit:
                raise RecipeError(
                    f"the text of location {location!r} takes {used} tokens",
                    expected=f"at most {limit}",
                    hint="name the thing alone: location: [road]",
                )

    def locate(self, sample: Sample, location: str) -> torch.Tensor:
        """Valid area, bool ``[H, W]``: everything found for the location; empty if nothing was found.

        Raises:
            GenerationError: the finder returned a wrong number of results, or masks of another size than the image.
        """
        # Splits may share keys, so the pixels are part of the cache key.
        pixels = xxhash.xxh3_128_hexdigest(sample.image.contiguous().numpy().tobytes())
        key = (sample.key, location, pixels, sample.size_hw)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = np.packbits(self._search(sample, location_prompt(location)).numpy())
                self.searched += 1
                if len(self._kept) > self.cache_size:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            packed = self._kept[key]
        h, w = sample.size_hw
        return torch.from_numpy(np.unpackbits(packed, count=h * w).reshape(h, w).astype(bool))

    def _search(self, sample: Sample, text: str) -> torch.Tensor:
        answers = self.finder.find([sample.image], [[text]])
        check_count("results of the finder", len(answers), "images", 1)
        check_count("results of the finder", len(answers[0]), "texts", 1)
        check_masks(answers[0][0], sample.size_hw, f"{text!r} in sample {sample.key!r}")
        return answers[0][0].masks.any(dim=0)


def location_prompt(location: str) -> str:
    """The prompt for a class name: "road" becomes "the road".

    Example:
        >>> location_prompt("road"), location_prompt("The road")
        ('the road', 'The road')
    """
    return location if location.lower().startswith("the ") else f"the {location}"
