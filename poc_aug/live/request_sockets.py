"""`RequestSockets`: the sockets of a generation process, in a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection

from poc_aug.live.message_stream import MessageReader, inline_bytes
from poc_aug.live.messages import Failed, InvalidMessageError, Message, VariantRequest
from poc_aug.live.open_files import is_too_many_files, too_many_files
from poc_aug.live.request_queue import Requester, RequestQueue
from poc_aug.live.socket_address import is_same_user

_logger = logging.getLogger("poc_aug")
_POLL_S = 0.25
_PAUSE_S = 0.5  # until a connection is accepted again for which there was no descriptor


class RequestSockets(threading.Thread):
    """Accepts connections, puts their requests into the queue, and stops the queue when the training process ends.

    Nothing here waits for a worker: what one does not read yet is kept until it does, and the others are served.

    Args:
        listener: where workers connect; open in the training process too.
        control: the training process closes it, or writes to it, to stop this process.
        queue: gets the requests.
        parent: id of the training process.
        on_orphaned: called once, in this thread, if the training process has ended without stopping this one.
    """

    def __init__(
        self,
        listener: socket.socket,
        control: Connection,
        queue: RequestQueue,
        parent: int,
        on_orphaned: Callable[[], None],
    ) -> None:
        super().__init__(name="poc-aug-sockets", daemon=True)
        self._listener, self._control, self._queue, self._parent = listener, control, queue, parent
        self._on_orphaned = on_orphaned
        self.orphaned = False
        self._connections: dict[int, _WorkerConnection] = {}
        self._next = 0
        self._lock = threading.Lock()  # of the connections, which the engine's thread looks up
        self._selector = selectors.DefaultSelector()
        self._woken, self._waking = socket.socketpair()  # wakes this thread when an answer could not be sent at once
        self._spare = _spare_descriptor()
        self._paused_until: float | None = None  # the listener is not watched

    def run(self) -> None:
        """Serve until the training process says to stop, or has ended."""
        for watched, name in ((self._listener, "listener"), (self._woken, "woken")):
            watched.setblocking(False)
            self._selector.register(watched, selectors.EVENT_READ, name)
        self._waking.setblocking(False)
        self._selector.register(self._control, selectors.EVENT_READ, "control")
        with self._selector:
            while True:
                for key, events in self._selector.select(_POLL_S):
                    if key.data == "control":
                        self._stop_queue()
                        return
                    if key.data == "listener":
                        self._accept()
                    elif key.data == "woken":
                        self._watch_unsent()
                    else:
                        self._serve(key.data, events)
                if os.getppid() != self._parent:
                    self._stop_queue()
                    return
                if self._paused_until is not None and time.monotonic() > self._paused_until:
                    self._paused_until = None
                    self._selector.register(self._listener, selectors.EVENT_READ, "listener")

    def _stop_queue(self) -> None:
        """Stop the queue; if the training process has not sent anything, it has ended."""
        try:
            self.orphaned = not self._control.poll() or not self._control.recv_bytes()
        except (EOFError, OSError):
            # A killed process closes its files a moment before its children get another parent.
            self.orphaned = True
        self._queue.stop()
        if self.orphaned:
            self._on_orphaned()

    def answer(self, requester: Requester, message: Message) -> None:
        """Send an answer, unless the requester has disconnected; returns at once, whether it is read or not."""
        with self._lock:
            connection = self._connections.get(requester.connection)
        # What it requested is made and stored all the same.
        if connection is not None and not connection.send(requester.number, message):
            with contextlib.suppress(BlockingIOError):  # it is about to wake up
                self._waking.send(b"1")

    def _watch_unsent(self) -> None:
        self._woken.recv(4096)
        for number, connection in list(self._connections.items()):
            if connection.has_unsent:
                self._watch(number, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _watch(self, number: int, events: int) -> None:
        self._selector.modify(self._connections[number].socket, events, number)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError as error:
            if is_too_many_files(error):
                self._refuse()
            return  # otherwise it has disconnected already
        if not is_same_user(accepted):
            accepted.close()
            return
        self._next += 1
        with self._lock:
            self._connections[self._next] = _WorkerConnection(accepted)
        self._selector.register(accepted, selectors.EVENT_READ, self._next)

    def _refuse(self) -> None:
        """Tell a worker that there is no descriptor for its connection, with one that is kept for this."""
        error = too_many_files()
        _logger.error("The generation process cannot accept a worker: %s", error)
        if self._spare is not None:
            os.close(self._spare)
        try:
            accepted, _ = self._listener.accept()
            with accepted:
                accepted.setblocking(False)
                accepted.send(inline_bytes(0, Failed(error)))
        except OSError as again:
            _logger.debug("The worker could not be told: %s", again)
        self._spare = _spare_descriptor()
        # Whoever connects now waits, and this thread does not turn round and round meanwhile.
        self._selector.unregister(self._listener)
        self._paused_until = time.monotonic() + _PAUSE_S

    def _serve(self, number: int, events: int) -> None:
        """Send and read what can be, or drop a connection that has ended."""
        connection = self._connections[number]
        if events & selectors.EVENT_WRITE and connection.flush():
            self._watch(number, selectors.EVENT_READ)
        if not events & selectors.EVENT_READ:
            return
        try:
            received = connection.reader.read()
        except BlockingIOError:  # the rest of it follows
            return
        except InvalidMessageError as error:
            _logger.warning("The generation process drops a connection that sent no message of poc_aug: %s", error)
            received = None
        except OSError as error:
            _logger.debug("A connection has ended: %s", error)
            received = None
        if received is None:
            self._drop(number)
        elif isinstance(received[1], VariantRequest):
            self._queue.put(Requester(number, received[0], received[1].waits), received[1])
        elif isinstance(received[1], Failed):  # it could not be received: the reason goes back
            _logger.error("The generation process could not receive a request: %s", received[1].error)
            self.answer(Requester(number, received[0]), received[1])
        else:
            _logger.warning("The generation process drops a connection that sent a %s", type(received[1]).__name__)
            self._drop(number)

    def _drop(self, number: int) -> None:
        with self._lock:
            connection = self._connections.pop(number)
        self._selector.unregister(connection.socket)
        connection.close()


class _WorkerConnection:
    """A connection to a worker, and what it has not read yet. The engine's thread sends, and that of the sockets."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        self.socket = accepted
        self.reader = MessageReader(accepted)
        self._unsent: deque[memoryview] = deque()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def send(self, number: int, message: Message) -> bool:
        """Send as much as is possible now; ``False`` if some of it is left for `flush`."""
        data = memoryview(inline_bytes(number, message))
        with self._lock:
            self._unsent.append(data)
            return self._flush()

    def flush(self) -> bool:
        """Send what is left; ``False`` if some of it still is."""
        with self._lock:
            return self._flush()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._unsent.clear()
            self.reader.close()
            self.socket.close()

    def _flush(self) -> bool:
        while self._unsent and not self._closed:
            data = self._unsent[0]
            try:
                sent = self.socket.send(data)
            except BlockingIOError:
                return False
            except OSError:  # it has disconnected: the thread of the sockets reads that, too
                break
            self._unsent[0] = data[sent:]
            if not len(self._unsent[0]):
                self._unsent.popleft()
        self._unsent.clear()
        return True


def _spare_descriptor() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
