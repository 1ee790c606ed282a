"""Masks of inserted objects, found by text in the filled crop (POC §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from poc_aug.backends.finders.answer_checks import check_count, check_masks
from poc_aug.backends.finders.finder_protocols import Finder, Masks
from poc_aug.backends.finders.mask_cleaning import clean_mask
from poc_aug.errors import RecipeError, SettingError
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Filled, Part, Rejection

Keep = Literal["all", "best"]


class PromptAnnotator:
    """Looks for an object's parts in its filled crop; searching the whole frame would give false positives.

    The last of an object's parts has to be found: an attempt without it is rejected, with that part's reason
    (POC §3.1). A mask outside the box, or a tiny one, is dropped; the remaining masks of one text are united, as in
    the paper. How parts share pixels and the limits of the whole object are the recipe's, see
    `poc_aug.generation.acceptance.accept`.

    Args:
        finder: text to masks.
        keep: which masks of one text are used. ``"all"`` unites them (POC), ``"best"`` takes the one with the highest
            score (GenVal) among those that were not dropped: a confident false positive at the crop's edge does not
            hide the object in the box.
        clean: drop specks and fill pinholes.
        min_inside_box: least fraction of a mask inside the box (paper: 0.95).
        min_area_of_crop: least area of a mask as a fraction of the crop (paper: 0.01). It applies to objects of one
            part: a part among several may be small (a ball at a child's foot), and the recipe checks the whole.

    Raises:
        SettingError: a setting outside its limits.

    Example:
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
        >>> annotator = PromptAnnotator(LowerHalf())
        >>> crop = Crop(torch.zeros(3, 8, 12, dtype=torch.uint8), (4, 0, 4, 12), "dog", "a dog", ("dog",), seed=0)
        >>> (annotation,) = annotator.annotate([crop], [Filled(crop.image)])
        >>> annotation.parts[0].name, int(annotation.parts[0].mask.sum())
        ('dog', 48)
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
            raise SettingError(f"keep={keep!r}", expected="'all' or 'best'")
        for name, value in (("min_inside_box", min_inside_box), ("min_area_of_crop", min_area_of_crop)):
            if not 0 <= value <= 1:
                raise SettingError(f"{name}={value}", expected="0 to 1")
        self.finder = finder
        self.keep: Keep = keep
        self.clean = clean
        self.min_inside_box, self.min_area_of_crop = min_inside_box, min_area_of_crop

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "annotator": "prompt",
            "version": 1,
            "keep": self.keep,
            "clean": self.clean,
            "min_inside_box": self.min_inside_box,
            "min_area_of_crop": self.min_area_of_crop,
            "finder": self.finder.describe(),
        }

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
        """Find each crop's parts in its filled image; one result per crop, in order.

        Raises:
            RecipeError: a crop without exactly one text per part.
            GenerationError: the finder returned a wrong number of results, or masks of another size than the crop.
        """
        texts = [_texts(crop) for crop in crops]
        check_count("filled crops", len(filled), "crops", len(crops))
        if not crops:
            return []
        answers = self.finder.find([picture.image for picture in filled], texts)
        check_count("results of the finder", len(answers), "crops", len(crops))
        return [
            self._judge(crop, crop_texts, answer)
            for crop, crop_texts, answer in zip(crops, texts, answers, strict=True)
        ]

    def _judge(self, crop: Crop, texts: Sequence[str], answer: Sequence[Masks]) -> Annotation | Rejection:
        of_object = f" of object {crop.object_name!r}"
        check_count("results of the finder", len(answer), f"texts{of_object}", len(texts))
        parts = []
        for name, text, masks in zip(crop.parts, texts, answer, strict=True):
            check_masks(masks, (crop.image.shape[-2], crop.image.shape[-1]), f"{text!r}{of_object}")
            parts.append(self._part(crop, name, text, masks))
        if isinstance(parts[-1], Rejection):
            return parts[-1]
        return Annotation(tuple(part for part in parts if isinstance(part, Part)))

    def _part(self, crop: Crop, name: str, text: str, candidates: Masks) -> Part | Rejection:
        """One part, or the rejection of its mask with the highest score."""
        kept: list[tuple[torch.Tensor, float]] = []
        dropped: list[Rejection] = []
        order = candidates.scores.argsort(descending=True, stable=True).tolist()
        for i in order:
            mask = clean_mask(candidates.masks[i]) if self.clean else candidates.masks[i]
            reason = self._rejection(crop, text, mask)
            if reason is None:
                kept.append((mask, float(candidates.scores[i])))
            else:
                dropped.append(reason)
        if kept:
            united = torch.stack([mask for mask, _ in (kept if self.keep == "all" else kept[:1])]).any(dim=0)
            return Part(name, united, min(max(kept[0][1], 0.0), 1.0))
        if dropped:
            return dropped[0]
        return Rejection("not detected", crop.object_name, detail=f"nothing found for {text!r}")

    def _rejection(self, crop: Crop, text: str, mask: torch.Tensor) -> Rejection | None:
        area = int(mask.sum())
        if area == 0:
            return Rejection("too small", crop.object_name, detail=f"{text!r}: an empty mask")
        y, x, h, w = crop.box_yxhw
        inside = int(mask[y : y + h, x : x + w].sum()) / area
        if inside < self.min_inside_box:
            figures = f"{inside:.0%} of the mask inside the box, at least {self.min_inside_box:.0%} needed"
            return Rejection("outside the box", crop.object_name, detail=f"{text!r}: {figures}")
        fraction = area / mask.numel()
        if fraction < self.min_area_of_crop and len(crop.parts) == 1:
            figures = f"mask is {fraction:.2%} of the crop, at least {self.min_area_of_crop:.2%} needed"
            return Rejection("too small", crop.object_name, detail=f"{text!r}: {figures}")
        return None


def _texts(crop: Crop) -> tuple[str, ...]:
    texts = crop.detect or crop.parts
    if not crop.parts or len(texts) != len(crop.parts):
        raise RecipeError(
            f"object {crop.object_name!r}: {len(crop.parts)} parts {list(crop.parts)} and {len(texts)} texts to "
            f"detect {list(texts)}",
            expected="one text per part, at least one",
            hint="ObjectSpec(parts=..., detect=...)",
            command="parts: [...] and detect: [...] of the object, in the recipe's file",
        )
    return texts
