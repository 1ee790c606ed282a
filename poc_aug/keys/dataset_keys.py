"""The keys of a dataset's samples."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch.utils.data import Dataset, IterableDataset, StackDataset, Subset

from poc_aug.counting import count_of
from poc_aug.errors import DatasetKeyError, PocAugError, in_one_line
from poc_aug.keys.column_keys import GIVE_KEYS, column, no_column
from poc_aug.keys.dataset_wrappers import is_dataset, own_attribute, parts, wrapped, wrapped_indices
from poc_aug.keys.path_keys import as_list, data_info_paths, listed_paths, relative_paths

Keys: TypeAlias = Sequence[str] | Callable[[int], str] | str
"""Explicit keys: one per sample, a function of the index, or the name of a column, field or attribute."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What keys are taken from: the dataset's own names of its samples, its column ``name``, or only numbers."""

    name: str | None = None
    numbered: bool = False


def dataset_keys(dataset: Any, keys: Keys | None = None) -> list[str]:
    """One stable key per sample, in the dataset's order; a sample that is repeated has the same key each time.

    Paths are made relative to ``dataset.root`` or ``data_root``, otherwise to their common parent, with forward
    slashes.
    A `ConcatDataset` puts the number of its part before each key ("0/", "1/", ...). A dataset without keys and
    paths is keyed by index ("00000042"): such keys are valid only as long as its order does not change, which the
    digest stored with each insertion checks.

    Args:
        dataset: a map-style dataset.
        keys: explicit keys, a function of the index, or the name of a column: of a Hugging Face dataset, of a pandas
            table that the dataset holds, a field of ``get_data_info()``, or an attribute.

    Raises:
        DatasetKeyError: not a map-style dataset, another number of keys than samples, or keys that are not strings.

    Example:
        >>> class Base:
        ...     images = ["/data/city/a/1.png", "/data/city/b/1.png"]
        ...     def __len__(self): return 2
        ...     def __getitem__(self, index): ...
        >>> dataset_keys(Base())
        ['a/1.png', 'b/1.png']
    """
    length = _length(dataset)
    if keys is None or isinstance(keys, str):
        try:
            names = _names(dataset, length, _Source(keys))
        except PocAugError:
            raise
        except Exception as error:  # the dataset is the user's
            raise DatasetKeyError(
                f"the keys of {type(dataset).__name__} cannot be read: {in_one_line(error)}",
                expected="one string per sample",
                hint="pass keys of your own: keys=[...]",
                command="name a column, field or attribute of the dataset: --keys NAME",
            ) from error
    elif callable(keys):
        names = [keys(index) for index in range(length)]
    else:
        names = _listed(keys, "keys=")
    return _checked(names, length, dataset)


def number_keys(dataset: Any) -> list[str]:
    """Keys by index alone (of the wrapped dataset if there is one), as for datasets without names.

    Example:
        >>> class Base:
        ...     images = ["/data/city/a/1.png", "/data/city/b/1.png"]
        ...     def __len__(self): return 2
        ...     def __getitem__(self, index): ...
        >>> number_keys(Base())
        ['00000000', '00000001']
    """
    length = _length(dataset)
    return _checked(_names(dataset, length, _Source(numbered=True)), length, dataset)


def first_of_each(keys: Sequence[str]) -> dict[str, int]:
    """Each key and the number of the first sample that has it, in the dataset's order.

    Example:
        >>> first_of_each(["a.png", "b.png", "a.png"])
        {'a.png': 0, 'b.png': 1}
    """
    first: dict[str, int] = {}
    for number, key in enumerate(keys):
        first.setdefault(key, number)
    return first


def _length(dataset: Any) -> int:
    name = type(dataset).__name__
    first = next(iter(dataset.values()), None) if isinstance(dataset, Mapping) else None
    if is_dataset(first) or isinstance(first, IterableDataset):
        names = list(dataset)
        raise DatasetKeyError(
            f"{name} holds {len(names)} datasets by name: {', '.join(map(str, names[:8]))}",
            expected="one of them",
            hint=f"pass dataset[{names[0]!r}], for example",
            command=f"name a function that returns it: --dataset package.module:function, for dataset[{names[0]!r}]",
        )
    if getattr(dataset, "_fully_initialized", True) is False and callable(getattr(dataset, "full_init", None)):
        dataset.full_init()  # mmengine's lazy_init=True; every worker would do it again
    try:
        length = len(dataset)
    except (TypeError, NotImplementedError) as error:
        raise _stream(f"dataset {name} has no length") from error
    own = getattr(type(dataset), "__getitem__", None)  # LitData's streams have one, torch's only raises
    if own is None or own is Dataset.__getitem__:
        raise _stream(f"dataset {name} cannot be read by index")
    return length


def _stream(problem: str) -> DatasetKeyError:
    return DatasetKeyError(
        problem,
        expected="a map-style dataset, with __len__ and __getitem__",
        hint="wrap an iterable dataset in one that lists its items (Hugging Face: load_dataset without streaming=True; "
        "webdataset: unpack the shards into files)",
    )


def _names(dataset: Any, length: int, source: _Source) -> list[Any]:
    direct = _direct(dataset, length, source)
    if direct is None:
        direct = _joined(dataset, length, source)
    if direct is not None:
        return direct
    inner = wrapped(dataset)
    named = not (source.numbered or source.name or callable(getattr(dataset, "_get_ori_dataset_idx", None)))
    if named and (paths := data_info_paths(dataset, length) or listed_paths(dataset, length)):
        return relative_paths(paths, dataset)
    indices = None if inner is None else wrapped_indices(dataset, _length(inner), length)
    if indices is not None:
        below = _inner(inner, source)
        return [below[index] for index in indices]
    if source.name is not None:
        raise no_column(dataset, source.name)
    return [f"{index:08d}" for index in range(length)]


def _direct(dataset: Any, length: int, source: _Source) -> list[Any] | None:
    if source.numbered:
        return None
    return _own(dataset, length) if source.name is None else column(dataset, source.name, length)


def _inner(dataset: Any, source: _Source) -> list[str]:
    length = _length(dataset)
    return _checked(_names(dataset, length, source), length, dataset)


def _joined(dataset: Any, length: int, source: _Source) -> list[str] | None:
    """Keys of a dataset with known parts: a selection of one dataset, several in sequence, or several in parallel."""
    if isinstance(dataset, Subset):
        inner = _inner(dataset.dataset, source)
        return [inner[int(index)] for index in dataset.indices]
    held = parts(dataset)
    if held is None:
        return None
    if not isinstance(dataset, StackDataset) and sum(_length(part) for part in held) == length:
        # A dataset that is listed twice has the same samples twice.
        numbers = [next(n for n, other in enumerate(held) if other is part) for part in held]
        known = {number: _inner(held[number], source) for number in set(numbers)}
        return [f"{number}/{key}" for number in numbers for key in known[number]]
    if any(_length(part) != length for part in held):
        return None
    # In parallel: any part may be the one that names its samples.
    return next((names for part in held if (names := _named(part, source)) is not None), _inner(held[0], _Source()))


def _named(dataset: Any, source: _Source) -> list[str] | None:
    if source.name is not None:
        return column(dataset, source.name, _length(dataset))
    names = _inner(dataset, source)
    return None if names == number_keys(dataset) else names


def _own(dataset: Any, length: int) -> list[Any] | None:
    """The keys that a dataset defines, by a method ``keys()`` or a list of that name."""
    kind = type(dataset).__name__
    if isinstance(dataset, Mapping) and not _reads_by_index(dataset):
        if set(dataset) == set(range(length)):
            return None
        raise DatasetKeyError(
            f"{kind} is read by names such as {next(iter(dataset), None)!r}, not by index",
            expected=f"a dataset whose items are dataset[0] to dataset[{length - 1}]",
            hint="wrap it in a Dataset whose __getitem__(index) reads the item, and whose keys() lists these names",
        )
    own = own_attribute(dataset, "keys")
    origin = f"{kind}.keys"
    if callable(own):
        origin += "()"
        try:
            own = own()
        except TypeError as error:
            raise DatasetKeyError(
                f"{origin} failed: {error}", expected="a method without arguments that lists one string per sample",
                **GIVE_KEYS._asdict(),
            ) from error  # fmt: skip
    elif as_list(own) is None:
        return None
    names = _listed(own, origin)
    # A wrapper that forwards all attributes forwards this one too.
    if len(names) != length and inspect.getattr_static(dataset, "keys", None) is None:
        return None
    return names


def _reads_by_index(dataset: Any) -> bool:
    return isinstance(dataset, dict) and type(dataset).__getitem__ is not dict.__getitem__


def _listed(keys: Any, origin: str) -> list[Any]:
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise DatasetKeyError(f"{origin} gave {keys!r}", expected="a list of strings", **GIVE_KEYS._asdict())
    return list(keys)


def _checked(keys: list[Any], length: int, dataset: Any) -> list[str]:
    name = type(dataset).__name__
    if len(keys) != length:
        raise DatasetKeyError(
            f"{count_of(len(keys), 'key')} for the {count_of(length, 'sample')} of {name}",
            expected="one key per sample",
            **GIVE_KEYS._asdict(),
        )
    texts = [str(os.fsdecode(key)) if isinstance(key, str | bytes | os.PathLike) else key for key in keys]
    invalid = [key for key in texts if not isinstance(key, str) or not key]
    if invalid:
        whole = isinstance(invalid[0], int | np.integer)
        raise DatasetKeyError(
            f"key {invalid[0]!r} of {name}",
            expected="a string that is not empty",
            hint=GIVE_KEYS.hint + ("; numbers as text: keys=[str(key) for key in dataset.keys()]" if whole else ""),
            command=GIVE_KEYS.command,
        )
    return texts
