"""Runs cases in child processes, which may crash, hang or run out of memory."""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import multiprocessing.connection
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

from tests.fuzz.outcome import MOST_CPU_S, Outcome

CHUNK = 200
MOST_BYTES = 1 << 30
MOST_GROWTH = 600 << 20  # over what a process is forked with, which may be much in a process that runs many tests
PROC = Path("/proc/self")

Case = Callable[[Outcome, int, int, Path], None]
"""Runs case ``number`` of a seed, in an empty folder of its process: outcome, seed, number, folder."""


def _work(case: Case, seed: int, chunks: list[tuple[int, int]], at: ctypes.c_longlong, out: Connection) -> None:
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    faulthandler.disable()  # a crash is counted, its stack is of no use
    if PROC.exists():  # elsewhere only the peak is compared
        virtual = int((PROC / "statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + MOST_BYTES, resource.RLIM_INFINITY))
        (PROC / "clear_refs").write_text("5")  # the peak so far is that of the process that was forked
    forked_with = _peak_nbytes()
    with tempfile.TemporaryDirectory() as folder:
        for first, last in chunks:
            outcome = Outcome()
            for number in range(first, last):
                at.value = number
                case(outcome, seed, number, Path(folder))
            outcome.peak_nbytes = _peak_nbytes()
            if (grown := outcome.peak_nbytes - forked_with) > MOST_GROWTH:
                outcome.failures.append(f"cases {first} to {last} of seed {seed}: {grown >> 20} MB more memory")
            out.send(outcome)


def _peak_nbytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Child:
    """A process that works through chunks of cases; a crash costs the case that caused it."""

    def __init__(self, case: Case, seed: int, chunks: list[tuple[int, int]]) -> None:
        self._case, self.seed, self.chunks = case, seed, chunks
        self.outcome = Outcome()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._at: Any = context.Value(ctypes.c_longlong, -1, lock=False)
        self.pipe, sender = context.Pipe(duplex=False)
        arguments = (self._case, self.seed, self.chunks, self._at, sender)
        self._process = context.Process(target=_work, args=arguments)
        self._process.start()
        sender.close()

    def receive(self) -> bool:
        """Take one chunk's outcome; ``False`` if there is nothing more to do."""
        try:
            outcome: Outcome = self.pipe.recv()
        except EOFError:
            self._process.join()
            if self._process.exitcode:
                number = int(self._at.value)
                self.outcome.counts["crashed"] += 1
                self.outcome.failures.append(
                    f"case {number} of seed {self.seed}: the process ended with {self._process.exitcode} "
                    f"(-{int(signal.SIGPROF)}: over {MOST_CPU_S} s of processor time)"
                )
                last = self.chunks[0][1] if self.chunks else 0
                self.chunks = ([(number + 1, last)] if number + 1 < last else []) + self.chunks[1:]
                if self.chunks:
                    self._start()
                    return True
            return False
        self.chunks = self.chunks[1:]
        self.outcome.add(outcome)
        return True


def run_cases(case: Case, count: int, seed: int, processes: int = 1, progress: float = 0.0) -> Outcome:
    """Run cases 0 to ``count`` of a seed.

    Args:
        case: what to run.
        count: how many.
        seed: case ``number`` of a seed is always the same.
        processes: how many child processes.
        progress: seconds between lines on the terminal; 0: none.
    """
    chunks = [(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    children = [Child(case, seed, chunks[number::processes]) for number in range(min(processes, len(chunks)))]
    running, printed = list(children), time.monotonic()
    while running:
        ready = multiprocessing.connection.wait([child.pipe for child in running])
        running = [child for child in running if child.pipe not in ready or child.receive()]
        if progress and time.monotonic() > printed + progress:
            printed = time.monotonic()
            print(dict(sum((child.outcome.counts for child in children), Counter())), flush=True)
    total = Outcome()
    for child in children:
        total.add(child.outcome)
    return total
