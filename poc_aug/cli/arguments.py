"""Values as typed on the command line: ``key=value``, ``HEIGHT,WIDTH``, a dataset as ``package.module:callable``."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, get_args

from poc_aug.cli.cache_argument import cache_to_read
from poc_aug.errors import DatasetError, DeviceError, MissingDependencyError, PocAugError, SettingError, in_one_line
from poc_aug.files.yaml_files import parse_yaml

_INT = r"-?(?:0|[1-9][0-9]*)"
_NUMBER = rf"{_INT}(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|-?\.[0-9]+"
_IS_INT = re.compile(_INT)
_IS_NUMBER = re.compile(_NUMBER)
_IS_NUMBERS = re.compile(rf"(?:{_NUMBER})(?:,\s*(?:{_NUMBER}))+")
_IS_SIZE = re.compile(r"\s*0*([1-9][0-9]{0,8})\s*,\s*0*([1-9][0-9]{0,8})\s*", re.ASCII)
_IS_NESTED = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
_DIGITS = 300
_LONGEST = 80
_MOST_PIXELS = 2**27
_WORDS = {"true": True, "false": False, "null": None}


def parse_value(text: str) -> Any:
    """A value as typed on a shell: a number, ``true``, ``false``, ``null``, numbers with commas (a tuple), or text.

    ``[...]`` and ``{...}`` are read as YAML. Everything else stays text: ``0016``, ``no``, ``12:30``, ``2024-01-05``.

    Raises:
        SettingError: brackets or braces around something that is not YAML, or a number that is too large.

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
        return parse_yaml(
            text, f"cannot read the value {shortened(text)}", SettingError, expected="YAML such as [a, b]"
        )
    return _numbers(text)


def shortened(text: str) -> str:
    """A value for a message, in quotation marks and without its middle if it is long."""
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}")


def config_value(value: Any) -> Any:
    """A value as YAML gave it; a list, or text of numbers with commas (``96,160``), becomes a tuple."""
    if isinstance(value, str):
        return _numbers(value)
    return tuple(value) if isinstance(value, list) else value


def _numbers(text: str) -> str | tuple[int | float, ...]:
    return tuple(_number(part.strip()) for part in text.split(",")) if _IS_NUMBERS.fullmatch(text) else text


def _number(text: str) -> int | float:
    if len(text) <= _DIGITS:
        number = int(text) if _IS_INT.fullmatch(text) else float(text)
        if math.isfinite(number):
            return number
    raise SettingError(
        f"the number {shortened(text)} is too large", expected=f"up to {_DIGITS} digits, and up to 1e308"
    )


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


def split_caches(cache: str | Path, given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Further caches among the arguments of a dataset: names that end in ``.cache``, addresses, and existing folders.

    Of an address on a store, a local copy is made or updated, see `poc_aug.cli.cache_argument`.

    Args:
        cache: the first cache.
        given: what follows it on the command line.

    Returns:
        The local paths of all caches, and the ``key=value`` arguments.

    Example:
        >>> split_caches(Path("a.cache"), ["b.cache", "root=data"])
        ([PosixPath('a.cache'), PosixPath('b.cache')], ['root=data'])
    """
    caches = [value for value in given if _is_cache(value)]
    return [cache_to_read(each) for each in (cache, *caches)], [value for value in given if value not in caches]


def _is_cache(value: str) -> bool:
    if "=" in value and value.partition("=")[0].isidentifier():
        return False
    return value.rstrip("/").endswith(".cache") or "://" in value or os.path.isdir(value)


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
    module = _module(module_name, name, what)
    target: Any = module
    for part in attribute.split("."):
        target = run_own(partial(getattr, target, part, None), f"reading {name!r}")
    if not callable(target):
        close = _similar(module, attribute) if target is None else []
        problem = f"{module_name!r} has no callable {attribute!r}"
        raise DatasetError(
            problem if target is None else f"{problem}: it is of type {type(target).__name__}",
            expected=f"a class of {what}, or a function that makes one",
            hint=f"did you mean {' or '.join(f'{module_name}:{other}' for other in close)}?" if close else "",
        )
    return target


def run_own(call: Callable[[], Any], doing: str, kind: type[PocAugError] = DatasetError, hint: str = "") -> Any:
    """Run code of the user, which may raise anything; ending the process is a failure too.

    Args:
        call: the code.
        doing: what it is for, as the subject of the message.
        kind: class of the error.
        hint: the next step.

    Raises:
        PocAugError: one that the code itself raised, or one of class ``kind`` in place of any other exception.
    """
    try:
        return call()
    except (PocAugError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also the panics of compiled packages
        why = f"it called sys.exit({error.code!r})" if isinstance(error, SystemExit) else ""
        raise kind(f"{doing} failed: {why or in_one_line(error)}", hint=hint) from error


def _module(module_name: str, name: str, what: str) -> Any:
    """Import a module; those of the current folder are found after all others."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        return run_own(lambda: importlib.import_module(module_name), f"importing {module_name!r} of {what} {name!r}")
    except DatasetError as error:
        cause = error.__cause__
        if not isinstance(cause, ModuleNotFoundError):
            raise
        raise MissingDependencyError(
            f"cannot import {module_name!r} of {what} {name!r}: {cause}",
            hint=f"install the package that contains {cause.name!r}, or run from the folder that contains it",
        ) from cause


def _similar(module: Any, attribute: str) -> list[str]:
    """Callables of a module whose names are like ``attribute``."""
    names = {
        own.lower(): own for own in dir(module) if not own.startswith("_") and callable(getattr(module, own, None))
    }
    return [names[own] for own in get_close_matches(attribute.lower(), names, n=2)]


def _as_texts(factory: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with whole numbers as text for parameters annotated as text: VOC's ``year=2012``."""
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except Exception:  # C callables have none; an annotation may be any expression, and not resolve
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
    shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    made = f"{name}({shown})"
    dataset = run_own(lambda: factory(**_as_texts(factory, arguments)), made, hint="correct its key=value arguments")
    items = not isinstance(dataset, type | str | bytes | Mapping)
    if not (items and hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        what = f"the class {dataset.__name__}" if isinstance(dataset, type) else f"a {type(dataset).__name__}"
        hint = ""
        if isinstance(dataset, Mapping) and dataset:  # Hugging Face's DatasetDict is one too
            some = ", ".join(repr(key) for key in list(dataset)[:5])
            first = next(iter(dataset))
            hint = f"choose one of its entries ({some}), such as dataset[{first!r}]: name a function that returns it"
        raise DatasetError(
            f"{name} gave {what}", expected="a map-style dataset, with __getitem__ and __len__", hint=hint
        )
    if run_own(lambda: len(dataset), f"len() of {made}") == 0:
        raise DatasetError(f"{made} holds no sample", expected="at least one", hint="check its key=value arguments")
    return dataset


def given_dataset(name: str | None) -> str:
    """The dataset that a command reads a cache with, which has to be named.

    Raises:
        SettingError: no dataset is named.
    """
    if name is None:
        raise SettingError("--dataset is missing", expected="the dataset that the cache was made from")
    return name


def check_device(name: str | None) -> None:
    """Check the device of ``--device`` before anything is loaded for it; ``None`` is none that is named.

    Raises:
        DeviceError: this machine does not have it.
    """
    if name is None:
        return
    from poc_aug.backends.common.device import resolve_device

    try:
        resolve_device(name)
    except DeviceError as error:
        raise DeviceError(
            f"--device: {error.problem}", expected=error.expected, hint=error.hint, command=error.command
        ) from error


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of ``--size``.

    Raises:
        SettingError: not two whole numbers above zero, or too many pixels.

    Example:
        >>> from poc_aug.cli.arguments import parse_size
        >>> parse_size("384,768")
        (384, 768)
    """
    match = _IS_SIZE.fullmatch(text)
    if match is None:
        raise SettingError(
            f"--size {text if len(text) <= _LONGEST else shortened(text)}",
            expected="HEIGHT,WIDTH, for example 512,1024",
        )
    height, width = int(match[1]), int(match[2])
    if height * width > _MOST_PIXELS:
        raise SettingError(f"--size {text}: {height * width} pixels", expected=f"at most {_MOST_PIXELS}")
    return height, width
