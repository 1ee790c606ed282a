"""Progress of long commands: a bar on a terminal, otherwise a line on stderr every 10 s."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from poc_aug.cli.console import errors

LINE_EVERY_S = 10.0
"""Time between two lines, in seconds."""

Wait: TypeAlias = Callable[[threading.Event, float], bool]
"""Waits for an event for at most some seconds; whether it came."""

wait_for_line: Wait = threading.Event.wait
"""What waits if nothing else is given."""


@dataclass
class StepCount:
    """How far a command has come.

    Attributes:
        what: what it counts: "variants", "frames of RoadAnomaly".
        done: how many are done; those that were there before included.
        total: how many there are; ``None``: not known yet.
        before: how many were there before; they do not count for the rate.
        note: what else there is to say: "83% accepted".

    Example:
        >>> steps = StepCount("variants", done=30, total=90, before=10, note="83% accepted")
        >>> steps.line(40)
        'variants: 30 of 90, 0.50/s, 83% accepted, about 2 min left'
    """

    what: str
    done: int = 0
    total: int | None = None
    before: int = 0
    note: str = ""

    def show(self, done: int, total: int | None = None, note: str = "", before: int = 0) -> None:
        """Say how far it is now."""
        self.done, self.total, self.note, self.before = done, total, note, before

    def rate(self, seconds: float) -> str:
        """Steps per second since the beginning, to two digits."""
        rate = (self.done - self.before) / max(seconds, 1e-6)
        return f"{rate:.1f}/s" if rate >= 1 else f"{rate:.2f}/s"

    def line(self, seconds: float) -> str:
        """One line of a log, so many seconds after the beginning."""
        made = self.done - self.before
        parts = [f"{self.done} of {self.total}" if self.total is not None else f"{self.done}", self.rate(seconds)]
        parts += [self.note] if self.note else []
        if self.total is not None and made > 0:
            parts.append(f"about {_duration((self.total - self.done) * seconds / made)} left")
        elif not made:
            parts = [*parts[:1], f"none finished after {_duration(seconds)}", *parts[2:]]
        return f"{self.what}: {', '.join(parts)}"


Show: TypeAlias = Callable[..., None]
"""`StepCount.show`, which also draws."""


@contextmanager
def progress(
    console: Console,
    what: str,
    *,
    wait: Wait | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Show]:
    """Show the progress of what runs inside; gives a function that takes what `StepCount.show` takes.

    Nothing is written before the first call (on a terminal) or for the first 10 s (elsewhere): an error that comes at
    once stands alone.

    Args:
        console: where the command prints; the lines go to stderr.
        what: what is counted.
        wait: waits between the lines.
        clock: seconds.
    """
    steps, started = StepCount(what), clock()
    if console.is_terminal:
        yield from _bar(console, steps, started, clock)
        return
    over = threading.Event()

    def write() -> None:
        while not (wait or wait_for_line)(over, LINE_EVERY_S):
            try:
                errors.print(steps.line(clock() - started))
            except (OSError, ValueError):  # stderr was closed: there is nobody to tell
                return

    thread = threading.Thread(target=write, name="progress", daemon=True)
    thread.start()
    try:
        yield steps.show
    finally:
        over.set()
        thread.join()


def _bar(console: Console, steps: StepCount, started: float, clock: Callable[[], float]) -> Iterator[Show]:
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task(steps.what, total=None, rate="", note="")

    def show(done: int, total: int | None = None, note: str = "", before: int = 0) -> None:
        steps.show(done, total, note, before)
        bar.update(task, total=total, completed=done, rate=steps.rate(clock() - started), note=note)
        bar.start()

    try:
        yield show
    finally:
        bar.stop()


def _duration(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> [_duration(value) for value in (8.2, 100, 3 * 3600 + 1200)]
        ['8 s', '2 min', '3 h 20 min']
    """
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
