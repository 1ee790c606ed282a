"""Results that cannot be written: an error that names the path, early."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poc_aug.environment import write_json
from poc_aug.errors import OutputError
from poc_aug.files.outputs import make_folder, writing
from tests.helpers.cache_cases import PLACES
from tests.helpers.command_line import run

FOLDERS = [place for place in PLACES if place.__name__ not in ("with_a_nul", "no_letters")]


@pytest.mark.parametrize("place", FOLDERS, ids=[place.__name__ for place in FOLDERS])
@pytest.mark.parametrize("use", [make_folder, lambda path: write_json(path / "a.json", {})], ids=["folder", "file"])
def test_what_is_in_the_way_is_named(tmp_path: Path, place: Callable[[Path], Path], use: Callable[[Path], Any]) -> None:
    path = place(tmp_path)
    with pytest.raises(OutputError, match=PLACES[place]) as caught:
        use(path)
    assert str(path) in caught.value.problem
    assert caught.value.hint


def test_a_file_that_is_there_already_is_not_in_its_own_way(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(OutputError, match="No space left") as caught, writing(tmp_path / "a.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "is a file" not in caught.value.problem
    write_json(tmp_path / "deep" / "a.json", {"a": 1})
    assert (tmp_path / "deep" / "a.json").read_text() == '{\n "a": 1\n}\n'


@pytest.mark.parametrize(
    "command",
    [
        ["preview", "no.cache", "--dataset", "not.read:Yet"],
        ["bench", "no.cache", "--dataset", "not.read:Yet"],
        ["demo", "--length", "1"],
        ["evaluate", "--model", "not.read:yet", "--dataset", "not.read:Yet"],
    ],
    ids=lambda command: command[0],
)
def test_commands_notice_before_they_work(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    message = run(*command, "--out", tmp_path / "file" / "out.png", fails=True)
    assert "file' is a file" in message
    assert "give another path" in message


def test_a_contact_sheet_needs_the_name_of_a_picture(tmp_path: Path) -> None:
    for name in ("sheet", "sheet.txt", "sheet.mpg"):
        message = run("preview", "no.cache", "--dataset", "not.read:Yet", "--out", tmp_path / name, fails=True)
        assert name in message
        assert ".png" in message
