"""Processes that start in milliseconds: forked from one that has imported `tests.helpers.preloaded` (see conftest).

What they get is pickled, as with "spawn"; only the 3 to 5 s of importing are saved. Tests of what a process imports, of
what it inherits, or of how it is killed start real ones.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = multiprocessing.get_context("forkserver")


class _LiveContext(ForkServerContext):
    """Stands for the "spawn" context of `poc_aug.live`."""

    def Process(self, *, target: Any, args: tuple[Any, ...], **settings: Any) -> Any:  # type: ignore[override]
        return super().Process(target=_run_as_child, args=(os.getpid(), target, args), **settings)


def live_context(method: str) -> ForkServerContext:
    assert method == "spawn"
    return _LiveContext()


def _run_as_child(parent: int, target: Any, args: tuple[Any, ...]) -> None:
    """Run a target that watches its parent: that is the process it is forked from, which ends with the tests."""
    real, template = os.getppid, os.getppid()
    os.getppid = lambda: parent if real() == template else real()
    target(*args)


class RunningScript:
    """A Python file that runs as ``python script arguments`` does, in a process and session of its own."""

    def __init__(self, script: Path | str, *arguments: Any, cwd: Path = ROOT, env: Mapping[str, str] | None = None):
        self.command = [str(ROOT / script), *map(str, arguments)]
        self._printed = tempfile.TemporaryDirectory()
        self.out, self.err = (Path(self._printed.name) / name for name in ("out", "err"))
        environment = dict(os.environ if env is None else env)
        self._process = CONTEXT.Process(
            target=_run_script, args=(self.command, str(cwd), environment, str(self.out), str(self.err))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def first_line(self) -> str:
        """Wait for the first line that it prints."""
        assert wait_until(lambda: self.returncode is not None or (self.out.exists() and "\n" in self.out.read_text()))
        line = self.out.read_text().partition("\n")[0] if self.out.exists() else ""
        assert line, self.communicate()[1]
        return line

    def communicate(self) -> tuple[str, str]:
        """Wait until it ends: what it printed, and its errors."""
        self._process.join()
        with self._printed:
            return self.out.read_text(), self.err.read_text()


def run_script(script: Path | str, *arguments: Any, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python file as `RunningScript` does, until it ends."""
    running = RunningScript(script, *arguments, **settings)
    printed = running.communicate()
    assert running.returncode is not None
    return subprocess.CompletedProcess(running.command, running.returncode, *printed)


def run_here(script: Path | str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python file in this process, which has imported most of what it needs; its modules are forgotten after."""
    path, before, code = ROOT / script, set(sys.modules), 0
    out, err = io.StringIO(), io.StringIO()
    command = [str(path), *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("default")
        patch.setattr(sys, "argv", command)
        patch.syspath_prepend(str(path.parent))
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as error:
            if isinstance(error.code, str):
                print(error.code, file=err)
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        finally:
            for name in set(sys.modules) - before:
                if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == path.parent:
                    del sys.modules[name]
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def _run_script(command: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    os.setsid()
    # The platform's own, as for a script: a child takes its parent's, with which each process of a loader would import
    # everything.
    multiprocessing.set_start_method(None, force=True)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = command
    sys.path[0] = str(Path(command[0]).parent)
    code: Any = 0
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as error:
        code = error.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.exit(code or 0)
