"""Real sizes of objects, in metres: what perspective turns into pixels."""

from __future__ import annotations

from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, get_args

import yaml

from poc_aug.errors import RecipeError
from poc_aug.recipe import PerspectiveSize

Measure = Literal["height", "longest"]


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = yaml.safe_load(resources.files("poc_aug").joinpath("sizes.yaml").read_text("utf-8"))
    return tables


@cache
def known_sizes() -> MappingProxyType[str, tuple[float, Measure]]:
    """Size in metres and what it measures, by object name; from ``sizes.yaml``."""
    tables = _tables()
    found: dict[str, tuple[float, Measure]] = {}
    for measure in get_args(Measure):
        found |= {str(name): (float(metres), measure) for name, metres in tables[measure].items()}
    return MappingProxyType(found)


@cache
def known_aspects() -> MappingProxyType[str, tuple[float, float]]:
    """Least and greatest width over height, by object name; from ``sizes.yaml``."""
    return MappingProxyType({str(name): (low, high) for name, (low, high) in _tables()["aspect"].items()})


def real_size(name: str, *, min_px: int = 16) -> PerspectiveSize:
    """The size rule of an object by its real size.

    Args:
        name: an object of `known_sizes`; underscores count as spaces, capitals do not matter.
        min_px: see `PerspectiveSize`.

    Raises:
        RecipeError: the object's size is not known.
    """
    known = known_sizes().get(name.replace("_", " ").strip().lower())
    if known is None:
        raise RecipeError(
            f"the real size of {name!r} is not known",
            expected="an object of poc_aug/sizes.yaml, or a size in metres",
            hint=f"give it: {{{name!r}: PerspectiveSize(size_m=0.5)}}, or sizes=FrameSize() for sizes in pixels",
        )
    return PerspectiveSize(size_m=known[0], measure=known[1], min_px=min_px)
