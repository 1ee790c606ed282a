"""Loader processes that die while they read: the error says what they were reading, and what was made is kept."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poc_aug.errors import SampleReadError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.loader_deaths import loaders_may_die
from tests.helpers.warming_cases import content

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
# If a connection to a killed process breaks, torch opens temporary files to see whether it may; the signal that the
# process has died may come in between, and leaves one open.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*fork:DeprecationWarning", "ignore:unclosed file <_io.BufferedRandom:ResourceWarning"
)


class Deadly(Frames):
    """Ends the process that reads one of the frames."""

    def __init__(self, deadly: int, way: str) -> None:
        super().__init__(12)
        self.deadly, self.way, self.reader = deadly, way, os.getpid()

    def __getitem__(self, index: int) -> Any:
        if index == self.deadly and os.getpid() != self.reader:
            if self.way == "exit":
                os._exit(9)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


@pytest.mark.parametrize(("way", "ending"), [("exit", "exit code 9"), ("kill", "killed by SIGKILL")])
@pytest.mark.parametrize(("workers", "deadly"), [(1, 0), (1, 7), (2, 7)])
def test_a_loader_process_that_dies_says_what_it_was_reading(
    way: str, ending: str, workers: int, deadly: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.cache"
    dataset, one_by_one = Deadly(deadly, way), InsertionPipeline(make_recipe(), EllipseInserter(), batch_size=1)
    with loaders_may_die(), pytest.raises(SampleReadError) as caught:
        warm_cache(dataset, path, one_by_one, num_variants=1, workers=workers, on_error="skip")
    assert f"a loader process ended ({ending})" in caught.value.problem
    named = caught.value.problem.partition("in work: ")[2].split(", ")
    assert f"'frame-{deadly:03d}'" in named
    assert len(named) <= 2
    assert "memory" in caught.value.expected
    assert "workers=0" in caught.value.hint
    assert "--workers 0" in caught.value.on_command_line()
    # The next step that it gives works, and goes on with what was made.
    made = content(path) if deadly else {}
    assert bool(made) == bool(deadly)
    report = warm_cache(dataset, path, one_by_one, num_variants=1, workers=0)
    assert (report.present, report.made) == (len(made), 12 - len(made))


def raised_in_a_collection(error: Exception) -> None:
    """What torch's handler of SIGCHLD does to a callback of the garbage collector: an error that nobody can catch."""

    def callback(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            raise error

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """The errors that pytest is given to report because they could not be raised."""
    given: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: given.append(unraisable.exc_value))
    return given


def in_a_destructor(error: Exception) -> None:
    class Raising:
        def __del__(self) -> None:
            raise error

    Raising()


@pytest.mark.parametrize("raised", [raised_in_a_collection, in_a_destructor])
def test_a_death_that_torch_raises_where_it_cannot_be_caught_fails_no_test(
    raised: Callable[[Exception], None], reported: list[BaseException | None]
) -> None:
    death = RuntimeError("DataLoader worker (pid 4711) exited unexpectedly with exit code 9.")
    with loaders_may_die():
        raised(death)
    assert reported == []
    raised(death)
    assert reported == [death]  # where no loader process should die


@pytest.mark.parametrize("other", [RuntimeError("DataLoader timed out"), ValueError("DataLoader worker (pid 4711)")])
def test_any_other_error_that_cannot_be_caught_is_reported(
    other: Exception, reported: list[BaseException | None]
) -> None:
    with loaders_may_die():
        raised_in_a_collection(other)
        in_a_destructor(other)
    assert reported == [other, other]
