"""Messages between training and generation: they arrive as they were sent, errors included."""

from __future__ import annotations

import os
import socket
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.errors import SchemaError
from poc_aug.live.message_stream import MessageReader, inline_bytes, send_request
from poc_aug.live.messages import Failed, Gone, Made, Message, VariantRequest
from poc_aug.live.socket_address import connect, is_same_user, listen
from poc_aug.types import Sample
from tests.helpers.live_cases import shared_memory_of


def send(to: socket.socket, number: int, message: Message) -> None:
    if isinstance(message, VariantRequest):
        send_request(to, number, message)
    else:
        to.sendall(inline_bytes(number, message))


def receive(source: socket.socket) -> Any:
    return MessageReader(source).read()


@settings(max_examples=30)
@given(
    h=st.integers(1, 40),
    w=st.integers(1, 40),
    dtype=st.sampled_from(["uint8", "int64", "uint16"]),
    key=st.text(max_size=30),
    number=st.integers(0, 2**63),
)
def test_messages_arrive_as_they_were_sent(h: int, w: int, dtype: str, key: str, number: int) -> None:
    one, other = socket.socketpair()
    with one, other:
        image = np.arange(3 * h * w, dtype=np.uint8).reshape(3, h, w)
        labels = np.arange(h * w).reshape(h, w).astype(dtype)
        for message in (
            VariantRequest(key, 3, image, labels.T, False, True),
            Gone("why ö"),
            Failed(SchemaError("77", expected="0")),
        ):
            send(one, number, message)
            received = receive(other)
            assert received is not None
            assert received[0] == number
            assert type(received[1]) is type(message)
            if isinstance(received[1], VariantRequest):
                assert (received[1].key, received[1].index, received[1].waits) == (key, 3, True)
                assert np.array_equal(received[1].image, image)
                assert np.array_equal(received[1].labels, labels.T)
                assert received[1].labels.dtype == labels.dtype
                received[1].image[:] = 0  # it may be written to
            if isinstance(received[1], Failed):
                assert str(received[1].error) == str(SchemaError("77", expected="0"))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("size_hw", [(17, 11), (3, 3), (1, 1)])
def test_samples_arrive_as_they_were_whatever_their_strides(interleaved: bool, size_hw: tuple[int, int]) -> None:
    h, w = size_hw
    image = torch.arange(3 * h * w).to(torch.uint8)
    image = image.view(h, w, 3).permute(2, 0, 1) if interleaved else image.view(3, h, w)
    labels = torch.arange(h * w).view(w, h).T
    one, other = socket.socketpair()
    with one, other:
        send(one, 1, VariantRequest.of(Sample(image, labels, "a"), 2, waits=False))
        received = receive(other)
    assert received is not None
    assert isinstance(received[1], VariantRequest)
    sample_received = received[1].sample()
    assert torch.equal(sample_received.image, image)
    assert torch.equal(sample_received.labels, labels)


def test_many_messages_keep_their_order_and_let_go_of_their_memory() -> None:
    one, other = socket.socketpair()
    before = shared_memory_of(os.getpid())
    with one, other:
        for number in range(50):
            send(one, number, Made(np.full(1000 + number, number, np.uint8)))
        for number in range(50):
            received = receive(other)
            assert received is not None
            assert received[0] == number
            assert isinstance(received[1], Made)
            assert received[1].record.shape == (1000 + number,)
            assert (received[1].record == number).all()
        one.close()
        assert receive(other) is None
    del received
    assert shared_memory_of(os.getpid()) == before


def test_addresses_are_for_this_user_and_go_with_their_listener() -> None:
    listener, address = listen()
    with connect(address) as caller:
        accepted, _ = listener.accept()
        with accepted:
            assert is_same_user(accepted)
            assert is_same_user(caller)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        connect(address)


def test_errors_cross_processes() -> None:
    class OfAnotherPackage(SchemaError):
        pass

    one, other = socket.socketpair()
    with one, other:
        for cls in (SchemaError, OfAnotherPackage):
            send(one, 3, Failed(cls("77", expected="0", hint="look", command="--look")))
            error = receive(other)[1].error
            assert type(error) is SchemaError
            assert (error.problem, error.expected, error.hint, error.command) == ("77", "0", "look", "--look")
        send(one, 4, Failed(SchemaError("a" * 10**6 + "the end")))
        assert receive(other)[1].error.problem.endswith("the end")
