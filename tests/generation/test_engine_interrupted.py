"""What the engine has generated is kept when reading, a backend or the caller raises or stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from poc_aug.errors import DatasetError, RecipeError, SettingError
from poc_aug.generation.statistics import Statistics
from poc_aug.types import Crop, Filled, Rejection, Sample, Variant
from tests.helpers.engine_cases import (
    Recording,
    engine_threads,
    jobs_of,
    no_thread_is_left,  # noqa: F401
    pipeline_of,
    seeds_of,
    wait_for,
)
from tests.helpers.fakes import EllipseInserter


def take(results: Iterator[Variant], into: list[Variant]) -> None:
    into.extend(results)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("error", [OSError("truncated"), KeyboardInterrupt(), DatasetError("odd")], ids=repr)
@pytest.mark.parametrize("read", [0, 1, 3, 4, 9, 14, 30])
def test_nothing_generated_is_lost_when_reading_raises(ordered: bool, error: BaseException, read: int) -> None:
    inserter = Recording()

    def jobs() -> Iterator[tuple[Sample, int]]:
        yield from jobs_of(read)
        raise error

    made: list[Variant] = []
    with pytest.raises(type(error)) as caught:
        take(pipeline_of(inserter).run(jobs(), ordered=ordered), made)
    assert caught.value is error
    assert seeds_of(made) == sorted(inserter.filled)
    assert len(made) == len(inserter.filled)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_batch_that_runs_while_reading_raises_comes_out(ordered: bool) -> None:
    raising = threading.Event()
    inserter = Recording(lambda number: wait_for(raising))

    def jobs() -> Iterator[tuple[Sample, int]]:
        yield from jobs_of(5)
        raising.set()
        raise OSError("truncated")

    made: list[Variant] = []
    with pytest.raises(OSError, match="truncated"):
        take(pipeline_of(inserter).run(jobs(), ordered=ordered), made)
    assert [variant.key for variant in made] == [f"frame-00{number}" for number in range(4)]
    assert inserter.batches == [4]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 3])
def test_nothing_generated_is_lost_when_a_backend_raises(ordered: bool, failing: int) -> None:
    def fail(number: int) -> None:
        if number == failing:
            raise SettingError("no such thing")

    inserter = Recording(fail)
    made: list[Variant] = []
    with pytest.raises(SettingError, match="no such thing"):
        take(pipeline_of(inserter).run(jobs_of(25), ordered=ordered), made)
    assert seeds_of(made) == sorted(inserter.filled)
    assert inserter.batches[: failing + 1] == [4] * (failing + 1)
    assert len(made) >= 4 * failing


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("places", [(4,), (4, 5), (0, 2, 3)])
def test_nothing_else_is_lost_when_jobs_raise(ordered: bool, places: tuple[int, ...]) -> None:
    class WrongParts(EllipseInserter):
        def __init__(self) -> None:
            super().__init__()
            self.sound: list[int] = []
            self.count = 0

        def _one(self, crop: Crop) -> Filled | Rejection:
            self.count += 1
            if self.count - 1 in places:
                return super()._one(replace(crop, parts=("wing",)))
            self.sound.append(crop.seed)
            return super()._one(crop)

    inserter = WrongParts()
    made: list[Variant] = []
    with pytest.raises(RecipeError, match="wing"):
        take(pipeline_of(inserter).run(jobs_of(25), ordered=ordered), made)
    assert seeds_of(made) == sorted(inserter.sound)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_the_caller_throws_lets_finished_ones_out_first(ordered: bool) -> None:
    class Enough(Exception):
        pass

    inserter = Recording()
    results = pipeline_of(inserter).run(jobs_of(25), ordered=ordered)
    made = [next(results)]
    made.append(results.throw(Enough()))
    with pytest.raises(Enough):
        take(results, made)
    assert seeds_of(made) == sorted(inserter.filled)


def test_a_second_error_is_noted_at_the_first() -> None:
    raising = threading.Event()

    def fail(number: int) -> None:
        wait_for(raising)
        raise SettingError("no such thing")

    def jobs() -> Iterator[tuple[Sample, int]]:
        yield from jobs_of(4)
        raising.set()
        raise OSError("truncated")

    with pytest.raises(OSError, match="truncated") as caught:
        list(pipeline_of(Recording(fail)).run(jobs()))
    assert ["no such thing" in note for note in caught.value.__notes__] == [True]


def test_an_interrupt_keeps_the_batch_that_runs() -> None:
    waiting = threading.Event()

    def interrupt(number: int) -> None:
        if number == 2:
            wait_for(waiting)
            os.kill(os.getpid(), signal.SIGINT)

    class Waits(Statistics):
        waits = 0

        def stage(self, name: str) -> Any:
            self.waits += name == "wait"
            if self.waits == 3:  # the caller's thread has settled two batches, and waits for the third
                waiting.set()
            return super().stage(name)

    inserter = Recording(interrupt)
    made: list[Variant] = []
    with pytest.raises(KeyboardInterrupt):
        take(pipeline_of(inserter).run(jobs_of(40), ordered=False, statistics=Waits()), made)
    # The third batch, and the fourth where it began before the interrupt came through.
    assert len(made) in (12, 16)
    assert seeds_of(made) == sorted(inserter.filled)


@pytest.mark.parametrize("ordered", [True, False])
def test_closing_ends_the_thread_and_reads_no_more(ordered: bool) -> None:
    read = 0

    def jobs() -> Iterator[tuple[Sample, int]]:
        nonlocal read
        for read, job in enumerate(jobs_of(60), start=1):  # noqa: B007
            yield job

    inserter = Recording()
    results = pipeline_of(inserter).run(jobs(), ordered=ordered)
    for variant in results:
        assert variant.insertions
        assert engine_threads() == ["poc-aug-accelerator_0"]
        break
    results.close()
    assert engine_threads() == []
    assert read <= 12
    assert sum(inserter.batches) <= 12
    assert list(results) == []
    # A pipeline is not used up by that; a run that is dropped before it begins has nothing to end.
    pipeline_of(inserter).run(jobs_of(3))
    assert len(list(pipeline_of(inserter).run(jobs_of(3)))) == 3
