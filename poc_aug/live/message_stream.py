"""How messages travel on a Unix socket: a frame of 24 bytes, a head of JSON, and arrays.

The arrays of a request do not pass through the socket, since whoever sends one may not have to wait: they are in memory
that has no name anywhere (``memfd``), whose descriptor travels with the frame. The receiver copies them and closes it,
so that no message that waits keeps a descriptor open. The kernel frees the memory when the last process that has it
open closes it or ends, so not even SIGKILL leaves a segment behind, and the size of ``/dev/shm`` (64 MB in many
containers) does not matter. No lock is shared, so a process that dies cannot leave one locked.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import tempfile
import time
from typing import Any

import numpy as np

from poc_aug.live.messages import (
    MAX_BODY_NBYTES,
    MAX_HEAD_NBYTES,
    Failed,
    InvalidMessageError,
    Message,
    VariantRequest,
    aligned,
    decode_message,
    encode_message,
)
from poc_aug.live.open_files import naming_too_many_files, too_many_files

_FRAME = struct.Struct("<4sIQQ")  # magic, bytes of the head, number, bytes of the body
_INLINE, _IN_MEMORY = b"POCi", b"POCm"
_REST_S = 10.0  # for the rest of a message whose beginning is sent
_RETRY_S = 0.01
_PIECE = 1 << 20
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def inline_bytes(number: int, message: Message) -> bytes:
    """A message as what is written to the socket, arrays included."""
    head, arrays = encode_message(message)
    body = b"".join(arrays)
    return b"".join((_FRAME.pack(_INLINE, len(head), number, len(body)), head, body))


def send_request(to: socket.socket, number: int, request: VariantRequest) -> None:
    """Send a request; its arrays are copied once, into shared memory.

    Raises:
        OSError: the other side is gone; ``TimeoutError`` after the socket's timeout, ``BlockingIOError`` if that is 0.
        GenerationProcessError: this process has too many open files.
        GenerationError: the key or the frame is larger than a message may be.
    """
    head, arrays = encode_message(request)
    end = 0
    with naming_too_many_files():
        fd = _anonymous()
    try:
        # Written, not mapped: mapping pages for the first time costs as much again as the copy.
        for view in arrays:
            _write(fd, bytes(aligned(end) - end))
            _write(fd, view)
            end = aligned(end) + len(view)
        data = _FRAME.pack(_IN_MEMORY, len(head), number, end) + head
        sent = _send_with_descriptor(to, data, fd)
    finally:
        os.close(fd)
    if sent < len(data):  # only where the buffers of sockets are small
        timeout = to.gettimeout()
        to.settimeout(_REST_S)
        try:
            to.sendall(data[sent:])
        except TimeoutError:
            raise ConnectionAbortedError("half of a message is sent, and the other side does not read") from None
        finally:
            to.settimeout(timeout)


def _send_with_descriptor(to: socket.socket, data: bytes, fd: int) -> int:
    timeout = to.gettimeout()
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            return socket.send_fds(to, [data], [fd])
        except OSError as error:
            # The kernel limits how many descriptors a user may have on their way: the other side reads them soon.
            if error.errno != errno.ETOOMANYREFS:
                raise
        if timeout == 0:
            raise BlockingIOError(errno.EAGAIN, "too many descriptors are on their way")
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("too many descriptors are on their way")
        time.sleep(_RETRY_S)


class MessageReader:
    """Reads messages from a socket; one that has arrived in part is kept until its rest does.

    Args:
        source: the socket; its timeout holds for each `read`.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._begin()

    def _begin(self) -> None:
        self._frame, self._head, self._body = bytearray(), bytearray(), bytearray()
        self._fd: int | None = None
        self._fd_lost = False

    def read(self) -> tuple[int, Message] | None:
        """The next message and its number; ``None`` if the other side is gone.

        Raises:
            TimeoutError, BlockingIOError: it is not there yet.
            InvalidMessageError: what has arrived is no message; no further one can be read.
        """
        try:
            if not self._fill(self._frame, _FRAME.size):
                return None
            kind, head_nbytes, number, body_nbytes = _FRAME.unpack(self._frame)
            if kind not in (_INLINE, _IN_MEMORY):
                raise InvalidMessageError(f"it begins with {bytes(self._frame[:8])!r}")
            if head_nbytes > MAX_HEAD_NBYTES or body_nbytes > MAX_BODY_NBYTES:
                raise InvalidMessageError(f"a head of {head_nbytes} bytes and a body of {body_nbytes}")
            if not self._fill(self._head, head_nbytes):
                return None
            if kind == _INLINE:
                if not self._fill(self._body, body_nbytes):
                    return None
                body = np.frombuffer(self._body, np.uint8)
            elif self._fd is not None:
                body = _copied(self._fd, body_nbytes)
            elif self._fd_lost:
                self._begin()
                return number, Failed(too_many_files())  # the kernel could not open it in this process
            else:
                raise InvalidMessageError("a message without its descriptor")
            message = decode_message(bytes(self._head), body)
        except ConnectionError:
            self.close()
            return None
        except (TimeoutError, BlockingIOError):
            raise
        except BaseException:
            self.close()
            raise
        self.close()
        return number, message

    def close(self) -> None:
        """Forget what has arrived in part."""
        if self._fd is not None:
            os.close(self._fd)
        self._begin()

    def _fill(self, into: bytearray, nbytes: int) -> bool:
        """Receive until ``into`` has so many bytes; memory is allocated for what arrives. ``False`` at the end."""
        while (missing := nbytes - len(into)) > 0:
            data, fds, flags, _ = socket.recv_fds(self._source, min(missing, _PIECE), 1, _CLOSE_ON_EXEC)
            self._fd_lost |= bool(flags & socket.MSG_CTRUNC) and not fds
            for fd in fds:
                if self._fd is None:
                    self._fd = fd
                else:
                    os.close(fd)
            if not data:
                return False
            into += data
        return True


def receive_within(source: socket.socket, seconds: float) -> tuple[int, Message] | None:
    """The only message that is expected on a connection; ``None`` if the other side ends without one.

    Raises:
        TimeoutError: none came in time.
        InvalidMessageError: something else did.
    """
    source.settimeout(seconds)
    reader = MessageReader(source)
    try:
        return reader.read()
    finally:
        reader.close()


def send_within(to: socket.socket, number: int, message: Message, seconds: float) -> None:
    """Send a message without a request.

    Raises:
        OSError: the other side is gone, or did not read it in time.
    """
    to.settimeout(seconds)
    to.sendall(inline_bytes(number, message))


def _copied(fd: int, nbytes: int) -> np.ndarray[Any, Any]:
    """What a file holds, if that is as much as its sender says; uint8 ``[n]``."""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size != nbytes:
            raise InvalidMessageError(f"a descriptor of {status.st_size} bytes, said to have {nbytes}")
        array = np.empty(nbytes, np.uint8)
        left, offset = memoryview(array), 0
        while len(left):
            count = os.preadv(fd, [left], offset)
            if not count:
                raise InvalidMessageError(f"a descriptor of {nbytes} bytes that ended after {offset}")
            left, offset = left[count:], offset + count
    except OSError as error:
        raise InvalidMessageError(f"a descriptor that cannot be read: {error}") from error
    return array


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("poc_aug")
    with tempfile.TemporaryFile(prefix="poc_aug-") as file:
        return os.dup(file.fileno())


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):  # one call writes 2 GB at most
        view = view[os.write(fd, view) :]
