"""Caches of shifted frames that are read: what they were made with, and whether that is what was asked for."""

from __future__ import annotations

import operator
from typing import Any

from poc_aug.cache import Cache
from poc_aug.errors import CacheMismatchError
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.scenes.scene_recipe import SceneRecipe


def recipe_of_frames(cache: Cache) -> SceneRecipe:
    """The recipe that a cache of frames was made with.

    Raises:
        CacheMismatchError: it holds insertions.
    """
    if cache.manifest.kind != "frames":
        raise CacheMismatchError(
            f"the cache {str(cache.path)!r} holds insertions",
            expected="a cache of shifted frames",
            hint="read it with POCAugmentedDataset; make one of frames: warm_cache(SceneShiftDataset(...), path)",
            command="make a cache of frames: poc-aug warm-scenes",
        )
    return SceneRecipe.from_dict(dict(cache.manifest.recipe))


def check_as_it_is(
    cache: Cache,
    recipe: SceneRecipe,
    pipeline: ShiftPipeline | None,
    camera: object,
    depth: object,
    num_variants: int | None,
    held: int,
) -> None:
    """Check that a cache that is read as it is holds what was asked for; its seed and models may be others.

    Args:
        cache: the cache.
        recipe: what it was made with.
        pipeline: what was asked for, if it is known here.
        camera: the argument; ``None``: any.
        depth: the argument; ``None``: any.
        num_variants: the argument; ``None``: any.
        held: variants per frame that it holds.

    Raises:
        CacheMismatchError: it was made with another camera, depth or number of variants.
    """
    given: dict[str, tuple[Any, Any]] = {}
    if num_variants is not None:
        given["num_variants"] = (operator.index(num_variants), held)
    if pipeline is not None and camera is not None:
        given["camera"] = (pipeline.recipe.camera, recipe.camera)
    if pipeline is not None and depth is not None:
        given["depth"] = (pipeline.describe()["depth"], cache.manifest.backends.get("depth"))
    for name, (wanted, stored) in given.items():
        if wanted != stored:
            raise CacheMismatchError(
                f"{name}={wanted}, and the cache {str(cache.path)!r}, which is read as it is, was made with {stored}",
                expected="the setting that it was made with, or none",
                hint=f"leave {name}= out; make another: warm_cache(SceneShiftDataset(...), path); or, if this one "
                'is not finished, on_miss="generate"',
            )
