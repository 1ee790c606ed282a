"""`UnitedCaches`: several caches of one dataset, or a cache of several recipes, read as one."""

from __future__ import annotations

import bisect
import math
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from poc_aug import seeding
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.members import member_of, member_paths
from poc_aug.cache.reader import Cache
from poc_aug.errors import CacheMismatchError, SettingError
from poc_aug.notebook import ShownAsPicture
from poc_aug.types import Variant


class UnitedCaches(ShownAsPicture):
    """A read-only view over caches of one dataset; each variant of a sample has a number of its own here.

    The variants of the first cache keep their numbers; those of the next one follow, and so on. A cache that holds
    several recipes is as many caches as it has members.

    Args:
        groups: opened caches; those of one group share the group's share.
        shares: how often a variant of each group is drawn, as weights; ``None``: all variants of a sample are equally
            likely.

    Attributes:
        caches: all of them, in order.
        shares: share of each group, with a sum of 1, or ``None``.
        group_of: for each cache, the number of its group.

    Raises:
        SettingError: shares that are not as many positive numbers as there are groups.
        CacheMismatchError: caches of insertions and of frames together.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> def variants(count):
        ...     return [Variant("x.png", index, digest=b"", insertions=()) for index in range(count)]
        >>> with TemporaryDirectory() as folder:
        ...     caches = []
        ...     for name, count in (("a", 3), ("b", 2)):
        ...         path = Path(folder) / f"{name}.cache"
        ...         with CacheWriter(path, Manifest.create({}, {}, {})) as writer:
        ...             _ = writer.put_many(variants(count))
        ...         caches.append([Cache.open(path)])
        ...     united = UnitedCaches(caches, shares=[7, 3])
        ...     united.variants("x.png"), united.cache_of(3).path.name, united.shares
        ((0, 1, 2, 3, 4), 'b.cache', (0.7, 0.3))
    """

    def __init__(self, groups: Sequence[Sequence[Cache]], shares: Sequence[float] | None = None) -> None:
        self.caches: tuple[Cache, ...] = tuple(cache for group in groups for cache in group)
        self.shares = None if shares is None else check_shares(shares, len(groups))
        self.group_of = tuple(number for number, group in enumerate(groups) for _ in group)
        kinds = {cache.manifest.kind: cache.path for cache in self.caches}
        if len(kinds) > 1:
            raise CacheMismatchError(
                "caches of different kinds: "
                + ", ".join(f"{str(path)!r} holds {kind}" for kind, path in kinds.items()),
                expected="caches of insertions, or caches of frames",
                hint="insertions for shifted frames: POCAugmentedDataset(SceneShiftDataset(...), cache)",
            )
        self._offsets = [0]
        for cache in self.caches:
            self._offsets.append(self._offsets[-1] + 1 + max(cache.indices(), default=-1))
        self._names: list[dict[str, str]] = [{} for _ in self.caches]

    @property
    def path(self) -> Path:
        """Path of the first cache; messages about a variant name `cache_of` it."""
        return self.caches[0].path

    def name_samples(self, keys: Sequence[str], names: Sequence[Sequence[str]]) -> None:
        """Say under which key each cache holds each sample, if it has other keys than this view; the last word counts.

        Args:
            keys: the samples' keys here.
            names: for each cache, its keys of these samples.
        """
        for table, theirs in zip(self._names, names, strict=True):
            for key, name in zip(keys, theirs, strict=True):
                if name != key:
                    table[key] = name
                else:
                    table.pop(key, None)

    def cache_of(self, index: int) -> Cache:
        """The cache that a variant is in."""
        return self.caches[self._number_of(index)]

    def place_of(self, key: str, index: int) -> tuple[Cache, str, int]:
        """The cache of a variant, and its key and index there."""
        number = self._number_of(index)
        return self.caches[number], self._names[number].get(key, key), index - self._offsets[number]

    def get(self, key: str, variant: int) -> Variant | None:
        """Read one variant, with its number here; ``None`` if it is not stored. Raises as `Cache.get`."""
        variant = operator.index(variant)
        if not 0 <= variant < self._offsets[-1]:
            return None
        cache, name, index = self.place_of(key, variant)
        return self._numbered(cache.get(name, index), key, variant)

    def get_new(self, key: str, variant: int) -> Variant | None:
        """As `get`: numbers depend on what the caches held when they were opened."""
        return self.get(key, variant)

    def kept(self, variant: Variant) -> Variant:
        """As `Cache.kept`; what `get` returns is so already."""
        return variant

    def variants(self, key: str) -> tuple[int, ...]:
        """Numbers of a sample's variants, sorted."""
        return tuple(index for group in self._by_cache(key) for index in group)

    def ordered(self, key: str, rng: torch.Generator) -> list[int]:
        """A sample's variants in the order in which they are tried: those of the cache that is drawn first.

        Args:
            key: key of the sample.
            rng: generator of the draw.
        """
        if self.shares is None:
            return _permuted(self.variants(key), rng)
        groups: dict[int, list[int]] = {}
        for number, indices in enumerate(self._by_cache(key)):
            if indices and self.shares[self.group_of[number]] > 0:
                groups.setdefault(self.group_of[number], []).extend(indices)
        order: list[int] = []
        while groups:
            # Those that hold the sample, in proportion to their shares.
            left = sorted(groups)
            total = math.fsum(self.shares[group] for group in left)
            point = seeding.uniform(rng, 0.0, 1.0) * total
            for group in left:
                point -= self.shares[group]
                if point < 0 or group == left[-1]:
                    order += _permuted(groups.pop(group), rng)
                    break
        return order

    def indices(self) -> frozenset[int]:
        """All numbers that variants have."""
        pairs = zip(self._offsets, self.caches, strict=False)
        return frozenset(offset + index for offset, cache in pairs for index in cache.indices())

    def keys(self) -> list[str]:
        """Keys of all samples that a cache holds, sorted; its own, where `name_samples` does not say otherwise."""
        found: set[str] = set()
        for cache, names in zip(self.caches, self._names, strict=True):
            here = {theirs: key for key, theirs in names.items()}
            found.update(here.get(key, key) for key in cache.keys())
        return sorted(found)

    @property
    def samples(self) -> int:
        """How many samples a cache holds."""
        return len(self.keys()) if len(self.caches) > 1 else self.caches[0].samples

    def items(self) -> Iterator[tuple[str, int]]:
        """All ``(key, number)``, sorted."""
        for key in self.keys():
            for index in self.variants(key):
                yield key, index

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return self.items()

    def __len__(self) -> int:
        return sum(len(cache) for cache in self.caches)

    def __bool__(self) -> bool:
        return True

    @property
    def nbytes(self) -> int:
        """Bytes that the caches hold on disk."""
        return sum(cache.nbytes for cache in self.caches)

    def close(self) -> None:
        """Close all caches."""
        for cache in self.caches:
            cache.close()

    def __enter__(self) -> UnitedCaches:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        shares = "" if self.shares is None else f", shares={list(self.shares)}"
        return f"UnitedCaches({[str(cache.path) for cache in self.caches]}{shares})"

    def _number_of(self, index: int) -> int:
        return bisect.bisect_right(self._offsets, index) - 1 if index < self._offsets[-1] else len(self.caches) - 1

    def _by_cache(self, key: str) -> list[list[int]]:
        # A copy in another process opens the caches anew: what they hold beyond these numbers was added meanwhile.
        spans = zip(self._offsets[:-1], self._offsets[1:], self.caches, self._names, strict=True)
        return [
            [first + index for index in cache.variants(names.get(key, key)) if first + index < end]
            for first, end, cache, names in spans
        ]

    def _numbered(self, variant: Variant | None, key: str, index: int) -> Variant | None:
        return (
            None
            if variant is None
            else Variant(
                key,
                index,
                variant.digest,
                variant.insertions,
                variant.rejections,
                variant.label_digest,
                variant.frame,
            )
        )


def journal_class_names(caches: Iterable[Cache]) -> frozenset[str]:
    """Class names that the journals of caches give; a label policy needs an id for each, and for those of the recipes.

    Example:
        >>> journal_class_names([])
        frozenset()
    """
    return frozenset(name for cache in caches for name in cache.journal.class_names)


def open_members(path: str | os.PathLike[str], recipes: Sequence[str] | None = None) -> list[Cache]:
    """Open a cache and its members: one opened cache per recipe that it holds.

    Args:
        path: the ``NAME.cache`` directory.
        recipes: fingerprints, or their first characters, of those that are opened; ``None``: all.

    Raises:
        CacheMismatchError: it holds no such recipe; the message lists those that it holds.
        CacheError: as `Cache.open`.
    """
    first = Cache.open(path)
    absolute = absolute_path(path)
    if recipes is None:
        return [first, *(Cache.open(member) for member in member_paths(absolute)[1:])]
    paths: list[Path] = []
    for recipe in recipes:
        found = member_of(absolute, recipe)
        if found is None:
            held = {cache.manifest.fingerprint for cache in open_members(path)}
            raise CacheMismatchError(
                f"cache {str(absolute)!r} holds no recipe {recipe!r}",
                expected=f"one of: {', '.join(sorted(held))}",
                hint=f"`poc-aug info {absolute}` lists its recipes; their first 4 characters or more will do",
            )
        paths += [found] * (found not in paths)
    return [Cache.open(found) for found in paths]


def check_shares(shares: Sequence[float], count: int) -> tuple[float, ...]:
    """Shares with a sum of 1.

    Raises:
        SettingError: not one number of 0 or more per cache, or only zeros.

    Example:
        >>> check_shares([3, 1], 2)
        (0.75, 0.25)
    """
    try:
        values = [float(share) for share in shares]
    except (TypeError, ValueError):
        values = []
    valid = all(math.isfinite(value) and value >= 0 for value in values)
    if len(values) != count or not valid or not math.fsum(values) > 0:
        raise SettingError(
            f"shares={shares!r} for {count} cache{'' if count == 1 else 's'}",
            expected="one number of 0 or more per cache, not all 0",
            hint=f"shares={[round(1 / count, 3)] * count}",
        )
    total = math.fsum(values)
    return tuple(value / total for value in values)


def _permuted(indices: Sequence[int], rng: torch.Generator) -> list[int]:
    return [indices[choice] for choice in torch.randperm(len(indices), generator=rng).tolist()]
