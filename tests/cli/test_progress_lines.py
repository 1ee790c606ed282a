"""Progress of long commands where there is no terminal: lines on stderr, from a clock of the test's own."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from poc_aug.cli import progress_lines
from poc_aug.cli.main import cli
from poc_aug.cli.progress_lines import LINE_EVERY_S, StepCount, progress
from tests.helpers.command_line import FRAMES, cache_path  # noqa: F401

LONG = 60  # s, at most, for what takes milliseconds


class Clock:
    """Ten seconds pass at each wait, once the test lets them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.passed = threading.Semaphore(0)
        self.written = threading.Semaphore(0)
        self.first = True

    def wait(self, over: threading.Event, seconds: float) -> bool:
        assert seconds == LINE_EVERY_S == 10
        if not self.first:
            self.written.release()
        self.first = False
        while not self.passed.acquire(timeout=0.01):
            if over.is_set():
                return True
        self.now += seconds
        return over.is_set()

    def let_pass(self) -> None:
        self.passed.release()
        assert self.written.acquire(timeout=LONG)


def quiet() -> Console:
    return Console(file=io.StringIO(), force_terminal=False)


def test_a_line_every_ten_seconds(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress(quiet(), "variants", wait=clock.wait, clock=lambda: clock.now) as show:
        clock.let_pass()
        show(40, 400, "75% accepted", before=20)
        clock.let_pass()
        show(80, 400, "80% accepted, 1 failed", before=20)
        clock.let_pass()
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "variants: 0, none finished after 10 s",
        "variants: 40 of 400, 1.0/s, 75% accepted, about 6 min left",
        "variants: 80 of 400, 2.0/s, 80% accepted, 1 failed, about 3 min left",
    ]


def test_an_error_that_comes_at_once_stands_alone(capfd: pytest.CaptureFixture[str]) -> None:
    for terminal in (False, True):
        console = Console(force_terminal=terminal)
        with pytest.raises(ZeroDivisionError), progress(console, "variants"):
            raise ZeroDivisionError
    written = capfd.readouterr()
    assert written.out + written.err == ""


def test_a_terminal_has_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with progress(console, "variants") as show:
        show(3, 4, "75% accepted")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "variants" in shown
    assert "3/4" in shown
    assert "75% accepted" in shown


def test_no_line_after_the_end_and_no_thread_left() -> None:
    before = set(threading.enumerate())  # those of other tests may end meanwhile
    with progress(quiet(), "variants"):
        (own,) = set(threading.enumerate()) - before
        assert own.is_alive()
    assert not own.is_alive()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("steps", "seconds", "line"),
    [
        (StepCount("frames", 1, 3), 100, "frames: 1 of 3, 0.01/s, about 3 min left"),
        (StepCount("frames", 10, 100_000), 10, "frames: 10 of 100000, 1.0/s, about 27 h 46 min left"),
        (StepCount("attempts", 0, 5), 20, "attempts: 0 of 5, none finished after 20 s"),
        (StepCount("variants", 8, 8, before=8), 3, "variants: 8 of 8, none finished after 3 s"),
    ],
)
def test_lines(steps: StepCount, seconds: float, line: str) -> None:
    assert steps.line(seconds) == line


def commands(cache: Path, folder: Path) -> dict[str, list[Any]]:
    results = folder / "results.csv"
    results.write_text("model,synthetic,real\na,1,2\nb,2,4\nc,3,5\nd,5,3\n")
    model = ["--model", "tests.helpers.evaluation_cases:Brightness"]
    return {
        "warm-cache": [*FRAMES, "--objects", "rendered", "--workers", 0, "--out", folder / "new.cache"],
        "verify": [cache],
        "evaluate": [*model, "--dataset", "tests.helpers.evaluation_cases:Streets"],
        "reliability": [results, "--resamples", 20],
        "bench": [cache, *FRAMES, "--items", 2, "--repeats", 1, "--workers", 0],
    }


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("warm-cache", "variants: "),
        ("verify", "records: "),
        ("evaluate", "frames of Streets: "),
        ("reliability", "resamples: "),
        ("bench", "measurements: "),
    ],
)
def test_each_long_command_writes_lines(
    command: str,
    line: str,
    cache_path: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line is written here, when the work is done, whatever the time."""
    written: list[threading.Event] = []

    def wait(over: threading.Event, seconds: float) -> bool:
        assert over.wait(LONG)
        written.append(over)
        return written.count(over) > 1

    monkeypatch.setattr(progress_lines, "wait_for_line", wait)
    result = CliRunner().invoke(cli, [command, *map(str, commands(cache_path, tmp_path)[command])])
    assert result.exit_code == 0, result.output
    assert any(text.startswith(line) for text in result.stderr.splitlines())
    assert "0/?" not in result.output


def test_help_shows_every_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    shown = 0
    for name, command in typer.main.get_command(cli).commands.items():  # type: ignore[attr-defined]
        text = " ".join(CliRunner().invoke(cli, [name, "--help"]).output.replace("│", " ").split())
        for parameter in command.params:
            if parameter.default is None or parameter.default is False or parameter.default == "":
                continue
            # Of a switch with two names, that of the default is shown.
            default = parameter.opts[0].lstrip("-") if parameter.default is True else parameter.default
            assert f"[default: {default}]" in text, (name, parameter.opts)
            shown += 1
        assert "Default: " not in text
    assert shown >= 12


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("warm-cache", ["3", "2", "delta-zstd", "raise", "0", "8", "auto", "transformers", "the recipe's, or 0"]),
        ("try", ["the road", "poc-aug-try", "diffusion", "auto", "estimated from the labels"]),
        ("evaluate", ["msp", "cpu", "8", "detected", "the frames' own size"]),
    ],
)
def test_help_shows_defaults_that_a_file_may_set(
    command: str, defaults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    text = " ".join(CliRunner().invoke(cli, [command, "--help"]).output.replace("│", " ").split())
    for default in defaults:
        assert f"[default: {default}]" in text
