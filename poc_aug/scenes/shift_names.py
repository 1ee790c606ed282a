"""Shifts by their names: ``fog``, ``night``, ``rain``, ``snow``, ``low-sun``, ``corruption:NAME``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from poc_aug.errors import SettingError
from poc_aug.scenes.corruptions import CORRUPTIONS, CorruptionShifter, check_corruption
from poc_aug.scenes.shifter_protocol import Shifter
from poc_aug.types import MAX_SEVERITY

WEATHER_DOMAINS = ("fog", "night", "rain", "snow", "low-sun")
"""The domains of `poc_aug.scenes.weather`, which need no weights."""

_CORRUPTION = "corruption:"
_RANGE = re.compile(r"([0-9])(?:\s*-\s*([0-9]))?")


def known_domains() -> tuple[str, ...]:
    """The domains that `make_shifter` knows: weather first, then ImageNet-C's corruptions.

    Example:
        >>> known_domains()[:6]
        ('fog', 'night', 'rain', 'snow', 'low-sun', 'corruption:gaussian_noise')
    """
    return (*WEATHER_DOMAINS, *(_CORRUPTION + name for name in CORRUPTIONS))


def check_domain(name: str) -> None:
    """Check that `make_shifter` knows a domain; nothing is imported for it.

    Raises:
        SettingError: lists the known ones, and says which are like it.

    Example:
        >>> check_domain("fogg")
        Traceback (most recent call last):
        ...
        poc_aug.errors.SettingError: unknown domain 'fogg'
        Expected: one of: fog, night, rain, snow, low-sun, or corruption:NAME with one of: gaussian_noise, ...
        Next step: did you mean fog?
    """
    if not isinstance(name, str):
        raise SettingError(f"shift = {name!r}", expected="the name of a domain, such as 'fog', or a shifter")
    if name in WEATHER_DOMAINS:
        return
    if name.startswith(_CORRUPTION):
        check_corruption(name.removeprefix(_CORRUPTION))
        return
    raise SettingError(
        f"unknown domain {name!r}",
        expected=f"one of: {', '.join(WEATHER_DOMAINS)}, or {_CORRUPTION}NAME with one of: {', '.join(CORRUPTIONS)}",
        hint=_hint(name),
    )


def make_shifter(name: str) -> Shifter:
    """The shifter of a domain's name; it needs no weights.

    Args:
        name: one of `known_domains`.

    Raises:
        SettingError: an unknown domain; lists the known ones, and says which are like it.

    Example:
        >>> make_shifter("fog").domain, make_shifter("corruption:jpeg_compression").domain
        ('fog', 'corruption:jpeg_compression')
    """
    check_domain(name)
    if name.startswith(_CORRUPTION):
        return CorruptionShifter(name.removeprefix(_CORRUPTION))
    from poc_aug.scenes.weather_shifter import WeatherShifter

    return WeatherShifter(name)


def _hint(name: str) -> str:
    """Domains whose names are like it, in whatever case; a corruption's bare name, too."""
    plain = name.strip().lower().replace(" ", "-").replace("_", "-")
    by_name = {domain.replace("_", "-"): domain for domain in WEATHER_DOMAINS}
    by_name |= {(_CORRUPTION + own).replace("_", "-"): _CORRUPTION + own for own in CORRUPTIONS}
    for own in CORRUPTIONS:
        by_name.setdefault(own.replace("_", "-"), _CORRUPTION + own)
    close = list(dict.fromkeys(by_name[own] for own in get_close_matches(plain, by_name, n=3, cutoff=0.65)))
    return f"did you mean {' or '.join(close)}?" if close else ""


def parse_severities(text: str | int | Sequence[int]) -> tuple[int, ...]:
    """Severities as they are typed: ``3``, ``1,3,5``, ``1-5``; or as numbers.

    Raises:
        SettingError: they cannot be read, are not 1 to 5, or one is named twice.

    Example:
        >>> parse_severities("1-3,5"), parse_severities(4)
        ((1, 2, 3, 5), (4,))
    """
    levels: list[int] = []
    for part in str(text).strip("[]() ").split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise _no_severities(text)
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last <= MAX_SEVERITY:
            raise _no_severities(text)
        levels += range(first, last + 1)
    if len(set(levels)) < len(levels):
        raise _no_severities(text)
    return tuple(levels)


def _no_severities(text: object) -> SettingError:
    return SettingError(
        f"severity = {text!r}", expected=f"1 to {MAX_SEVERITY}, each once: 3, or 1,3,5, or 1-{MAX_SEVERITY}"
    )
