"""`RequestSockets`: the sockets of a generation process, in a thread of their own."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from poc_aug.live.messages import Message, VariantRequest, is_same_user, receive, send
from poc_aug.live.request_queue import Requester, RequestQueue

_POLL_S = 0.25
_SEND_S = 10.0


class RequestSockets(threading.Thread):
    """Accepts connections, puts their requests into the queue, and stops the queue when the training process ends.

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
        self._connections: dict[int, socket.socket] = {}
        self._next = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Serve until the training process says to stop, or has ended."""
        listener = self._listener
        listener.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ, None)
            selector.register(self._control, selectors.EVENT_READ, "control")
            while True:
                for key, _ in selector.select(_POLL_S):
                    if key.data == "control":
                        self._stop_queue()
                        return
                    if key.data is None:
                        self._accept(selector)
                    else:
                        self._read_request(selector, key.data)
                if os.getppid() != self._parent:
                    self._stop_queue()
                    return

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
        """Send an answer, unless the requester has disconnected."""
        with self._lock:
            connection = self._connections.get(requester.connection)
            if connection is not None:
                # What it requested is made and stored all the same.
                with suppress(OSError):
                    send(connection, requester.number, message)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # it has disconnected already
            return
        if not is_same_user(connection):
            connection.close()
            return
        connection.settimeout(_SEND_S)
        self._next += 1
        with self._lock:
            self._connections[self._next] = connection
        selector.register(connection, selectors.EVENT_READ, self._next)

    def _read_request(self, selector: selectors.BaseSelector, number: int) -> None:
        """Read one request, or drop a connection that has ended."""
        connection = self._connections[number]
        try:
            received = receive(connection)
        except OSError:
            received = None
        if received is not None and isinstance(received[1], VariantRequest):
            self._queue.put(Requester(number, received[0]), received[1])
            return
        selector.unregister(connection)
        with self._lock:
            del self._connections[number]
            connection.close()
