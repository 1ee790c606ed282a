"""A recipe from an object bank: one object a class, in its real size, standing on the road."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from poc_aug.backends.bank import ObjectBank
from poc_aug.errors import RecipeError
from poc_aug.recipe import FrameSize, PerspectiveSize, PixelSize, Recipe, Rung
from poc_aug.sizes import real_size


def paste_recipe(
    bank: ObjectBank,
    *,
    seed: int = 0,
    sizes: Literal["perspective"]
    | PixelSize
    | FrameSize
    | PerspectiveSize
    | Mapping[str, PixelSize | FrameSize | PerspectiveSize] = "perspective",
    **overrides: Any,
) -> Recipe:
    """The recipe that pastes every class of a bank.

    Args:
        bank: the cut-outs.
        seed: the recipe's seed.
        sizes: ``"perspective"``: real sizes from ``sizes.yaml``; one size rule for all; or rules by class
            for some, and real sizes for the others.
        overrides: other fields of `Recipe`.

    Raises:
        RecipeError: the real size of a class is not known, rules for classes that the bank does not have, or
            overrides that are not valid.
    """
    by_class: Mapping[str, PixelSize | FrameSize | PerspectiveSize] = {}
    one: PixelSize | FrameSize | PerspectiveSize | None = None
    if isinstance(sizes, Mapping):
        by_class = sizes
    elif not isinstance(sizes, str):
        one = sizes
    elif sizes != "perspective":
        raise RecipeError(f"sizes={sizes!r}", expected="'perspective', a size rule, or size rules by class")
    strange = sorted(set(by_class) - set(bank.classes()))
    if strange:
        raise RecipeError(f"sizes for {strange}, which the bank does not have", expected=f"{list(bank.classes())}")
    objects = [
        {"name": name, "size": (one or by_class.get(name) or real_size(name)).model_dump()} for name in bank.classes()
    ]
    fields: dict[str, Any] = {
        "objects": objects,
        "objects_per_variant": (1, 3),
        "location": ("road",),
        "ladder": (Rung(min_overlap=0.9).model_dump(),),
        "overlap_on": "foot",
        "crop_scale": 1.6,
        "seed": seed,
    }
    return Recipe.from_dict({**fields, **overrides})
