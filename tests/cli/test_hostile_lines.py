"""No command line ends in a traceback: every option of every command with values that nobody should give.

The lines are made from the declarations of the commands. Here a part of them runs; ``POC_AUG_HOSTILE=all`` runs all.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poc_aug.cli.main import app
from tests.helpers.command_line import cache_path  # noqa: F401
from tests.helpers.hostile_lines import HostileLine, lines, make_files, usable

_PER_OPTION = 5
_OUTPUTS = ("new.cache", "tried", "report", "agreement", "demo", "sheet.png", "bench.json")
_SEEN: list[int] = []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the commands run, without models to load, and without a network."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("poc_aug.cli.doctor_command._GENERATE", ())
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


def complaint(line: HostileLine, capsys: pytest.CaptureFixture[str]) -> str:
    """What is wrong with the end of a command; "" if nothing is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["poc-aug", *line.arguments])
        try:
            app()
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            return f"{type(error).__name__} escaped: {error}"
        else:
            return "no exit code"
    printed = capsys.readouterr()
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
@pytest.mark.parametrize(
    "command",
    "warm-cache try models doctor evaluate reliability info verify preview demo bench".split(),
)
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
    some = chosen(list(lines({command: usable(inside, cache_path)[command]}, files)))
    complaints = {}
    for line in some:
        for name in _OUTPUTS:
            shutil.rmtree(name, ignore_errors=True)
            Path(name).unlink(missing_ok=True) if not Path(name).is_dir() else None
        wrong = complaint(line, capsys)
        if wrong:
            complaints[ascii([part[:60] for part in line.arguments])] = wrong
    assert not complaints, "\n".join(f"{line}: {wrong}" for line, wrong in complaints.items())
    assert set(root.iterdir()) | set(folder.iterdir()) == before
    _SEEN.append(len(some))


def test_there_were_enough_lines(request: pytest.FixtureRequest) -> None:
    if len(_SEEN) < 11:
        pytest.skip("only some of the commands were tested")
    assert sum(_SEEN) >= 400


def test_every_command_is_tested(tmp_path: Path) -> None:
    from poc_aug.cli.main import cli

    assert {one.name for one in cli.registered_commands} == set(usable(tmp_path, tmp_path))
