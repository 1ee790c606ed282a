"""Checks of settings that are numbers: of the right type, finite, in range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from poc_aug.errors import SettingError


def checked_number(
    name: str, value: Any, *, above: float = -math.inf, most: float = math.inf, infinite: bool = False
) -> float:
    """A setting that is a number over ``above`` and at most ``most``; also one in an array or tensor without axes.

    Args:
        name: name of the setting.
        value: what was given.
        above: the number has to be larger.
        most: the number has to be this or smaller.
        infinite: whether infinity will do too.

    Raises:
        SettingError: it is not; NaN never is.

    Example:
        >>> from poc_aug.number_settings import checked_number
        >>> checked_number("temperature", 2, above=0)
        2.0
        >>> checked_number("temperature", float("nan"), above=0)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: temperature=nan
        Expected: a finite number over 0
    """
    number = _plain(value)
    if _is_a(Real, number):
        try:
            number = float(number)
        except OverflowError:  # an integer of hundreds of digits
            number = math.copysign(math.inf, number)
        fits = number <= most and (number > above or above == -math.inf)
        if fits and (infinite or math.isfinite(number)):
            return float(number)
    bounds = [f"over {above:g}"] * (above > -math.inf) + [f"at most {most:g}"] * (most < math.inf)
    expected = " ".join(["a number" if infinite else "a finite number", ", ".join(bounds)]).strip()
    raise SettingError(f"{name}={_shown(value)}", expected=expected)


def checked_integer(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """A setting that is an integer from ``least`` to ``most``; also one in an array or tensor without axes.

    Raises:
        SettingError: it is not.

    Example:
        >>> from poc_aug.number_settings import checked_integer
        >>> checked_integer("bins", 15, least=1)
        15
        >>> checked_integer("bins", 1.5, least=1)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: bins=1.5
        Expected: an integer, 1 or more
    """
    number = _plain(value)
    fits = _is_a(Integral, number) and (least is None or number >= least) and (most is None or number <= most)
    if fits and abs(number) < 2**63:
        return int(number)
    bounds = [f"{least} or more"] * (least is not None) + [f"at most {most}"] * (most is not None)
    expected = ", ".join(["an integer", *bounds])
    raise SettingError(f"{name}={_shown(value)}", expected=expected)


def checked_switch(name: str, value: Any) -> bool:
    """A setting that is true or false; also NumPy's.

    Raises:
        SettingError: it is not, like "no", which Python takes for true.

    Example:
        >>> from poc_aug.number_settings import checked_switch
        >>> checked_switch("from_logits", False)
        False
        >>> checked_switch("from_logits", "no")
        Traceback (most recent call last):
        poc_aug.errors.SettingError: from_logits='no'
        Expected: True or False
    """
    plain = _plain(value)
    if not isinstance(plain, bool):
        raise SettingError(f"{name}={_shown(value)}", expected="True or False")
    return plain


def checked_integers(name: str, value: Any) -> tuple[int, ...]:
    """A setting that is an integer or several.

    Raises:
        SettingError: it is not.

    Example:
        >>> from poc_aug.number_settings import checked_integers
        >>> checked_integers("ignore", 255), checked_integers("ignore", [254, 255])
        ((255,), (254, 255))
    """
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", None) != 0
    return tuple(checked_integer(name, each) for each in (value if several else (value,)))


def _is_a(kind: type, number: Any) -> bool:
    return isinstance(number, kind) and not isinstance(number, bool)


def _plain(value: Any) -> Any:
    """The number in an array or tensor without axes; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
