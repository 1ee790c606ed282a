"""Which further variants replace those of which something was dropped: ``warm_cache(..., replace_dropped=True)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count, islice
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.manifest_checks import object_parts
from poc_aug.cache.record import header_of_record
from poc_aug.cache.record_summary import OTHERS
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

    Also of a cache that was compacted or packed, whose records say what they lack. A sample is to have as many variants
    of which nothing was dropped as there are asked for. Which numbers those have depends only on what is stored and on
    the journal, so a run that was killed is continued with the same ones.

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
    losses = _Losses(cache)
    if not losses.possible:
        return found
    for key in keys:
        numbers, unreplaced = _of_sample(cache, losses, key, num_variants)
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


class _Losses:
    """What variants have lost: to the journal, or in a copy that was written without it, which their records say."""

    def __init__(self, cache: Cache) -> None:
        reasons = summarize_cache(cache.path).rejections
        self._cache = cache
        self._parts = {} if cache.manifest.kind == "frames" else object_parts(cache.manifest.recipe)
        self._may_be_cut = bool(reasons["dropped"] or reasons[OTHERS])
        # Insertions have other numbers in a copy: what it lacks has none.
        self._wide = Journal([entry for entry in cache.journal.counting if entry.where.insertion is None])
        self.possible = self._may_be_cut or any(entry.op == "drop" for entry in cache.journal.counting)

    def of(self, key: str, number: int) -> _Loss:
        """What a stored variant has lost."""
        cache, keys = self._cache, _keys_of(self._cache, key)
        if not self._may_be_cut and not cache.journal.may_concern(keys, number):
            return _Loss.NOTHING
        data = cache.raw(key, number)
        assert data is not None  # just listed
        header = header_of_record(data)
        dropped = [*cache.journal.dropped(things_in_header(header)).values()]
        gone = [name for reason, name, _, _ in header["rejections"] if reason == "dropped"]
        if not dropped and not gone:
            return _Loss.NOTHING
        still = [self._wide.dropped(self._things(keys, number, name)).get(0) for name in gone]
        general = all(entry is not None and _is_general(entry) for entry in (*dropped, *still))
        return _Loss.IN_GENERAL if general else _Loss.BY_VARIANT

    def may_be_kept(self, key: str, number: int) -> bool:
        """Whether a variant that is not stored may have something that no decision drops."""
        journal, keys = self._cache.journal, _keys_of(self._cache, key)
        if not journal.may_concern(keys, number):
            return True
        names = [split_key(key)[1]] if self._cache.manifest.kind == "frames" else list(self._parts)
        return not names or any(not journal.dropped(self._things(keys, number, name)) for name in names)

    def _things(self, keys: tuple[str, ...], number: int, name: str) -> StoredThings:
        """A variant that holds one object, or a frame of one domain, as decisions ask for it."""
        parts = self._parts.get(name, ())
        return StoredThings(keys, number, (frozenset({name, *parts}),), (parts,))


def _of_sample(cache: Cache, found: _Losses, key: str, num_variants: int) -> tuple[list[int], int]:
    stored = cache.variants(key)
    losses = {number: found.of(key, number) for number in stored}
    sound = sum(loss is _Loss.NOTHING for loss in losses.values())
    if sound == len(stored):
        return [], 0
    wanted = num_variants - sound - sum(number not in losses for number in range(num_variants))
    in_vain = sum(number >= num_variants and loss is _Loss.IN_GENERAL for number, loss in losses.items())
    most = min(wanted, MOST_IN_VAIN * num_variants - in_vain)
    numbers: list[int] = []
    # Decisions name only so many variants: if one that none of them names cannot be kept, no further one can.
    if most > 0 and found.may_be_kept(key, _UNNAMED):
        fitting = (number for number in count(num_variants) if number not in losses)
        numbers = list(islice((number for number in fitting if found.may_be_kept(key, number)), most))
    return numbers, max(0, wanted - len(numbers))


def _is_general(entry: JournalEntry) -> bool:
    """Whether a decision is about more than one variant."""
    return entry.where.key is None or entry.where.variant is None


def _keys_of(cache: Cache, key: str) -> tuple[str, ...]:
    return (key, key.rpartition("@")[0]) if cache.manifest.kind == "frames" else (key,)
