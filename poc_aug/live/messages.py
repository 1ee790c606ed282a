"""Messages between processes of one machine: frames on a Unix socket, their contents in anonymous shared memory.

A message is a frame of 16 bytes with one file descriptor: memory that has no name anywhere (``memfd``), written by the
sender and mapped by the receiver. The kernel frees it when the last process that holds it closes it or ends, so not
even SIGKILL leaves a segment behind, and the size of ``/dev/shm`` (64 MB in many containers) does not matter. No lock
is shared, so a process that dies cannot leave one locked.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from poc_aug.camera_model import Calibration
from poc_aug.errors import PocAugError
from poc_aug.types import Sample

_FRAME = struct.Struct("<QQ")
_ALIGN = 64


@dataclass(frozen=True, slots=True)
class VariantRequest:
    """A worker requests a variant of a sample.

    Attributes:
        key: the sample's key.
        index: the variant's index.
        image: uint8 ``[3, H, W]``, or ``[H, W, 3]`` if the channels are interleaved in memory.
        labels: integer ``[H, W]``.
        interleaved: whether they are.
        calibration: the frame's camera, see `Sample`.
        waits: the worker waits for it; otherwise it continues, and variants that a worker waits for come first.
    """

    key: str
    index: int
    image: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    interleaved: bool
    waits: bool
    calibration: Calibration | None = None

    @classmethod
    def of(cls, sample: Sample, index: int, *, waits: bool) -> VariantRequest:
        """A request; the sample's tensors are not copied."""
        by_pixel = sample.image.permute(1, 2, 0)
        interleaved = not sample.image.is_contiguous() and by_pixel.is_contiguous()
        image = by_pixel if interleaved else sample.image.contiguous()
        labels = sample.labels.contiguous().numpy()
        return cls(sample.key, index, image.numpy(), labels, interleaved, waits, sample.calibration)

    def sample(self) -> Sample:
        """The sample; its tensors share the arrays' memory."""
        image = torch.from_numpy(self.image)
        image = image.permute(2, 0, 1) if self.interleaved else image
        return Sample(image, torch.from_numpy(self.labels), self.key, self.calibration)


@dataclass(frozen=True, slots=True)
class Made:
    """The variant, as a cache's record: uint8 ``[n]``."""

    record: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The variant could not be made; the generation process continues."""

    error: PocAugError


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no generation process any more, and why; sent as message 0, whatever was requested."""

    reason: str
    closed: bool = False


Message: TypeAlias = VariantRequest | Made | Failed | Gone


def send(to: socket.socket, number: int, message: Message) -> None:
    """Send a message; its arrays are copied once, into shared memory.

    Raises:
        OSError: the other side is gone; ``BlockingIOError`` if the socket does not block and is full.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    sizes = struct.pack(f"<{2 + len(views)}Q", len(views), len(head), *(len(view) for view in views))
    parts: list[bytes | memoryview] = [sizes, head]
    end = len(sizes) + len(head)
    for view in views:
        parts += [bytes(_aligned(end) - end), view]
        end = _aligned(end) + len(view)
    fd = _anonymous()
    try:
        # Written, not mapped: mapping pages for the first time costs as much again as the copy.
        for part in parts:
            _write(fd, part)
        socket.send_fds(to, [_FRAME.pack(number, end)], [fd])
    finally:
        os.close(fd)


def receive(source: socket.socket) -> tuple[int, Message] | None:
    """The next message and its number; ``None`` if the other side is gone. Arrays are views of shared memory.

    Raises:
        TimeoutError: none came within the socket's timeout.
    """
    try:
        frame, fds, _, _ = socket.recv_fds(source, _FRAME.size, 1)
    except ConnectionError:
        return None
    try:
        if len(frame) < _FRAME.size or not fds:
            return None
        number, nbytes = _FRAME.unpack(frame)
        memory = memoryview(mmap.mmap(fds[0], nbytes))
    finally:
        for fd in fds:
            os.close(fd)
    count, head_nbytes = struct.unpack_from("<2Q", memory)
    sizes = struct.unpack_from(f"<{count}Q", memory, 16)
    start = 16 + 8 * count
    end = start + head_nbytes
    views = []
    for size in sizes:
        offset = _aligned(end)
        end = offset + size
        views.append(memory[offset:end])
    message: Message = pickle.loads(memory[start : start + head_nbytes], buffers=views)
    return number, message


def listen() -> tuple[socket.socket, str]:
    """A listening socket and its address, for processes of this user on this machine."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if sys.platform == "linux":
        # An abstract address: no file that could stay behind.
        address = f"\0poc_aug-{os.getpid()}-{os.urandom(16).hex()}"
    else:
        address = os.path.join(tempfile.mkdtemp(prefix=f"poc_aug-{os.getpid()}-"), "socket")
    listener.bind(address)
    listener.listen(1024)
    return listener, address


def connect(address: str) -> socket.socket:
    """A connection to a listener.

    Raises:
        OSError: no process listens there any more.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def is_same_user(connection: socket.socket) -> bool:
    """Whether the other side runs as this user; an abstract address has no permissions of its own."""
    if sys.platform != "linux":
        return True  # the socket's folder is this user's alone
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.getuid())


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("poc_aug")
    with tempfile.TemporaryFile(prefix="poc_aug-") as file:
        return os.dup(file.fileno())


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):  # one call writes 2 GB at most
        view = view[os.write(fd, view) :]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN
