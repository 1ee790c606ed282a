"""``reliability`` checks outputs and the plot's label before it draws a resample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command_line import run


@pytest.fixture
def line(tmp_path: Path) -> list[Any]:
    (tmp_path / "a.csv").write_text("model,synthetic,real\na,1,2\nb,2,4\nc,3,5\nd,5,3\n")
    (tmp_path / "taken").touch()
    (tmp_path / "full" / "reliability.png").mkdir(parents=True)
    return ["reliability", tmp_path / "a.csv", "--resamples", 20]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--out", "taken"], "taken"),
        (["--out", "taken/below"], "taken"),
        (["--out", "full"], "reliability.png"),
        (["--report", "full", "--out", "new"], "--report"),
        (["--label", "\udcff", "--out", "new"], "--label '\\udcff'"),
        (["--label", "mIoU"], "--out report"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_resample(
    changes: list[str], named: str, line: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reliability(*_: object, **__: object) -> None:
        pytest.fail("resamples were drawn")

    monkeypatch.setattr("poc_aug.evaluation.reliability.reliability", reliability)
    monkeypatch.chdir(tmp_path)
    assert named in run(*line, *changes, fails=True)


@pytest.mark.parametrize("value", ["1e308", "-1e308", "2e12"])
def test_results_out_of_range_are_named(value: str, line: list[Any], tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("a") as file:
        file.write(f"e,{value},4\n")
    message = run(*line, fails=True)
    assert f"e: {float(value):g}" in message
    assert "1e+12" in message


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    writer = os.open(tmp_path / "a.csv", os.O_RDWR)  # without the check, it is another error, and nothing hangs
    os.set_blocking(writer, False)
    os.write(writer, b"model,synthetic,real\n")
    try:
        assert "FIFO" in run("reliability", tmp_path / "a.csv", fails=True)
    finally:
        os.close(writer)


def test_labels_in_any_script_are_drawn(line: list[Any], tmp_path: Path) -> None:
    assert "reliability.png" in run(*line, "--label", "$mIoU_{²} {x", "--out", tmp_path / "new")
    assert (tmp_path / "new" / "reliability.png").stat().st_size > 1000
