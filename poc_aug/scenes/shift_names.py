"""Shifts by their names: ``fog``, ``night``, ``rain``, ``snow``, ``low-sun``, ``corruption:NAME``."""

from __future__ import annotations

from difflib import get_close_matches

from poc_aug.errors import SettingError
from poc_aug.scenes.corruptions import CORRUPTIONS, CorruptionShifter, check_corruption
from poc_aug.scenes.shifter_protocol import Shifter

WEATHER_DOMAINS = ("fog", "night", "rain", "snow", "low-sun")
"""The domains of `poc_aug.scenes.weather`, which need no weights."""

_CORRUPTION = "corruption:"


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
