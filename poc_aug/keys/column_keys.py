"""``keys="column"``: the names of samples from a column, field or attribute of their dataset, without reading items."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from poc_aug.errors import DatasetKeyError, NextStep
from poc_aug.keys.dataset_wrappers import is_hugging_face, is_table, parts, wrapped
from poc_aug.keys.path_keys import PATH_LISTS, as_list, path_of

_ROWS = 1000
"""Rows of a Hugging Face dataset that are read at once: rows with embedded pictures are large."""

_MAX_DEPTH = 32
"""Nested wrappers that are searched, for messages."""

GIVE_KEYS = NextStep(
    'pass keys=[...] with one string per sample, keys=lambda index: ..., or keys="column"',
    "name a column, field or attribute of the dataset that holds one string per sample: --keys NAME",
)
"""How to name samples."""


def column(dataset: Any, name: str, length: int) -> list[str] | None:
    """The keys in a dataset's column, field or attribute ``name``; ``None`` if it has none of that name.

    Searched are the columns of a Hugging Face dataset (of pictures, their paths), the fields of ``get_data_info`` of
    mmengine's datasets, pandas tables, lists of mappings, and attributes of the dataset.

    Raises:
        DatasetKeyError: it is there, but not all of its values can be keys.
    """
    values = next((values for values in _candidates(dataset, name, length) if len(values) == length), None)
    if values is None:
        return None
    keys = [_key(value) for value in values]
    if None in keys:
        number, columns = keys.index(None), _columns_of(dataset)
        raise DatasetKeyError(
            f"keys={name!r}: row {number} of {type(dataset).__name__} holds {_shown(values[number])} there",
            expected="a string, a whole number or a path in each row",
            hint=f"name another column{columns}; or {GIVE_KEYS.hint}",
            command=f"name another column: --keys NAME{columns}",
        )
    return [key for key in keys if key is not None]


def no_column(dataset: Any, name: str) -> DatasetKeyError:
    """The error for a dataset that has no column of that name."""
    return DatasetKeyError(
        f"keys={name!r}, but {type(dataset).__name__} has no column, field or attribute of that name that lists one "
        f"value per sample{_columns_of(dataset)}",
        expected="a column of a Hugging Face dataset or a pandas table, a field of get_data_info(), or a list",
        hint=f"name one that it has; or {GIVE_KEYS.hint}",
        command=GIVE_KEYS.command,
    )


def key_advice(dataset: Any) -> NextStep:
    """How to name samples, for messages; for a Hugging Face dataset with its columns."""
    table = _hugging_face_in(dataset)
    if table is None:
        return NextStep(f"{GIVE_KEYS.hint}, the same here and to warm_cache", f"{GIVE_KEYS.command}, each time")
    order = "its rows were shuffled or selected" if getattr(table, "_indices", None) is not None else "it has no names"
    names, columns = _named_first(table), _columns_of(table)
    example = f'keys="{names[0]}"' if names else "keys=[...] with one string per sample"
    why = f"name the rows of the Hugging Face dataset, which have only numbers ({order}): "
    return NextStep(
        f"{why}pass {example}, here and to warm_cache{columns}",
        f"{why}--keys {names[0] if names else 'NAME'}, each time{columns}",
    )


def _hugging_face_in(dataset: Any) -> Any | None:
    layer = dataset
    for _ in range(_MAX_DEPTH):
        if layer is None or is_hugging_face(layer):
            return layer
        held = parts(layer)
        layer = held[0] if held else wrapped(layer)
    return None


def _candidates(dataset: Any, name: str, length: int) -> Iterator[list[Any]]:
    if is_hugging_face(dataset):
        if name in dataset.column_names:
            yield _rows(dataset, name)
        return
    data_info = getattr(dataset, "get_data_info", None)
    if callable(data_info) and length and isinstance(first := data_info(0), Mapping) and name in first:
        yield [data_info(index).get(name) for index in range(length)]
    held = getattr(dataset, "__dict__", {})
    lists = [getattr(dataset, attribute, None) for attribute in PATH_LISTS]
    for value in [*held.values(), *lists]:
        if is_table(value) and name in value.columns:
            yield value[name].tolist()
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping) and name in value[0]:
            yield [row.get(name) if isinstance(row, Mapping) else None for row in value]
    attribute = as_list(getattr(dataset, name, None))
    if attribute is not None:
        yield attribute


def _rows(dataset: Any, name: str) -> list[Any]:
    """A column of a Hugging Face dataset; of pictures their paths, without decoding any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells: list[Any] = []
    for batch in dataset.with_format("arrow").select_columns([name]).iter(_ROWS):
        values = batch.column(name)
        if pa.types.is_struct(values.type) and values.type.get_field_index("path") >= 0:
            values = pc.struct_field(values, "path")
        cells += values.to_pylist()
    return cells


def _key(value: Any) -> str | None:
    if isinstance(value, str | bytes | os.PathLike):
        return os.fsdecode(value).replace("\\", "/") or None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    return path_of(value) if isinstance(value, Mapping) else None


def _columns_of(dataset: Any) -> str:
    names = list(getattr(dataset, "column_names", None) or [])
    if not names:
        tables = [value for value in getattr(dataset, "__dict__", {}).values() if is_table(value)]
        names = [str(name) for table in tables for name in table.columns]
    return f" (its columns: {', '.join(names)})" if names else ""


def _named_first(dataset: Any) -> list[str]:
    """Columns of text or whole numbers, those first whose title suggests a name."""
    kinds = {name: str(getattr(feature, "dtype", "")) for name, feature in dataset.features.items()}
    usable = [name for name, kind in kinds.items() if kind in ("string", "large_string")]
    usable += [name for name, kind in kinds.items() if kind.startswith(("int", "uint")) and "id" in name.lower()]
    words = ("path", "file", "name", "id", "key")
    return sorted(usable, key=lambda name: not any(word in name.lower() for word in words))


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.60} ({type(value).__name__})"
