"""Standard streams that are closed or full, ``--debug``, warnings, the current folder, code that ends the process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from poc_aug.cli import arguments
from poc_aug.cli.failures import explained
from poc_aug.cli.main import app, warm_cache_app
from poc_aug.cli.standard_streams import standard_streams
from poc_aug.errors import DatasetError, MissingDependencyError, PocAugError, SettingError

ROOT = Path(__file__).parents[2]


def ended(monkeypatch: pytest.MonkeyPatch, *line: str, entry: Callable[[], None] = app) -> object:
    monkeypatch.setattr(sys, "argv", ["poc-aug", *line])
    with pytest.raises(SystemExit) as caught:
        entry()
    return caught.value.code or 0


def raising(error: BaseException) -> Callable[..., None]:
    def open_cache(*_: object, **__: object) -> None:
        raise error

    return open_cache


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "frames.lmdb"), "'frames.lmdb': No space left on device"),
        (FileNotFoundError(2, "No such file or directory", "a"), "'a': No such file"),
        (MemoryError(), "out of memory"),
        (RecursionError("maximum recursion depth exceeded"), "a value is nested too deeply"),
        (ModuleNotFoundError("No module named 'lmdb'"), "ModuleNotFoundError: No module named 'lmdb'"),
        ("\udcff".encode, "'\\udcff' is not UTF-8"),
        (KeyError("x"), "unexpected KeyError: 'x'"),
        (SystemExit(0), "code that this command called ended the process: sys.exit(0)"),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_any_exception_is_one_message(
    error: BaseException | Callable[[], bytes],
    named: str,
    debug: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not isinstance(error, BaseException):
        with pytest.raises(UnicodeError) as caught:
            error()
        error = caught.value
    monkeypatch.setattr("poc_aug.cli.info_command.Cache.open", raising(error))
    for line in (("info", "x.cache", *debug), (*debug, "info", "x.cache")):
        assert ended(monkeypatch, *line) == 1
        printed = capsys.readouterr()
        assert not printed.out
        message = printed.err[printed.err.rindex("\nerror: ") + 1 :] if debug else printed.err
        assert message.startswith(f"error: {named}")
        assert ("Traceback (most recent call last)" in printed.err) == bool(debug)


def test_debug_belongs_to_warm_cache_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(monkeypatch, "--debug", entry=warm_cache_app) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "error: --dataset is missing" in printed


def test_an_error_from_a_loader_has_no_traceback() -> None:
    text = (
        "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "a.py", line 3, in b\n    d[1]\nKeyError: "no frame: 7"\n'
    )
    assert "Traceback" not in str(explained(KeyError(text)))
    ours = text.replace('KeyError: "no', 'poc_aug.errors.SettingError: "no')
    assert explained(SettingError(ours)).problem == '"no frame: 7"'


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with standard_streams(show_warnings=True):
            warnings.warn("the model\nis old", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: the model is old\n"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import sys\nsys.exit(0)", "sys.exit(0)"),
        ("import sys\ndef make():\n    sys.exit('done')", "sys.exit('done')"),
        ("def make():\n    return list", "the class list"),
        ("make = 5", "of type int"),
        ("def make():\n    return []", "holds no sample"),
        ("def make(n: 1 / 0 = 2):\n    return n", "gave a int"),
        ("def __getattr__(name):\n    raise KeyError(name)", "KeyError"),
    ],
)
def test_callables_that_are_not_what_is_asked(
    source: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text("from __future__ import annotations\n" + source)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        arguments.load_dataset("own:make", {})
    assert named in str(caught.value)
    sys.modules.pop("own", None)


def test_close_names_are_offered() -> None:
    with pytest.raises(DatasetError, match=r"did you mean poc_aug\.datasets:camvid"):
        arguments.load_callable("poc_aug.datasets:CamVid")


def test_the_current_folder_is_searched_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fractions.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "fractions", raising=False)
    monkeypatch.chdir(tmp_path)
    assert arguments.load_callable("fractions:Fraction").__module__ == "fractions"
    assert sys.path[-1] == str(tmp_path)
    with pytest.raises(MissingDependencyError):
        arguments.load_callable("no_such_module:x")


@pytest.mark.parametrize("text", ["9" * 5000, "1e999", "[" * 3000 + "]" * 3000, "[2024-13-45]", "[&a [*a]]"])
def test_values_too_large_to_read_are_errors(text: str) -> None:
    with pytest.raises(PocAugError) as caught:
        arguments.parse_value(text)
    assert len(caught.value.problem) < 400


@pytest.mark.parametrize("text", ["²,3", "١,٢", "0,5", "99999,99999", "9" * 5000 + ",1", "1,2,3"])
def test_sizes_are_plain_digits_of_a_picture(text: str) -> None:
    with pytest.raises(SettingError, match="--size"):
        arguments.parse_size(text)


# Two commands of one interpreter that has imported everything: each ends as an interpreter ends, its streams flushed.
TWO = """
import os, sys
from poc_aug.cli.main import app

for name in ("gone", "full"):
    child = os.fork()
    if not child:
        if name == "gone":
            read, write = os.pipe()
            os.close(read)
        else:
            write = os.open("/dev/full", os.O_WRONLY)
        os.dup2(write, 1)
        sys.argv = ["poc-aug", "models"]
        app()
        break
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(1, f"{name} {code}\\n".encode())
"""


def test_a_shell_sees_no_traceback(tmp_path: Path) -> None:
    """A reader that has gone, a closed and a full standard output: the last is an error, none has a traceback."""
    (tmp_path / "two.py").write_text(TWO)
    script = f"""
        {sys.executable} two.py
        {sys.executable} -m poc_aug models >&-; echo "closed $?"
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["gone 1", "full 1", "closed 0"]
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") <= 3
    assert "No space left on device" in done.stderr
