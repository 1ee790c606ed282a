"""YAML files that hold a mapping: recipes, label schemas, tables of sizes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from poc_aug.errors import PocAugError, RecipeError

_MOST_BYTES = 4_000_000
_MOST_VALUES = 1_000_000
_DEEPEST = 50


def read_yaml(path: str | Path, error: type[PocAugError] = RecipeError) -> dict[str, Any]:
    """Read a YAML mapping.

    Args:
        path: the file.
        error: class of the error, by the purpose of the file.

    Raises:
        PocAugError: of the class ``error``: no such file, one that cannot be read, not YAML, not a mapping, or too
            large (`parse_yaml`).

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "recipe.yaml"
        ...     _ = path.write_text("objects: [dog]")
        ...     read_yaml(path)
        {'objects': ['dog']}
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as cause:
        raise error(f"no file {str(path)!r}", hint="check the path") from cause
    except (OSError, ValueError) as cause:  # a name that holds a null byte is a ValueError
        why = cause.strerror if isinstance(cause, OSError) else cause
        raise error(f"cannot read {str(path)!r}: {why}", expected="a YAML file") from cause
    if len(content) > _MOST_BYTES:
        raise error(f"{str(path)!r} is larger than {_MOST_BYTES / 1e6:g} MB", expected="a YAML mapping written by hand")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise error(f"{str(path)!r} is not YAML: {cause}", expected="a YAML mapping") from cause
    data = parse_yaml(text, f"{str(path)!r} is not YAML", error)
    if not isinstance(data, dict):
        raise error(f"{str(path)!r} holds a {type(data).__name__}", expected="a YAML mapping such as 'objects: [...]'")
    return data


def parse_yaml(text: str, problem: str, error: type[PocAugError], *, expected: str = "a YAML mapping") -> Any:
    """The value of a YAML text that someone else may have written.

    Args:
        text: the YAML.
        problem: the beginning of the message.
        error: class of the error.
        expected: what is expected instead.

    Raises:
        PocAugError: of the class ``error``: not YAML; nested more than 50 levels deep; or more than a million values,
            those counted again that an alias repeats (a few lines of aliases may stand for billions).

    Example:
        >>> parse_yaml("[road, 7]", "--set", RecipeError)
        ['road', 7]
        >>> parse_yaml("&a [*a]", "--set", RecipeError)
        Traceback (most recent call last):
        poc_aug.errors.RecipeError: --set: more than 50 levels deep, or a value that contains itself
        Expected: a YAML mapping
    """
    try:
        value = yaml.safe_load(text)
    except RecursionError as cause:
        raise error(f"{problem}: {_TOO_DEEP}", expected=expected) from cause
    # ValueError: numbers of thousands of digits, dates that do not exist.
    except (yaml.YAMLError, ValueError) as cause:
        raise error(f"{problem}: {cause}", expected=expected) from cause
    sizes: dict[int, tuple[int, int]] = {}
    if _measured(value, sizes, 0)[0] > _MOST_VALUES:
        raise error(f"{problem}: more than {_MOST_VALUES} values, its aliases counted", expected=expected)
    if max((depth for _, depth in sizes.values()), default=0) > _DEEPEST:
        raise error(f"{problem}: {_TOO_DEEP}", expected=expected)
    return value


_TOO_DEEP = f"more than {_DEEPEST} levels deep, or a value that contains itself"


def _measured(value: Any, sizes: dict[int, tuple[int, int]], level: int) -> tuple[int, int]:
    """Number of values in a value, and the levels below it; of a container that is known, from ``sizes``."""
    if not isinstance(value, dict | list | tuple | set):
        return 1, 0
    if id(value) not in sizes:
        sizes[id(value)] = (0, _DEEPEST + 1)  # as long as it is being measured: one that contains itself
        inner: Iterable[Any] = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        measured = [] if level > _DEEPEST else [_measured(part, sizes, level + 1) for part in inner]
        depth = _DEEPEST + 1 if level > _DEEPEST else max((depth for _, depth in measured), default=0) + 1
        sizes[id(value)] = (1 + sum(count for count, _ in measured), depth)
    return sizes[id(value)]
