"""A dataset's samples in a cache: the keys under which it holds them, and the samples that it lacks."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from poc_aug.cache import Cache
from poc_aug.cache.part_keys import IsSame, keys_of_part, keys_of_parts
from poc_aug.errors import CacheDatasetMismatchError, NextStep
from poc_aug.items.image_digest import digest_of, matches
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.items.sample_errors import naming_sample
from poc_aug.keys import first_of_each, key_advice, number_keys
from poc_aug.scenes.scene_recipe import shifted_key, split_key

_logger = logging.getLogger("poc_aug")
_FILL_OR_ALLOW = NextStep(
    'if the others are to stay without insertions, pass on_miss="original"; otherwise generate theirs: run '
    "warm_cache on this dataset",
    "otherwise generate theirs: poc-aug warm-cache on this dataset",
)
_OTHER_CACHE = NextStep(
    "otherwise choose another path for this dataset's cache", "otherwise write another cache: --out"
)
_BY_INDEX = re.compile(r"(?:\d+/)*\d{8}")
# Of a shifted frame: another domain or severity is another picture, whatever the file's extension.
_SHIFTS = re.compile(r"(?s)(.*?)((?:@[A-Za-z0-9][A-Za-z0-9_.:+-]*-[1-5])*)")


class HeldKeys(Collection[str]):
    """The keys of a cache, which lists them only if it has to: whether it holds one is looked up.

    Args:
        cache: the cache.
        shifts: of a cache of frames: the domains and severities that its samples are looked up with. Keys are then
            those of samples, without domain and severity.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     held = HeldKeys(Cache.open(f"{folder}/a.cache"))
        ...     "a.png" in held, "b.png" in held, len(held), list(held)
        (True, False, 1, ['a.png'])
    """

    def __init__(self, cache: Cache, shifts: Sequence[tuple[str, int]] | None = None) -> None:
        self._cache = cache
        self._shifts = shifts
        self._names: list[str] | None = None

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        names = [key] if self._shifts is None else [shifted_key(key, *shift) for shift in self._shifts]
        return any(self._cache.variants(name) for name in names)

    def __bool__(self) -> bool:
        return self._cache.samples > 0

    def __len__(self) -> int:
        return self._cache.samples if self._shifts is None else len(self._listed())

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())

    def compared_with(self, dataset: Any, adapt: Adapt | None) -> IsSame | None:
        """Compares a sample of a dataset with what is stored; ``None`` for frames, which show something else."""
        if dataset is None or self._shifts is not None:
            return None
        return lambda number, key: _is_same(dataset, number, key, self._cache, adapt)

    def _listed(self) -> list[str]:
        if self._names is None:
            names = self._cache.keys()
            self._names = names if self._shifts is None else sorted({split_key(name)[0] for name in names})
        return self._names


def stored_keys(
    keys: Sequence[str], stored: Collection[str], dataset: Any = None, adapt: Adapt | None = None
) -> list[str]:
    """The keys under which a cache holds a dataset's samples, if it holds any; otherwise the keys unchanged.

    These are the keys themselves if one of them is stored. Otherwise the cache may have been made by another reader of
    the same files: the last parts of the paths are compared, as many as make them unique among the dataset's and among
    the stored keys; then the same without file extensions. Finally, if all stored keys are numbers, the dataset's
    numbers are used: names may not have been known when the cache was made. Whether it is the same picture is checked
    when it is read. A cache of the parts of a concatenated dataset is found too, and the reverse
    (`poc_aug.cache.part_keys`).

    Args:
        keys: the dataset's keys.
        stored: all keys of the cache.
        dataset: the dataset, for its numbers, and to compare a picture where several parts have the same names.
        adapt: how to take its items apart.

    Example:
        >>> stored_keys(["aachen_0.png", "ulm_0.png"], ["train/aachen/aachen_0.png", "train/ulm/ulm_0.png"])
        ['train/aachen/aachen_0.png', 'train/ulm/ulm_0.png']
    """
    if not keys or not stored or any(key in stored for key in keys):
        return list(keys)
    renamed = _renamed(dict.fromkeys(keys), stored)
    if renamed:
        return [renamed.get(key, key) for key in keys]
    by_number = dataset is not None and all(_BY_INDEX.fullmatch(key) for key in stored)
    numbers = number_keys(dataset) if by_number else []
    if any(number in stored for number in numbers):
        return numbers
    is_same = stored.compared_with(dataset, adapt) if isinstance(stored, HeldKeys) else None
    for names in (keys, numbers):
        for search in (keys_of_parts, keys_of_part):
            if found := search(names, stored, _by_name, is_same):
                return [found.get(number, key) for number, key in enumerate(keys)]
    return list(keys)


def continued_keys(dataset: Any, keys: Sequence[str], cache: Cache, adapt: Adapt | None) -> list[str]:
    """The keys under which a cache of a dataset is continued: those that it was begun with.

    Raises:
        CacheDatasetMismatchError: it holds some of the samples under other names, but not all.
        SampleReadError: the dataset fails on the one sample that is compared.
    """
    held = HeldKeys(cache)
    matched = stored_keys(keys, held, dataset, adapt)
    numbers = [number for number, key in enumerate(matched) if key in held and key != keys[number]]
    if not numbers or not _is_same(dataset, numbers[0], matched[numbers[0]], cache, adapt):
        return list(keys)  # other frames whose files have the same names
    missing = [key for key in first_of_each(matched) if key not in held]
    if missing:
        raise _partial(matched, missing, cache, dataset, _OTHER_CACHE)
    return matched


def check_held(keys: Sequence[str], own: Sequence[str], cache: Cache, dataset: Any, *, misses_allowed: bool) -> int:
    """Check that a cache holds a dataset's samples before it is read.

    A cache may hold only some of them, if `warm_cache` was given a ``limit`` or has not finished; one warning is logged
    then. It is an error if the manifest does not confirm this: keys that name different samples on both sides would
    leave items without insertions unnoticed.

    Args:
        keys: the keys that the samples are stored under (`stored_keys`).
        own: the dataset's own keys.
        cache: the cache.
        dataset: the dataset, for messages.
        misses_allowed: the caller chose what happens to samples that are not stored.

    Returns:
        How many samples it holds, repeated ones once.

    Raises:
        CacheDatasetMismatchError: it holds none, or, unless ``misses_allowed``, only some; the message has examples of
            both sides.
    """
    distinct = list(dict.fromkeys(keys))
    found = cache.held(distinct)
    missing = [distinct[number] for number in np.flatnonzero(~found)]
    if not missing:
        return len(distinct)
    if len(missing) == len(distinct):
        raise _none(own, set(cache.keys()), cache, dataset)
    if misses_allowed:
        return len(distinct) - len(missing)
    others = cache.samples > len(distinct) - len(missing)
    made_from = cache.manifest.samples
    by_index = any(_BY_INDEX.fullmatch(key) for key in missing)
    # Older caches do not hold the number of samples; keys by index are then no evidence.
    whole = made_from == len(distinct) if made_from is not None else not by_index
    if others or not whole or list(keys) != list(own):
        raise _partial(keys, missing, cache, dataset, _FILL_OR_ALLOW)
    _logger.warning(
        "The cache %s holds %d of this dataset's %d samples: the others stay without insertions. "
        'If that is intended, pass on_miss="original"; otherwise fill it with warm_cache.',
        cache.path,
        len(distinct) - len(missing),
        len(distinct),
    )
    return len(distinct) - len(missing)


def _is_same(dataset: Any, number: int, key: str, cache: Cache, adapt: Adapt | None) -> bool:
    variant = cache.get(key, cache.variants(key)[0])
    assert variant is not None  # just listed
    with naming_sample(key):
        return matches(variant.digest, digest_of(open_item(dataset[number], adapt, key=key).image))


def _by_name(keys: Sequence[str], stored: Collection[str]) -> list[str]:
    if any(key in stored for key in keys):
        return list(keys)
    renamed = _renamed(dict.fromkeys(keys), stored)
    return [renamed.get(key, key) for key in keys]


def _renamed(keys: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    ours, theirs = [(key, _parts(key)) for key in keys], [(key, _parts(key)) for key in stored]
    deepest = max(len(parts) for _, parts in (*ours, *theirs))
    for endings in (True, False):
        for depth in range(1, deepest + 1):
            mine, known = _by_tail(ours, depth, endings), _by_tail(theirs, depth, endings)
            shared = [tail for tail in mine if tail in known]
            if not shared:
                break
            if all(len(mine[tail]) == len(known[tail]) == 1 for tail in shared):
                return {mine[tail][0]: known[tail][0] for tail in shared}
    return {}


def _by_tail(
    keys: Sequence[tuple[str, tuple[str, ...]]], depth: int, endings: bool
) -> dict[tuple[str, ...], list[str]]:
    by_tail: dict[tuple[str, ...], list[str]] = {}
    for key, parts in keys:
        name = (parts[-1] if _file_of(parts[-1])[0] else "") if endings else name_without_extension(parts[-1])
        if name:
            by_tail.setdefault((*parts[-depth:-1], name), []).append(key)
    return by_tail


def name_without_extension(name: str) -> str:
    """A file name without its extension, by which it may be compared with another one; "" if it is only a number.

    Example:
        >>> name_without_extension("aachen.png"), name_without_extension("aachen.png@fog-3")
        ('aachen', 'aachen@fog-3')
    """
    file, shifts = _file_of(name)
    if not file or _BY_INDEX.fullmatch(file):  # "00000042" is a number, not the file "00000042.png"
        return ""
    stem, dot, ending = file.rpartition(".")
    return (stem if dot and stem and ending else file) + shifts


def _file_of(name: str) -> tuple[str, str]:
    """A name without the domains and severities of shifted frames, and these."""
    found = _SHIFTS.fullmatch(name)
    assert found is not None  # it matches anything
    return found[1], found[2]


def _parts(key: str) -> tuple[str, ...]:
    return tuple(re.split(r"[/\\]", key))


def _none(own: Sequence[str], held: set[str], cache: Cache, dataset: Any) -> CacheDatasetMismatchError:
    if not held:
        return CacheDatasetMismatchError(
            f"the cache {str(cache.path)!r} is empty",
            expected="a cache that warm_cache has filled",
            hint="run warm_cache on this dataset; a copied cache needs its manifest.json and all of shards/",
        )
    names = Counter(_parts(key)[-1] for key in held)
    unclear = next((_parts(key)[-1] for key in own if names[_parts(key)[-1]] > 1), None)
    why = f"; file names do not show which are the same ({unclear!r} occurs several times)" if unclear else ""
    advice = key_advice(dataset)
    return CacheDatasetMismatchError(
        f"the cache {str(cache.path)!r} holds none of this dataset's {len(set(own))} samples: the dataset's keys are "
        f"like {_some(dict.fromkeys(own))}, the cache's like {_some(sorted(held))}{why}",
        expected=f"the dataset that the cache was made from: {dict(cache.manifest.dataset)}",
        hint=f"open the right cache, or {advice.hint}",
        command=f"give the right cache, or {advice.command}",
    )


def _partial(
    keys: Sequence[str], missing: Sequence[str], cache: Cache, dataset: Any, otherwise: NextStep
) -> CacheDatasetMismatchError:
    distinct = dict.fromkeys(keys)
    others = sorted(set(cache.keys()) - distinct.keys())
    made_from = cache.manifest.samples
    also = f"; it holds {len(others)} others, such as {_some(others)}" if others else ""
    advice, same = key_advice(dataset), "if they are the same samples, "
    count = f", made from {made_from} samples," if made_from is not None else ""
    return CacheDatasetMismatchError(
        f"the cache {str(cache.path)!r}{count} holds {len(distinct) - len(missing)} of this dataset's {len(distinct)} "
        f"samples: not {_some(missing)}{also}",
        expected="keys that name the same samples as when the cache was made, or all of them in it",
        hint=f"{same}{advice.hint}; {otherwise.hint}",
        command=f"{same}{advice.command}; {otherwise.command}",
    )


def _some(keys: Iterable[str]) -> str:
    return str([key for key, _ in zip(keys, range(3), strict=False)])
