"""What `POCAugmentedDataset` accepts: the choices, and the checks of its parameters."""

from __future__ import annotations

import operator
from typing import Literal, SupportsIndex, get_args

from poc_aug.cache import Cache
from poc_aug.errors import SettingError
from poc_aug.reading.live_settings import LiveSettings

OnMiss = Literal["original", "raise", "generate", "background"]
Shown = Literal["random", "all"] | int

GENERATING: tuple[OnMiss, ...] = ("generate", "background")


def check_parameters(
    *,
    pipeline: object,
    live: LiveSettings | None,
    variants: object,
    variant: object,
    on_miss: str,
    p: float | None,
) -> None:
    """Check what can be checked before anything is opened.

    Raises:
        SettingError: a parameter out of its range, or one that needs another.
    """
    if on_miss not in get_args(OnMiss):
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
    if variants not in ("random", "all"):
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
    if p is not None and not 0 <= p <= 1:
        raise SettingError(f"p={p}", expected="a share in [0, 1]")


def check_against_cache(cache: Cache, *, variant: int | None, generates: bool, sigma_px: float, most_px: float) -> None:
    """Check what depends on what the cache holds.

    Args:
        cache: the cache.
        variant: number of the variant that every item shows, if it is one.
        generates: whether variants that the cache does not hold are generated.
        sigma_px: feather of the objects' edges.
        most_px: the largest feather that the cache was made for: ``max_sigma_px`` of its recipe.

    Raises:
        SettingError: it holds no such variant of any sample, or not enough pixels around the objects.
    """
    if variant is not None and not generates and all(index != variant for _, index in cache):
        held = sorted({index for _, index in cache})
        raise SettingError(f"variant={variant}", expected=f"a variant that the cache holds: {held}")
    if not 0 <= sigma_px <= most_px:
        raise SettingError(
            f"sigma_px={sigma_px}",
            expected=f"0 to {most_px}: the cache holds no pixels beyond that feather",
            hint="choose a smaller sigma_px, or make the cache with a larger max_sigma_px in the recipe",
        )
