"""File descriptors of live generation: none is kept for a message, and where they run out, the error says so."""

from __future__ import annotations

import contextlib
import errno
import gc
import multiprocessing
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any

import numpy as np
import pytest

from poc_aug.errors import GenerationError, GenerationProcessError
from poc_aug.live import process_supervisor
from poc_aug.live.client import Client
from poc_aug.live.message_stream import MessageReader, inline_bytes, send_request
from poc_aug.live.messages import Failed, Made, Stored, VariantRequest
from poc_aug.live.request_queue import Requester, RequestQueue, Stopped
from poc_aug.live.request_sockets import RequestSockets
from poc_aug.live.socket_address import connect, listen
from tests.helpers.fakes import make_sample
from tests.helpers.live_cases import live, process_of

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
TOO_MANY = r"too many open files: ulimit -n is \d+ in process \d+(?s:.*)ulimit -n \d+"
_BOUND_S = 250


class Served:
    """The sockets of a generation process, in a thread of this one."""

    def __init__(self) -> None:
        self.listener, self.address = listen()
        self.control, self.stop = connection.Pipe(duplex=False)
        self.queue = RequestQueue(0.01)
        self.sockets = RequestSockets(self.listener, self.control, self.queue, os.getppid(), lambda: None)
        self.sockets.start()

    def take(self) -> str:
        """Wait for a request; its key."""
        while (queued := self.queue.take(busy=False)) is None:
            pass
        return queued.request.key

    def close(self) -> None:
        self.stop.send_bytes(b"stop")
        self.sockets.join()
        self.listener.close()
        for worker in self.sockets._connections.values():
            worker.close()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


def test_requests_that_wait_keep_no_descriptor(served: Served) -> None:
    with connect(served.address) as worker:
        send_request(worker, 0, VariantRequest.of(make_sample(), 0, waits=True))
        served.take()
        gc.collect()  # what earlier tests have left is not closed in between
        before = len(os.listdir("/dev/fd"))
        for number in range(1, 101):
            send_request(worker, number, VariantRequest.of(make_sample(), number, waits=True))
        for _ in range(100):
            served.take()
        assert len(served.queue) == 101  # not answered: they are all held
        assert len(os.listdir("/dev/fd")) <= before


def test_answers_are_sent_without_waiting_for_who_reads_them(served: Served) -> None:
    record = np.zeros(5000, np.uint8)
    with connect(served.address) as slow, connect(served.address) as quick:
        for number, worker in enumerate((slow, quick), 1):
            send_request(worker, number, VariantRequest.of(make_sample(), number, waits=True))
        served.take(), served.take()
        (to_slow,), (to_quick,) = (served.queue.remove(("frame-000", index)) for index in (1, 2))
        for number in range(1000):  # more than the kernel keeps for a socket
            served.sockets.answer(Requester(to_slow.connection, number), Made(record))
        served.sockets.answer(to_quick, Stored())
        quick.settimeout(_BOUND_S)
        assert MessageReader(quick).read() == (2, Stored())
        slow.settimeout(_BOUND_S)
        reader = MessageReader(slow)
        for number in range(1000):
            received = reader.read()
            assert received is not None
            assert received[0] == number
            assert isinstance(received[1], Made)
            assert len(received[1].record) == 5000


def ask(client: Client, index: int) -> None:
    number = client.request(make_sample(), index, timeout_s=_BOUND_S)
    client.answer(number, ("frame-000", index), time.monotonic() + _BOUND_S, _BOUND_S)


def use_up_descriptors() -> list[int]:
    """Lower the limit to what is open, and open what is left below it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64 + len(os.listdir("/dev/fd")), most))
    held = []
    with contextlib.suppress(OSError):
        while True:
            held.append(os.dup(0))
    return held


def run_in_child(work: Callable[[connection.Connection], None]) -> tuple[Any, connection.Connection]:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there,))
    process.start()
    there.close()
    return process, here


def serve_without_descriptors(pipe: connection.Connection) -> None:
    """A generation process that runs out of descriptors, and gets some back."""
    refusals = []
    served = Served()
    refuse = served.sockets._refuse

    def counted() -> None:
        refusals.append(1)
        refuse()

    served.sockets._refuse = counted  # type: ignore[method-assign]
    pipe.send(served.address)
    assert served.take() == "frame-000"
    held = use_up_descriptors()
    pipe.send("used up")
    assert pipe.recv() == "go on"
    alive = served.sockets.is_alive()
    for fd in held:
        os.close(fd)
    pipe.send((alive, len(refusals)))
    while True:
        try:
            queued = served.queue.take(busy=False)
        except Stopped:
            return
        for requester in served.queue.remove(queued.name) if queued else []:
            served.sockets.answer(requester, Failed(GenerationError("served")))


@pytest.mark.timeout(600)
def test_a_generation_process_without_descriptors_says_so_and_goes_on() -> None:
    process, pipe = run_in_child(serve_without_descriptors)
    address = pipe.recv()
    client, other = Client(address, 4), Client(address, 4)
    client.request(make_sample(), 0, timeout_s=_BOUND_S)
    assert pipe.recv() == "used up"
    # A connection that is there: the request arrives without its descriptor.
    with pytest.raises(GenerationProcessError, match=TOO_MANY) as caught:
        ask(client, 1)
    assert f"in process {process.pid}" in str(caught.value)
    # A new one: it is refused, and the next as well, without a thread that turns round and round.
    for index in range(2):
        with pytest.raises(GenerationProcessError, match=TOO_MANY):
            ask(other, index)
    pipe.send("go on")
    assert pipe.recv() == (True, 2)
    for each in (client, other):
        with pytest.raises(GenerationError, match="served"):
            ask(each, 2)
        each.close()
    process.kill()
    process.join()


def ask_without_descriptors(pipe: connection.Connection) -> None:
    connected, unconnected = (Client(pipe.recv(), 4) for _ in range(2))
    connected.request(make_sample(), 0, timeout_s=_BOUND_S)
    use_up_descriptors()
    errors = []
    for client in (connected, unconnected):
        try:
            client.request(make_sample(), 1, timeout_s=_BOUND_S)
        except GenerationProcessError as error:
            errors.append(str(error))
    pipe.send(errors)


@pytest.mark.timeout(600)
def test_a_worker_without_descriptors_says_so(served: Served) -> None:
    process, pipe = run_in_child(ask_without_descriptors)
    pipe.send(served.address)
    pipe.send(served.address)
    errors = pipe.recv()
    process.join()
    assert len(errors) == 2
    for error in errors:
        assert "too many open files: ulimit -n is " in error
        assert f"in process {process.pid}" in error


def test_the_kernels_limit_of_descriptors_on_their_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real, refusals = socket.send_fds, iter(range(3))

    def send_fds(*arguments: Any) -> int:
        if next(refusals, None) is not None:
            raise OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")
        return real(*arguments)

    monkeypatch.setattr(socket, "send_fds", send_fds)
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        with pytest.raises(BlockingIOError):  # a sample that is offered: the worker goes on
            send_request(one, 1, VariantRequest.of(make_sample(), 0, waits=False))
        one.settimeout(_BOUND_S)
        send_request(one, 2, VariantRequest.of(make_sample(), 0, waits=True))
        received = MessageReader(other).read()
        assert received is not None
        assert received[0] == 2


def no_descriptor(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_training_without_descriptors_cannot_start_the_process_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with live() as ds:
        monkeypatch.setattr(connection, "Pipe", no_descriptor)
        with pytest.raises(GenerationProcessError, match=TOO_MANY) as caught:
            ds.start()
        assert "pickle" not in str(caught.value)
        with pytest.raises(GenerationProcessError, match=TOO_MANY):
            ds[0]
    monkeypatch.undo()
    monkeypatch.setattr(socket, "socket", no_descriptor)
    with pytest.raises(GenerationProcessError, match=TOO_MANY):
        live()


def test_the_reason_is_given_when_there_are_descriptors_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with live() as ds:
        monkeypatch.setattr(connection, "Pipe", no_descriptor)
        with pytest.raises(GenerationProcessError, match=TOO_MANY):
            ds.start()
        supervisor = process_of(ds)._supervisor
        real, refused = supervisor.listener, threading.Event()

        class Listener:
            """Has no descriptor for the first connection."""

            def fileno(self) -> int:
                return real.fileno()

            def close(self) -> None:
                real.close()

            def accept(self) -> Any:
                if not refused.is_set():
                    refused.set()
                    no_descriptor()
                return real.accept()

        supervisor.listener = Listener()  # type: ignore[assignment]
        with pytest.raises(GenerationProcessError, match=TOO_MANY):
            ds[0]
        with pytest.raises(GenerationProcessError, match=TOO_MANY):
            ds[1]
        assert refused.is_set()


def report_half_a_message(*arguments: Any) -> None:
    report = arguments[4]
    os.write(report.fileno(), struct.pack("!i", 1000) + b"Traceback")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_in_the_middle_of_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    with live() as ds:
        monkeypatch.setattr(process_supervisor, "run_server", report_half_a_message)
        fork = multiprocessing.get_context("fork")
        monkeypatch.setattr(multiprocessing, "get_context", lambda method: fork)
        with pytest.raises(GenerationProcessError, match="killed by SIGKILL"):
            ds.start()
        assert process_of(ds).state == "failed"


def test_a_refused_connection_is_tried_again() -> None:
    listener, address = listen()
    client = Client(address, 4)
    with listener:
        refused = threading.Thread(target=lambda: refuse_once(listener))
        refused.start()
        with pytest.raises(GenerationProcessError, match="full"):
            ask(client, 0)
        refused.join()
        client.request(make_sample(), 0, timeout_s=_BOUND_S)
        accepted, _ = listener.accept()
        accepted.close()
        client.close()


def refuse_once(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    with accepted:
        accepted.sendall(inline_bytes(0, Failed(GenerationProcessError("full"))))
