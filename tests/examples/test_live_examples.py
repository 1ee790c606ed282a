"""`examples/live_training.py`: what is generated while training trains as the same insertions from a full cache do."""

from __future__ import annotations

import pytest

from tests.helpers.quick_start import RunningScript

EPOCHS = 2  # of --smoke


def _losses(running: RunningScript) -> list[str]:
    told, errors = running.communicate()
    assert running.returncode == 0, errors
    return [line for line in told.splitlines() if ": loss " in line]


@pytest.mark.parametrize("workers", [0, 2])
def test_generated_and_prebuilt_insertions_train_alike(workers: int) -> None:
    running = [
        RunningScript("examples/live_training.py", "--smoke", "--mode", mode, "--workers", workers)
        for mode in ("generate", "prebuilt")
    ]
    generated, prebuilt = (_losses(one) for one in running)
    assert len(generated) == EPOCHS
    assert generated == prebuilt
