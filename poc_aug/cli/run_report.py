"""``--report FILE.json`` of the long commands: what a run did, with its exit code, as valid JSON."""

from __future__ import annotations

import functools
import inspect
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from poc_aug.cli.command_options import CliOption
from poc_aug.cli.failures import explained
from poc_aug.errors import OutputError
from poc_aug.files.outputs import check_outputs, check_outside_cache, writing

REPORT = CliOption(
    help="Write what the run did as JSON, whatever its exit code.", takes="the path of a JSON file to write"
)
ReportFile = Annotated[Path | None, typer.Option("--report", help=REPORT.help)]

_LARGEST_REPORT = 2**26

_Command = TypeVar("_Command", bound=Callable[..., None])


def with_report(name: str) -> Callable[[_Command], Callable[..., None]]:
    """Give a Typer command the option ``--report``, in the place of its parameter ``reported``: what it fills."""

    def declare(command: _Command) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*, report: Path | None = None, **arguments: Any) -> None:
            with run_report(report, name, _cache_of(name, arguments)) as reported:
                command(reported=reported, **arguments)

        signature = inspect.signature(command, eval_str=True)
        option = inspect.Parameter("report", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ReportFile)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "reported"]
        run.__signature__ = signature.replace(parameters=[*own, option])  # type: ignore[attr-defined]
        return run

    return declare


@contextmanager
def run_report(path: Path | None, command: str, cache: Path | None = None) -> Iterator[dict[str, Any]]:
    """Write a report of what runs inside; gives the dict that it fills.

    The file is checked first and written at the end, also if the command ends with an exit code or an error.

    Args:
        path: the file; ``None`` writes nothing.
        command: name of the command.
        cache: the cache that the command reads or fills, which may not exist yet.

    Raises:
        OutputError: it cannot be written, is inside a cache, or holds something else than a report.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with run_report(Path(folder) / "run.json", "verify") as result:
        ...         result["records"] = 8
        ...     '"exit_code": 0' in (Path(folder) / "run.json").read_text()
        True
    """
    result: dict[str, Any] = {}
    if path is None:
        yield result
        return
    try:
        check_outside_cache(path, cache)
        check_outputs(path.parent, path.name)
        _check_replaceable(path)
    except OutputError as error:
        raise OutputError(f"--report: {error.problem}", expected=error.expected, hint=error.hint) from error
    started = time.monotonic()
    code, problem = 0, ""
    try:
        yield result
    except BaseException as error:
        code, problem = _ending(error)
        try:
            _write(path, command, code, problem, started, result)
        except OutputError as unwritten:
            error.add_note(str(unwritten))
        raise
    _write(path, command, code, problem, started, result)


def _cache_of(name: str, arguments: Mapping[str, Any]) -> Path | None:
    """The cache that a command reads, or that ``demo`` or ``pull`` makes."""
    if "cache" in arguments:
        return Path(arguments["cache"])
    if name == "pull":
        return Path(arguments["out"])
    return Path(arguments["out"]) / "street.cache" if name == "demo" else None


def _check_replaceable(path: Path) -> None:
    """Check that no file is lost but a report of an earlier run, or an empty one."""
    with writing(path):
        if not path.is_file() or not path.stat().st_size:
            return
        known = path.stat().st_size <= _LARGEST_REPORT and _is_report(path.read_bytes())
    if not known:
        raise OutputError(
            f"{str(path)!r} exists, and is no report of a run",
            expected="a new path, or the report of an earlier run",
            hint="give another path, or remove that file",
        )


def _is_report(content: bytes) -> bool:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and {"command", "exit_code"} <= set(value)


def json_values(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite as ``None``, keys and whatever else JSON lacks as text.

    Example:
        >>> json_values({"a": float("nan"), 1: (2, Path("b"))})
        {'a': None, '1': [2, 'b']}
    """
    if isinstance(value, Mapping):
        return {str(name): json_values(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_values(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | None) else str(value)


def _ending(error: BaseException) -> tuple[int, str]:
    """The exit code that an exception leads to, and what it says."""
    if isinstance(error, typer.Exit):
        return error.exit_code, ""
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    return 1, explained(error).on_command_line()


def _write(path: Path, command: str, code: int, problem: str, started: float, result: Mapping[str, Any]) -> None:
    from poc_aug.environment import environment, write_json

    head: dict[str, Any] = {"command": command, "exit_code": code, **({"error": problem} if problem else {})}
    head["seconds"] = round(time.monotonic() - started, 3)
    write_json(path, json_values({**result, **head, "environment": environment()}))
