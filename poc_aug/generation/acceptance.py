"""Which filled crops are accepted, by the paper's rules, and the reasons for which others are rejected."""

from __future__ import annotations

import torch

from poc_aug.errors import RecipeError
from poc_aug.generation.parts import resolve_parts
from poc_aug.recipe import Recipe
from poc_aug.types import Annotation, Crop, Part, Rejection


def accept(recipe: Recipe, crop: Crop, annotation: Annotation) -> tuple[Part, ...] | Rejection:
    """Apply the paper's rule for two parts and its rejections (POC's public parameters).

    Returns:
        The disjoint parts with pixels, or a `Rejection`: "not detected" if no part is left or the last part was not
        found; "outside the box" below ``recipe.min_inside_box``; "too small" below ``recipe.min_area_of_crop``.

    Raises:
        RecipeError: a part that the object does not have.
    """
    unknown = sorted({part.name for part in annotation.parts} - set(crop.parts))
    if unknown:
        raise RecipeError(
            f"object {crop.object_name!r} came back with parts {unknown}",
            expected=f"its parts {list(crop.parts)}",
            hint="name the parts in the recipe, or correct the annotator",
        )
    parts = resolve_parts(annotation.parts)
    if not parts or crop.parts[-1] not in {part.name for part in parts}:
        names = [part.name for part in parts]
        return Rejection("not detected", crop.object_name, detail=f"found {names} of {list(crop.parts)}")
    union = torch.stack([part.mask for part in parts]).any(dim=0)
    area = int(union.sum())
    y, x, h, w = crop.box_yxhw
    inside = int(union[y : y + h, x : x + w].sum()) / area
    if inside < recipe.min_inside_box:
        detail = f"{inside:.0%} of the mask inside the box, at least {recipe.min_inside_box:.0%} needed"
        return Rejection("outside the box", crop.object_name, detail=detail)
    share = area / union.numel()
    if share < recipe.min_area_of_crop:
        detail = f"mask is {share:.2%} of the crop, at least {recipe.min_area_of_crop:.2%} needed"
        return Rejection("too small", crop.object_name, detail=detail)
    return parts
