"""Masks of what was inserted, found by text in the filled crop (POC §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from poc_aug.backends.finding import Finder, Masks
from poc_aug.backends.mask_cleaning import clean_mask
from poc_aug.errors import RecipeError
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Filled, Part, Rejection

Keep = Literal["all", "best"]


class PromptAnnotator:
    """Looks for an object's parts in its filled crop, never in the whole frame, which gives false positives.

    A mask that lies outside the box or is tiny is dropped; what is left of one text is united, as in the paper. The
    rule for two parts and the limits of the whole object are the recipe's, see `poc_aug.insertions.accept`.

    Args:
        finder: text to masks.
        keep: ``"all"`` unites a text's masks (POC), ``"best"`` takes the best-scored one (GenVal).
        clean: drop specks and fill pinholes.
        min_inside_box: least share of a mask inside the box (paper: 0.95).
        min_area_of_crop: least area of a mask over the crop's (paper: 0.01). A part of an object of several parts
            may be smaller; the whole is judged by the recipe.

    Raises:
        RecipeError: a setting outside its limits.
    """

    def __init__(
        self,
        finder: Finder,
        *,
        keep: Keep = "all",
        clean: bool = True,
        min_inside_box: float = 0.95,
        min_area_of_crop: float = 0.01,
    ) -> None:
        if keep not in ("all", "best"):
            raise RecipeError(f"keep={keep!r}", expected="'all' or 'best'")
        for name, value in (("min_inside_box", min_inside_box), ("min_area_of_crop", min_area_of_crop)):
            if not 0 <= value <= 1:
                raise RecipeError(f"{name}={value}", expected="0 to 1")
        self.finder = finder
        self.keep: Keep = keep
        self.clean = clean
        self.min_inside_box, self.min_area_of_crop = min_inside_box, min_area_of_crop

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        settings = {name: value for name, value in vars(self).items() if name != "finder"}
        return {"annotator": "prompt", "version": 1, **settings, "finder": self.finder.describe()}

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that every text to look for fits the detector's limit.

        Raises:
            RecipeError: a text that is too long; the message names its object, its tokens and the limit.
        """
        for spec in recipe.objects:
            for text in spec.detect:
                used, limit = self.finder.text_limit(text)
                if used > limit:
                    raise RecipeError(
                        f"object {spec.name!r}: the text to detect, {text!r}, takes {used} tokens",
                        expected=f"at most {limit}",
                        hint="name the thing alone: detect: [sheep]",
                    )

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
        """Find each crop's parts in what it was filled with; one result a crop, in order."""
        if not crops:
            return []
        found = self.finder.find([picture.image for picture in filled], [crop.detect or crop.parts for crop in crops])
        return [self._judge(crop, masks) for crop, masks in zip(crops, found, strict=True)]

    def _judge(self, crop: Crop, found: Sequence[Masks]) -> Annotation | Rejection:
        parts: list[Part] = []
        dropped: list[Rejection] = []
        for name, masks in zip(crop.parts, found, strict=True):
            kept: list[tuple[torch.Tensor, float]] = []
            for mask, score in zip(masks.masks, masks.scores.tolist(), strict=True):
                tidy = clean_mask(mask) if self.clean else mask
                reason = self._unfit(crop, tidy)
                if reason is None:
                    kept.append((tidy, score))
                else:
                    dropped.append(reason)
            if self.keep == "best":
                kept = kept[:1]  # a finder's masks come best first
            if kept:
                union = torch.stack([mask for mask, _ in kept]).any(dim=0)
                parts.append(Part(name, union, min(max(score for _, score in kept), 1.0)))
        if parts:
            return Annotation(tuple(parts))
        if dropped:
            return dropped[0]
        texts = ", ".join(repr(text) for text in (crop.detect or crop.parts))
        return Rejection("not detected", crop.object_name, detail=f"nothing found for {texts}")

    def _unfit(self, crop: Crop, mask: torch.Tensor) -> Rejection | None:
        area = int(mask.sum())
        if area == 0:
            return Rejection("too small", crop.object_name, detail="an empty mask")
        y, x, h, w = crop.box_yxhw
        inside = int(mask[y : y + h, x : x + w].sum()) / area
        if inside < self.min_inside_box:
            detail = f"{inside:.0%} of the mask inside the box, at least {self.min_inside_box:.0%} needed"
            return Rejection("outside the box", crop.object_name, detail=detail)
        share = area / mask.numel()
        if share < self.min_area_of_crop and len(crop.parts) == 1:
            detail = f"mask is {share:.2%} of the crop, at least {self.min_area_of_crop:.2%} needed"
            return Rejection("too small", crop.object_name, detail=detail)
        return None
