"""Checks of a manifest that a stranger may have written: its file, and the names that its recipe has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from poc_aug.cache.regular_files import open_regular
from poc_aug.cache.strict_json import load_json
from poc_aug.errors import CacheFormatError

MAX_MANIFEST_NBYTES = 16 << 20
"""Bytes of a manifest; those of today have 2 to 100 kB."""

CacheKind: TypeAlias = Literal["insertions", "frames"]
"""What a cache holds: insertions, or whole frames in other domains."""

_MAX_TEXT_CHARS = 1 << 10
_HINT = "restore the manifest from a copy of this cache"


def manifest_json(path: Path) -> Any:
    """The JSON of a manifest.

    Raises:
        ValueError: not JSON, or see `poc_aug.cache.strict_json.load_json`; or larger than `MAX_MANIFEST_NBYTES`.
        CacheFormatError: it is no regular file.
        OSError: it cannot be read.
    """
    with open(open_regular(path, os.O_RDONLY), "rb") as file:
        text = file.read(MAX_MANIFEST_NBYTES + 1)
    if len(text) > MAX_MANIFEST_NBYTES:
        raise ValueError(f"larger than the {MAX_MANIFEST_NBYTES} bytes of the largest manifest")
    return load_json(text)


def check_manifest_values(recipe: Mapping[str, Any], backends: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Check what is read of a manifest without being parsed as a recipe first.

    Args:
        recipe: its recipe.
        backends: its backends.
        texts: fields that messages show, by their names.

    Raises:
        CacheFormatError: a value of a wrong type, or a text that is no plain line.
    """
    for name, text in texts.items():
        if len(text) > _MAX_TEXT_CHARS or not text.isprintable():
            raise CacheFormatError(
                f"the manifest has {name} = {text[:60]!a}, {len(text)} characters",
                expected=f"one line of at most {_MAX_TEXT_CHARS} printable characters",
                hint=_HINT,
            )
    inserter = backends.get("inserter")
    if inserter is not None and not isinstance(inserter, dict):
        raise _wrong("backends.inserter", inserter, "a mapping")
    sigma_px = recipe.get("max_sigma_px")
    if sigma_px is not None and type(sigma_px) not in (int, float):
        raise _wrong("recipe.max_sigma_px", sigma_px, "a number of pixels")
    kind = recipe.get("kind", "insertions")
    if kind not in get_args(CacheKind):
        raise CacheFormatError(
            f"the manifest has recipe.kind = {ascii(kind)[:60]}",
            expected=f"one of {get_args(CacheKind)}",
            hint="read it with the poc_aug that made it, or a newer one",
        )
    recipe_names(recipe)


def recipe_names(recipe: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]] | None:
    """Names of a recipe's objects, and class names of their parts; ``None`` if the recipe has no objects.

    Raises:
        CacheFormatError: objects of a form that recipes do not have.

    Example:
        >>> objects, classes = recipe_names({"objects": ["dog", {"name": "cyclist", "parts": ["rider", "bicycle"]}]})
        >>> sorted(objects), sorted(classes)
        (['cyclist', 'dog'], ['bicycle', 'dog', 'rider'])
    """
    if recipe.get("objects") is None:
        return None
    found = object_parts(recipe)
    return frozenset(found), frozenset(part for parts in found.values() for part in parts)


def object_parts(recipe: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Class names of the parts of each of a recipe's objects, by its name; none if the recipe has no objects.

    Raises:
        CacheFormatError: objects of a form that recipes do not have.

    Example:
        >>> object_parts({"objects": ["dog", {"name": "cyclist", "parts": ["rider", "bicycle"]}]})
        {'dog': ('dog',), 'cyclist': ('rider', 'bicycle')}
    """
    specs = recipe.get("objects")
    if specs is None:
        return {}
    if not isinstance(specs, list | tuple):
        raise _wrong("recipe.objects", specs, "a list")
    found: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        name = spec.get("name") if isinstance(spec, dict) else spec
        parts = (spec.get("parts") if isinstance(spec, dict) else None) or [name]
        parts = [parts] if isinstance(parts, str) else parts
        if not isinstance(parts, list | tuple) or not all(isinstance(text, str) for text in (name, *parts)):
            raise _wrong("an object of its recipe", spec, "a name, or a mapping with a name and the names of its parts")
        found[str(name)] = (*found.get(str(name), ()), *map(str, parts))
    return found


def _wrong(what: str, value: object, expected: str) -> CacheFormatError:
    return CacheFormatError(
        f"the manifest has {what} of {type(value).__name__}: {ascii(value)[:60]}", expected=expected, hint=_HINT
    )
