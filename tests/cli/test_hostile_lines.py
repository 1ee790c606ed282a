"""No command line ends in a traceback: every option of every command with values that nobody should give.

The lines are made from the declarations of the commands. At least 400 run here; ``POC_AUG_HOSTILE=all`` runs all.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from poc_aug.cli.main import app
from poc_aug.generation.warming import warm_cache
from tests.helpers.command_line import cache_path  # noqa: F401
from tests.helpers.hostile_lines import HostileLine, lines, make_files, usable

_PER_OPTION = 4
_OUTPUTS = tuple(
    "new.cache tuned tried report agreement demo sheet.png bench.json exported packed.tar unpacked.cache "
    "compacted.cache merged.cache pulled.cache report.html".split()
)
_COMMANDS = (
    "warm-cache warm-scenes finetune-scenes try models sets doctor evaluate reliability import info verify preview "
    "report export review pack unpack demo bench drop compact repair merge push pull"
).split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the commands run, without models to load, loader processes and a network."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("poc_aug.cli.doctor_command._GENERATE", ())
        patch.setattr("poc_aug.cli.demo_command.warm_cache", partial(warm_cache, workers=0))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr(sys, "path", [*sys.path])
        yield folder


def chosen(every: list[HostileLine]) -> list[HostileLine]:
    """A few lines of each option, another few of each."""
    if os.environ.get("POC_AUG_HOSTILE") == "all":
        return every
    by_option: dict[str, list[HostileLine]] = {}
    for line in every:
        by_option.setdefault(line.option, []).append(line)
    return [
        own[(number * 7 + step * (len(own) // _PER_OPTION + 1)) % len(own)]
        for number, own in enumerate(by_option.values())
        for step in range(min(_PER_OPTION, len(own)))
    ]


def exit_code(arguments: list[str]) -> object:
    """The exit code of a command that runs in this process; the exception if another one than ``SystemExit`` leaves."""
    for name in _OUTPUTS:
        if Path(name).is_dir():
            shutil.rmtree(name)
        Path(name).unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["poc-aug", *arguments])
        try:
            app()
        except SystemExit as end:
            return end.code or 0
        except BaseException as error:
            return error
    return "none"


def complaint(line: HostileLine, capsys: pytest.CaptureFixture[str]) -> str:
    """What is wrong with the end of a command; "" if nothing is."""
    code = exit_code(line.arguments)
    printed = capsys.readouterr()
    if isinstance(code, BaseException):
        return f"{type(code).__name__} escaped: {code}"
    text = printed.out + printed.err
    if code not in (0, 1, 2, 3):
        return f"exit code {code}"
    if "Traceback" in text:
        return f"a traceback: {text}"
    if "error: unexpected " in printed.err and "panic" not in printed.err:
        return f"an error without a message of its own: {printed.err}"
    if line.arguments[0] == "try" and "rejected" in printed.out:
        return ""  # a place where nothing fits
    if code and not line.is_named_in(text):
        return f"neither option nor value is named: {text}"
    if (
        code == 1
        and line.arguments[0] not in ("doctor", "verify")
        and len(re.findall("^error: ", printed.err, re.MULTILINE)) != 1
    ):
        return f"not one error: {text}"
    return ""


@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("default")  # they are shown to users, in one line
@pytest.mark.parametrize("command", _COMMANDS)
def test_no_traceback(
    command: str,
    folder: Path,
    cache_path: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside = folder / command
    inside.mkdir()
    monkeypatch.chdir(inside)
    files = make_files(inside)
    root = Path(__file__).parents[2]
    before = set(root.iterdir()) | set(folder.iterdir())
    given = usable(inside, cache_path)[command]
    # What is hostile is the one argument that changes: without it the command does its work.
    assert exit_code([command, *given]) in ((0, 1) if command == "doctor" else (0,)), capsys.readouterr()
    capsys.readouterr()
    complaints = {}
    inputs = {path: path.read_bytes() for path in (inside / "picture.png", inside / "results.csv")}
    for line in chosen(list(lines({command: given}, files))):
        for path, content in inputs.items():  # outputs may be named like them
            path.write_bytes(content)
        wrong = complaint(line, capsys)
        if wrong:
            complaints[ascii([part[:60] for part in line.arguments])] = wrong
    assert not complaints, "\n".join(f"{line}: {wrong}" for line, wrong in complaints.items())
    assert set(root.iterdir()) | set(folder.iterdir()) == before


def test_there_are_enough_lines(tmp_path: Path) -> None:
    files, works = make_files(tmp_path), usable(tmp_path, tmp_path / "a.cache")
    of_command = {command: chosen(list(lines({command: works[command]}, files))) for command in _COMMANDS}
    assert all(of_command.values())
    assert sum(map(len, of_command.values())) >= 400


def test_every_command_is_tested(tmp_path: Path) -> None:
    from poc_aug.cli.main import cli

    assert {one.name for one in cli.registered_commands} == set(usable(tmp_path, tmp_path)) == set(_COMMANDS)
