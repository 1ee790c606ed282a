"""``--report`` and ``--out`` write into no cache, replace no file but a report, and wait for no FIFO."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cli.run_report import run_report
from tests.helpers.command_line import FRAMES, cache_path, run  # noqa: F401

EVALUATE = ["evaluate", "--model", "not.read:yet", "--dataset", "not.read:Yet"]
WARM = ["warm-cache", *FRAMES, "--objects", "rendered", "--num-variants", 2, "--workers", 0, "--out"]
INSIDE = ["", "manifest.json", "report.json", "shards/local-0.lmdb", "new/folder/report.json"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def cache(cache_path: Path, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copytree(cache_path, tmp_path / "a.cache"))


@pytest.mark.parametrize("inside", INSIDE)
def test_no_report_goes_into_the_cache_of_its_command(cache: Path, inside: str) -> None:
    before = contents(cache)
    for command in ([*WARM, cache], ["verify", cache], ["bench", cache, *FRAMES], EVALUATE, ["demo"]):
        assert "is a cache" in run(*command, "--report", cache / inside, fails=True)
    assert contents(cache) == before


def test_no_other_result_goes_into_a_cache(cache: Path, tmp_path: Path) -> None:
    before = contents(cache)
    (tmp_path / "link").symlink_to(cache / "shards")
    for folder in (cache, cache / "shards", tmp_path / "link"):
        commands: list[list[Any]] = [
            ["preview", cache, "--dataset", "not.read:Yet", "--out", folder / "a.png"],
            ["preview", cache, "--rejected", "--out", folder / "a.png"],
            ["bench", cache, "--dataset", "not.read:Yet", "--out", folder / "a.json"],
            [*EVALUATE, "--out", folder],
            ["demo", "--length", 1, "--out", folder / "demo"],
        ]
        for command in commands:
            assert "is a cache" in run(*command, fails=True)
    assert contents(cache) == before


def test_a_cache_that_is_yet_to_be_made_is_spared_too(tmp_path: Path) -> None:
    new = tmp_path / "new.cache"
    assert "is a cache" in run(*WARM, new, "--report", new / "manifest.json", fails=True)
    demo = tmp_path / "demo"
    assert "is a cache" in run("demo", "--out", demo, "--report", demo / "street.cache" / "a.json", fails=True)
    assert not new.exists()
    assert not demo.exists()


@pytest.mark.parametrize("content", ["model,synthetic,real\n", '{"models": []}', "[" * 100_000, "[1, 2]"])
def test_a_file_that_is_no_report_is_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(content)
    for command in (["reliability", path], ["verify", tmp_path / "none.cache"]):
        assert "is no report of a run" in run(*command, "--report", path, fails=True)
    assert path.read_text() == content


def test_an_empty_file_and_an_earlier_report_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.touch()
    for number in range(2):
        with run_report(path, "a") as values:
            values["number"] = number
        assert f'"number": {number}' in path.read_text()
    with run_report(Path(os.devnull), "a"):
        pass


def test_no_command_waits_for_the_reader_of_a_fifo(cache: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.png"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # without the check, nothing is refused, and nothing hangs
    try:
        for command in (
            ["verify", cache, "--report", fifo],
            ["preview", cache, *FRAMES, "--out", fifo],
            ["bench", cache, *FRAMES, "--out", fifo],
        ):
            message = run(*command, fails=True)
            assert "fifo.png" in message
            assert "FIFO" in message
    finally:
        os.close(reader)


def test_the_error_of_a_report_is_that_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    options = ["--objects", "rendered", "--workers", 0, "--out", tmp_path / "a.cache", "--report", path]
    message = run("warm-cache", *FRAMES, "broken=0", *options, fails=True)
    assert "--on-error skip" in message
    assert "--on-error skip" in path.read_text()
    assert "on_error=" not in path.read_text()
