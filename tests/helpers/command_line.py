"""Running `poc-aug` in this process."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from poc_aug.cli.main import cli
from poc_aug.errors import PocAugError


def run(*arguments: Any, fails: bool = False) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        if fails and isinstance(result.exception, PocAugError):
            return result.exception.on_command_line()
        raise result.exception
    assert (result.exit_code != 0) == fails, result.output
    return result.output
