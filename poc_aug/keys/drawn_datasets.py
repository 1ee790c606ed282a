"""What draws anew in each epoch, found inside of loaders, wrappers and transforms, without reading items."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch

_MAX_FOUND = 20_000
"""Objects that are looked into: a dataset with more of them is a table of records rather than a wrapper."""

_LONG = 64
"""Lists that are longer are looked into only if they begin with a dataset: others list paths or records."""

_LEAVES = (str, bytes, int, float, complex, type, ModuleType, torch.Tensor, np.ndarray, torch.Generator, BaseException)


def drawn_in(value: Any) -> list[Any]:
    """The wrappers of this package with ``set_epoch`` in a dataset, loader, transform, or list of them; each once.

    It looks through attributes, lists, mappings, ``functools.partial``, bound methods and closures; not into what such
    a wrapper holds itself, which it tells itself; nor into trainers and modules that have a ``train_dataloader``.

    Args:
        value: where to look.

    Example:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> drawn_in(DataLoader(TensorDataset(torch.zeros(3))))
        []
    """
    found: list[Any] = []
    held: list[Any] = []  # what is looked at lives until the end, so that its id is its own
    seen: set[int] = set()
    waiting = deque([value])
    while waiting and len(seen) < _MAX_FOUND:
        here = waiting.popleft()  # the nearest first
        if id(here) in seen or here is None or isinstance(here, _LEAVES):
            continue
        seen.add(id(here))
        held.append(here)
        if is_drawn(here):
            found.append(here)
        else:
            waiting += _inside(here)
    return found


def is_drawn(value: Any) -> bool:
    """Whether a value is of a class of this package that has ``set_epoch``, or of a subclass."""
    own = any(kind.__module__.partition(".")[0] == "poc_aug" for kind in type(value).__mro__)
    return own and callable(getattr(value, "set_epoch", None))


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from _few(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _few(list(value))
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif inspect.ismethod(value):
        yield value.__self__
    elif inspect.isfunction(value):
        yield from _closed_over(value)
    elif hasattr(value, "__dict__") and not _drives_a_training(value):
        yield from vars(value).values()


def _few(values: list[Any]) -> list[Any]:
    if len(values) <= _LONG:
        return values
    begins_with_one = hasattr(values[0], "__dict__") and hasattr(type(values[0]), "__getitem__")
    return values if begins_with_one else []


def _closed_over(function: Any) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a variable that has no value yet
            continue


def _drives_a_training(value: Any) -> bool:
    """Whether it holds datasets of other purposes too, such as those of a validation."""
    return hasattr(type(value), "train_dataloader")
