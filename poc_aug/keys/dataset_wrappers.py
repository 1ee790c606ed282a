"""What a wrapper holds: the dataset inside, and the index into it behind each of its own, without reading items."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, StackDataset

WRAPPED = ("dataset", "_dataset", "base_dataset", "base", "ds", "inner", "source", "wrapped")
"""Attributes in which wrappers keep the one dataset that they wrap."""

_INDICES = (
    "indices",
    "indexes",
    "index_list",
    "index_map",
    "idxs",
    "idx",
    "index",
    "repeat_indices",
    "sample_indices",
    "order",
    "permutation",
)


def wrapped(dataset: Any) -> Any | None:
    """The one dataset that another one holds; ``None`` if it holds none, or several."""
    for name in WRAPPED:
        value = getattr(dataset, name, None)
        if value is not dataset and is_dataset(value):
            return value
    held = [value for value in getattr(dataset, "__dict__", {}).values() if _is_surely_dataset(value)]
    return held[0] if len(held) == 1 and held[0] is not dataset else None


def own_attribute(dataset: Any, name: str) -> Any:
    """An attribute of a dataset; ``None`` if a wrapper forwards it (``__getattr__``) from what it wraps.

    The wrapped dataset may have its samples in another order.
    """
    value = getattr(dataset, name, None)
    if value is None or inspect.getattr_static(dataset, name, None) is not None:
        return value
    return None if wrapped(dataset) is not None else value


def parts(dataset: Any) -> list[Any] | None:
    """The datasets that another one holds in ``datasets``, as `ConcatDataset` and `StackDataset` do."""
    held = getattr(dataset, "datasets", None)
    listed = list(held.values()) if isinstance(held, Mapping) else list(held) if isinstance(held, list | tuple) else []
    known = isinstance(dataset, ConcatDataset | StackDataset)  # their parts may be plain lists
    return listed if listed and (known or all(is_dataset(part) for part in listed)) else None


def wrapped_indices(dataset: Any, inner_length: int, length: int) -> list[int] | None:
    """The index into the wrapped dataset behind each index of a wrapper; ``None`` if it is not known.

    A wrapper whose length is a multiple of that of what it wraps is taken for one that repeats the whole of it
    (``base[i % len(base)]``, as mmengine's and mmseg's `RepeatDataset` do). If it does not, the digest of the first
    item that is read shows it.
    """
    original = getattr(dataset, "_get_ori_dataset_idx", None)  # mmengine's wrappers
    if callable(original):
        return _checked([original(index) for index in range(length)], inner_length)
    for name in _INDICES:
        for value in (getattr(dataset, name, None), getattr(dataset, f"_{name}", None)):
            indices = _checked(_integers(value), inner_length)
            if indices is not None and len(indices) == length:
                return indices
    lists = [_checked(_integers(value), inner_length) for value in getattr(dataset, "__dict__", {}).values()]
    fitting = [indices for indices in lists if indices is not None and len(indices) == length]
    if inner_length and length % inner_length == 0:
        whole = [index % inner_length for index in range(length)]
        # Some lists of that length are classes or groups; the order is one that holds each number equally often.
        return next((indices for indices in fitting if sorted(indices) == sorted(whole)), whole)
    return fitting[0] if length and len(fitting) == 1 else None


def is_dataset(value: Any) -> bool:
    """Whether a value has items by index and a length, as a map-style dataset, and is not a plain container."""
    plain = (str, bytes, list, tuple, Mapping, range, np.ndarray, torch.Tensor, torch.nn.Module, IterableDataset)
    kind = type(value)
    readable = hasattr(kind, "__getitem__") and hasattr(kind, "__len__")
    return readable and not isinstance(value, plain) and not is_table(value) and not hasattr(value, "iloc")


def is_table(value: Any) -> bool:
    """Whether a value is a pandas table, or behaves like one."""
    return hasattr(value, "columns") and hasattr(value, "iloc")


def _is_surely_dataset(value: Any) -> bool:
    own = isinstance(value, Dataset) or hasattr(value, "get_data_info") or is_hugging_face(value)
    return own and is_dataset(value)


def is_hugging_face(value: Any) -> bool:
    """Whether a value is a dataset of Hugging Face's `datasets`, which is not imported for this."""
    named = type(value).__module__.startswith("datasets.") and hasattr(value, "column_names")
    return named and not isinstance(value, Mapping)  # `DatasetDict` holds several


def _integers(value: Any) -> list[int] | None:
    if isinstance(value, torch.Tensor | np.ndarray):
        whole = not value.is_floating_point() if isinstance(value, torch.Tensor) else value.dtype.kind in "iu"
        return [int(number) for number in value.tolist()] if value.ndim == 1 and whole else None
    if isinstance(value, range):
        return list(value)
    if not isinstance(value, list | tuple):
        return None
    whole_numbers = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in value)
    return [int(number) for number in value] if whole_numbers else None


def _checked(indices: list[Any] | None, inner_length: int) -> list[int] | None:
    if indices is None:
        return None
    if not all(isinstance(index, int) and -inner_length <= index < inner_length for index in indices):
        return None
    return [index % inner_length for index in indices]
