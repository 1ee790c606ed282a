"""`examples/live_training.py`: what is generated while training trains as the same insertions from a full cache do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 2  # of --smoke


def _start(mode: str, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "examples/live_training.py", "--smoke", "--mode", mode, "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # they run at once
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _losses(running: subprocess.Popen[str]) -> list[str]:
    with running:
        try:
            told, errors = running.communicate(timeout=150)
        except BaseException:
            running.kill()
            raise
    assert running.returncode == 0, errors
    return [line for line in told.splitlines() if ": loss " in line]


@pytest.mark.timeout(200)
def test_generated_and_prebuilt_insertions_train_alike() -> None:
    running = [_start(*how) for how in (("generate", 0), ("generate", 2), ("prebuilt", 2))]
    in_process, by_workers, prebuilt = (_losses(one) for one in running)
    assert len(prebuilt) == EPOCHS
    assert in_process == by_workers == prebuilt
