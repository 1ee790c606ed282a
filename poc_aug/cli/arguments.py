"""What the command line names: a dataset as ``package.module:callable`` with ``key=value`` arguments, or YAML."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from poc_aug.errors import DatasetError, MissingDependencyError, RecipeError
from poc_aug.recipe import read_yaml

CONFIG_FIELDS = (
    "dataset",
    "objects",
    "out",
    "variants",
    "limit",
    "seed",
    "schema",
    "camera",
    "location",
    "per_variant",
    "workers",
    "codec",
    "on_error",
)


def parse_value(text: str) -> Any:
    """A value as YAML reads it; numbers separated by commas are a tuple: ``size=96,160`` is ``(96, 160)``.

    Raises:
        RecipeError: not YAML.
    """
    try:
        if "," in text and text[:1] not in "[{\"'":
            parts = [yaml.safe_load(part) for part in text.split(",")]
            if all(isinstance(part, int | float) and not isinstance(part, bool) for part in parts):
                return tuple(parts)
            return text
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"cannot read the value {text!r}: {error}", hint="quote it: key='\"text\"'") from error


def parse_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """``["key=value", ...]`` to keyword arguments.

    Raises:
        RecipeError: an argument without ``=``, or one that comes twice.
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.isidentifier():
            raise RecipeError(f"argument {pair!r}", expected="key=value, for example split=train")
        if name in arguments:
            raise RecipeError(f"argument {name!r} is given twice", expected="each argument once")
        arguments[name] = parse_value(value)
    return arguments


def load_callable(name: str) -> Any:
    """Import ``package.module:callable``; modules of the current folder are found too.

    Raises:
        DatasetError: not of that form, no such attribute, or not callable.
        MissingDependencyError: no such module.
    """
    module_name, separator, attribute = name.partition(":")
    if not separator or not attribute:
        raise DatasetError(
            f"dataset {name!r}",
            expected="package.module:callable, for example poc_aug:SyntheticStreet",
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"cannot import {module_name!r} of dataset {name!r}: {error}",
            hint=f"install the package that holds {error.name!r}, or run from the folder that holds it",
        ) from error
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise DatasetError(
            f"{module_name!r} has no callable {attribute!r}", expected="a dataset class, or a function that makes one"
        )
    return found


def load_dataset(name: str, arguments: Mapping[str, Any]) -> Any:
    """Build the dataset that the command line names.

    Raises:
        DatasetError: it cannot be built; the message holds the cause.
    """
    factory = load_callable(name)
    try:
        dataset = factory(**arguments)
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise DatasetError(
            f"{name}({shown}) failed: {type(error).__name__}: {error}", hint="correct its key=value arguments"
        ) from error
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise DatasetError(
            f"{name} gave a {type(dataset).__name__}", expected="a map-style dataset, with __getitem__ and __len__"
        )
    return dataset


def read_config(path: Path) -> dict[str, Any]:
    """Read the YAML form of the options: the same names, the dataset as ``{type: ..., args: {...}}``.

    Raises:
        RecipeError: an unknown field, or a dataset of another form.
    """
    config = read_yaml(path)
    unknown = sorted(set(config) - set(CONFIG_FIELDS))
    if unknown:
        raise RecipeError(f"{path}: unknown fields {unknown}", expected=f"some of: {', '.join(CONFIG_FIELDS)}")
    dataset = config.get("dataset")
    if isinstance(dataset, str):
        dataset = {"type": dataset}
    fits = isinstance(dataset, dict) and "type" in dataset and not set(dataset) - {"type", "args"}
    if dataset is not None and not fits:
        raise RecipeError(
            f"{path}: dataset = {dataset!r}", expected="{type: 'package.module:callable', args: {key: value, ...}}"
        )
    if dataset is not None:
        given = dataset.get("args") or {}
        config["dataset"] = dataset["type"]
        config["dataset_args"] = {
            key: parse_value(value) if isinstance(value, str) else _tuple(value) for key, value in given.items()
        }
    return config


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
