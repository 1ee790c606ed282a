"""The engine: many jobs at once, their work items in batches, the accelerator always busy.

It knows nothing of what the jobs make: a job yields work items, `Stages` turn batches of them into outcomes, and each
outcome is sent back to its job. Two threads: the caller's advances jobs (reading samples, searching regions, cutting
out) and hands results out; the accelerator's runs the stages, and whatever else jobs ask of the models, which may be
shared and so never run at the same time. While one batch runs, the next is prepared and waits. What a job waits for
before its first step goes ahead of a waiting batch, so that reading never stands still behind batches.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import torch

from poc_aug.errors import GenerationError, PocAugError
from poc_aug.generation.accelerator import Accelerator
from poc_aug.generation.backend_errors import backend_error
from poc_aug.generation.job import ItemT, Job, OutcomeT, ResultT
from poc_aug.generation.statistics import Statistics

_StagesItemT = TypeVar("_StagesItemT", contravariant=True)
_StagesOutcomeT = TypeVar("_StagesOutcomeT", covariant=True)

Failure: TypeAlias = tuple[str, int, GenerationError]
"""Key and number of a variant that was left out, and why."""

_Batch: TypeAlias = "tuple[Future[list[OutcomeT | GenerationError]], list[Job[ItemT, OutcomeT, ResultT]]]"

_END = object()


class Stages(Protocol[_StagesItemT, _StagesOutcomeT]):
    """What is done with batches of work items, in the accelerator's thread."""

    def process(self, items: Sequence[_StagesItemT]) -> Sequence[_StagesOutcomeT]:
        """The outcome of each item, in order. Must be a pure function of each item: batching changes nothing.

        Raises:
            PocAugError: what is no single item's fault; it ends the run. After any other error the items are
                processed one by one, to find which of them it came from.
        """
        ...

    def subject(self, key: str, item: _StagesItemT) -> str:
        """How error reports name an item of the sample ``key``."""
        ...


class Engine(Generic[ItemT, OutcomeT, ResultT]):
    """Runs jobs, once; see `poc_aug.generation.pipeline.InsertionPipeline.run` for its promises.

    Args:
        stages: process the batches.
        batch_size: items per batch.
        statistics: times of reading, waiting and writing are added to it.
        failures: a job that ends with an error of a backend is appended to it; ``None``: the error is raised.
        wake: called, from another thread, whenever the accelerator has finished a call.
    """

    def __init__(
        self,
        stages: Stages[ItemT, OutcomeT],
        batch_size: int,
        statistics: Statistics,
        failures: list[Failure] | None = None,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self._stages = stages
        self._batch_size = batch_size
        self._statistics = statistics
        self._failures = failures
        self._wake = wake
        self._limit = 3 * batch_size
        self._window: deque[Job[ItemT, OutcomeT, ResultT]] = deque()
        self._batches: deque[_Batch[OutcomeT, ItemT, ResultT]] = deque()  # one running, at most one waiting
        self._accelerator = Accelerator()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have the accelerator's thread call a function before its next batch: what jobs wait for."""
        return self._with_wake(self._accelerator.submit(function, *arguments, urgent=True))

    def run(
        self, jobs: Iterable[Job[ItemT, OutcomeT, ResultT] | None], *, ordered: bool
    ) -> Generator[ResultT, None, None]:
        """The results of all jobs; see `poc_aug.generation.pipeline.InsertionPipeline.run`."""
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

    def _all(self, jobs: Iterable[Job[ItemT, OutcomeT, ResultT] | None], ordered: bool) -> Iterator[ResultT]:
        source = iter(jobs)
        exhausted = False
        while True:
            for result in self._finished(ordered=ordered):
                with self._statistics.stage("write"):
                    yield result
            if not self._window and exhausted:
                return
            idle = False
            while not (exhausted or idle) and len(self._window) < self._limit:
                job = next(source, _END)
                exhausted, idle = job is _END, job is None
                if isinstance(job, Job):
                    self._window.append(job)
                self._begin_ready()
                if self._submit_batch(last=exhausted or idle) or self._batch_done():
                    # While a batch runs there is time to hand out what is finished.
                    break
            self._begin_ready()
            full = exhausted or len(self._window) >= self._limit
            # Several jobs may have become ready at once: enough for more than one batch.
            while self._submit_batch(last=full or idle):
                pass
            if self._batch_done() or (full and self._batches):
                self._settle_batch()
            elif full:
                self._wait_for_any()

    def _with_wake(self, future: Future[Any]) -> Future[Any]:
        """Have the source of jobs woken when a future is done."""
        if (wake := self._wake) is not None:
            future.add_done_callback(lambda _: wake())
        return future

    def _begin_ready(self) -> None:
        """Begin the jobs that have all they waited for."""
        for job in self._window:
            if job.waits_for is None or job.waiting:
                continue
            errors = (future.exception() for future in job.waits_for)
            error = next((error for error in errors if error is not None), None)
            if error is None:
                try:
                    job.advance()
                except Exception as raised:  # by the backend that was asked for the object's extent, for one
                    error = raised
            if error is not None and (fatal := self._leave_out(job, error)) is not None:
                raise fatal

    def _wait_for_any(self) -> None:
        """Wait for one of the futures that jobs wait for."""
        with self._statistics.stage("wait"):
            wait([future for job in self._window for future in job.waiting], return_when=FIRST_COMPLETED)

    def _finished(self, *, ordered: bool) -> Iterator[ResultT]:
        if ordered:
            while self._window and self._window[0].steps is None:
                result = self._window.popleft().result
                if result is not None:
                    yield result
            return
        for job in [job for job in self._window if job.steps is None]:
            self._window.remove(job)
            if job.result is not None:
                yield job.result

    def _submit_batch(self, *, last: bool) -> bool:
        """Hand the next batch over, if it is full or there is nothing better to wait for."""
        if len(self._batches) == 2:
            return False
        batch = [job for job in self._window if job.item is not None and not job.submitted][: self._batch_size]
        more = self._batches or not last or any(job.waits_for is not None for job in self._window)
        if not batch or (len(batch) < self._batch_size and more):
            return False
        for job in batch:
            job.submitted = True
        items = [job.item for job in batch if job.item is not None]
        keys = [job.key for job in batch]
        # Known before it begins: an interruption between the two lines must not lose it.
        self._batches.append((Future(), batch))
        self._accelerator.submit(self._process, items, keys, future=self._with_wake(self._batches[-1][0]))
        return True

    def _batch_done(self) -> bool:
        return bool(self._batches) and self._batches[0][0].done()

    def _settle_batch(self) -> None:
        """Wait for the first batch and send its outcomes to their jobs."""
        future, batch = self._batches[0]
        with self._statistics.stage("wait"):
            outcomes = future.result()
        self._settle(batch, outcomes)
        # Only now: after an interruption the rest is settled by `_save`.
        self._batches.popleft()

    def _settle(
        self, batch: Sequence[Job[ItemT, OutcomeT, ResultT]], outcomes: Sequence[OutcomeT | GenerationError]
    ) -> None:
        """Send each job of a batch the outcome of its item; then raise the first error, if there is one to raise."""
        fatal: list[BaseException | None] = []
        for job, outcome in zip(batch, outcomes, strict=True):
            if not job.submitted:
                continue
            if isinstance(outcome, GenerationError):
                fatal.append(self._leave_out(job, outcome))
                continue
            try:
                job.advance(outcome)
            except Exception as error:
                # The other jobs of the batch have been paid for, too.
                fatal.append(self._leave_out(job, error))
        first = next((error for error in fatal if error is not None), None)
        if first is not None:
            raise first

    def _leave_out(self, job: Job[ItemT, OutcomeT, ResultT], error: BaseException) -> BaseException | None:
        """Leave a job out; returns the error unless it is one that belongs in ``failures``."""
        job.leave_out()
        if self._failures is None or not isinstance(error, GenerationError):
            return error
        _clear_frames(error)
        self._failures.append((job.key, job.index, error))
        return None

    def _save(self, error: BaseException) -> None:
        """After an error: wait for the batch that runs and settle it, so that nothing that was generated is lost."""
        self._accelerator.cancel_waiting()
        for future, batch in self._batches:
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

    def _process(self, items: Sequence[ItemT], keys: Sequence[str]) -> list[OutcomeT | GenerationError]:
        """Process one batch; if a backend raises, process its items one by one to find which one it was."""
        try:
            return list(self._stages.process(items))
        except (PocAugError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # Any error of a model's library becomes a GenerationError that names its item.
            if len(items) == 1:
                return [backend_error(self._stages.subject(keys[0], items[0]), error)]
        return [outcome for i in range(len(items)) for outcome in self._process(items[i : i + 1], keys[i : i + 1])]


def _clear_frames(error: BaseException) -> None:
    """Let go of what the tracebacks of a kept error hold: frames, crops, a model's tensors on its device."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
