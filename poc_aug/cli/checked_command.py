"""`CheckedCommand`: checks what a parser lets through: options without a value, and numbers that are not finite."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from typer.core import TyperCommand

from poc_aug.errors import SettingError


class CheckedCommand(TyperCommand):
    """A command of ``poc-aug``.

    An option that takes a value takes whatever comes next, also another option: ``--keep-rejected --seed 3`` would read
    ``--seed`` as a number of pictures, and 3 as an argument. Numbers may be ``inf`` and ``nan``, which no option of
    this package means.

    Example:
        >>> from typer.testing import CliRunner
        >>> from poc_aug.cli.main import cli
        >>> print(CliRunner().invoke(cli, ["review", "street.cache", "--by", "--port", "80"]).exception)
        --by without a value: '--port' follows it
        Expected: a value after --by
        Next step: give one, or leave --by out; if that is its value: --by=--port
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, after these checks.

        Raises:
            SettingError: an option has another one in the place of its value, or a number that is not finite.
        """
        if ctx.resilient_parsing:  # a shell completes a line that is not finished
            return super().parse_args(ctx, args)
        numbers = self._numbers()
        for name, option, value, is_attached in _options_with_values(self.params, args):
            if value.startswith("--") and len(value) > 2 and not is_attached:
                raise SettingError(
                    f"{name} without a value: {value[:60]!r} follows it",
                    expected=f"a value after {name}",
                    hint=f"give one, or leave {name} out; if that is its value: {name}={value[:60]}",
                )
            if option.name in numbers and not _is_finite(value):
                given = option.default if isinstance(option.default, int | float) else None
                raise SettingError(
                    f"{name} {value[:60]}",
                    expected="a finite number",
                    hint=f"leave {name} out, or give "
                    + (f"a number such as {name} {given}" if given else "another number"),
                )
        return super().parse_args(ctx, args)

    def _numbers(self) -> set[str]:
        """Names of the parameters that are numbers with a fraction, as the command declares them."""
        declared = inspect.signature(self.callback).parameters if self.callback is not None else {}
        return {name for name, parameter in declared.items() if _takes_floats(parameter.annotation)}


def _options_with_values(params: Sequence[Any], args: Sequence[str]) -> Iterator[tuple[str, Any, str, bool]]:
    """Each option that takes a value and has one: its name, itself, the value, and whether ``=`` is between them."""
    by_name: Mapping[str, Any] = {
        name: param
        for param in params
        if param.param_type_name == "option" and not param.is_flag and not param.count
        for name in param.opts
    }
    rest = iter(args)
    for text in rest:
        if text == "--":
            return
        name, equals, value = text.partition("=")
        if not text.startswith("-") or name not in by_name:
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                return
            value = following
        yield name, by_name[name], value, bool(equals)


def _takes_floats(annotation: Any) -> bool:
    """Whether a parameter is a float, or may be one: ``Annotated[float | None, ...]``."""
    return annotation is float or any(map(_takes_floats, get_args(annotation)))


def _is_finite(text: str) -> bool:
    """Whether a text is no number that is infinite or none; one that is no number at all is left to the parser."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return True
