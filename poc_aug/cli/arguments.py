"""Values as typed on the command line: ``key=value``, ``HEIGHT,WIDTH``, a dataset as ``package.module:callable``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from poc_aug.errors import DatasetError, MissingDependencyError, PocAugError, SettingError

_INT = r"-?(?:0|[1-9][0-9]*)"
_NUMBER = rf"{_INT}(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|-?\.[0-9]+"
_IS_INT = re.compile(_INT)
_IS_NUMBER = re.compile(_NUMBER)
_IS_NUMBERS = re.compile(rf"(?:{_NUMBER})(?:,\s*(?:{_NUMBER}))+")
_IS_NESTED = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None}


def parse_value(text: str) -> Any:
    """A value as typed on a shell: a number, ``true``, ``false``, ``null``, numbers with commas (a tuple), or text.

    ``[...]`` and ``{...}`` are read as YAML. Everything else stays text: ``0016``, ``no``, ``12:30``, ``2024-01-05``.

    Raises:
        SettingError: brackets or braces around something that is not YAML.

    Example:
        >>> from poc_aug.cli.arguments import parse_value
        >>> parse_value("96,160"), parse_value("0.5"), parse_value("[a, b]"), parse_value("0016")
        ((96, 160), 0.5, ['a', 'b'], '0016')
    """
    if text in _WORDS:
        return _WORDS[text]
    if _IS_NUMBER.fullmatch(text):
        return _number(text)
    if _IS_NESTED.fullmatch(text):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SettingError(f"cannot read the value {text!r}: {error}", expected="YAML such as [a, b]") from error
    return _numbers(text)


def config_value(value: Any) -> Any:
    """A value as YAML gave it; a list, or text of numbers with commas (``96,160``), becomes a tuple."""
    if isinstance(value, str):
        return _numbers(value)
    return tuple(value) if isinstance(value, list) else value


def _numbers(text: str) -> str | tuple[int | float, ...]:
    return tuple(_number(part.strip()) for part in text.split(",")) if _IS_NUMBERS.fullmatch(text) else text


def _number(text: str) -> int | float:
    return int(text) if _IS_INT.fullmatch(text) else float(text)


def parse_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """``["key=value", ...]`` to keyword arguments.

    Raises:
        SettingError: an argument without ``=``, or one that is given twice.

    Example:
        >>> from poc_aug.cli.arguments import parse_arguments
        >>> parse_arguments(["root=data", "split=train", "size=96,160"])
        {'root': 'data', 'split': 'train', 'size': (96, 160)}
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.isidentifier():
            raise SettingError(f"argument {pair!r}", expected="key=value, for example split=train")
        if name in arguments:
            raise SettingError(f"argument {name!r} is given twice", expected="each argument once")
        arguments[name] = parse_value(value)
    return arguments


def load_callable(name: str, what: str = "dataset") -> Any:
    """Import ``package.module:callable``; modules of the current folder are found too.

    Args:
        name: the module and the callable.
        what: what it makes, for errors.

    Raises:
        DatasetError: not of that form, the module fails, no such attribute, or not callable.
        MissingDependencyError: no such module.

    Example:
        >>> from poc_aug.cli.arguments import load_callable
        >>> load_callable("poc_aug.datasets.synthetic:SyntheticStreet").__name__
        'SyntheticStreet'
    """
    module_name, separator, attribute = name.partition(":")
    if not module_name or not separator or not attribute:
        raise DatasetError(
            f"{what} {name!r}",
            expected="package.module:callable" + (", for example poc_aug:SyntheticStreet" if what == "dataset" else ""),
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"cannot import {module_name!r} of {what} {name!r}: {error}",
            hint=f"install the package that contains {error.name!r}, or run from the folder that contains it",
        ) from error
    except PocAugError:
        raise
    except Exception as error:
        # The module is the user's: it may raise anything.
        raise DatasetError(
            f"importing {module_name!r} of {what} {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    target: Any = module
    for part in attribute.split("."):
        target = getattr(target, part, None)
    if not callable(target):
        raise DatasetError(
            f"{module_name!r} has no callable {attribute!r}",
            expected=f"a class of {what}, or a function that makes one",
        )
    return target


def _as_texts(factory: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with whole numbers as text for parameters annotated as text: VOC's ``year=2012``."""
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except (TypeError, ValueError, NameError):  # C callables have none; an annotation may not resolve
        return dict(arguments)
    texts = {name for name, parameter in parameters.items() if _takes_text(parameter.annotation)}
    return {name: str(value) if name in texts and type(value) is int else value for name, value in arguments.items()}


def _takes_text(annotation: Any) -> bool:
    """Whether an annotation allows text but not numbers: ``str``, ``str | None``."""
    kinds = get_args(annotation) or (annotation,)
    return str in kinds and not {int, float, Any} & set(kinds)


def load_dataset(name: str, arguments: Mapping[str, Any]) -> Any:
    """Build the dataset that the command line names.

    Args:
        name: ``package.module:callable``.
        arguments: the callable's keyword arguments.

    Raises:
        DatasetError: it cannot be built; the message contains the cause.

    Example:
        >>> from poc_aug.cli.arguments import load_dataset
        >>> len(load_dataset("poc_aug:SyntheticStreet", {"size": (32, 64), "length": 3}))
        3
    """
    factory = load_callable(name)
    try:
        dataset = factory(**_as_texts(factory, arguments))
    except PocAugError:
        raise
    except Exception as error:
        # The dataset is the user's: it may raise anything.
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise DatasetError(
            f"{name}({shown}) failed: {type(error).__name__}: {error}", hint="correct its key=value arguments"
        ) from error
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise DatasetError(
            f"{name} gave a {type(dataset).__name__}", expected="a map-style dataset, with __getitem__ and __len__"
        )
    return dataset


def given_dataset(name: str | None) -> str:
    """The dataset that a command reads a cache with, which has to be named.

    Raises:
        SettingError: no dataset is named.
    """
    if name is None:
        raise SettingError("--dataset is missing", expected="the dataset that the cache was made from")
    return name


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of ``--size``.

    Raises:
        SettingError: not two whole numbers above zero.

    Example:
        >>> from poc_aug.cli.arguments import parse_size
        >>> parse_size("384,768")
        (384, 768)
    """
    sides = text.split(",")
    if len(sides) != 2 or not all(side.strip().isdecimal() and int(side) > 0 for side in sides):
        raise SettingError(f"--size {text}", expected="HEIGHT,WIDTH, for example 512,1024")
    return int(sides[0]), int(sides[1])
