"""Several caches for one dataset: opening them, and finding its samples in each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from poc_aug.cache.key_matching import HeldKeys, check_held, stored_keys
from poc_aug.cache.reader import Cache
from poc_aug.cache.united_caches import UnitedCaches, open_members
from poc_aug.errors import SettingError
from poc_aug.items.open_item import Adapt

Caches: TypeAlias = str | Path | Cache | Sequence[str | Path | Cache]
"""A cache, by its path or opened, or a list of them."""


def check_several(cache: object, shares: object, recipes: object, *, generates: bool) -> None:
    """Check arguments about several caches before any is opened.

    Raises:
        SettingError: shares for a single cache; or caches, shares or recipes together with a pipeline.
    """
    count = len(cache) if isinstance(cache, Sequence) and not isinstance(cache, str) else 1
    wrong = isinstance(recipes, str) or not isinstance(recipes, Sequence) or not recipes
    if recipes is not None and (wrong or not all(isinstance(recipe, str) for recipe in recipes)):  # type: ignore[attr-defined]
        raise SettingError(
            f"recipes={recipes!r}", expected="a list of fingerprints", hint="recipes=['3f2a91c0']; None reads all"
        )
    opened = cache if isinstance(cache, Sequence) and not isinstance(cache, str) else [cache]
    if recipes is not None and any(isinstance(each, Cache) for each in opened):
        raise SettingError(
            f"recipes={recipes!r} with an opened cache, which is read as it is",
            expected="the path of the cache",
            hint="pass cache.path, or Cache.open(path, fingerprint=...) without recipes=",
        )
    given = {"shares": shares, "recipes": recipes, "a list of caches": None if count == 1 else cache}
    names = [name for name, value in given.items() if value is not None]
    if generates and (names or (isinstance(cache, Sequence) and not isinstance(cache, str))):
        raise SettingError(
            f"{', '.join(names) or 'a list of caches'} with pipeline=",
            expected="one cache, which the pipeline fills",
            hint="fill the caches first (warm_cache), then read them without pipeline=",
        )
    if shares is not None and count == 1:
        raise SettingError(f"shares={shares!r} for one cache", expected="a list of caches, and one share for each")


def open_caches(
    caches: Caches, *, shares: Sequence[float] | None = None, recipes: Sequence[str] | None = None
) -> Cache | UnitedCaches:
    """Open what a dataset reads: one cache as it is, several, or several recipes of one, united.

    Args:
        caches: a cache or a list of them; an opened one is read as it is, without its members.
        shares: see `UnitedCaches`.
        recipes: fingerprints of those that are read; ``None``: all.

    Raises:
        CacheError: as `Cache.open`.
        SettingError: the same cache twice, or shares that do not fit.
    """
    several = not isinstance(caches, str | os.PathLike | Cache)
    listed: Sequence[str | Path | Cache] = caches if several else (caches,)  # type: ignore[assignment]
    groups: list[list[Cache]] = []
    try:
        for each in listed:
            groups.append([each] if isinstance(each, Cache) else open_members(each, recipes))
        opened = [cache for group in groups for cache in group]
        paths = [os.path.realpath(cache.path) for cache in opened]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise SettingError(
                f"the cache {twice[0]!r} is given twice",
                expected="each cache once",
                hint="shares= say how often each is drawn",
            )
        return opened[0] if len(opened) == 1 and shares is None else UnitedCaches(groups, shares)
    except BaseException:
        for each, group in zip(listed, groups, strict=False):
            for cache in group:
                if cache is not each:  # opened here
                    cache.close()
        raise


def match_united(
    caches: UnitedCaches, own_keys: Sequence[str], dataset: Any, *, misses_allowed: bool, adapt: Adapt | None = None
) -> tuple[list[str], int]:
    """Find a dataset's samples in several caches.

    Args:
        caches: they learn under which key each of them holds each sample.
        own_keys: the dataset's keys.
        dataset: the dataset, for its numbers and for messages.
        misses_allowed: samples that none of them holds are no error.
        adapt: how to take the dataset's items apart.

    Returns:
        The keys of the samples in the view, and how many samples some cache holds, repeated ones once.

    Raises:
        CacheDatasetMismatchError: a cache holds none of the samples; or none holds some of them, unless allowed.
    """
    held_by = [HeldKeys(cache) for cache in caches.caches]
    names = [stored_keys(own_keys, held, dataset, adapt) for held in held_by]
    for group in range(max(caches.group_of) + 1):
        numbers = [number for number, of in enumerate(caches.group_of) if of == group]
        if not any(name in held_by[number] for number in numbers for name in names[number]):
            # None of its recipes has any of the samples: the first one that holds something says which it has.
            first = next((number for number in numbers if held_by[number]), numbers[0])
            check_held(names[first], own_keys, caches.caches[first], dataset, misses_allowed=True)
    keys = names[0]
    caches.name_samples(keys, names)
    found = [any(name in held for name, held in zip(row, held_by, strict=True)) for row in zip(*names, strict=True)]
    stored = {key for key, is_found in zip(keys, found, strict=True) if is_found}
    missing = [key for key in dict.fromkeys(keys) if key not in stored]
    if missing and not misses_allowed:
        # The cache that holds most of them says whether it was to hold a part only.
        most = max(range(len(names)), key=lambda number: len(held_by[number]))
        check_held(names[most], own_keys, caches.caches[most], dataset, misses_allowed=False)
    return keys, len(stored)


def described(cache: Cache | UnitedCaches) -> str:
    """Paths of what is read, for people.

    Example:
        >>> from poc_aug.cache import Manifest
        >>> described(Cache(Path("street.cache"), Manifest.create({}, {}, {})))
        'street.cache'
    """
    if isinstance(cache, Cache):
        return str(cache.path)
    groups: dict[int, list[str]] = {}
    for each, group in zip(cache.caches, cache.group_of, strict=True):
        groups.setdefault(group, []).append(str(each.path))
    shares = cache.shares or (None,) * len(groups)
    pairs = zip(groups.values(), shares, strict=True)
    return ", ".join(" + ".join(paths) + ("" if share is None else f" ({share:.0%})") for paths, share in pairs)
