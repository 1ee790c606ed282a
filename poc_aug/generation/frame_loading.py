"""Reads the frames that a run needs, ahead of it, in loader processes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from poc_aug.camera import FrameCalibrations
from poc_aug.errors import DatasetError, GenerationError, SampleReadError, in_one_line
from poc_aug.generation.sample_checks import no_pixels
from poc_aug.generation.unreadable import UnreadableSample
from poc_aug.items.frame_depth import FrameDepths
from poc_aug.items.label_ids import distinct_ids
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.labels.schema import LabelSchema, check_label_ids
from poc_aug.types import Sample

_AHEAD = 2
"""Samples that are read ahead per loader process."""
_DEATH = "DataLoader worker (pid"
"""How torch's error begins."""
_ENDING_S = 30.0


class FrameDataset(Dataset[Any]):
    """Some samples of a dataset, opened and their label ids checked; in loader processes, if there are any.

    Args:
        base: the dataset.
        keys: the key of each of its samples.
        numbers: which samples are read, in order.
        adapt: how to take image and labels out of items of another form.
        schema: label schema of the dataset, if it is known.
        calibrations: where the frames' cameras are known from, if the recipe takes them from files.
        depths: the dataset's own depth maps, if they are used.
    """

    def __init__(
        self,
        base: Dataset[Any],
        keys: Sequence[str],
        numbers: Sequence[int],
        adapt: Adapt | None,
        schema: LabelSchema | None,
        calibrations: FrameCalibrations | None,
        depths: FrameDepths | None = None,
    ) -> None:
        self.base, self.keys, self.numbers, self.adapt, self.schema = base, keys, numbers, adapt, schema
        self.calibrations, self.depths = calibrations, depths
        self._last: tuple[int, Any] | None = None  # of a base whose samples are repeated in a row: number and item

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Sample | UnreadableSample:
        number = self.numbers[index]
        key = self.keys[number]
        try:
            base_item = self._read(number)
            item = open_item(base_item, self.adapt, key=key)
            if 0 in item.size_hw:
                raise no_pixels(key, item.size_hw)
            sample = item.sample(key)
            check_label_ids(distinct_ids(sample.labels.numpy()), self.schema, key)
            if self.calibrations is not None:
                sample = replace(sample, calibration=self.calibrations.of(number))
            if self.depths is not None:
                sample = replace(sample, depth_m=self.depths.of(number, base_item, sample.size_hw, key))
            return sample
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Whatever the dataset raises is reported with its key, and raised or counted by the caller's choice: also
            # sys.exit, which would end a loader process without a word, and the panics of compiled packages.
            return UnreadableSample.of(key, error)

    def _read(self, number: int) -> Any:
        """An item; the last one again if it is of the same sample: it is decoded once, not once per domain."""
        if not isinstance(self.base, Subset):
            return self.base[number]
        inner = self.base.indices[number]
        if self._last is None or self._last[0] != inner:
            self._last = None  # its memory is free before the next item is read
            self._last = inner, self.base[number]
        return self._last[1]


def _begin_worker(parent: int | None, worker: int) -> None:
    """Prepare a loader process; end it if its parent was killed before torch watches for that: it would stay."""
    # Ctrl-C reaches every process of the terminal: it is for the main one, which ends the loader's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    quiet_when_left()
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def quiet_when_left() -> None:
    """Print no traceback if the process that receives tensors closes its end, as it does at Ctrl-C.

    The thread that serves them (``multiprocessing.resource_sharer``) gives what it catches to ``sys.excepthook``.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, EOFError | ConnectionError | multiprocessing.AuthenticationError):
            before(kind, error, trace)

    sys.excepthook = hook


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits until the loader processes are started: they begin with it blocked, until they ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LoadedFrames(Iterator[Sample | UnreadableSample]):
    """The frames, as they are read; a loader process that dies is an error that says what it was reading.

    Args:
        loaded: the iterator of a loader.
        frames: what is read.
        workers: number of loader processes.
        taken: places in ``frames`` that were given to the loader processes so far.
    """

    def __init__(self, loaded: Any, frames: FrameDataset, workers: int, taken: Sequence[int]) -> None:
        self._loaded, self._frames, self._workers, self._taken = loaded, frames, workers, taken
        self._received = 0

    def __next__(self) -> Sample | UnreadableSample:
        try:
            frame: Sample | UnreadableSample = next(self._loaded)
        except (ConnectionError, EOFError) as error:  # of what a dead process was to hand over
            if (death := self._death()) is None:
                raise
            raise death from error
        self._received += 1
        return frame

    @contextmanager
    def deaths_explained(self) -> Iterator[None]:
        """Context of code that takes frames: torch raises the death of a loader process wherever this thread is.

        Raises:
            SampleReadError: a loader process ended.
        """
        try:
            yield
        except Exception as error:
            raised = error.__cause__ if isinstance(error, GenerationError) else error
            if raised is None or not _is_death(raised) or (death := self._death()) is None:
                raise
            raise death from error

    def _death(self) -> SampleReadError | None:
        """The error that names the samples of a loader process that ended; ``None`` if all of them live."""
        while True:
            try:
                return self._find_death()
            except RuntimeError as error:  # torch raises it once for each loader, at any moment
                if not _is_death(error):
                    raise

    def _find_death(self) -> SampleReadError | None:
        processes = list(getattr(self._loaded, "_workers", ()))
        sentinels = {process.sentinel: process for process in processes}
        for ended in multiprocessing.connection.wait(list(sentinels), timeout=_ENDING_S):
            sentinels[ended].join(_ENDING_S)  # its exit code comes a moment later
        codes = {number: process.exitcode for number, process in enumerate(processes)}
        dead = {number: code for number, code in codes.items() if code is not None}
        if not dead:
            return None
        endings = ", ".join(dict.fromkeys(map(_ending, dead.values())))
        # The loader hands samples out in turn, so many ahead to each process.
        in_work = range(self._received, min(self._received + _AHEAD * self._workers, len(self._taken)))
        places = [self._taken[turn] for turn in in_work if turn % self._workers in dead]
        keys = [repr(self._frames.keys[self._frames.numbers[place]]) for place in places]
        return SampleReadError(
            f"a loader process ended ({endings}) with samples in work: {', '.join(keys) or 'none'}",
            expected="a dataset that returns items or raises, and memory for all loader processes: the system kills "
            "those that need more",
            hint="fewer loader processes, or read in this process: workers=0",
            command="fewer loader processes, or read in this process: --workers 0",
        )


def _is_death(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith(_DEATH)


def _ending(exit_code: int) -> str:
    return f"exit code {exit_code}" if exit_code >= 0 else f"killed by {signal.Signals(-exit_code).name}"


class _Recorded(list[int]):
    """Gives what an iterable gives, once, and holds what it has given."""

    def __init__(self, source: Iterable[int]) -> None:
        super().__init__()
        self._source = source

    def __iter__(self) -> Iterator[int]:
        for value in self._source:
            self.append(value)
            yield value


def load_frames(frames: FrameDataset, workers: int, order: Iterable[int] | None = None) -> LoadedFrames:
    """Start to read frames, ahead of time if there are loader processes.

    Args:
        frames: what is read.
        workers: loader processes; 0 reads in this process.
        order: which of them, and in which order; it may become known while others are read. ``None``: all of them.

    Raises:
        DatasetError: the dataset cannot be sent to loader processes.
    """
    if not len(frames):
        workers = 0
    # A fork server is the parent of its processes itself, and ends them.
    parent = None if multiprocessing.get_start_method() == "forkserver" else os.getpid()
    taken = range(len(frames)) if order is None else _Recorded(order)
    loader = DataLoader(
        frames,
        batch_size=None,
        sampler=None if order is None else taken,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        worker_init_fn=partial(_begin_worker, parent) if workers else None,
        # Without a generator of its own a loader draws its base seed from the global random state.
        generator=torch.Generator().manual_seed(0),
    )
    try:
        with _interrupts_later() if workers else nullcontext():
            return LoadedFrames(iter(loader), frames, workers, taken)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        if workers == 0:
            raise
        raise DatasetError(
            f"the dataset cannot be sent to loader processes: {in_one_line(error)}",
            expected="a dataset that can be pickled: no lambdas, no open files",
            hint="name the function at module level, or read in this process: workers=0",
            command="name the function at module level, or read in this process: --workers 0",
        ) from error
