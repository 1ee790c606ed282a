"""Keys of concatenated datasets: what a cache holds under its parts' own keys, and the reverse.

`torch.utils.data.ConcatDataset` puts the number of the part before each key: ``"1/ulm_0.png"``. A cache that was made
for the part alone holds ``"ulm_0.png"``. If both parts have a sample of that name, one of them is compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

Match: TypeAlias = Callable[[Sequence[str], Collection[str]], list[str]]
"""The keys under which a collection holds samples, by name."""

IsSame: TypeAlias = Callable[[int, str], bool]
"""Whether a sample, by its number, shows what is stored under a key."""

_DEEPEST = 3
_PARTS = [re.compile(rf"(?s)((?:(?:0|[1-9]\d*)/){{{depth}}})(.+)") for depth in range(1, _DEEPEST + 1)]


def keys_of_parts(keys: Sequence[str], stored: Collection[str], match: Match, is_same: IsSame | None) -> dict[int, str]:
    """For a concatenated dataset: where a cache that was made for one of its parts, or several, holds its samples.

    Args:
        keys: the dataset's keys.
        stored: the keys of the cache.
        match: finds keys by name.
        is_same: compares pictures; ``None``: cannot, and several parts of the same names are not found.

    Returns:
        By the number of the sample, its stored key.
    """
    for pattern in _PARTS:
        found = {}
        for _, numbers in _by_part(pattern, keys).items():
            theirs = match([rest for _, rest in numbers], stored)
            held = {number: name for (number, _), name in zip(numbers, theirs, strict=True) if name in stored}
            if held and (is_same is None or is_same(*next(iter(held.items())))):
                found[min(held)] = held
        if found and (is_same is not None or len(found) == 1):
            return {number: name for held in found.values() for number, name in held.items()}
    return {}


def keys_of_part(keys: Sequence[str], stored: Collection[str], match: Match, is_same: IsSame | None) -> dict[int, str]:
    """For a dataset that is a part of the concatenated one that a cache was made for: where it holds its samples.

    Arguments and result as for `keys_of_parts`.
    """
    for pattern in _PARTS:
        found = []
        for prefix, held_there in _by_part(pattern, stored).items():
            rests = {rest for _, rest in held_there}
            theirs = match(keys, rests)
            held = {number: prefix + name for number, name in enumerate(theirs) if name in rests}
            if held and (is_same is None or is_same(*next(iter(held.items())))):
                found.append(held)
        if found and (is_same is not None or len(found) == 1):
            return found[0]  # of a part that is there twice, either
    return {}


def _by_part(pattern: re.Pattern[str], keys: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """By the part's prefix, the numbers of its keys and what follows; empty if a key has no such prefix."""
    by_part: dict[str, list[tuple[int, str]]] = {}
    for number, key in enumerate(keys):
        found = pattern.fullmatch(key)
        if found is None:
            return {}
        by_part.setdefault(found[1], []).append((number, found[2]))
    return by_part
