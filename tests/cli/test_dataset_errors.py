"""Errors of a user's dataset: in one line, with the sample's name; a cache's schema serves a dataset without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cli.failures import explained
from poc_aug.errors import in_one_line
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401
from tests.helpers.fakes import Frames

HERE = __name__
SIZE = ["length=3", "size_hw=60,81"]
LINES = "first line\nsecond line\r\n\tthird line"
ONE = "ValueError: first line second line third line"


class Lines(Frames):
    """Frames of which only the last one can be read, for a reason of several lines."""

    def __getitem__(self, index: int) -> Any:
        if index == self.length - 1:
            return super().__getitem__(index)
        raise ValueError(LINES)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unknown(Frames):
    schema = None  # type: ignore[assignment]


def construction_fails() -> None:
    raise ValueError(LINES)


def test_what_other_code_raises_is_one_line() -> None:
    assert in_one_line(ValueError(LINES)) == ONE
    assert in_one_line(KeyError()) == "KeyError"
    assert len(in_one_line(ValueError("x" * 10**6))) < 1100
    for text in (in_one_line(Silent()), explained(Silent()).problem):
        assert "its text cannot be read (RuntimeError)" in text
    assert explained(ValueError(LINES)).problem == f"unexpected {ONE}"


def test_commands_quote_it_in_one_line(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    lines = ["--dataset", f"{HERE}:Lines", *SIZE]
    warm = ["warm-cache", *lines, "--objects", "rendered", "--workers", 0, "--out"]
    report = tmp_path / "report.json"
    skipped = [*warm, tmp_path / "b.cache", "--on-error", "skip", "--report", report]
    for command in (
        [*warm, tmp_path / "a.cache"],
        ["preview", cache_path, *lines, "--out", tmp_path / "a.png"],
        ["bench", cache_path, *lines, "--workers", 0, "--items", 1, "--repeats", 1],
        ["evaluate", "--model", "tests.helpers.evaluation_cases:Brightness", "--dataset", f"{HERE}:Lines"],
        ["bench", cache_path, "--dataset", f"{HERE}:construction_fails"],
    ):
        message = run(*command, fails=True)
        assert ONE in message
        assert "frame-000" in message or "construction_fails" in command[-1]
    run(*skipped)
    assert ONE in json.dumps(json.loads(report.read_text()))


@pytest.mark.parametrize("command", ["preview", "bench"])
def test_the_sample_that_cannot_be_read_is_named(command: str, cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    options = ["--out", tmp_path / "a.png"] if command == "preview" else ["--workers", 0, "--items", 3, "--repeats", 1]
    message = run(command, cache_path, *FRAMES, "broken=[1]", *options, fails=True)
    assert "sample 'frame-001' could not be read: OSError: image file is truncated" in message


def test_bench_takes_the_schema_of_the_cache(cache_path: Path, tmp_path: Path) -> None:  # noqa: F811
    own = tmp_path / "street.cache"
    unknown = ["--dataset", f"{HERE}:Unknown", *SIZE]
    options = ["--schema", "cityscapes-trainIds", "--objects", "rendered", "--num-variants", 1, "--workers", 0]
    run("warm-cache", *unknown, *options, "--out", own)
    measure = ["--workers", 0, "--items", 1, "--repeats", 1]
    assert "Unknown" in run("bench", own, *unknown, *measure)
    message = run("bench", cache_path, *unknown, *measure, fails=True)  # made with a schema that has no known name
    assert "the label schema of Unknown is not known" in message
    assert "--schema" in message
