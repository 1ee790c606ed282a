"""Runs mutated records through decoding, verifying and reading, in child processes that may crash."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import lmdb
import torch
from PIL import Image

from poc_aug import Cache, OodLabels, POCAugmentedDataset
from poc_aug.cache import Manifest, decode_record
from poc_aug.cache.record import RecordError
from poc_aug.cache.record_keys import encode_key
from poc_aug.errors import CacheDatasetMismatchError, PocAugError, SchemaError
from poc_aug.recipe import Recipe
from tests.fuzz.mutations import CLASSES, SCHEMA, frame, mutated

CHUNK = 200
MOST_BYTES = 1 << 30
MOST_CPU_S = 5


@dataclass
class Outcome:
    """What became of some records."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, 0, "")
    peak_nbytes: int = 0

    def add(self, other: Outcome) -> None:
        """Add other records to these."""
        self.counts += other.counts
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)
        self.peak_nbytes = max(self.peak_nbytes, other.peak_nbytes)


class Frames:
    """A dataset of one frame under many keys."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        sample = frame()
        self._item = sample.image, sample.labels.long()

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if index >= len(self.keys):
            raise IndexError(index)
        return self._item


@contextlib.contextmanager
def _watched(outcome: Outcome, number: int, what: str) -> Iterator[None]:
    """Time a step; SIGPROF ends the process if it takes more than `MOST_CPU_S` of processor time."""
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome.slowest = max(outcome.slowest, (time.process_time() - started, number, what))


def _decode(outcome: Outcome, seed: int, number: int) -> None:
    what, data = mutated(seed, number)
    with _watched(outcome, number, what):
        try:
            decode_record(data, "frame", 0, CLASSES)
            outcome.counts["decoded"] += 1
        except RecordError:
            outcome.counts["refused"] += 1
        except Exception as error:
            outcome.counts["escaped"] += 1
            outcome.failures.append(f"record {number} of seed {seed}, {what}: {type(error).__name__}: {error}"[:500])


def write_cache(path: Path, records: dict[str, bytes], names: list[bytes] | None = None) -> None:
    """A cache that holds these bytes as variant 0 of these keys, as a stranger would write it."""
    shards = path / "shards"
    shards.mkdir(parents=True)
    objects = [{"name": "gnu", "prompts": ["a gnu"], "parts": list(CLASSES[:3])}]
    recipe = Recipe.from_dict({"objects": objects, "max_sigma_px": 3.0}).to_dict()
    Manifest.create(recipe, {"inserter": {"inserter": "fuzz"}}, {"schema": SCHEMA.name}).write(path)
    env = lmdb.open(str(shards / "a.lmdb"), subdir=False, lib_version=0, map_size=64 << 20, sync=False)
    with env.begin(write=True) as transaction:
        for name, data in zip(names or [encode_key(key, 0) for key in records], records.values(), strict=True):
            transaction.put(name, data)
    env.close()
    (shards / "a.lmdb-lock").unlink(missing_ok=True)


def _read(outcome: Outcome, seed: int, first: int, last: int, folder: Path) -> None:
    """Records of a whole chunk, in a cache: verified, then read through a dataset."""
    numbers = range(first, last)
    made = {f"street/{number:07d}": mutated(seed, number, f"street/{number:07d}") for number in numbers}
    path = folder / f"{first}.cache"
    write_cache(path, {key: data for key, (_, data) in made.items()})
    try:
        with Cache.open(path) as cache:
            with _watched(outcome, first, "verify"):
                found = {problem.key for problem in cache.verify().problems}
            dataset = POCAugmentedDataset(
                Frames(list(made)), cache, OodLabels(9), schema=SCHEMA, keys=list(made), p=1.0, on_miss="original"
            )
            for place, (number, (key, (what, _))) in enumerate(zip(numbers, made.items(), strict=True)):
                with _watched(outcome, number, f"read: {what}"):
                    try:
                        dataset[place]
                        outcome.counts["read"] += 1
                    except (CacheDatasetMismatchError, SchemaError):  # a sound record of another frame
                        outcome.counts["of another frame"] += 1
                    except PocAugError as error:
                        outcome.counts["refused on reading"] += 1
                        if key not in found:
                            text = f"record {number} of seed {seed}, {what}: verify found nothing, reading: {error}"
                            outcome.failures.append(text[:500])
    except Exception as error:
        outcome.counts["escaped"] += 1
        text = f"records {first} to {last} of seed {seed}, in a cache: {type(error).__name__}: {error}"
        outcome.failures.append(text[:500])
    finally:
        shutil.rmtree(path)


def _work(seed: int, chunks: list[tuple[int, int]], read_every: int, at: ctypes.c_longlong, out: Connection) -> None:
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    mutated(seed, 0)  # makes the templates and bombs
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + MOST_BYTES, resource.RLIM_INFINITY))
    Path("/proc/self/clear_refs").write_text("5")  # the peak of what it was forked from
    with tempfile.TemporaryDirectory() as folder:
        for first, last in chunks:
            outcome = Outcome()
            for number in range(first, last):
                at.value = number
                _decode(outcome, seed, number)
            if read_every and first // CHUNK % read_every == 0:
                at.value = first
                _read(outcome, seed, first, last, Path(folder))
            outcome.peak_nbytes = _peak_nbytes()
            out.send(outcome)


def _peak_nbytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


class Child:
    """A process that works through chunks of records; a crash costs the record that caused it."""

    def __init__(self, seed: int, chunks: list[tuple[int, int]], read_every: int) -> None:
        self.seed, self.chunks, self.read_every = seed, chunks, read_every
        self.outcome = Outcome()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._at = context.Value(ctypes.c_longlong, -1, lock=False)
        self.pipe, sender = context.Pipe(duplex=False)
        arguments = (self.seed, self.chunks, self.read_every, self._at, sender)
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
                number = self._at.value
                self.outcome.counts["crashed"] += 1
                self.outcome.failures.append(
                    f"record {number} of seed {self.seed}: the process ended with {self._process.exitcode} "
                    f"(-{int(signal.SIGPROF)}: over {MOST_CPU_S} s of processor time)"
                )
                last = self.chunks[0][1] if self.chunks else 0
                self.chunks = ([(number + 1, last)] if number + 1 < last else []) + self.chunks[1:]
                if self.chunks:
                    self._start()
                    return True
            return False
        self.chunks = self.chunks[1:]
        if outcome.peak_nbytes > MOST_BYTES:
            outcome.failures.append(f"{outcome.peak_nbytes / 1e6:.0f} MB of memory at record {self._at.value}")
        self.outcome.add(outcome)
        return True


def fuzz_records(records: int, seed: int, processes: int = 1, read_every: int = 10, progress: float = 0.0) -> Outcome:
    """Run records 0 to ``records`` of a seed.

    Args:
        records: how many.
        seed: of the mutations; record ``number`` of a seed is always the same (`tests.fuzz.mutations.mutated`).
        processes: how many child processes.
        read_every: each so-many-th chunk of 200 records is also written to a cache, verified and read; 0: none.
        progress: seconds between lines on the terminal; 0: none.
    """
    chunks = [(first, min(first + CHUNK, records)) for first in range(0, records, CHUNK)]
    children = [Child(seed, chunks[number::processes], read_every) for number in range(min(processes, len(chunks)))]
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
