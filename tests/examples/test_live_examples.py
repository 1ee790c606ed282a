"""`examples/live_training.py`: what is generated while training trains as the same insertions from a full cache do."""

from __future__ import annotations

import pytest

from tests.helpers.quick_start import run_here

EPOCHS = 2  # of --smoke


def _losses(mode: str, workers: int) -> list[str]:
    ended = run_here("examples/live_training.py", "--smoke", "--mode", mode, "--workers", workers)
    assert ended.returncode == 0, ended.stderr
    return [line for line in ended.stdout.splitlines() if ": loss " in line]


@pytest.mark.usefixtures("quick_live")
@pytest.mark.parametrize("workers", [0, 2])
def test_generated_and_prebuilt_insertions_train_alike(workers: int) -> None:
    generated, prebuilt = (_losses(mode, workers) for mode in ("generate", "prebuilt"))
    assert len(generated) == EPOCHS
    assert generated == prebuilt
