"""Reading, locating, generating and cutting out overlap in the engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from poc_aug.generation.statistics import Statistics
from poc_aug.types import Sample
from tests.helpers.engine_cases import (
    Recording,
    RoadLocator,
    jobs_of,
    located,
    no_thread_is_left,  # noqa: F401
    pipeline_of,
    wait_for,
)
from tests.helpers.fakes import make_sample


def test_reading_goes_on_while_a_batch_is_filled() -> None:
    """As far as the bound on jobs, 3 * 4, allows."""
    read = threading.Event()

    def wait_for_reading(number: int) -> None:
        if number == 0:
            wait_for(read)

    def jobs() -> Iterator[tuple[Sample, int]]:
        for number, job in enumerate(jobs_of(16)):
            if number == 11:
                read.set()
            yield job

    assert len(list(pipeline_of(Recording(wait_for_reading)).run(jobs()))) == 16


@pytest.mark.parametrize("ordered", [True, False])
def test_variants_are_handed_out_while_the_next_batch_is_filled(ordered: bool) -> None:
    handed_out = threading.Event()

    def wait_for_a_variant(number: int) -> None:
        if number == 1:
            wait_for(handed_out)

    made = 0
    for _ in pipeline_of(Recording(wait_for_a_variant)).run(jobs_of(16), ordered=ordered):
        made += 1
        handed_out.set()
    assert made == 16


def test_cutting_out_goes_on_while_the_next_batch_is_filled() -> None:
    two_batches, begun = threading.Event(), threading.Event()

    def handshake(number: int) -> None:
        if number == 0:
            wait_for(two_batches)
        else:
            begun.set()

    def jobs() -> Iterator[tuple[Sample, int]]:
        for number, job in enumerate(jobs_of(16)):
            if number == 8:  # the second batch waits already
                two_batches.set()
            yield job

    class Slow(Statistics):
        def stage(self, name: str) -> Any:
            # Cutting out the first batch does not end before the second is under way.
            if name == "cut out":
                wait_for(begun)
            return super().stage(name)

    assert len(list(pipeline_of(Recording(handshake)).run(jobs(), statistics=Slow()))) == 16


def test_reading_does_not_wait_for_the_locator() -> None:
    read = threading.Event()

    def wait_for_reading(number: int) -> None:
        if number == 0:
            wait_for(read)

    def jobs() -> Iterator[tuple[Sample, int]]:
        for number, job in enumerate(jobs_of(16)):
            if number == 11:
                read.set()
            yield job

    locator = RoadLocator()
    assert len(list(located(locator, Recording(wait_for_reading)).run(jobs()))) == 16
    assert locator.asked == [(f"frame-{number:03d}", "road") for number in range(16)]


@pytest.mark.parametrize("late", [False, True])
def test_areas_are_found_before_a_batch_that_waits(late: bool) -> None:
    full, second, read = threading.Event(), threading.Event(), threading.Event()
    log: list[str] = []

    def find(key: str) -> None:
        if late and not log:  # every job that may be held is there before any can begin: two batches at once
            wait_for(full)
        log.append(key)

    def fill(number: int) -> None:
        log.append(f"batch {number}")
        if number == 1:
            second.set()
            wait_for(read)

    def jobs() -> Iterator[tuple[Sample, int]]:
        # The first twelve, of one sample, fill the engine: two batches of them run or wait before anything else.
        first = make_sample(0)
        for index in range(12):
            yield first, index
        wait_for(second)  # else an area, which goes first, could come before it
        for number in range(1, 9):
            if number == 4:  # the areas of three samples are asked for, and the third batch waits
                read.set()
            yield make_sample(number), 0

    class Watched(Statistics):
        def stage(self, name: str) -> Any:
            if name == "wait":
                full.set()
            return super().stage(name)

    pipeline = located(RoadLocator(find), Recording(fill))
    assert len(list(pipeline.run(jobs(), ordered=False, statistics=Watched()))) == 20
    assert log[:7] == ["frame-000", "batch 0", "batch 1", "frame-001", "frame-002", "frame-003", log[6]]
    assert log[6] in ("frame-004", "batch 2")
