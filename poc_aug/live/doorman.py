"""The sockets of a generation process, in a thread of their own: requests in, and who has gone."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from poc_aug.live.feed import Asker, Feed
from poc_aug.live.messages import Ask, Message, is_same_user, receive, send

_LOOK_S = 0.25
_SEND_S = 10.0


class Doorman(threading.Thread):
    """Takes connections, hands what they ask to the feed, and stops the feed when the training process ends.

    Args:
        listener: where workers connect; open in the training process too.
        control: the training process closes or writes it to stop this process.
        feed: gets the requests.
        parent: id of the training process.
        on_orphaned: called once, in this thread, when the training process has ended without a word.
    """

    def __init__(
        self, listener: socket.socket, control: Connection, feed: Feed, parent: int, on_orphaned: Callable[[], None]
    ) -> None:
        super().__init__(name="poc-aug-doorman", daemon=True)
        self._listener, self._control, self._feed, self._parent = listener, control, feed, parent
        self._on_orphaned = on_orphaned
        self.orphaned = False
        self._connections: dict[int, socket.socket] = {}
        self._next = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Until the training process says so, or is gone."""
        listener = self._listener
        listener.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ, None)
            selector.register(self._control, selectors.EVENT_READ, "control")
            while True:
                for key, _ in selector.select(_LOOK_S):
                    if key.data == "control":
                        self._end()
                        return
                    if key.data is None:
                        self._let_in(selector)
                    else:
                        self._hear(selector, key.data)
                if os.getppid() != self._parent:
                    self._end()
                    return

    def _end(self) -> None:
        """Stop the feed; without a word from the training process, that is gone."""
        try:
            self.orphaned = not self._control.poll() or not self._control.recv_bytes()
        except (EOFError, OSError):
            # A killed process closes its files a moment before its children get another parent.
            self.orphaned = True
        self._feed.stop()
        if self.orphaned:
            self._on_orphaned()

    def answer(self, asker: Asker, message: Message) -> None:
        """Tell an asker; one that has gone is not told."""
        with self._lock:
            connection = self._connections.get(asker.connection)
            if connection is not None:
                # What it asked for is made and stored all the same.
                with suppress(OSError):
                    send(connection, asker.number, message)

    def _let_in(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # it has gone again
            return
        if not is_same_user(connection):
            connection.close()
            return
        connection.settimeout(_SEND_S)
        self._next += 1
        with self._lock:
            self._connections[self._next] = connection
        selector.register(connection, selectors.EVENT_READ, self._next)

    def _hear(self, selector: selectors.BaseSelector, number: int) -> None:
        connection = self._connections[number]
        try:
            came = receive(connection)
        except OSError:
            came = None
        if came is not None and isinstance(came[1], Ask):
            self._feed.put(Asker(number, came[0]), came[1])
            return
        selector.unregister(connection)
        with self._lock:
            del self._connections[number]
            connection.close()
