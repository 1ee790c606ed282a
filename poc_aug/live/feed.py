"""The jobs of a generation process: what workers ask for, in order of need, each variant once."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from poc_aug.live.messages import Ask

_IDLE_S = 0.25
_ELSEWHERE_S = 0.05  # between two looks at what another process makes


@dataclass
class Asker:
    """Somebody who waits for an answer: a connection, and the number of what it asked.

    Attributes:
        connection: number of the connection.
        number: number of the message.
    """

    connection: int
    number: int


@dataclass
class Request:
    """A variant that is asked for.

    Attributes:
        ask: the first message that asked for it.
        askers: all who wait for it.
    """

    ask: Ask
    askers: list[Asker] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, int]:
        """Key and index."""
        return self.ask.key, self.ask.index


class Stopped(Exception):
    """Raised out of the feed to end the engine."""


class Feed:
    """Requests by need: those that a worker waits for before those that are made ahead.

    The thread that reads the sockets puts, the engine's takes.
    """

    def __init__(self, max_wait_s: float) -> None:
        self.max_wait_s = max_wait_s
        self._changed = threading.Condition()
        self._woken = False
        self._stopped = False
        self._urgent: deque[Request] = deque()
        self._others: deque[Request] = deque()
        self._elsewhere: deque[tuple[float, Request]] = deque()
        self._open: dict[tuple[str, int], Request] = {}

    def __len__(self) -> int:
        return len(self._open)

    def put(self, asker: Asker, ask: Ask) -> None:
        """Add a request; one for a variant that is asked for already joins it."""
        with self._changed:
            request = self._open.get((ask.key, ask.index))
            if request is None:
                request = self._open[ask.key, ask.index] = Request(ask)
                (self._urgent if ask.waits else self._others).append(request)
            elif ask.waits and request in self._others:
                self._others.remove(request)
                self._urgent.append(request)
            request.askers.append(asker)
            self._changed.notify()

    def wake(self) -> None:
        """Have `take` return, since something else has changed."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def stop(self) -> None:
        """Have `take` raise `Stopped`."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def take(self, *, busy: bool) -> Request | None:
        """The next request; ``None`` where none came in time, or after `wake`.

        Args:
            busy: others are under way, which wait at most ``max_wait_s`` for this one to share their batch.

        Raises:
            Stopped: after `stop`.
        """
        with self._changed:
            until = time.monotonic() + (self.max_wait_s if busy else _IDLE_S)
            while True:
                now = time.monotonic()
                if self._stopped:
                    raise Stopped
                if self._elsewhere and self._elsewhere[0][0] <= now:
                    return self._elsewhere.popleft()[1]
                if self._urgent or self._others:
                    return (self._urgent or self._others).popleft()
                if self._woken or now >= until:
                    self._woken = False
                    return None
                self._changed.wait(min([until, *(at for at, _ in self._elsewhere)]) - now)

    def put_back(self, request: Request) -> None:
        """Look at a request again in a while: another process makes it now."""
        with self._changed:
            self._elsewhere.append((time.monotonic() + _ELSEWHERE_S, request))

    def done(self, name: tuple[str, int]) -> list[Asker]:
        """A request is answered; returns who has to be told."""
        with self._changed:
            request = self._open.pop(name, None)
            return [] if request is None else request.askers
