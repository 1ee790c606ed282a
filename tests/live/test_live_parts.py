"""The parts of generation while training, each alone: messages, claims, the feed, the ledger."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.errors import SchemaError
from poc_aug.live.board import CELLS, Board
from poc_aug.live.claims import Claims
from poc_aug.live.feed import Asker, Feed, Request, Stopped
from poc_aug.live.messages import Ask, Failed, Gone, Made, connect, is_same_user, listen, receive, send
from poc_aug.reading.outcomes import Ledger, Outcome, ReadingStatistics
from poc_aug.types import Sample
from tests.helpers.live_cases import is_alive, kill, shared_memory_of, wait_until


@settings(max_examples=30, deadline=None)
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
            Ask(key, 3, image, labels.T, False, True),
            Gone("why ö"),
            Failed(SchemaError("77", expected="0")),
        ):
            send(one, number, message)
            came = receive(other)
            assert came is not None
            assert came[0] == number
            assert type(came[1]) is type(message)
            if isinstance(came[1], Ask):
                assert (came[1].key, came[1].index, came[1].waits) == (key, 3, True)
                assert np.array_equal(came[1].image, image)
                assert np.array_equal(came[1].labels, labels.T)
                assert came[1].labels.dtype == labels.dtype
                came[1].image[:] = 0  # it may be written to
            if isinstance(came[1], Failed):
                assert str(came[1].error) == str(SchemaError("77", expected="0"))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("size_hw", [(17, 11), (3, 3), (1, 1)])
def test_samples_arrive_as_they_were_whatever_their_strides(interleaved: bool, size_hw: tuple[int, int]) -> None:
    h, w = size_hw
    image = torch.arange(3 * h * w).to(torch.uint8)
    image = image.view(h, w, 3).permute(2, 0, 1) if interleaved else image.view(3, h, w)
    labels = torch.arange(h * w).view(w, h).T
    one, other = socket.socketpair()
    with one, other:
        send(one, 1, Ask.of(Sample(image, labels, "a"), 2, waits=False))
        came = receive(other)
    assert came is not None
    assert isinstance(came[1], Ask)
    found = came[1].sample()
    assert torch.equal(found.image, image)
    assert torch.equal(found.labels, labels)


def test_many_messages_keep_their_order_and_let_go_of_their_memory() -> None:
    one, other = socket.socketpair()
    before = shared_memory_of(os.getpid())
    with one, other:
        for number in range(50):
            send(one, number, Made(np.full(1000 + number, number, np.uint8)))
        for number in range(50):
            came = receive(other)
            assert came is not None
            assert came[0] == number
            assert isinstance(came[1], Made)
            assert came[1].record.shape == (1000 + number,)
            assert (came[1].record == number).all()
        one.close()
        assert receive(other) is None
    del came
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


def _claim(path: Path, key: str, told: Any) -> None:
    claims = Claims(path)
    told.send(claims.take(key, 0))
    time.sleep(60)


def test_a_claim_is_one_processes_and_ends_with_it(tmp_path: Path) -> None:
    mine = Claims(tmp_path)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    other = context.Process(target=_claim, args=(tmp_path, "a", there))
    other.start()
    try:
        assert here.recv()
        assert not mine.take("a", 0)
        assert mine.take("a", 1)
        assert mine.take("b", 0)
        assert other.pid is not None
        kill(other.pid)
        other.join()
        assert mine.take("a", 0)
        mine.give_back("a", 0)
        mine.give_back("never taken", 0)
    finally:
        if is_alive(other.pid or 0):
            other.kill()
        mine.close()


def ask(key: str, *, waits: bool = True) -> Ask:
    return Ask(key, 0, np.zeros((3, 2, 2), np.uint8), np.zeros((2, 2), np.uint8), False, waits)


def test_what_is_waited_for_comes_first_and_nothing_comes_twice() -> None:
    feed = Feed(0.01)
    for number, (key, waits) in enumerate([("a", False), ("b", False), ("c", True), ("b", True), ("c", True)]):
        feed.put(Asker(1, number), ask(key, waits=waits))
    assert len(feed) == 3
    order = [feed.take(busy=True) for _ in range(3)]
    assert [request.name[0] for request in order if request] == ["c", "b", "a"]
    assert feed.take(busy=True) is None
    assert [asker.number for asker in feed.done(("b", 0))] == [1, 3]
    assert feed.done(("b", 0)) == []
    assert len(feed) == 2


def test_a_request_that_is_made_elsewhere_comes_again() -> None:
    feed = Feed(0.5)
    feed.put(Asker(1, 1), ask("a"))
    request = feed.take(busy=False)
    assert isinstance(request, Request)
    feed.put_back(request)
    assert feed.take(busy=True) is request


def test_the_feed_wakes_and_stops() -> None:
    feed = Feed(5.0)
    threading.Timer(0.05, feed.wake).start()
    started = time.monotonic()
    assert feed.take(busy=True) is None
    assert time.monotonic() - started < 4
    threading.Timer(0.05, feed.stop).start()
    with pytest.raises(Stopped):
        feed.take(busy=True)


def test_the_ledger_counts_an_epochs_items_once() -> None:
    ledger = Ledger(5)
    for index, outcome in enumerate([Outcome.HIT, Outcome.PLAIN, Outcome.GENERATED]):
        ledger.write(index, 4, outcome, 0.5)
    ledger.write(0, 4, Outcome.GENERATED, 0.25)
    ledger.write(3, 3, Outcome.MISSED, 9.0)
    counts, wait_s = ledger.count(4)
    assert (counts[Outcome.GENERATED], counts[Outcome.PLAIN], counts[Outcome.HIT], counts[Outcome.MISSED]) == (
        2,
        1,
        0,
        0,
    )
    assert wait_s == 1.25
    board = Board()
    board["made"], board["attempts"], board["accepted"] = 3, 4, 1
    stats = ReadingStatistics.of(ledger, 4, board)
    assert (stats.items, stats.augmented, stats.made, stats.acceptance) == (3, 2 / 3, 3, 0.25)
    assert set(stats.to_dict()) >= {"augmented", "wait_s", "queue"}
    assert np.isnan(ReadingStatistics.of(ledger, 9, None).augmented)


def _write(ledger: Ledger, board: Board) -> None:
    ledger.write(2, 0, Outcome.MISSED, 1.0)
    board["queue"] = 7


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ledger_and_board_are_shared_with_other_processes(method: str) -> None:
    ledger, board = Ledger(3), Board()
    process = multiprocessing.get_context(method).Process(target=_write, args=(ledger, board))
    process.start()
    process.join()
    assert ledger.count(0)[0][Outcome.MISSED] == 1
    assert board["queue"] == 7
    assert all(board[name] == 0 for name in CELLS if name != "queue")
    assert wait_until(lambda: not is_alive(process.pid or 0))


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(Failed(SchemaError("77", expected="0", hint="look")))).error
    assert isinstance(error, SchemaError)
    assert error.hint == "look"
