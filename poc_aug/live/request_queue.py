"""`RequestQueue`: what workers request, in order of need, each variant once."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from poc_aug.live.messages import VariantRequest

_IDLE_S = 0.25
_POSTPONE_S = 0.05  # until a variant that another process makes is looked at again


@dataclass
class Requester:
    """Where an answer goes: a connection, and the number of the request on it.

    Attributes:
        connection: number of the connection.
        number: number of the message.
        waits: it waits for the variant, and gets its record.
    """

    connection: int
    number: int
    waits: bool = True


@dataclass
class QueuedVariant:
    """A variant that is requested.

    Attributes:
        request: the first request for it.
        requesters: all who get the answer.
    """

    request: VariantRequest
    requesters: list[Requester] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, int]:
        """Key and index."""
        return self.request.key, self.request.index


class Stopped(Exception):
    """Raised by `RequestQueue.take` to end the engine."""


class RequestQueue:
    """Variants that a worker waits for come before those that are generated ahead.

    The thread that reads the sockets puts requests in, the engine's thread takes them out.

    Args:
        max_wait_s: how long a batch that is not full waits for further requests.
    """

    def __init__(self, max_wait_s: float) -> None:
        self.max_wait_s = max_wait_s
        self._changed = threading.Condition()
        self._woken = False
        self._stopped = False
        self._urgent: deque[QueuedVariant] = deque()
        self._ahead: deque[QueuedVariant] = deque()
        self._postponed: deque[tuple[float, QueuedVariant]] = deque()
        self._open: dict[tuple[str, int], QueuedVariant] = {}

    def __len__(self) -> int:
        return len(self._open)

    def put(self, requester: Requester, request: VariantRequest) -> None:
        """Add a request; one for a variant that is requested already joins it."""
        with self._changed:
            queued = self._open.get((request.key, request.index))
            if queued is None:
                queued = self._open[request.key, request.index] = QueuedVariant(request)
                (self._urgent if request.waits else self._ahead).append(queued)
            elif request.waits and queued in self._ahead:
                self._ahead.remove(queued)
                self._urgent.append(queued)
            queued.requesters.append(requester)
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

    def take(self, *, busy: bool) -> QueuedVariant | None:
        """The next variant; ``None`` if none was requested in time, or after `wake`.

        Args:
            busy: others are being generated, which wait at most ``max_wait_s`` for this one to share their batch.

        Raises:
            Stopped: after `stop`.
        """
        with self._changed:
            until = time.monotonic() + (self.max_wait_s if busy else _IDLE_S)
            while True:
                now = time.monotonic()
                if self._stopped:
                    raise Stopped
                if self._postponed and self._postponed[0][0] <= now:
                    return self._postponed.popleft()[1]
                if self._urgent or self._ahead:
                    return (self._urgent or self._ahead).popleft()
                if self._woken or now >= until:
                    self._woken = False
                    return None
                self._changed.wait(min([until, *(at for at, _ in self._postponed)]) - now)

    def postpone(self, queued: QueuedVariant) -> None:
        """Return a variant from `take` again in a while: another process generates it now."""
        with self._changed:
            self._postponed.append((time.monotonic() + _POSTPONE_S, queued))

    def remove(self, name: tuple[str, int]) -> list[Requester]:
        """Take a variant that is done out of the queue; returns those who get the answer."""
        with self._changed:
            queued = self._open.pop(name, None)
            return [] if queued is None else queued.requesters
