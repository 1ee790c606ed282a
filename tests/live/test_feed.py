"""The feed orders what is to be generated: what is waited for comes first, and nothing comes twice."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from poc_aug.live.feed import Asker, Feed, Request, Stopped
from poc_aug.live.messages import Ask


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
