"""Which further variants replace those of which something was dropped: ``warm_cache(..., replace_dropped=True)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count, islice
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.cache.manifest_checks import object_parts
from poc_aug.cache.record import header_of_record
from poc_aug.cache.selection import StoredThings, things_in_header
from poc_aug.scenes.scene_recipe import split_key

MOST_IN_VAIN = 4
"""So many variants per variant that is asked for are made in vain, of those that a decision about more than one variant
(a class, say) drops as soon as they are there; then the sample stays without."""


_UNNAMED = -1  # no decision names it


class _Loss(Enum):
    NOTHING = 0
    BY_VARIANT = 1  # somebody dropped something of this very variant
    IN_GENERAL = 2  # a decision about a class, say, which further variants may fall under, too


@dataclass
class Replacements:
    """The variants that are to be made in place of those of which something was dropped.

    Attributes:
        missing: their numbers, by key; a sample of which nothing was dropped is not in it.
        unreplaced: how many cannot be replaced, since what would be made is dropped by the same decisions.
    """

    missing: dict[str, list[int]] = field(default_factory=dict)
    unreplaced: int = 0

    @property
    def count(self) -> int:
        """How many are to be made."""
        return sum(map(len, self.missing.values()))


def replacements(cache: Cache, keys: Iterable[str], num_variants: int) -> Replacements:
    """Find what replaces variants of which something was dropped: the next numbers that are free.

    A sample is to have as many variants of which nothing was dropped as there are asked for. Which numbers those have
    depends only on what is stored and on the journal, so a run that was killed is continued with the same ones.

    Args:
        cache: opened, with its journal.
        keys: the samples' keys.
        num_variants: variants per sample that are asked for; those of them that are not stored are left to the caller.

    Raises:
        CacheError: a record or the journal is damaged.

    Example:
        >>> import tempfile
        >>> from poc_aug import InsertionPipeline, Recipe, RenderedInserter, SyntheticStreet, warm_cache
        >>> from poc_aug.upkeep import drop
        >>> pipeline = InsertionPipeline(Recipe(objects=("barrel",)), RenderedInserter())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     street = SyntheticStreet(size=(64, 128), length=1)
        ...     _ = warm_cache(street, f"{folder}/a.cache", pipeline, num_variants=2, workers=0)
        ...     with Cache.open(f"{folder}/a.cache") as cache:
        ...         key = cache.keys()[0]
        ...     _ = drop(f"{folder}/a.cache", key=key, variant=0)
        ...     with Cache.open(f"{folder}/a.cache") as cache:
        ...         list(replacements(cache, [key], num_variants=2).missing.values())
        [[2]]
    """
    found = Replacements()
    if not any(entry.op == "drop" for entry in cache.journal.counting):
        return found
    for key in keys:
        numbers, unreplaced = _of_sample(cache, key, num_variants)
        if numbers:
            found.missing[key] = numbers
        found.unreplaced += unreplaced
    return found


class Replacing:
    """The rounds of a run that replaces what was dropped: what was just made may be dropped, too.

    Args:
        path: the ``NAME.cache`` directory, or that of the member that is filled.
        keys: keys of the samples.
        num_variants: variants per sample.
    """

    def __init__(self, path: Path, keys: Sequence[str], num_variants: int) -> None:
        self._path, self._keys, self._num_variants = path, keys, num_variants
        self._tried: set[tuple[str, int]] = set()

    def next(self) -> Replacements:
        """What is to be made now; nothing that was returned before, even if it could not be made.

        Raises:
            CacheError: as `replacements`.
        """
        with Cache.open(self._path) as cache:
            found = replacements(cache, self._keys, self._num_variants)
        missing = {
            key: [number for number in numbers if (key, number) not in self._tried]
            for key, numbers in found.missing.items()
        }
        found.missing = {key: numbers for key, numbers in missing.items() if numbers}
        self._tried.update((key, number) for key, numbers in found.missing.items() for number in numbers)
        return found


def with_replacements(
    missing: Mapping[str, Sequence[int]], added: Mapping[str, Sequence[int]], keys: Iterable[str]
) -> dict[str, list[int]]:
    """What is missing and what replaces something, in the order of the keys.

    Example:
        >>> with_replacements({"b": [0]}, {"a": [3], "b": [4]}, ["a", "b"])
        {'a': [3], 'b': [0, 4]}
    """
    united = {key: [*missing.get(key, ()), *added.get(key, ())] for key in keys}
    return {key: numbers for key, numbers in united.items() if numbers}


def _of_sample(cache: Cache, key: str, num_variants: int) -> tuple[list[int], int]:
    stored = cache.variants(key)
    losses = {number: _loss(cache, key, number) for number in stored}
    sound = sum(loss is _Loss.NOTHING for loss in losses.values())
    if sound == len(stored):
        return [], 0
    wanted = num_variants - sound - sum(number not in losses for number in range(num_variants))
    in_vain = sum(number >= num_variants and loss is _Loss.IN_GENERAL for number, loss in losses.items())
    most = min(wanted, MOST_IN_VAIN * num_variants - in_vain)
    numbers: list[int] = []
    # Decisions name only so many variants: if one that none of them names cannot be kept, no further one can.
    if most > 0 and _may_be_kept(cache, key, _UNNAMED):
        fitting = (number for number in count(num_variants) if number not in losses)
        numbers = list(islice((number for number in fitting if _may_be_kept(cache, key, number)), most))
    return numbers, max(0, wanted - len(numbers))


def _loss(cache: Cache, key: str, number: int) -> _Loss:
    if not cache.journal.may_concern(_keys_of(cache, key), number):
        return _Loss.NOTHING
    data = cache.raw(key, number)
    assert data is not None  # just listed
    dropped = cache.journal.dropped(things_in_header(header_of_record(data)))
    if not dropped:
        return _Loss.NOTHING
    general = all(entry.where.key is None or entry.where.variant is None for entry in dropped.values())
    return _Loss.IN_GENERAL if general else _Loss.BY_VARIANT


def _may_be_kept(cache: Cache, key: str, number: int) -> bool:
    """Whether a variant that is not stored may have something that no decision drops."""
    keys = _keys_of(cache, key)
    if not cache.journal.may_concern(keys, number):
        return True
    if cache.manifest.kind == "frames":
        domain = split_key(key)[1]
        return not cache.journal.dropped(StoredThings(keys, number, (frozenset({domain}),), ((),)))
    objects = object_parts(cache.manifest.recipe)
    things = (StoredThings(keys, number, (frozenset({name, *parts}),), (parts,)) for name, parts in objects.items())
    return not objects or any(not cache.journal.dropped(one) for one in things)


def _keys_of(cache: Cache, key: str) -> tuple[str, ...]:
    return (key, key.rpartition("@")[0]) if cache.manifest.kind == "frames" else (key,)
