"""A loader process whose parent was killed while it started ends: torch would wait for the parent's parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from multiprocessing.reduction import DupFd
from typing import Any

import pytest

from poc_aug.generation import frame_loading
from poc_aug.generation.frame_loading import FrameDataset, load_frames, quiet_when_left
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.live_cases import is_alive, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
_BOUND_S = 250.0


def load(pids: Any, go_on: Any) -> None:
    begin = frame_loading._begin_worker

    def begin_late(parent: int | None, worker: int) -> None:
        pids.put(os.getpid())
        go_on.wait()
        begin(parent, worker)

    frame_loading._begin_worker = begin_late
    base = Frames(4)
    next(load_frames(FrameDataset(base, base.keys(), [0, 1, 2, 3], None, SCHEMA, None), 1))


def test_a_loader_process_whose_parent_was_killed_while_it_started_ends() -> None:
    context = multiprocessing.get_context("fork")
    pids, go_on = context.Queue(), context.Event()
    process = context.Process(target=load, args=(pids, go_on))
    process.start()
    worker = pids.get(timeout=_BOUND_S)
    process.kill()
    process.join()
    go_on.set()
    try:
        assert wait_until(lambda: not is_alive(worker), _BOUND_S)
    finally:
        if is_alive(worker):
            os.kill(worker, signal.SIGKILL)
    pids.close()


def test_a_receiver_that_goes_away_causes_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """At Ctrl-C the main process may be about to receive a tensor: the thread that serves it sees a closed socket."""
    printed: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: printed.append(kind))
    quiet_when_left()
    read, write = os.pipe()
    shared: Any = DupFd(read)
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as leaving:
            leaving.connect(shared._id[0])
    os.close(shared.detach())  # served after the three
    os.close(read)
    os.close(write)
    assert not printed
    sys.excepthook(KeyError, KeyError("a"), None)
    assert printed == [KeyError]


def test_ctrl_c_waits_while_loader_processes_start(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = []
    start = multiprocessing.process.BaseProcess.start

    def started(process: Any) -> None:
        masks.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        start(process)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", started)
    base = Frames(2)
    frames = load_frames(FrameDataset(base, base.keys(), [0, 1], None, SCHEMA, None), 1)
    assert masks == [True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert len(list(frames)) == 2
