"""The commands of ``poc-aug``; ``warm_cache`` is its ``warm-cache`` command as a script of its own."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import typer

from poc_aug.cli.bench_command import bench_command
from poc_aug.cli.console import errors
from poc_aug.cli.demo_command import demo_command
from poc_aug.cli.doctor_command import doctor_command
from poc_aug.cli.evaluate_command import evaluate_command
from poc_aug.cli.info_command import info_command
from poc_aug.cli.models_command import models_command
from poc_aug.cli.preview_command import preview_command
from poc_aug.cli.reliability_command import reliability_command
from poc_aug.cli.try_command import try_command
from poc_aug.cli.verify_command import verify_command
from poc_aug.cli.warm_cache_command import warm_cache_command
from poc_aug.errors import PocAugError

_FAILED = 1
_INTERRUPTED = 130
_COMMANDS: dict[str, Callable[..., None]] = {
    "warm-cache": warm_cache_command,
    "try": try_command,
    "models": models_command,
    "doctor": doctor_command,
    "evaluate": evaluate_command,
    "reliability": reliability_command,
    "info": info_command,
    "verify": verify_command,
    "preview": preview_command,
    "demo": demo_command,
    "bench": bench_command,
}


def _reporting_interrupts(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with a message for Ctrl-C: typer's own ending says nothing."""

    @functools.wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            errors.print("interrupted: what was made is kept; run the same command again to continue", style="yellow")
            raise typer.Exit(_INTERRUPTED) from None

    return run


cli = typer.Typer(
    name="poc-aug",
    help="Insert objects into segmentation datasets and rewrite the labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _name, _command in _COMMANDS.items():
    cli.command(_name)(_reporting_interrupts(_command))


def app() -> None:
    """Entry point of ``poc-aug``."""
    _run(cli)


def warm_cache_app() -> None:
    """Entry point of ``warm_cache``."""
    single = typer.Typer(pretty_exceptions_enable=False)
    single.command()(_reporting_interrupts(warm_cache_command))
    _run(single)


def _run(application: typer.Typer) -> None:
    """Run, and turn an error of this package into a message on stderr and an exit code."""
    try:
        application()
    except PocAugError as error:
        errors.print(f"error: {error.on_command_line()}", style="red")
        sys.exit(_FAILED)
