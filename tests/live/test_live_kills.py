"""Whatever ends a training program: no process, no shared memory, no folder and no socket is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.kinds import FRAMES, INSERTIONS, Kind
from tests.helpers.live_cases import is_alive, kill, traces
from tests.helpers.quick_start import RunningScript
from tests.helpers.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str) -> tuple[RunningScript, dict[str, Any]]:
    program = RunningScript("tests/helpers/live_program.py", *arguments)
    return program, json.loads(program.first_line())


def all_gone(processes: dict[str, Any]) -> bool:
    return not any(is_alive(pid) for pid in (processes["server"], processes["parent"], *processes["workers"]))


def left_by(processes: dict[str, Any]) -> set[str]:
    return traces(processes["server"], processes["parent"], *processes["workers"])


# What is generated is the same to processes that end: each start method has one kind, "fork" both.
@pytest.mark.parametrize(
    ("kind", "start_method"),
    [(INSERTIONS, "fork"), (FRAMES, "fork"), (INSERTIONS, "spawn"), (FRAMES, "none")],
    indirect=["kind"],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_killed_training_leaves_nothing(kind: Kind, start_method: str) -> None:
    program, processes = start(start_method, "train", kind.name)
    assert is_alive(processes["server"])
    assert len(processes["workers"]) == (0 if start_method == "none" else 2)
    kill(program.pid)
    program.communicate()
    assert wait_until(lambda: all_gone(processes))
    assert wait_until(lambda: not left_by(processes))
    assert not Path(processes["cache"]).exists()


def test_everything_killed_at_once_leaves_no_process_and_no_shared_memory(kind: Kind) -> None:
    program, processes = start("fork", "train", kind.name)
    os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
    assert wait_until(lambda: all_gone(processes))
    folder = Path(processes["cache"]).parent
    assert wait_until(lambda: left_by(processes) <= {folder.name})  # on disk: nobody was left to delete it
    shutil.rmtree(folder, ignore_errors=True)


def test_a_killed_server_ends_the_training_with_the_reason(kind: Kind) -> None:
    program, processes = start("fork", "train", kind.name)
    kill(processes["server"])
    _, errors = program.communicate()
    assert program.returncode == 1
    assert "GenerationProcessError" in errors
    assert "killed by SIGKILL" in errors
    assert wait_until(lambda: all_gone(processes))


def test_a_killed_worker_ends_the_training_and_the_server(kind: Kind) -> None:
    program, processes = start("fork", "train", kind.name)
    kill(processes["workers"][0])
    _, errors = program.communicate()
    assert program.returncode == 1
    assert "killed by signal" in errors
    assert wait_until(lambda: all_gone(processes))


@pytest.mark.parametrize("start_method", ["fork", "none"])
def test_ctrl_c_ends_everything_quietly(start_method: str) -> None:
    program, processes = start(start_method, "train")
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to every process
    _, errors = program.communicate()
    assert program.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in errors
    assert "poc-aug-generation" not in errors  # no traceback of the generation process
    assert wait_until(lambda: all_gone(processes))
    assert wait_until(lambda: not left_by(processes))


@pytest.mark.parametrize(("what", "code"), [("raise", 1), ("return", 0), ("exit", 3)])
def test_training_that_ends_ends_the_server(what: str, code: int) -> None:
    program, processes = start("fork", what)
    _, errors = program.communicate()
    assert program.returncode == code
    assert ("the loss is NaN" in errors) == (what == "raise")
    assert wait_until(lambda: all_gone(processes))
    assert wait_until(lambda: not left_by(processes))


def test_a_script_without_a_main_guard_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "from tests.helpers.live_cases import live\nds = live()\nds[0]\n",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr
