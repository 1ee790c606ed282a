"""`KeyFinder`: the key under which a cache holds an item, from the one name that the item has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from poc_aug.cache.key_matching import name_without_extension

_MOST_NAMES = 1 << 20  # that are remembered: of an endless stream, not all


class _Keys(Protocol):
    def variants(self, key: str) -> tuple[int, ...]:
        """Numbers of a sample's stored variants."""
        ...

    def keys(self) -> Sequence[str]:
        """Keys of all samples."""
        ...


class FoundKey(NamedTuple):
    """A key of a cache.

    Attributes:
        key: the key.
        certain: whether one of the two paths ends with the whole of the other; otherwise only the file names agree,
            and whether it is the same picture has to be compared.
    """

    key: str
    certain: bool


class KeyFinder:
    """Finds the keys of a cache by paths or names, which may begin in another folder than its keys.

    Keys are usually paths below a dataset's root, whereas items have absolute paths, or file names only. In this order:
    the name itself; the longest end of the path that is a key; the only key that ends with the name; both without file
    extension; the only key with that file name, in any folder. What is not clear is not found.

    Args:
        cache: an opened cache. Its keys are listed when the first name is not found directly.

    Example:
        >>> class Held:
        ...     def keys(self): return ["train/aachen/1.png", "train/ulm/1.png", "train/ulm/2.png"]
        ...     def variants(self, key): return (0,) if key in self.keys() else ()
        >>> finder = KeyFinder(Held())
        >>> finder.find("/data/city/train/ulm/1.png").key, finder.find("aachen/1").key
        ('train/ulm/1.png', 'train/aachen/1.png')
        >>> finder.find("1.png") is None, finder.find("flat/2.jpg")
        (True, FoundKey(key='train/ulm/2.png', certain=False))
    """

    def __init__(self, cache: _Keys) -> None:
        self._cache = cache
        self._by_name: dict[bool, dict[str, list[str]]] | None = None
        self._known: dict[str, FoundKey | None] = {}

    def find(self, name: str) -> FoundKey | None:
        """The key of a sample; ``None`` if there is none, or several fit."""
        if name in self._known:
            return self._known[name]
        found = self._find(name)
        if len(self._known) < _MOST_NAMES:
            self._known[name] = found
        return found

    def similar(self, name: str) -> list[str]:
        """Keys with the file name of a name that was not found: several may fit, sorted."""
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        tables = self._by_name or _by_name(self._cache.keys())
        return sorted({*tables[True].get(last, ()), *tables[False].get(name_without_extension(last), ())})

    def __getstate__(self) -> dict[str, Any]:
        return {"_cache": self._cache, "_by_name": None, "_known": {}}

    def _find(self, name: str) -> FoundKey | None:
        if self._cache.variants(name):
            return FoundKey(name, True)
        path = name.replace("\\", "/").removeprefix("./")
        parts = [part for part in path.split("/") if part]
        for first in range(len(parts)):
            tail = "/".join(parts[first:])
            if self._cache.variants(tail):
                return FoundKey(tail, True)
        if not parts:
            return None
        if self._by_name is None:
            self._by_name = _by_name(self._cache.keys())
        for with_extension in (True, False):
            wanted = parts if with_extension else [*parts[:-1], name_without_extension(parts[-1])]
            named = self._by_name[with_extension].get(wanted[-1], []) if wanted[-1] else []
            fitting = [key for key in named if _one_ends_with_the_other(_split(key, with_extension), wanted)]
            if len(fitting) == 1:
                return FoundKey(fitting[0], True)
            if fitting:
                return None
        stem = name_without_extension(parts[-1])
        named = self._by_name[True].get(parts[-1]) or self._by_name[False].get(stem, [])
        return FoundKey(named[0], False) if len(named) == 1 else None


class KeyNumbers:
    """A number for each key of a set, held in 8 bytes per key.

    Args:
        keys: the keys, in any order.

    Example:
        >>> numbers = KeyNumbers(["b.png", "a.png", "a.png"])
        >>> len(numbers), sorted([numbers.of("a.png"), numbers.of("b.png")]), numbers.of("c.png")
        (2, [0, 1], None)
    """

    def __init__(self, keys: Sequence[str]) -> None:
        hashes = np.fromiter((_hash(key) for key in keys), dtype=np.uint64, count=len(keys))
        self._hashes: npt.NDArray[np.uint64] = np.unique(hashes)

    def of(self, key: str) -> int | None:
        """Number of a key; ``None`` if it is not in the set."""
        wanted = np.uint64(_hash(key))
        number = int(np.searchsorted(self._hashes, wanted))
        return number if number < len(self._hashes) and self._hashes[number] == wanted else None

    def __len__(self) -> int:
        return len(self._hashes)


def _hash(key: str) -> int:
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogatepass"))


def _by_name(keys: Sequence[str]) -> dict[bool, dict[str, list[str]]]:
    """Keys by file name with (True) and without extension."""
    tables: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}
    for key in keys:
        for with_extension, table in tables.items():
            if name := _split(key, with_extension)[-1]:
                table.setdefault(name, []).append(key)
    return tables


def _split(key: str, with_extension: bool) -> list[str]:
    parts = key.split("/")
    return parts if with_extension else [*parts[:-1], name_without_extension(parts[-1])]


def _one_ends_with_the_other(first: list[str], second: list[str]) -> bool:
    common = min(len(first), len(second))
    return first[-common:] == second[-common:]
