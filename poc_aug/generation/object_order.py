"""Which objects come in which variant of a sample."""

from __future__ import annotations

import torch

from poc_aug import seeding
from poc_aug.recipe import ObjectSpec, Recipe


def draw_objects(recipe: Recipe, key: str, index: int) -> list[ObjectSpec]:
    """The objects of variant ``index``, drawn without replacement over a sample's variants (POC §3.2).

    The variants share one endless sequence of objects, shuffled again whenever every object has had its turn.

    Example:
        >>> recipe = Recipe.from_dict({"objects": ["dog", "cat"], "objects_per_variant": [1, 1]})
        >>> sorted(draw_objects(recipe, "frame-7", index)[0].name for index in range(2))
        ['cat', 'dog']
    """
    low, high = recipe.objects_per_variant

    def count(k: int) -> int:
        return seeding.integer(seeding.generator(recipe.seed, key, k, "count"), low, high + 1)

    first = sum(count(k) for k in range(index))
    total = len(recipe.objects)
    drawn = []
    for position in range(first, first + count(index)):
        cycle, place = divmod(position, total)
        order = torch.randperm(total, generator=seeding.generator(recipe.seed, key, "objects", cycle))
        drawn.append(recipe.objects[int(order[place])])
    return drawn
