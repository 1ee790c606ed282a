"""What `POCAugmentedDataset` accepts: the choices, and the checks of its parameters."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Collection, Sequence
from typing import Any, Literal, SupportsIndex, get_args

from poc_aug.cache import Cache
from poc_aug.errors import SettingError
from poc_aug.items.open_item import Adapt
from poc_aug.reading.live_settings import LiveSettings

OnMiss = Literal["original", "raise", "generate", "background"]
Shown = Literal["random", "all"] | int

GENERATING: tuple[OnMiss, ...] = ("generate", "background")


def check_parameters(
    *,
    base: object,
    cache: object,
    pipeline: object,
    live: LiveSettings | None,
    variants: object,
    variant: object,
    on_miss: str,
    p: object,
    adapt: object,
    sigma_px: object,
    seed: object,
    transforms: object,
    wrapper: str = "POCAugmentedDataset(base, ",
    takes_several: bool = False,
) -> None:
    """Check what can be checked before anything is opened; ``wrapper`` is how the call begins, for messages.

    Raises:
        SettingError: a parameter out of its range, or one that needs another.
    """
    if isinstance(base, str | os.PathLike | Cache):
        raise SettingError(
            f"base={base!r}",
            expected="a dataset",
            hint=f"the dataset comes first, then the cache: {wrapper}'frames.cache')",
        )
    is_several = takes_several and isinstance(cache, Sequence) and not isinstance(cache, str | bytes)
    several: Sequence[object] = cache if is_several else (cache,)  # type: ignore[assignment]
    if not several or not all(isinstance(each, str | os.PathLike | Cache | None) for each in several):
        raise SettingError(
            f"cache={type(cache).__name__}(...)",
            expected=f"the path of a cache, an opened one,{' a list of them,' if takes_several else ''} or None",
            hint=f"{wrapper}'frames.cache')",
        )
    if pipeline is not None and not (callable(pipeline) or callable(getattr(pipeline, "for_dataset", None))):
        raise SettingError(
            f"pipeline={pipeline!r}",
            expected="an InsertionPipeline, or a function without arguments that builds one",
            hint="pipeline=InsertionPipeline(load_preset('obstacles'), RenderedInserter()); with models, "
            "pipeline=make_pipeline, a function of a module that returns it",
        )
    if transforms is not None and not callable(transforms):
        raise SettingError(f"transforms={transforms!r}", expected="a callable, or None")
    if not isinstance(adapt, Adapt | None):
        raise SettingError(f"adapt={adapt!r}", expected="Adapt(get=..., put=...), or None")
    if not isinstance(on_miss, str) or on_miss not in get_args(OnMiss):
        raise SettingError(f"on_miss={on_miss!r}", expected=f"one of {get_args(OnMiss)}")
    if (on_miss in GENERATING) != (pipeline is not None):
        raise SettingError(
            f"on_miss={on_miss!r} {'with' if pipeline is not None else 'without'} pipeline=",
            expected=f"pipeline= with one of {GENERATING}, and only with them",
        )
    if live is not None and not isinstance(live, LiveSettings):
        raise SettingError(f"live={live!r}", expected="LiveSettings(...)")
    if live is not None and pipeline is None:
        raise SettingError(
            f"live={live!r} without pipeline=",
            expected="live= with pipeline= only: without it, what the cache holds is read",
        )
    if not isinstance(variants, str) or variants not in ("random", "all"):
        raise SettingError(
            f"variants={variants!r}",
            expected="'random' or 'all'",
            hint="variant=0 shows one of them; with pipeline=, live=LiveSettings(num_variants=3) says how many",
        )
    if variant is not None and variants != "random":
        raise SettingError(
            f"variant={variant!r} with variants={variants!r}", expected="one of the two", hint="leave variants= out"
        )
    if variant is not None and (not isinstance(variant, SupportsIndex) or operator.index(variant) < 0):
        raise SettingError(f"variant={variant!r}", expected="the number of a variant, from 0")
    if p is not None and not _is_number(p, 0, 1):
        raise SettingError(f"p={p!r}", expected="a share in [0, 1]")
    if not _is_number(sigma_px, 0, math.inf):
        raise SettingError(f"sigma_px={sigma_px!r}", expected="a width in pixels, 0 or more")
    if not isinstance(seed, SupportsIndex):
        raise SettingError(f"seed={seed!r}", expected="an integer")


def check_epoch(epoch: object) -> int:
    """An epoch as an integer.

    Raises:
        SettingError: it is none, or negative, or beyond 64 bits.
    """
    if not isinstance(epoch, SupportsIndex) or not 0 <= operator.index(epoch) < 2**63:
        raise SettingError(f"epoch={epoch!r}", expected="the number of an epoch, from 0")
    return operator.index(epoch)


def _is_number(value: Any, least: float, most: float) -> bool:
    """Whether a value is a number in a range, NumPy's and PyTorch's scalars included."""
    try:
        return not isinstance(value, str | bytes) and bool(least <= float(value) <= most)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return False


def check_against_cache(
    indices: Collection[int], *, variant: int | None, generates: bool, sigma_px: float, most_px: float
) -> None:
    """Check what depends on what the cache holds.

    Args:
        indices: the indices that variants have in the cache, of any sample.
        variant: number of the variant that every item shows, if it is one.
        generates: whether variants that the cache does not hold are generated.
        sigma_px: feather of the objects' edges.
        most_px: the largest feather that the cache was made for: ``max_sigma_px`` of its recipe.

    Raises:
        SettingError: it holds no such variant of any sample, or not enough pixels around the objects.
    """
    if variant is not None and not generates and variant not in indices:
        raise SettingError(f"variant={variant}", expected=f"a variant that the cache holds: {sorted(indices)}")
    if not 0 <= sigma_px <= most_px:
        raise SettingError(
            f"sigma_px={sigma_px}",
            expected=f"0 to {most_px}: the cache holds no pixels beyond that feather",
            hint="choose a smaller sigma_px, or make the cache with a larger max_sigma_px in the recipe",
        )
