"""The thread that runs the backends: urgent calls come first, and closing waits for what runs."""

from __future__ import annotations

import threading

import pytest

from poc_aug.generation.accelerator import Accelerator
from tests.helpers.engine_cases import PATIENCE_S, no_thread_is_left, wait_for  # noqa: F401


def test_urgent_calls_come_before_others() -> None:
    accelerator = Accelerator()
    done: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        wait_for(go)

    running = accelerator.submit(first)
    wait_for(begun)
    calls = [accelerator.submit(done.append, name, urgent=name[0] == "u") for name in ("a", "b", "u1", "u2")]
    go.set()
    for call in (running, *calls):
        call.result(PATIENCE_S)
    assert done == ["u1", "u2", "a", "b"]
    with pytest.raises(ZeroDivisionError):
        accelerator.submit(divmod, 1, 0).result(PATIENCE_S)
    accelerator.close()


def test_closing_the_accelerator_waits_for_what_runs_and_cancels_the_rest() -> None:
    accelerator = Accelerator()
    begun, closing = threading.Event(), threading.Event()

    def first() -> str:
        begun.set()
        wait_for(closing)
        return "whole"

    running = accelerator.submit(first)
    wait_for(begun)
    waiting = [accelerator.submit(pytest.fail, urgent=urgent) for urgent in (True, False)]
    accelerator.cancel_waiting()
    closing.set()
    accelerator.close()
    assert running.result(0) == "whole"
    assert all(call.cancelled() for call in waiting)
