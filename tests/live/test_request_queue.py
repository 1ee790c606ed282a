"""The queue orders what is to be generated: what a worker waits for comes first, and nothing comes twice."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from poc_aug.live.messages import VariantRequest
from poc_aug.live.request_queue import QueuedVariant, Requester, RequestQueue, Stopped


def request(key: str, *, waits: bool = True) -> VariantRequest:
    return VariantRequest(key, 0, np.zeros((3, 2, 2), np.uint8), np.zeros((2, 2), np.uint8), False, waits)


def test_what_is_waited_for_comes_first_and_nothing_comes_twice() -> None:
    queue = RequestQueue(0.01)
    for number, (key, waits) in enumerate([("a", False), ("b", False), ("c", True), ("b", True), ("c", True)]):
        queue.put(Requester(1, number), request(key, waits=waits))
    assert len(queue) == 3
    order = [queue.take(busy=True) for _ in range(3)]
    assert [queued.name[0] for queued in order if queued] == ["c", "b", "a"]
    assert queue.take(busy=True) is None
    assert [requester.number for requester in queue.remove(("b", 0))] == [1, 3]
    assert queue.remove(("b", 0)) == []
    assert len(queue) == 2


def test_a_variant_that_another_process_makes_comes_again() -> None:
    queue = RequestQueue(3600.0)
    queue.put(Requester(1, 1), request("a"))
    queued = queue.take(busy=False)
    assert isinstance(queued, QueuedVariant)
    queue.postpone(queued)
    assert queue.take(busy=True) is queued


def test_the_queue_wakes_and_stops() -> None:
    queue = RequestQueue(3600.0)  # if it is not woken, the test's own time limit ends it
    threading.Timer(0.05, queue.wake).start()
    assert queue.take(busy=True) is None
    threading.Timer(0.05, queue.stop).start()
    with pytest.raises(Stopped):
        queue.take(busy=True)
