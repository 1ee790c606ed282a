"""Keys from the paths of a dataset's images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poc_aug.keys.dataset_wrappers import is_table, own_attribute

PATH_LISTS = (
    "images",
    "imgs",
    "image_paths",
    "image_fns",
    "all_images",
    "ano_files",
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
    "file_list",
    "paths",
    "items",
    "records",
)
"""Attributes in which datasets keep the paths of their images (torchvision, mmseg, common custom classes)."""

PATH_FIELDS = ("img_path", "image_path", "image", "img", "file_name", "filename", "path", "image_file")
"""Fields and columns in which a row keeps the path of its image."""

_TABLES = ("df", "data", "frame", "dataframe", "table", "annotations", "samples", "records")
_ROOTS = ("root", "data_root")


def listed_paths(dataset: Any, length: int) -> list[str] | None:
    """The image paths that a dataset lists in one of its attributes; ``None`` if there is no such list."""
    if not length:
        return None
    for name in (*PATH_LISTS, *(f"_{name}" for name in PATH_LISTS)):
        paths = _all_paths(as_list(own_attribute(dataset, name)), length)
        if paths is not None:
            return paths
    for name in (*_TABLES, *(f"_{name}" for name in _TABLES)):
        table: Any = own_attribute(dataset, name)
        columns = [column for column in PATH_FIELDS if column in table.columns] if is_table(table) else []
        for column in columns:
            paths = _all_paths(table[column].tolist(), length)
            if paths is not None:
                return paths
    return None


def data_info_paths(dataset: Any, length: int) -> list[str] | None:
    """The image paths in ``get_data_info(index)`` of mmengine's datasets, which by default keep no list of them."""
    data_info = own_attribute(dataset, "get_data_info")
    if not callable(data_info) or not length:
        return None
    try:
        first = data_info(0)
    except TypeError:  # a method of that name that takes other arguments
        return None
    if not isinstance(first, Mapping) or path_of(first) is None:
        return None
    return _all_paths([first, *(data_info(index) for index in range(1, length))], length)


def relative_paths(paths: Sequence[str], dataset: Any) -> list[str]:
    """The paths relative to the dataset's root, or to their common parent, with forward slashes."""
    normal = [os.path.normpath(_forward(path)) for path in paths]
    for name in _ROOTS:
        root = getattr(dataset, name, None)
        if isinstance(root, str | bytes | os.PathLike) and root:
            start = os.path.join(os.path.normpath(_forward(os.fsdecode(root))), "")
            if all(path.startswith(start) for path in normal):
                return [path[len(start) :].replace(os.sep, "/") for path in normal]
    if len({os.path.isabs(path) for path in normal}) > 1:
        normal = [os.path.abspath(path) for path in normal]
    parent = os.path.commonpath([os.path.dirname(path) for path in normal])
    start = os.path.join(parent, "") if parent else ""
    return [path[len(start) :].replace(os.sep, "/") for path in normal]


def path_of(entry: Any) -> str | None:
    """The image's path in one entry: itself, the first field of a tuple, or the path field of a mapping."""
    if isinstance(entry, Mapping):
        entry = next((entry[field] for field in PATH_FIELDS if _is_path(entry.get(field))), None)
    elif isinstance(entry, tuple | list | np.ndarray) and len(entry):
        entry = entry[0]
    return os.fsdecode(entry) if _is_path(entry) else None


def as_list(entries: Any) -> list[Any] | None:
    """A list, tuple, array of one dimension or more, or pandas column as a list; ``None`` for anything else."""
    if isinstance(entries, list | tuple):
        return list(entries)
    if isinstance(entries, np.ndarray) and entries.ndim:
        return list(entries)
    if getattr(entries, "ndim", None) == 1 and hasattr(entries, "to_numpy"):
        return list(entries.to_numpy())
    return None


def _all_paths(entries: list[Any] | None, length: int) -> list[str] | None:
    if entries is None or len(entries) != length or path_of(entries[0]) is None:
        return None
    paths = [path_of(entry) for entry in entries]
    return None if None in paths else [path for path in paths if path is not None]


def _is_path(value: Any) -> bool:
    return isinstance(value, str | bytes | os.PathLike) and bool(value)


def _forward(path: str) -> str:
    """Paths in lists that were made on Windows have backslashes, which separate nothing on other systems."""
    return path.replace("\\", "/")
