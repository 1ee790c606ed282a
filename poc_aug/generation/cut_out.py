"""From a filled crop and its accepted masks to an `Insertion`: the delta is cut out."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from poc_aug.masks import bounds, dilate, feather_radius_px, window
from poc_aug.recipe import IGNORED, Recipe
from poc_aug.types import Crop, Filled, Insertion, Json, Part, Region


def cut_out(
    recipe: Recipe,
    region: Region,
    crop: Crop,
    filled: Filled,
    parts: tuple[Part, ...],
    provenance: Mapping[str, Json],
) -> Insertion:
    """Cut the delta out of a filled crop: nothing of the base is kept outside the object's feathered support.

    If the crop was filled ``unlabelled``, what is visible outside the parts becomes a last part, `IGNORED`.
    """
    union = torch.stack([part.mask for part in parts]).any(dim=0)
    if filled.alpha is not None:
        visible = filled.alpha > 0
    else:
        visible = dilate(union, feather_radius_px(recipe.max_sigma_px))
    rest = visible & ~union
    if filled.unlabelled and bool(rest.any()):
        parts = (*parts, Part(IGNORED, rest))
    touched = visible | union if filled.shade is None else visible | union | (filled.shade > 0)
    y, x, h, w = bounds(touched)
    rows, cols = window((y, x, h, w))
    shade = None
    if filled.shade is not None and bool((filled.shade > 0).any()):
        shade = filled.shade[rows, cols].clone()
    return Insertion(
        box_yxhw=(region.crop_yxhw[0] + y, region.crop_yxhw[1] + x, h, w),
        patch=torch.where(visible, filled.image, 0)[:, rows, cols].contiguous(),
        parts=tuple(Part(part.name, part.mask[rows, cols].clone(), part.score) for part in parts),
        alpha=None if filled.alpha is None else filled.alpha[rows, cols].clone(),
        shade=shade,
        object_name=crop.object_name,
        max_sigma_px=recipe.max_sigma_px,
        provenance={**provenance, **filled.provenance},
    )
