"""The engine: many jobs at once, their crops in batches, the accelerator always busy.

Two threads: the caller's advances jobs (reading samples, regions, cutting out) and is where results come out; one more
runs the inserter, the annotator and the locator, which may share models and so never run at the same time. While a
batch runs, the next one is made ready and waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from poc_aug.errors import GenerationError, PocAugError, RecipeError
from poc_aug.statistics import Statistics
from poc_aug.types import Annotation, Crop, Filled, Rejection, Sample, Variant

if TYPE_CHECKING:
    from poc_aug.pipeline import InsertionPipeline, Scene

Outcome: TypeAlias = "tuple[Filled, Annotation] | Rejection"
Job: TypeAlias = Generator[Crop, Outcome, Variant]
Call: TypeAlias = Callable[..., Any]


@dataclass(eq=False)
class _Running:
    """A job under way: ``crop`` waits for its outcome, or it is ``done``, with a ``result`` or left out."""

    job: Job
    key: str
    index: int
    crop: Crop | None = None
    submitted: bool = False
    done: bool = False
    result: Variant | None = None

    def advance(self, outcome: Outcome | None) -> None:
        self.submitted = False
        try:
            self.crop = next(self.job) if outcome is None else self.job.send(outcome)
        except StopIteration as stop:
            self.crop, self.result, self.done = None, stop.value, True

    def leave_out(self) -> None:
        self.job.close()
        self.crop, self.done = None, True


_Batch: TypeAlias = "tuple[Future[list[Outcome | GenerationError]], list[_Running]]"


class Engine:
    """Runs jobs of one pipeline; see `poc_aug.pipeline.InsertionPipeline.run`."""

    def __init__(
        self,
        pipeline: InsertionPipeline,
        statistics: Statistics,
        failures: list[tuple[str, int, GenerationError]] | None,
    ) -> None:
        self.pipeline = pipeline
        self.statistics = statistics
        self.failures = failures

    def run(self, jobs: Iterable[tuple[Sample, int]], *, ordered: bool) -> Iterator[Variant]:
        """The variants of all jobs."""
        executor = ThreadPoolExecutor(1, thread_name_prefix="poc-aug-accelerator")
        window: deque[_Running] = deque()
        flying: deque[_Batch] = deque()
        try:
            source = self._start(jobs, executor)
            exhausted = False
            while True:
                while not exhausted and len(window) < 3 * self.pipeline.batch_size:
                    running = next(source, None)
                    exhausted = running is None
                    if running is not None:
                        window.append(running)
                    if self._submit(executor, window, flying, last=exhausted):
                        # While that batch runs there is time to hand out what is finished.
                        break
                for variant in self._finished(window, ordered=ordered):
                    with self.statistics.stage("write"):
                        yield variant
                if not window and exhausted:
                    return
                self._submit(executor, window, flying, last=exhausted or len(window) >= 3 * self.pipeline.batch_size)
                full = exhausted or len(window) >= 3 * self.pipeline.batch_size
                if flying and (len(flying) == 2 or full or flying[0][0].done()):
                    try:
                        self._land(flying)
                    except BaseException:
                        # What is finished already is handed out before the error is.
                        yield from self._finished(window, ordered=False)
                        raise
        finally:
            # The batch that runs is waited for: a thread cannot be stopped inside a model.
            executor.shutdown(wait=True, cancel_futures=True)

    def _start(self, jobs: Iterable[tuple[Sample, int]], executor: ThreadPoolExecutor) -> Iterator[_Running]:
        def call(function: Callable[..., Any], *arguments: Any) -> Any:
            return executor.submit(function, *arguments).result()

        scene: Scene | None = None
        source = iter(jobs)
        while True:
            with self.statistics.stage("read"):
                item = next(source, None)
            if item is None:
                return
            sample, index = item
            if scene is None or scene.sample is not sample:  # the variants of a sample come together
                scene = self.pipeline.scene(sample, self.statistics, call)
            running = _Running(self.pipeline.job(scene, index), sample.key, index)
            del item, sample  # a sample lives as long as its jobs
            running.advance(None)
            yield running

    def _finished(self, window: deque[_Running], *, ordered: bool) -> Iterator[Variant]:
        if ordered:
            while window and window[0].done:
                result = window.popleft().result
                if result is not None:
                    yield result
            return
        for running in [each for each in window if each.done]:
            window.remove(running)
            if running.result is not None:
                yield running.result

    def _submit(
        self, executor: ThreadPoolExecutor, window: Iterable[_Running], flying: deque[_Batch], *, last: bool
    ) -> bool:
        """Hand the next batch over, if there is a full one or nothing better to wait for."""
        if len(flying) == 2:
            return False
        waiting = [each for each in window if each.crop is not None and not each.submitted]
        batch = waiting[: self.pipeline.batch_size]
        if not batch or (len(batch) < self.pipeline.batch_size and (flying or not last)):
            return False
        for running in batch:
            running.submitted = True
        crops = [running.crop for running in batch if running.crop is not None]
        keys = [running.key for running in batch]
        flying.append((executor.submit(self._fill_or_blame, crops, keys), batch))
        return True

    def _land(self, flying: deque[_Batch]) -> None:
        future, batch = flying.popleft()
        with self.statistics.stage("wait"):
            outcomes = future.result()
        errors = []
        for running, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, GenerationError):
                running.advance(outcome)
                continue
            running.leave_out()
            errors.append(outcome)
            if self.failures is not None:
                self.failures.append((running.key, running.index, outcome))
        if errors and self.failures is None:
            raise errors[0]

    def _fill_or_blame(self, crops: Sequence[Crop], keys: Sequence[str]) -> list[Outcome | GenerationError]:
        """Fill one batch; where a backend raises, fill its crops one by one to find which it was."""
        try:
            return list(self._fill(crops))
        except (PocAugError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # Any error of a model's library ends up in a GenerationError that names its crop.
            if len(crops) == 1:
                return [_blame(crops[0], keys[0], error)]
        return [result for i in range(len(crops)) for result in self._fill_or_blame(crops[i : i + 1], keys[i : i + 1])]

    def _fill(self, crops: Sequence[Crop]) -> list[Outcome]:
        """Insert and annotate one batch."""
        pipeline = self.pipeline
        self.statistics.batches[len(crops)] += 1
        with self.statistics.stage("insert"):
            filled = pipeline.inserter.insert(crops)
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
                raise RecipeError(
                    f"{type(pipeline.inserter).__name__} does not know the masks of what it inserts",
                    expected="an annotator",
                    hint="InsertionPipeline(recipe, inserter, annotator=...)",
                )
            results = [filled[i] for i in unknown]
            pictures = [result for result in results if isinstance(result, Filled)]
            with self.statistics.stage("annotate"):
                found = pipeline.annotator.annotate([crops[i] for i in unknown], pictures)
            for i, picture, annotation in zip(unknown, pictures, found, strict=True):
                outcomes[i] = annotation if isinstance(annotation, Rejection) else (picture, annotation)
        return [outcome for outcome in outcomes if outcome is not None]


def _blame(crop: Crop, key: str, error: Exception) -> GenerationError:
    blamed = GenerationError(
        f"sample {key!r}, object {crop.object_name!r}, prompt {crop.prompt!r}, seed {crop.seed}: "
        f"{type(error).__name__}: {error}",
        expected="a backend that returns a Rejection for what it cannot do",
        hint="report it to the backend's authors, or go on without it: on_error='skip' (--on-error skip)",
    )
    blamed.__cause__ = error
    return blamed
