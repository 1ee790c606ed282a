"""The engine: many jobs at once, their crops in batches, the accelerator always busy.

Two threads: the caller's advances jobs (reading samples, regions, cutting out) and is where results come out; one more
runs the inserter, the annotator and the locator, which may share models and so never run at the same time. While a
batch runs, the next one is made ready and waits. What a locator has to find is asked for as soon as a sample is read,
and goes before a batch that waits, so that reading never stands still behind batches.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from poc_aug.errors import GenerationError, PocAugError, SettingError
from poc_aug.generation.accelerator import Accelerator
from poc_aug.generation.blame import blame
from poc_aug.generation.scene import Found, Scene
from poc_aug.generation.statistics import Statistics
from poc_aug.types import Annotation, Crop, Filled, Rejection, Sample, Variant

if TYPE_CHECKING:
    from poc_aug.generation.pipeline import InsertionPipeline

Outcome: TypeAlias = "tuple[Filled, Annotation] | Rejection"
Job: TypeAlias = Generator[Crop, Outcome, Variant]

_END = object()


@dataclass(eq=False)
class _Running:
    """A job under way.

    It waits for a locator (``searched``), then for the outcome of a ``crop``; at last it is gone (``job`` is
    ``None``), with a ``result`` or left out.
    """

    job: Job | None
    key: str
    index: int
    searched: Sequence[Found] | None = None
    crop: Crop | None = None
    submitted: bool = False
    result: Variant | None = None

    def advance(self, outcome: Outcome | None) -> None:
        assert self.job is not None
        self.searched, self.submitted = None, False
        try:
            self.crop = next(self.job) if outcome is None else self.job.send(outcome)
        except StopIteration as stop:
            self.crop, self.job, self.result = None, None, stop.value

    def leave_out(self) -> None:
        if self.job is not None:
            self.job.close()
        self.searched, self.crop, self.submitted, self.job = None, None, False, None


_Batch: TypeAlias = "tuple[Future[list[Outcome | GenerationError]], list[_Running]]"


class Engine:
    """Runs jobs of one pipeline, once; see `poc_aug.generation.pipeline.InsertionPipeline.run`."""

    def __init__(
        self,
        pipeline: InsertionPipeline,
        statistics: Statistics,
        failures: list[tuple[str, int, GenerationError]] | None,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.statistics = statistics
        self.failures = failures
        self._wake = wake
        self._limit = 3 * pipeline.batch_size
        self._window: deque[_Running] = deque()
        self._flying: deque[_Batch] = deque()
        self._accelerator = Accelerator()

    def run(self, jobs: Iterable[tuple[Sample, int] | None], *, ordered: bool) -> Generator[Variant, None, None]:
        """The variants of all jobs."""
        try:
            yield from self._all(jobs, ordered)
        except GeneratorExit:  # nobody takes results any more
            raise
        except BaseException as error:
            self._save(error)
            yield from self._finished(ordered=False)
            raise
        finally:
            self._accelerator.close()

    def _all(self, jobs: Iterable[tuple[Sample, int] | None], ordered: bool) -> Iterator[Variant]:
        source = self._read(jobs)
        exhausted = False
        while True:
            for variant in self._finished(ordered=ordered):
                with self.statistics.stage("write"):
                    yield variant
            if not self._window and exhausted:
                return
            idle = False
            while not (exhausted or idle) and len(self._window) < self._limit:
                came = next(source, _END)
                exhausted, idle = came is _END, came is None
                if isinstance(came, _Running):
                    self._window.append(came)
                self._begin()
                if self._submit(last=exhausted or idle) or self._landed():
                    # While a batch runs there is time to hand out what is finished.
                    break
            self._begin()
            full = exhausted or len(self._window) >= self._limit
            while self._submit(last=full or idle):  # areas found late begin several batches' jobs at once
                pass
            if self._landed() or (full and self._flying):
                self._land()
            elif full:
                self._wait_for_areas()

    def _read(self, jobs: Iterable[tuple[Sample, int] | None]) -> Iterator[_Running | None]:
        scene: Scene | None = None
        source = iter(jobs)
        while True:
            with self.statistics.stage("read"):
                item = next(source, _END)
            if item is _END:
                return
            if item is None:
                yield None
                continue
            assert isinstance(item, tuple)
            sample, index = item
            if scene is None or scene.sample is not sample:  # the variants of a sample come together
                scene = self.pipeline.scene(sample, self.statistics, self._locate)
            running = _Running(self.pipeline.job(scene, index), sample.key, index)
            running.searched = scene.search(self.pipeline.locations(sample.key, index))
            del item, sample  # a sample lives as long as its jobs, the last one until the next is there
            yield running

    def _locate(self, sample: Sample, location: str) -> Found:
        return self._told(self._accelerator.submit(self._located, sample, location, urgent=True))

    def _told(self, future: Future[Any]) -> Future[Any]:
        """Have whoever waits for jobs woken when a future is done."""
        if (wake := self._wake) is not None:
            future.add_done_callback(lambda _: wake())
        return future

    def _located(self, sample: Sample, location: str) -> tuple[torch.Tensor, float]:
        started = time.perf_counter()
        try:
            mask = self.pipeline.locate(sample, location)
        except (PocAugError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise blame(f"sample {sample.key!r}, location {location!r}", error) from error
        return mask, time.perf_counter() - started

    def _begin(self) -> None:
        """Begin the jobs whose areas have been found."""
        for running in self._window:
            if running.searched is None or not all(search.done() for search in running.searched):
                continue
            errors = (search.exception() for search in running.searched)
            error = next((error for error in errors if error is not None), None)
            if error is None:
                try:
                    running.advance(None)
                except Exception as raised:  # by the backend that was asked for the object's extent, for one
                    error = raised
            if error is not None and (fatal := self._leave_out(running, error)) is not None:
                raise fatal

    def _wait_for_areas(self) -> None:
        searches = [search for each in self._window for search in each.searched or () if not search.done()]
        with self.statistics.stage("wait"):
            wait(searches, return_when=FIRST_COMPLETED)

    def _finished(self, *, ordered: bool) -> Iterator[Variant]:
        if ordered:
            while self._window and self._window[0].job is None:
                result = self._window.popleft().result
                if result is not None:
                    yield result
            return
        for running in [each for each in self._window if each.job is None]:
            self._window.remove(running)
            if running.result is not None:
                yield running.result

    def _submit(self, *, last: bool) -> bool:
        """Hand the next batch over, if there is a full one or nothing better to wait for."""
        if len(self._flying) == 2:
            return False
        size = self.pipeline.batch_size
        batch = [each for each in self._window if each.crop is not None and not each.submitted][:size]
        more = self._flying or not last or any(each.searched is not None for each in self._window)
        if not batch or (len(batch) < size and more):
            return False
        for running in batch:
            running.submitted = True
        crops = [running.crop for running in batch if running.crop is not None]
        keys = [running.key for running in batch]
        # Known before it begins: an interruption between the two lines must not lose it.
        self._flying.append((Future(), batch))
        self._accelerator.submit(self._fill_or_blame, crops, keys, future=self._told(self._flying[-1][0]))
        return True

    def _landed(self) -> bool:
        return bool(self._flying) and self._flying[0][0].done()

    def _land(self) -> None:
        future, batch = self._flying[0]
        with self.statistics.stage("wait"):
            outcomes = future.result()
        self._settle(batch, outcomes)
        # Only now: after an interruption the rest is settled by `_save`.
        self._flying.popleft()

    def _settle(self, batch: Sequence[_Running], outcomes: Sequence[Outcome | GenerationError]) -> None:
        """Send each job of a batch what became of its crop; then raise the first error, if there is one to raise."""
        fatal: list[BaseException | None] = []
        for running, outcome in zip(batch, outcomes, strict=True):
            if not running.submitted:
                continue
            if isinstance(outcome, GenerationError):
                fatal.append(self._leave_out(running, outcome))
                continue
            try:
                running.advance(outcome)
            except Exception as error:
                # The other jobs of the batch have been paid for, too.
                fatal.append(self._leave_out(running, error))
        first = next((each for each in fatal if each is not None), None)
        if first is not None:
            raise first

    def _leave_out(self, running: _Running, error: BaseException) -> BaseException | None:
        """Leave a job out; returns the error where it is not one that the caller wants in ``failures``."""
        running.leave_out()
        if self.failures is None or not isinstance(error, GenerationError):
            return error
        _forget(error)
        self.failures.append((running.key, running.index, error))
        return None

    def _save(self, error: BaseException) -> None:
        """After an error: wait for the batch that runs and settle it, so that nothing that was generated is lost."""
        self._accelerator.cancel_waiting()
        for future, batch in self._flying:
            if future.cancel():  # it has not begun
                continue
            another = future.exception()
            if another is None:
                try:
                    self._settle(batch, future.result())
                except Exception as raised:
                    another = raised
            if another is not None and another is not error:
                error.add_note(f"The batch that ran meanwhile failed, too: {type(another).__name__}: {another}")

    def _fill_or_blame(self, crops: Sequence[Crop], keys: Sequence[str]) -> list[Outcome | GenerationError]:
        """Fill one batch; where a backend raises, fill its crops one by one to find which it was."""
        try:
            return list(self._fill(crops))
        except (PocAugError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # Any error of a model's library ends up in a GenerationError that names its crop.
            if len(crops) == 1:
                crop = crops[0]
                where = f"sample {keys[0]!r}, object {crop.object_name!r}, prompt {crop.prompt!r}, seed {crop.seed}"
                return [blame(where, error)]
        return [result for i in range(len(crops)) for result in self._fill_or_blame(crops[i : i + 1], keys[i : i + 1])]

    def _fill(self, crops: Sequence[Crop]) -> list[Outcome]:
        """Insert and annotate one batch."""
        pipeline = self.pipeline
        self.statistics.batches[len(crops)] += 1
        with self.statistics.stage("insert"):
            filled = pipeline.inserter.insert(crops)
        _check_results(pipeline.inserter, filled, (Filled, Rejection), len(crops))
        outcomes: list[Outcome | None] = [None] * len(crops)
        unknown: list[int] = []
        for i, result in enumerate(filled):
            if isinstance(result, Rejection):
                outcomes[i] = result
            elif result.annotation is not None:
                outcomes[i] = (result, result.annotation)
            else:
                unknown.append(i)
        if unknown:
            if pipeline.annotator is None:
                raise SettingError(
                    f"{type(pipeline.inserter).__name__} does not know the masks of what it inserts",
                    expected="an annotator",
                    hint="InsertionPipeline(recipe, inserter, annotator=...)",
                    command="--annotator transformers, grounded-sam, sam3 or package.module:callable",
                )
            results = [filled[i] for i in unknown]
            pictures = [result for result in results if isinstance(result, Filled)]
            with self.statistics.stage("annotate"):
                found = pipeline.annotator.annotate([crops[i] for i in unknown], pictures)
            _check_results(pipeline.annotator, found, (Annotation, Rejection), len(unknown))
            for i, picture, annotation in zip(unknown, pictures, found, strict=True):
                outcomes[i] = annotation if isinstance(annotation, Rejection) else (picture, annotation)
        return [outcome for outcome in outcomes if outcome is not None]


def _check_results(backend: object, results: object, kinds: tuple[type, ...], count: int) -> None:
    """Check a backend's contract; its other crops are not to blame, so nothing is filled again one by one."""
    if not isinstance(results, Sequence):
        told = f"a {type(results).__name__}"
    elif len(results) != count:
        told = f"{len(results)} results"
    else:
        strange = sorted({type(each).__name__ for each in results if not isinstance(each, kinds)})
        if not strange:
            return
        told = f"results of type {', '.join(strange)}"
    raise GenerationError(
        f"{type(backend).__name__} returned {told} for {count} crops",
        expected=f"a list of {count}: one {' or '.join(kind.__name__ for kind in kinds)} a crop, in order",
        hint="correct the backend: a Rejection stands for what it cannot do",
    )


def _forget(error: BaseException) -> None:
    """Let go of what the tracebacks of a kept error hold: frames, crops, a model's tensors on its device."""
    each: BaseException | None = error
    while each is not None:
        traceback.clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__
