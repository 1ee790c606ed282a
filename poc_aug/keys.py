"""Stable keys: what an insertion is stored under, the same on another machine and in another order.

The sources, in order: ``keys=``; the dataset's own ``keys()``; the parts of a `Subset` or `ConcatDataset`; a
list of image paths; what the dataset wraps; the index. No item is ever read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
from torch.utils.data import ConcatDataset, Subset

from poc_aug.errors import DatasetKeyError

Keys: TypeAlias = Sequence[str] | Callable[[int], str]
"""Explicit keys: one a sample, or a function of the index."""

PATH_LISTS = (
    "images",
    "imgs",
    "image_paths",
    "img_paths",
    "image_files",
    "img_files",
    "image_list",
    "img_list",
    "img_infos",
    "data_list",
    "samples",
    "files",
    "file_names",
    "filenames",
    "paths",
)
"""Attributes in which datasets keep the paths of their images (torchvision, mmseg, common custom classes)."""

_PATH_FIELDS = ("img_path", "image_path", "image", "img", "file_name", "filename")

_HINT = "pass keys=[...] with one unique string a sample, or keys=lambda index: ..."


def dataset_keys(dataset: Any, keys: Keys | None = None) -> list[str]:
    """One stable, unique key a sample, in the dataset's order.

    Paths are made relative to ``dataset.root``, else to their common parent, with forward slashes. A
    `ConcatDataset` puts the number of its part before each key ("0/", "1/", ...). A dataset without keys and
    paths is keyed by index ("00000042"): such keys hold only while its order does, which the digest stored with
    each insertion checks.

    Args:
        dataset: a map-style dataset.
        keys: explicit keys, or a function of the index.

    Raises:
        DatasetKeyError: no length, another number of keys than samples, or keys that are not unique strings.
    """
    length = _length(dataset)
    if keys is None:
        found = _found(dataset, length)
    elif callable(keys):
        found = [keys(index) for index in range(length)]
    else:
        found = _listed(keys, "keys=")
    return _checked(found, length, dataset)


def _length(dataset: Any) -> int:
    try:
        return len(dataset)
    except (TypeError, NotImplementedError) as error:
        raise DatasetKeyError(
            f"dataset {type(dataset).__name__} has no length",
            expected="a map-style dataset, with __len__ and __getitem__",
            hint="wrap an iterable dataset in one that lists its items",
        ) from error


def _found(dataset: Any, length: int) -> list[str]:
    own = getattr(dataset, "keys", None)
    if callable(own):
        return _listed(own(), f"{type(dataset).__name__}.keys()")
    if isinstance(own, list | tuple):
        return list(own)
    if isinstance(dataset, Subset):
        inner = dataset_keys(dataset.dataset)
        return [inner[int(index)] for index in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        parts = [dataset_keys(part) for part in dataset.datasets]
        return [f"{number}/{key}" for number, part in enumerate(parts) for key in part]
    paths = _paths(dataset, length)
    if paths is not None:
        return _relative(paths, getattr(dataset, "root", None))
    for name in ("dataset", "_dataset"):
        wrapped = getattr(dataset, name, None)
        # A wrapper of another length chooses or repeats items: which one is behind an index is not known.
        if wrapped is not None and wrapped is not dataset and isinstance(wrapped, Sized) and len(wrapped) == length:
            return _found(wrapped, length)
    return [f"{index:08d}" for index in range(length)]


def _listed(keys: Iterable[Any], source: str) -> list[Any]:
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise DatasetKeyError(f"{source} gave {keys!r}", expected="a list of strings", hint=_HINT)
    return list(keys)


def _checked(keys: list[Any], length: int, dataset: Any) -> list[str]:
    name = type(dataset).__name__
    if len(keys) != length:
        raise DatasetKeyError(
            f"{len(keys)} keys for the {length} samples of {name}", expected="one key a sample", hint=_HINT
        )
    strange = next((key for key in keys if not isinstance(key, str) or not key), None)
    if strange is not None or None in keys:
        raise DatasetKeyError(f"key {strange!r} of {name}", expected="a string that is not empty", hint=_HINT)
    if len(set(keys)) != length:
        first: dict[str, int] = {}
        again = next(index for index, key in enumerate(keys) if first.setdefault(key, index) != index)
        raise DatasetKeyError(
            f"samples {first[keys[again]]} and {again} of {name} have the same key {keys[again]!r}",
            expected="unique keys",
            hint=_HINT + ' (f"{index:08d}" keys by index)',
        )
    return keys


def _paths(dataset: Any, length: int) -> list[str] | None:
    for name in PATH_LISTS:
        entries = getattr(dataset, name, None)
        if not isinstance(entries, list | tuple | np.ndarray) or len(entries) != length or not length:
            continue
        if _path(entries[0]) is None:
            continue
        paths = [_path(entry) for entry in entries]
        if None not in paths:
            return [path for path in paths if path is not None]
    return None


def _path(entry: Any) -> str | None:
    """The image's path in one entry: itself, the first field of a tuple, or the path field of a dict."""
    if isinstance(entry, Mapping):
        entry = next((entry[field] for field in _PATH_FIELDS if isinstance(entry.get(field), str)), None)
    elif isinstance(entry, tuple | list) and entry:
        entry = entry[0]
    return str(os.fspath(entry)) if isinstance(entry, str | os.PathLike) else None


def _relative(paths: list[str], root: Any) -> list[str]:
    """The paths below ``root``, or below their common parent, with forward slashes."""
    normal = [os.path.normpath(path) for path in paths]
    start = os.path.normpath(root) + os.sep if isinstance(root, str | os.PathLike) else None
    if start is None or not all(path.startswith(start) for path in normal):
        if len({os.path.isabs(path) for path in normal}) > 1:
            normal = [os.path.abspath(path) for path in normal]
        parent = os.path.commonpath([os.path.dirname(path) for path in normal])
        start = os.path.join(parent, "") if parent else ""
    return [path[len(start) :].replace(os.sep, "/") for path in normal]
