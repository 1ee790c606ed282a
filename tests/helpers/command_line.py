"""Running `poc-aug` in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
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


FRAMES = ["--dataset", "tests.helpers.fakes:Frames", "length=3", "size_hw=60,81"]


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "frames.cache"
    run("warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 2, "--out", path, "--workers", 0)
    return path
