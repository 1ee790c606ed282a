"""Real sizes of objects in metres, which perspective turns into pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

import yaml

from poc_aug.errors import SettingError
from poc_aug.files.yaml_files import read_yaml
from poc_aug.labels.schema import class_key
from poc_aug.recipe import PerspectiveSize

Measure = Literal["height", "longest"]

_TABLES = (*get_args(Measure), "aspect")
_FORMS = (
    "{mug: 0.10, plate: 0.27} in metres, or {height: {mug: 0.10}, longest: {plate: 0.27}, aspect: {mug: [0.8, 1.4]}}"
)


@dataclass(frozen=True)
class RealSizes:
    """Real sizes of objects by name; case does not matter, nor whether words are parted by " ", "_" or "-".

    Attributes:
        metres: size in metres and what it measures: the height, or the longest side (of things that lie on the ground).
        aspects: smallest and largest width over height, as far as known.

    Example:
        >>> sizes = RealSizes.from_dict({"mug": 0.1})
        >>> sizes.rule("Mug").size_m
        0.1
    """

    metres: Mapping[str, tuple[float, Measure]]
    aspects: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def _metres(self) -> dict[str, tuple[float, Measure]]:
        return {class_key(name): size for name, size in self.metres.items()}

    @cached_property
    def _aspects(self) -> dict[str, tuple[float, float]]:
        return {class_key(name): limits for name, limits in self.aspects.items()}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and class_key(name) in self._metres

    def check(self, names: Iterable[str]) -> None:
        """Check that the real sizes of all objects are known.

        Raises:
            SettingError: some are not; the message names all of them.
        """
        unknown = [name for name in names if name not in self]
        if unknown:
            given = ", ".join(f"{name!r}: 0.5" for name in unknown)
            lines = ", ".join(f"'{name}: 0.5'" for name in unknown)
            raise SettingError(
                f"the real size of {', '.join(map(repr, unknown))} is not known",
                expected="objects of poc_aug/presets/sizes.yaml, sizes in metres, or sizes in pixels",
                hint=f"give it: sizes={{{given}}} in metres; or sizes='40:120px' or '0.05:0.2' for sizes in pixels or "
                "as fractions of the frame",
                command="--sizes 40:120px (pixels) or --sizes 0.05:0.2 (fractions of the frame) for all; or write "
                f"{lines} (metres), one per line, into a file, and give --sizes-file FILE.yaml",
            )

    def rule(self, name: str, *, min_px: int = 16) -> PerspectiveSize:
        """The size rule of an object by its real size.

        Raises:
            SettingError: the object's size is not in the table.
        """
        self.check([name])
        known = self._metres[class_key(name)]
        return PerspectiveSize(size_m=known[0], measure=known[1], min_px=min_px)

    def aspect(self, name: str) -> tuple[float, float] | None:
        """Smallest and largest width over height of an object; ``None`` if not known."""
        return self._aspects.get(class_key(name))

    def over(self, other: RealSizes) -> RealSizes:
        """These sizes, completed by the other's for names that these do not hold."""
        return RealSizes({**other._metres, **self._metres}, {**other._aspects, **self._aspects})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "sizes") -> RealSizes:
        """Sizes by name, ``{"mug": 0.1}`` (heights in metres), or the form of ``sizes.yaml``.

        Args:
            data: ``{name: metres}``, or ``{"height": {...}, "longest": {...}, "aspect": {name: [least, greatest]}}``.
            where: the name of their source in errors.

        Raises:
            SettingError: another form, a name that occurs twice, or a value that is not a positive number.
        """
        tables: Mapping[str, Any] = data
        if not any(isinstance(data.get(name), Mapping) for name in _TABLES):
            tables = {"height": data}
        unknown = sorted(str(name) for name in tables if name not in _TABLES)
        if unknown or not all(isinstance(table, Mapping) for table in tables.values()):
            raise SettingError(f"{where}: {unknown or dict(tables)}", expected=_FORMS)
        metres: dict[str, tuple[float, Measure]] = {}
        for measure in get_args(Measure):
            for name, value in tables.get(measure, {}).items():
                _add(metres, name, (_positive(value, f"{where}: {name}"), cast(Measure, measure)), where)
        aspects: dict[str, tuple[float, float]] = {}
        for name, value in tables.get("aspect", {}).items():
            entry = f"{where}: aspect of {name}"
            if not isinstance(value, list | tuple) or len(value) != 2:
                raise SettingError(
                    f"{entry} = {value!r}", expected="smallest and largest width over height: [0.8, 1.4]"
                )
            low, high = (_positive(limit, entry) for limit in value)
            if high < low:
                raise SettingError(f"{entry} = {value!r}", expected="the smallest first, then the largest")
            _add(aspects, name, (low, high), where)
        if not metres and not aspects:
            raise SettingError(f"{where}: no sizes", expected=_FORMS)
        return cls(metres, aspects)

    @classmethod
    def from_yaml(cls, path: str | Path) -> RealSizes:
        """Read sizes from a YAML file; see `from_dict`.

        Raises:
            SettingError: no such file, not YAML, or as in `from_dict`.
        """
        return cls.from_dict(read_yaml(path, SettingError), str(path))


def _add(table: dict[str, Any], name: object, value: object, where: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise SettingError(f"{where}: the name {name!r} is not text", expected=_FORMS, hint="put it in quotes")
    if class_key(name) in map(class_key, table):
        raise SettingError(f"{where}: {name!r} occurs twice", expected="one size per name")
    table[name] = value


def _positive(value: object, entry: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise SettingError(f"{entry} = {value!r}", expected="a number greater than 0, such as 0.1")
    return float(value)


@cache
def known_real_sizes() -> RealSizes:
    """The sizes of ``sizes.yaml``.

    Example:
        >>> known_real_sizes().rule("person").size_m
        1.72
    """
    text = resources.files("poc_aug.presets").joinpath("sizes.yaml").read_text("utf-8")
    return RealSizes.from_dict(yaml.safe_load(text), "sizes.yaml")


def known_sizes() -> MappingProxyType[str, tuple[float, Measure]]:
    """Size in metres and what it measures, by object name; from ``sizes.yaml``.

    Example:
        >>> known_sizes()["person"]
        (1.72, 'height')
    """
    return MappingProxyType(dict(known_real_sizes().metres))


def known_aspects() -> MappingProxyType[str, tuple[float, float]]:
    """Smallest and largest width over height, by object name; from ``sizes.yaml``."""
    return MappingProxyType(dict(known_real_sizes().aspects))


def real_size(name: str, *, min_px: int = 16) -> PerspectiveSize:
    """The size rule of an object of ``sizes.yaml`` by its real size.

    Args:
        name: an object of `known_sizes`; case does not matter, and "_" may stand for a space.
        min_px: see `PerspectiveSize`.

    Raises:
        SettingError: the object's size is not known.

    Example:
        >>> real_size("person")
        PerspectiveSize(kind='perspective', size_m=1.72, measure='height', jitter=0.1, min_px=16, max_fraction=0.6)
    """
    return known_real_sizes().rule(name, min_px=min_px)
