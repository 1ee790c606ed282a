"""Servers of stores on loopback: S3 (moto, a process of its own), a web server, and a proxy that cuts connections."""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

_S3_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the tests end, however they end
"""


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server in a process of its own; gives its address."""
    command = [sys.executable, "-c", _S3_SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait()


def s3_files(endpoint: str) -> Any:
    """The buckets of a server, not through what is tested."""
    return fsspec.filesystem("s3", endpoint_url=endpoint, key="key", secret="secret", use_listings_cache=False)


class CuttingProxy:
    """A TCP proxy in front of a server that cuts connections after so many bytes, of both directions.

    Attributes:
        cuts: bytes after which the next connections that get this far are cut; with none left, it cuts none.
        cut: how many connections it has cut.
        answered: bytes of answers so far.
        passed: bytes of both directions so far.
        down_after: how many may pass; then every connection is cut.
        holds_after: bytes of answers after which it waits, once, for `go_on`.
    """

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open = True
        self.cuts: list[int] = []
        self.cut = 0
        self.answered = 0
        self.holds_after: int | None = None
        self.go_on = threading.Event()
        self.down_after: int | None = None
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self._open = False
        with contextlib.suppress(OSError):  # wakes accept()
            socket.create_connection(self._listening.getsockname()).close()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            if not self._open:
                client.close()
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            passed = 0
            while True:
                for key, _ in ready.select():
                    source: Any = key.fileobj
                    try:
                        data = source.recv(1 << 16)
                        if source is server:
                            self._count(len(data))
                        passed += len(data)
                        data, is_cut = self._part(data, passed)
                        key.data.sendall(data)
                    except OSError:
                        return
                    if is_cut or not data:
                        return

    def _count(self, nbytes: int) -> None:
        with self._lock:
            holds = self.holds_after is not None and self.answered > self.holds_after
            self.holds_after = None if holds else self.holds_after
            self.answered += nbytes
        if holds:
            self.go_on.wait()

    def _part(self, data: bytes, passed: int) -> tuple[bytes, bool]:
        with self._lock:
            self.passed += len(data)
            if self.down_after is not None and self.passed > self.down_after:
                return b"", True
            if not self.cuts or passed < self.cuts[0]:
                return data, False
            after = self.cuts.pop(0)
            self.cut += 1
            return data[: max(len(data) - (passed - after), 0)], True


class _RangeHandler(http.server.SimpleHTTPRequestHandler):
    """A web server that lists nothing; with ``ranges``, it answers requests for a part of a file."""

    ranges = True
    protocol_version = "HTTP/1.1"

    def list_directory(self, path: Any) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def send_head(self) -> Any:
        found = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not self.ranges or found is None or not path.is_file():
            return super().send_head()
        size, start = path.stat().st_size, int(found[1])
        if start >= size:
            self.send_error(416)
            return None
        end = min(int(found[2] or size), size - 1)
        file = path.open("rb")
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        file.seek(start)
        return file


class _WholeHandler(_RangeHandler):
    ranges = False


@contextlib.contextmanager
def web_server(folder: Path, *, ranges: bool) -> Iterator[str]:
    """A web server of the files in a folder; gives its address."""
    handler = functools.partial(_RangeHandler if ranges else _WholeHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
