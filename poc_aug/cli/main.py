"""The commands of ``poc-aug``; ``warm_cache`` is its ``warm-cache`` command as a script of its own."""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from poc_aug.cli.bench_command import bench_command
from poc_aug.cli.checked_command import CheckedCommand
from poc_aug.cli.compact_command import compact_command
from poc_aug.cli.console import errors
from poc_aug.cli.demo_command import demo_command
from poc_aug.cli.doctor_command import doctor_command
from poc_aug.cli.drop_command import drop_command
from poc_aug.cli.evaluate_command import evaluate_command
from poc_aug.cli.export_command import export_command
from poc_aug.cli.failures import explained
from poc_aug.cli.finetune_scenes_command import finetune_scenes_command
from poc_aug.cli.import_command import import_command
from poc_aug.cli.info_command import info_command
from poc_aug.cli.merge_command import merge_command
from poc_aug.cli.models_command import models_command
from poc_aug.cli.pack_command import pack_command
from poc_aug.cli.preview_command import preview_command
from poc_aug.cli.pull_command import pull_command
from poc_aug.cli.push_command import push_command
from poc_aug.cli.reliability_command import reliability_command
from poc_aug.cli.repair_command import repair_command
from poc_aug.cli.report_command import report_command
from poc_aug.cli.review_command import review_command
from poc_aug.cli.sets_command import sets_command
from poc_aug.cli.standard_streams import close_quietly, is_broken, standard_streams
from poc_aug.cli.try_command import try_command
from poc_aug.cli.unpack_command import unpack_command
from poc_aug.cli.verify_command import verify_command
from poc_aug.cli.warm_cache_command import warm_cache_command
from poc_aug.cli.warm_scenes_command import warm_scenes_command
from poc_aug.errors import PocAugError

_FAILED = 1
_INTERRUPTED = 130
_DEBUG = "--debug"
_Debug = Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of an error.")]
_COMMANDS: dict[str, Callable[..., None]] = {
    "warm-cache": warm_cache_command,
    "warm-scenes": warm_scenes_command,
    "try": try_command,
    "models": models_command,
    "sets": sets_command,
    "doctor": doctor_command,
    "evaluate": evaluate_command,
    "reliability": reliability_command,
    "finetune-scenes": finetune_scenes_command,
    "import": import_command,
    "info": info_command,
    "verify": verify_command,
    "drop": drop_command,
    "compact": compact_command,
    "repair": repair_command,
    "merge": merge_command,
    "preview": preview_command,
    "report": report_command,
    "review": review_command,
    "export": export_command,
    "push": push_command,
    "pull": pull_command,
    "pack": pack_command,
    "unpack": unpack_command,
    "demo": demo_command,
    "bench": bench_command,
}


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``--debug``, whose exceptions are all errors of this package: one message, no traceback.

    Ctrl-C has a message too: typer's own ending says nothing.
    """

    @functools.wraps(command)
    def run(*args: object, context: typer.Context, debug: bool, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            errors.print("interrupted: what was made is kept; run the same command again to continue", style="yellow")
            raise typer.Exit(_INTERRUPTED) from None
        except _ENDINGS:
            raise
        # SystemExit and other ends of the process are the user's code: nothing in a command raises them.
        except BaseException as error:
            if isinstance(error, BrokenPipeError) and is_broken(sys.stdout):
                close_quietly(sys.stdout)
                raise typer.Exit(_FAILED) from None
            if debug or context.find_root().params.get("debug"):
                errors.print(traceback.format_exc().rstrip())
            raise explained(error) from error

    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Debug),
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
    ]
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *added]
    )
    return run


_ENDINGS: tuple[type[BaseException], ...] = (typer.Exit, typer.Abort, typer.BadParameter)

cli = typer.Typer(
    name="poc-aug",
    help="Insert objects into segmentation datasets and rewrite the labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@cli.callback()
def _before_the_command(debug: _Debug = False) -> None:
    """Insert objects into segmentation datasets and rewrite the labels."""


for _name, _command in _COMMANDS.items():
    cli.command(_name, cls=CheckedCommand)(_guarded(_command))


def app() -> None:
    """Entry point of ``poc-aug``."""
    _run(cli)


def warm_cache_app() -> None:
    """Entry point of ``warm_cache``."""
    single = typer.Typer(pretty_exceptions_enable=False)
    single.command(cls=CheckedCommand)(_guarded(warm_cache_command))
    _run(single)


def _run(application: Callable[..., Any]) -> None:
    """Run, and turn any exception into a message on stderr and an exit code."""
    with standard_streams(show_warnings=_DEBUG not in sys.argv):
        try:
            application()
        except SystemExit:
            raise  # the exit code of the command line
        except BaseException as error:
            if _DEBUG in sys.argv and not isinstance(error, PocAugError):
                errors.print(traceback.format_exc().rstrip())
            errors.print(f"error: {explained(error).on_command_line()}", style="red")
            sys.exit(_FAILED)
