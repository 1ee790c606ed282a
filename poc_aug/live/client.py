"""`Client`: a worker's connection to the generation process, whatever the start method of the worker."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import torch.utils.data

from poc_aug.cache import decode_record
from poc_aug.errors import GenerationProcessError, GenerationTimeoutError
from poc_aug.live.messages import Failed, Gone, Made, Message, VariantRequest, connect, receive, send
from poc_aug.types import Sample, Variant

_CLOSED = "it was closed, or the training process that started it has ended"


class Client:
    """Requests variants from the generation process; may be pickled, forked, and used by several threads.

    Each thread of each process has a connection of its own, opened at first use.

    Args:
        address: where the generation process listens.
        queue_size: see `ServerSettings`; the workers of a loader share it evenly.
    """

    def __init__(self, address: str, queue_size: int) -> None:
        self._address = address
        self._queue_size = queue_size
        self._own = threading.local()

    def __getstate__(self) -> tuple[str, int]:
        return self._address, self._queue_size

    def __setstate__(self, state: tuple[str, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def request(self, sample: Sample, index: int, *, timeout_s: float) -> int:
        """Request a variant without waiting; returns the number to pass to `answer`.

        Raises:
            GenerationProcessError: the generation process is gone.
            GenerationTimeoutError: it read no message for ``timeout_s``.
        """
        return self._connection().request(sample, index, timeout_s)

    def answer(self, number: int, name: tuple[str, int], deadline: float, timeout_s: float) -> Variant:
        """Wait for a variant that was requested.

        Args:
            number: what `request` returned, in this thread.
            name: key and index of the variant.
            deadline: when to stop waiting, on ``time.monotonic``'s clock.
            timeout_s: how long that is in total, for the message.

        Raises:
            PocAugError: the generation process could not make the variant.
            GenerationProcessError: it is gone.
            GenerationTimeoutError: no answer came in time.
        """
        message = self._connection().wait_for(number, deadline)
        if message is None:
            raise GenerationTimeoutError(
                f"variant {name[1]} of sample {name[0]!r} was not there after {timeout_s:g} s",
                expected="an insertion within timeout_s",
                hint="raise timeout_s (loading the models counts), or continue without it: live=LiveSettings("
                "timeout_s=..., on_timeout='original'); or fill the cache before training with warm_cache",
            )
        if isinstance(message, Failed):
            raise message.error
        assert isinstance(message, Made)
        return decode_record(message.record.tobytes(), *name)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drop the answers to these requests, which nobody waits for any more."""
        self._connection().forget(numbers)

    def offer(self, make_sample: Callable[[], Sample], name: tuple[str, int]) -> bool:
        """Have a variant made ahead, without waiting; ``False`` if this worker's share of the queue is full.

        Args:
            make_sample: makes the sample; called only if there is room.
            name: key and index of the variant.

        Raises:
            GenerationProcessError: the generation process is gone.
        """
        return self._connection().offer(make_sample, name, self._share())

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    def _share(self) -> int:
        worker = torch.utils.data.get_worker_info()
        return max(1, self._queue_size // (1 if worker is None else worker.num_workers))

    def _connection(self) -> _Connection:
        connection: _Connection | None = getattr(self._own, "connection", None)
        if connection is None or connection.pid != os.getpid():
            if connection is not None:
                connection.close()  # that of the parent process, which has its own copy
            connection = self._own.connection = _Connection(self._address)
        return connection


class _Connection:
    """One connection; answers may come in any order."""

    def __init__(self, address: str) -> None:
        self.pid = os.getpid()
        self._address = address
        self._next = 0
        self._answers: dict[int, Message | None] = {}  # of those that are waited for
        self._offered: dict[int, tuple[str, int]] = {}
        try:
            self._socket = connect(address)
        except OSError:
            raise _process_gone(Gone(_CLOSED, closed=True)) from None

    def request(self, sample: Sample, index: int, timeout_s: float) -> int:
        self._socket.settimeout(timeout_s)
        try:
            number = self._send(sample, index, waits=True)
        except TimeoutError:
            raise GenerationTimeoutError(
                f"the generation process read no request for {timeout_s:g} s",
                expected="a process that reads its requests",
                hint="look at its output, and check whether the machine is out of memory and swaps",
            ) from None
        self._answers[number] = None
        return number

    def offer(self, make_sample: Callable[[], Sample], name: tuple[str, int], share: int) -> bool:
        self._socket.settimeout(0)
        while True:
            try:
                self._receive()
            except BlockingIOError:
                break
        if len(self._offered) >= share or name in self._offered.values():
            return False
        try:
            self._offered[self._send(make_sample(), name[1], waits=False)] = name
        except BlockingIOError:
            return False
        return True

    def wait_for(self, number: int, deadline: float) -> Message | None:
        while (message := self._answers[number]) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                self._receive()
            except TimeoutError:
                return None
        return message

    def forget(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._answers.pop(number, None)

    def close(self) -> None:
        self._socket.close()

    def _send(self, sample: Sample, index: int, *, waits: bool) -> int:
        self._next += 1
        try:
            send(self._socket, self._next, VariantRequest.of(sample, index, waits=waits))
        except ConnectionError:
            self._raise_gone()
        return self._next

    def _receive(self) -> None:
        received = receive(self._socket)
        if received is None:
            self._raise_gone()
        number, message = received
        if isinstance(message, Gone):
            raise _process_gone(message)
        self._offered.pop(number, None)
        if number in self._answers:
            self._answers[number] = message

    def _raise_gone(self) -> NoReturn:
        """Raise why the process is gone: the training process, which listens at its address now, says it."""
        gone = Gone(_CLOSED, closed=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            try:
                connection.connect(self._address)
                received = receive(connection)
            except OSError:
                received = None
        if received is not None and isinstance(received[1], Gone):
            gone = received[1]
        raise _process_gone(gone)


def _process_gone(message: Gone) -> GenerationProcessError:
    hint = "call POCAugmentedDataset again" if message.closed else "see the reason above"
    return GenerationProcessError(
        f"the generation process is gone: {message.reason}",
        expected="a generation process that runs as long as its dataset is read",
        hint=hint + ", or continue without new insertions: live=LiveSettings(on_server_failure='original')",
    )
