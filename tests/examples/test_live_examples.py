"""`examples/live_training.py`: what is generated while training trains as the same insertions from a full cache do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 2  # of --smoke


def _start(mode: str, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "examples/live_training.py", "--smoke", "--mode", mode, "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # two run at once
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
@pytest.mark.parametrize("workers", [0, 2])
def test_generated_and_prebuilt_insertions_train_alike(workers: int) -> None:
    running = [_start(mode, workers) for mode in ("generate", "prebuilt")]
    generated, prebuilt = (_losses(one) for one in running)
    assert len(generated) == EPOCHS
    assert generated == prebuilt
