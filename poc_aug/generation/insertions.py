"""From a filled crop and its masks to an `Insertion`: acceptance, then cutting the delta out."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from poc_aug.errors import RecipeError
from poc_aug.generation.parts import resolve_parts
from poc_aug.masks import bounds, dilate, feather_radius_px, window
from poc_aug.recipe import IGNORED, Recipe
from poc_aug.types import Annotation, Crop, Filled, Insertion, Json, Part, Region, Rejection


def accept(recipe: Recipe, crop: Crop, annotation: Annotation) -> tuple[Part, ...] | Rejection:
    """Apply the paper's rule for two parts and its rejections (POC's public parameters).

    Returns:
        The disjoint parts with pixels, or a `Rejection`: "not detected" where no part is left or the last part was
        not found; "outside the box" below ``recipe.min_inside_box``; "too small" below ``recipe.min_area_of_crop``.

    Raises:
        RecipeError: a part that the object does not have.
    """
    strange = sorted({part.name for part in annotation.parts} - set(crop.parts))
    if strange:
        raise RecipeError(
            f"object {crop.object_name!r} came back with parts {strange}",
            expected=f"its parts {list(crop.parts)}",
            hint="name the parts in the recipe, or correct the annotator",
        )
    parts = resolve_parts(annotation.parts)
    if not parts or crop.parts[-1] not in {part.name for part in parts}:
        found = [part.name for part in parts]
        return Rejection("not detected", crop.object_name, detail=f"found {found} of {list(crop.parts)}")
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


def cut_out(
    recipe: Recipe,
    region: Region,
    crop: Crop,
    filled: Filled,
    parts: tuple[Part, ...],
    provenance: Mapping[str, Json],
) -> Insertion:
    """Cut the delta out of a filled crop: nothing of the base is kept outside the object's feathered support.

    Where the crop was filled ``unlabelled``, what is seen outside the parts becomes a last part, `IGNORED`.
    """
    union = torch.stack([part.mask for part in parts]).any(dim=0)
    if filled.alpha is not None:
        seen = filled.alpha > 0
    else:
        seen = dilate(union, feather_radius_px(recipe.max_sigma_px))
    rest = seen & ~union
    if filled.unlabelled and bool(rest.any()):
        parts = (*parts, Part(IGNORED, rest))
    touched = seen | union if filled.shade is None else seen | union | (filled.shade > 0)
    y, x, h, w = bounds(touched)
    rows, cols = window((y, x, h, w))
    shade = None
    if filled.shade is not None and bool((filled.shade > 0).any()):
        shade = filled.shade[rows, cols].clone()
    return Insertion(
        box_yxhw=(region.crop_yxhw[0] + y, region.crop_yxhw[1] + x, h, w),
        patch=torch.where(seen, filled.image, 0)[:, rows, cols].contiguous(),
        parts=tuple(Part(part.name, part.mask[rows, cols].clone(), part.score) for part in parts),
        alpha=None if filled.alpha is None else filled.alpha[rows, cols].clone(),
        shade=shade,
        object_name=crop.object_name,
        max_sigma_px=recipe.max_sigma_px,
        provenance={**provenance, **filled.provenance},
    )
