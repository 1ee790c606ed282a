"""No option takes the next option as its value, and no number is infinite or NaN: each option of each command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

from poc_aug.cli.main import cli, warm_cache_app
from poc_aug.cli.warm_scenes_options import WarmScenesOptions
from poc_aug.errors import SettingError
from poc_aug.inspection.contact_sheet import Tile, contact_sheet
from poc_aug.types import Sample, Variant
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401
from tests.helpers.hostile_lines import declared

COMMANDS = [str(command.name) for command in cli.registered_commands]


@pytest.fixture(scope="module")
def application() -> Any:
    return get_command(cli)


def told(application: Any, *arguments: str) -> str:
    """The error of a command line."""
    with pytest.raises(SettingError) as error:
        application.main([*arguments], standalone_mode=False)
    return error.value.on_command_line()


def options(command: str, *kinds: type) -> list[str]:
    return [name for name, kind in declared(command) if name.startswith("--") and kind in kinds]


def valued(command: str) -> list[str]:
    """Options that take a value."""
    return [name for name, kind in declared(command) if name.startswith("--") and kind is not bool]


@pytest.mark.parametrize("command", [command for command in COMMANDS if options(command, float)])
def test_numbers_are_finite(application: Any, command: str) -> None:
    for option in options(command, float):
        for value in ("inf", "-inf", "nan", "1e999", "Infinity"):
            for line in ([option, value], [f"{option}={value}"]):
                assert told(application, command, *line).startswith(f"{option} {value}\nExpected: a finite number\n")


@pytest.mark.parametrize("command", [command for command in COMMANDS if valued(command)])
def test_an_option_is_no_value_of_the_one_before(application: Any, command: str) -> None:
    for option in valued(command):
        for following in ("--debug", "--sead=3"):
            said = told(application, command, option, following, "3")
            assert said.startswith(
                f"{option} without a value: {following!r} follows it\nExpected: a value after {option}"
            )
            assert f"{option}={following}" in said


def test_a_pair_and_the_end_of_the_options_are_taken_as_they_are(tmp_path: Path) -> None:
    missing = tmp_path / "none.cache"
    for line in (
        ["review", missing, "--by=--port"],
        ["review", "--by", "-x", missing],
        ["info", "--", "--by", missing],
    ):
        assert "without a value" not in run(*line, fails=True)


def test_the_script_checks_them_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["warm_cache", "--keep-rejected", "--seed", "3"])
    with pytest.raises(SystemExit) as end:
        warm_cache_app()
    assert end.value.code == 1
    assert "--keep-rejected without a value: '--seed' follows it" in capsys.readouterr().err


def test_a_file_of_options_holds_finite_numbers() -> None:
    for value in (float("inf"), float("nan")):
        with pytest.raises(SettingError, match=f"min_agreement = {value}"):
            WarmScenesOptions.from_values({"dataset": "x:y", "out": "a.cache", "min_agreement": value}, "a.yaml")


def test_a_sheet_has_a_feather_that_the_cache_has_pixels_for(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "sheet.png"
    for sigma in ("99", "1e300"):
        said = run("preview", cache_path, *FRAMES, "--sigma", sigma, "--out", out, fails=True)
        assert f"sigma_px={float(sigma)}" in said
        assert "choose a smaller --sigma" in said
    assert not out.exists()
    run("preview", cache_path, *FRAMES, "--sigma", "0.5", "--count", 1, "--width", 200, "--out", out)
    tile = Tile(Sample(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(8, 8, dtype=torch.uint8), "a"), _EMPTY)
    for sigma_px in (float("inf"), float("nan"), -1.0):
        with pytest.raises(SettingError, match="sigma_px="):
            contact_sheet([tile], sigma_px=sigma_px)


_EMPTY = Variant("a", 0, b"", ())


@pytest.mark.parametrize("begun", ["--out --samples", "--sigma inf"])
def test_a_shell_completes_a_line_that_would_be_refused(begun: str) -> None:
    words = f"poc-aug export a.cache {begun} --spl"
    asked = {"_POC_AUG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    result = CliRunner().invoke(cli, [], prog_name="poc-aug", env=asked)
    assert (result.output.split(), result.exception) == (["--split"], None)
