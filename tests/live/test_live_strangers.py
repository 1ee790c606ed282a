"""What answers at the address of a generation process, or connects to it, may be anyone: nothing of theirs is run."""

from __future__ import annotations

import json
import os
import pickle
import socket
import stat
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poc_aug.errors import GenerationProcessError
from poc_aug.live import process_supervisor, socket_address
from poc_aug.live.client import Client
from poc_aug.live.message_stream import MessageReader, inline_bytes, send_request
from poc_aug.live.messages import Gone, InvalidMessageError, Made, VariantRequest
from poc_aug.live.socket_address import connect, is_same_user, listen, peer_uid, remove_address
from tests.helpers.fakes import make_sample
from tests.helpers.live_cases import live

_FRAME = struct.Struct("<4sIQQ")


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def answer_once(reply: Callable[[socket.socket], None]) -> tuple[socket.socket, str]:
    """A stranger at an address, who answers the first connection and closes it."""
    listener, address = listen()

    def run() -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.recv(16)
            reply(accepted)

    threading.Thread(target=run, daemon=True).start()
    return listener, address


def test_nothing_that_answers_is_unpickled(tmp_path: Path) -> None:
    made = tmp_path / "made"
    pickled = pickle.dumps(Touch(made))

    def reply(accepted: socket.socket) -> None:
        # As the messages of 0.1.0's drafts were: a frame, and a descriptor of pickled bytes.
        fd = os.memfd_create("stranger")
        content = struct.pack("<2Q", 0, len(pickled)) + pickled
        os.write(fd, content)
        socket.send_fds(accepted, [struct.pack("<QQ", 1, len(content)) + bytes(64)], [fd])
        os.close(fd)

    listener, address = answer_once(reply)
    with listener:
        client = Client(address, 1)
        number = client.request(make_sample(), 0, timeout_s=60)
        with pytest.raises(GenerationProcessError, match=r"no message of poc_aug(?s:.*)start the training again"):
            client.answer(number, ("frame-000", 0), time.monotonic() + 60, 60)
        client.close()
    assert not made.exists()


@pytest.fixture
def other_user(monkeypatch: pytest.MonkeyPatch) -> int:
    """To this process, every other one seems to be of another user; returns the user that they are of."""
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    return uid


def test_a_listener_of_another_user_is_an_error_and_gets_nothing(other_user: int) -> None:
    listener, address = listen()
    with listener:
        with pytest.raises(GenerationProcessError) as caught:
            Client(address, 1).request(make_sample(), 0, timeout_s=60)
        text = str(caught.value)
        assert f"user {other_user} listens at @{address[1:]}" in text
        assert f"user {other_user + 1}" in text
        assert "start it again" in text
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b""
            assert not is_same_user(accepted)  # and the other side would refuse it, too


def test_the_other_systems_credentials_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED")

    class Peer:
        def __init__(self, version: int, uid: int) -> None:
            self.credentials = struct.pack("=IIh2x16I", version, uid, 1, *range(16))

        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option, size) == (0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED, sizeof(struct xucred)
            return self.credentials

    peer: Any = Peer(0, 501)
    assert peer_uid(peer) == 501
    peer = Peer(0, os.getuid())
    assert is_same_user(peer)
    peer = Peer(7, os.getuid())
    with pytest.raises(OSError, match="version 7"):
        peer_uid(peer)
    assert not is_same_user(peer)


@pytest.fixture
def in_folder() -> Iterator[str]:
    listener, address = listen(abstract=False)
    with listener:
        yield address
    for folder in (Path(address).parent, Path(f"{Path(address).parent}-moved")):
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            remove_address(str(folder / "socket"))


def test_a_folder_of_a_socket_is_private(in_folder: str) -> None:
    folder = Path(in_folder).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    connect(in_folder).close()
    for mode in (0o755, 0o770):
        folder.chmod(mode)
        with pytest.raises(GenerationProcessError, match=rf"mode 0{mode:o}(?s:.*)mode 0700"):
            connect(in_folder)
    folder.chmod(0o700)
    folder.rename(f"{folder}-moved")
    with pytest.raises(FileNotFoundError):
        connect(in_folder)
    folder.symlink_to(f"{folder}-moved")
    with pytest.raises(GenerationProcessError, match="link"):
        connect(in_folder)


def test_a_folder_of_another_user_is_an_error(in_folder: str, other_user: int) -> None:
    with pytest.raises(GenerationProcessError, match=f"is a folder of user {other_user}"):
        connect(in_folder)


def test_a_path_that_is_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("a" * 120)
    long.mkdir()
    monkeypatch.setattr(socket_address.tempfile, "tempdir", str(long))
    with pytest.raises(GenerationProcessError, match="TMPDIR"):
        listen(abstract=False)
    assert not list(long.iterdir())


@pytest.mark.timeout(600)
def test_a_training_whose_socket_is_in_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_supervisor, "listen", lambda: listen(abstract=False))
    with live() as ds:
        assert ds._live is not None
        assert ds._live._process is not None
        folder = Path(ds._live._process.address).parent
        assert ds[0]
        assert folder.is_dir()
    assert not folder.exists()


def frame(head: bytes = b"{}", *, magic: bytes = b"POCi", head_nbytes: int | None = None, body: int = 0) -> bytes:
    return _FRAME.pack(magic, len(head) if head_nbytes is None else head_nbytes, 1, body) + head


@pytest.mark.parametrize(
    "data",
    [
        frame(body=2**60),
        frame(head_nbytes=2**32 - 1),
        frame(magic=b"\x80\x05\x95\x10"),
        frame(magic=b"POCm"),  # without a descriptor
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        frame(b"[" * 100_000),
        frame(b"[]"),
        frame(b'{"type": 3}'),
        frame(b'{"type": "Gone"}'),
        frame(b'{"type": "Gone", "reason": "x", "closed": "yes"}'),
        frame(b'{"type": "Failed", "error": "PocAugError", "texts": ["a"]}'),
        frame(b'{"type": "Popen", "args": "true"}'),
        frame(b'{"type": "Stored"}', body=3) + b"abc",
    ],
    ids=range(13),
)
def test_what_is_no_message_is_refused_before_memory_is_allocated(data: bytes) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(data)
        tracemalloc.start()
        with pytest.raises(InvalidMessageError):
            MessageReader(other).read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 * 2**20


REQUEST = {
    "type": "VariantRequest",
    "key": "a",
    "index": 0,
    "image": [3, 2, 2],
    "labels": [2, 2],
    "dtype": "uint8",
    "interleaved": False,
    "waits": True,
    "calibration": None,
}


@pytest.mark.parametrize(
    ("changes", "nbytes"),
    [
        ({}, 67),
        ({}, 69),
        ({}, 2**50),
        ({"image": [3, 2**31, 2**31]}, 68),
        ({"image": [3, -2, -2]}, 68),
        ({"image": [4, 2, 2]}, 68),
        ({"image": [3, 2.0, 2]}, 68),
        ({"image": "abc"}, 68),
        ({"labels": [4]}, 68),
        ({"dtype": "object"}, 96),
        ({"dtype": "O"}, 96),
        ({"index": -1}, 68),
        ({"index": True}, 68),
        ({"key": None}, 68),
        ({"waits": 1}, 68),
        ({"calibration": [1]}, 68),
        ({"calibration": {"focal_xy": [1, 1]}}, 68),
        ({"calibration": {"focal_xy": [float("nan"), 1], "centre_xy": [1, 1], "height_m": 1}}, 68),
    ],
)
def test_a_request_whose_fields_do_not_fit_is_refused(changes: dict[str, Any], nbytes: int) -> None:
    assert read_request({}, 68).key == "a"
    with pytest.raises(InvalidMessageError):
        read_request(changes, nbytes)


def read_request(changes: dict[str, Any], nbytes: int) -> VariantRequest:
    fd = os.memfd_create("stranger")
    os.truncate(fd, nbytes)
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [frame(json.dumps({**REQUEST, **changes}).encode(), magic=b"POCm", body=nbytes)], [fd])
        os.close(fd)
        open_before = len(os.listdir("/dev/fd"))
        try:
            received = MessageReader(other).read()
        finally:
            assert len(os.listdir("/dev/fd")) == open_before
    assert received is not None
    assert isinstance(received[1], VariantRequest)
    return received[1]


def test_a_descriptor_that_is_no_file_is_refused() -> None:
    reading, writing = os.pipe()
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [frame(magic=b"POCm", body=10)], [reading])
        with pytest.raises(InvalidMessageError, match="descriptor"):
            MessageReader(other).read()
    os.close(reading)
    os.close(writing)


def test_messages_that_arrive_in_pieces_are_put_together() -> None:
    request = VariantRequest.of(make_sample(), 1, waits=True)
    one, other = socket.socketpair()
    between, end = socket.socketpair()
    with one, other, between, end:
        send_request(one, 5, request)
        one.sendall(inline_bytes(6, Made(np.arange(250, dtype=np.uint8))) + inline_bytes(0, Gone("why")))
        end.setblocking(False)
        reader, read = MessageReader(end), []
        while True:  # one byte at a time
            data, fds, _, _ = socket.recv_fds(other, 1, 1)
            socket.send_fds(between, [data], fds)
            for fd in fds:
                os.close(fd)
            try:
                received = reader.read()
            except BlockingIOError:
                continue
            assert received is not None
            read.append(received)
            if len(read) == 3:
                break
    assert [number for number, _ in read] == [5, 6, 0]
    assert isinstance(read[0][1], VariantRequest)
    assert np.array_equal(read[0][1].image, request.image)
    assert isinstance(read[1][1], Made)
    assert read[1][1].record.tolist() == list(range(250))
