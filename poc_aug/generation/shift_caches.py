"""Caches of shifted frames that are read: what they were made with, and whether that is what was asked for."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from poc_aug.cache import Cache
from poc_aug.errors import CacheDatasetMismatchError, CacheMismatchError, NextStep
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


def check_all_held(keys: Sequence[str], cache: Cache, advice: NextStep) -> None:
    """Check that a cache holds all frames that are shown, if it holds any: the others would stay as they are.

    That is how a cache is left by a run that filled it while it read, and was ended.

    Args:
        keys: the keys of the frames.
        cache: the cache.
        advice: how to name the samples.

    Raises:
        CacheDatasetMismatchError: it holds some of them, but not all.
    """
    wanted = list(dict.fromkeys(keys))
    missing = [key for key, is_held in zip(wanted, cache.held(wanted), strict=True) if not is_held]
    if 0 < len(missing) < len(wanted):
        raise CacheDatasetMismatchError(
            f"the cache {str(cache.path)!r} holds {len(wanted) - len(missing)} of the {len(wanted)} frames that are to "
            f"be shown: not {missing[:3]}",
            expected="all of them",
            hint='on_miss="generate" makes the others, on_miss="original" leaves them as they are; if the cache holds '
            f"them by other names, {advice.hint}",
            command=f"fill it with poc-aug warm-scenes; if it holds them by other names, {advice.command}",
        )


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
