"""`Client`: a worker's connection to the generation process, whatever the start method of the worker."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import torch.utils.data

from poc_aug.cache import decode_record
from poc_aug.errors import GenerationProcessError, GenerationTimeoutError
from poc_aug.live.message_stream import MessageReader, receive_within, send_request
from poc_aug.live.messages import Failed, Gone, InvalidMessageError, Made, Message, VariantRequest
from poc_aug.live.socket_address import connect
from poc_aug.types import Sample, Variant

_REASON_S = 30.0
_CLOSED = "it was closed, or the training process that started it has ended"


class Client:
    """Requests variants from the generation process; may be pickled, forked, and used by several threads.

    Each thread of each process has a connection of its own, opened at first use.

    Args:
        address: where the generation process listens.
        queue_size: see `ServerSettings`; the workers of a loader share it evenly.

    Attributes:
        training_knows: the training process knows that there is no generation process any more, and has said why.
    """

    def __init__(self, address: str, queue_size: int) -> None:
        self._address = address
        self._queue_size = queue_size
        self._own = threading.local()
        self.training_knows = False

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
        message = self._own.connection.wait_for(number, deadline)
        if message is None:
            raise GenerationTimeoutError(
                f"variant {name[1]} of sample {name[0]!r} was not there after {timeout_s:g} s",
                expected="an insertion within timeout_s",
                hint="raise timeout_s (loading the models counts), or continue without it: live=LiveSettings("
                "timeout_s=..., on_timeout='original'); or fill the cache before training with warm_cache",
            )
        if isinstance(message, Failed):
            raise message.error
        if not isinstance(message, Made):
            raise _not_a_message(f"a {type(message).__name__}")
        return decode_record(message.record.tobytes(), *name)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drop the answers to these requests, which nobody waits for any more."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.forget(numbers)

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
        if connection is None or connection.pid != os.getpid() or connection.ended:
            if connection is not None:
                connection.close()  # that of the parent process, which has its own copy; or one that was refused
            connection = self._own.connection = _Connection(self._address, self._hear)
        return connection

    def _hear(self, gone: Gone) -> None:
        self.training_knows = not gone.closed


class _Connection:
    """One connection; answers may come in any order."""

    def __init__(self, address: str, on_gone: Callable[[Gone], None]) -> None:
        self.pid = os.getpid()
        self.ended = False
        self._address = address
        self._on_gone = on_gone
        self._next = 0
        self._answers: dict[int, Message | None] = {}  # of those that are waited for
        self._offered: dict[int, tuple[str, int]] = {}
        try:
            self._socket = connect(address)
        except OSError:
            raise _process_gone(Gone(_CLOSED, closed=True)) from None
        self._reader = MessageReader(self._socket)

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
        self._reader.close()
        self._socket.close()

    def _send(self, sample: Sample, index: int, *, waits: bool) -> int:
        self._next += 1
        try:
            send_request(self._socket, self._next, VariantRequest.of(sample, index, waits=waits))
        except ConnectionError:
            self._raise_gone()
        return self._next

    def _receive(self) -> None:
        try:
            received = self._reader.read()
        except InvalidMessageError as error:
            self.ended = True
            raise _not_a_message(str(error)) from error
        if received is None:
            self._raise_gone()
        number, message = received
        if number == 0:
            self._raise_refused(message)
        self._offered.pop(number, None)
        if number in self._answers:
            self._answers[number] = message

    def _raise_refused(self, message: Message) -> NoReturn:
        """Raise what a message says that was sent whatever was requested."""
        self.ended = True
        if isinstance(message, Failed):
            raise message.error
        if isinstance(message, Gone):
            self._on_gone(message)
            raise _process_gone(message)
        raise _not_a_message(f"a {type(message).__name__} as message 0")

    def _raise_gone(self) -> NoReturn:
        """Raise why the process is gone: the training process, which listens at its address now, says it."""
        self.ended = True
        received = self._refusal()
        if received is None:
            try:
                with connect(self._address) as connection:
                    received = receive_within(connection, _REASON_S)
            except InvalidMessageError as error:
                raise _not_a_message(str(error)) from error
            except OSError:
                received = None
        self._raise_refused(Gone(_CLOSED, closed=True) if received is None else received[1])

    def _refusal(self) -> tuple[int, Message] | None:
        """What the other side has sent before it closed the connection, if it says why."""
        self._socket.settimeout(0)
        while True:
            try:
                received = self._reader.read()
            except (OSError, InvalidMessageError):
                return None
            if received is None or received[0] == 0:
                return received


def _process_gone(message: Gone) -> GenerationProcessError:
    hint = "make the dataset again" if message.closed else "see the reason above"
    return GenerationProcessError(
        f"the generation process is gone: {message.reason}",
        expected="a generation process that runs as long as its dataset is read",
        hint=hint + ", or continue without new insertions: live=LiveSettings(on_server_failure='original')",
    )


def _not_a_message(what: str) -> GenerationProcessError:
    return GenerationProcessError(
        f"what answers at the address of the generation process sent no message of poc_aug: {what}",
        expected="a generation process of the same version of poc_aug, started by this training",
        hint="start the training again; nothing of what it sent was used",
    )
