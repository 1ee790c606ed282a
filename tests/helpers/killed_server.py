"""A review's server in a process of its own, on one port: it can be killed and started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import warnings
from pathlib import Path

from poc_aug.review import serve


def unused_port() -> int:
    """A port that stays free while nobody listens there: no system takes it for a connection of its own."""
    while True:
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port := random.SystemRandom().randrange(20_000, 32_000)))
            except OSError:
                continue
            return port


class KilledServer:
    """The server of a cache.

    Attributes:
        cache: what is reviewed; another one from the next start on.
        token: the secret of the address; another one from the next start on.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.port = unused_port()
        self.token = "the-same-in-every-process"
        self.process = 0

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        reads, writes = os.pipe()
        self.process = fork()
        if not self.process:
            try:
                os.close(reads)
                serve(
                    self.cache,
                    reviewer="anna",
                    port=self.port,
                    token=self.token,
                    on_start=lambda address: _tell(writes, address),
                )
            finally:
                os._exit(1)
        os.close(writes)
        with open(reads) as told:
            assert told.readline().strip() == self.address

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.process = 0

    def restart(self, token: str, cache: Path | None = None) -> None:
        """Kill it, and start it with another address, perhaps for another cache."""
        self.kill()
        self.token, self.cache = token, cache or self.cache
        self.start()


def fork() -> int:
    """A copy of this process, since a new interpreter would take seconds; the browser's threads are not in it."""
    with warnings.catch_warnings():
        # From Python 3.12 on: a lock that another thread holds stays locked. A server takes none of the browser's.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _tell(pipe: int, address: str) -> None:
    os.write(pipe, f"{address}\n".encode())
