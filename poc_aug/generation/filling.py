"""Filling a cache by a plan: reads frames, generates what is missing, writes it to a shard of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from types import TracebackType

from poc_aug.cache import CacheWriter
from poc_aug.cache.shard_names import unique_name
from poc_aug.errors import DatasetError, GenerationError, ObjectBankError
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.engine import Failure
from poc_aug.generation.filling_plan import FillingPlan
from poc_aug.generation.frame_loading import FrameDataset, load_frames
from poc_aug.generation.open_variants import OpenVariants
from poc_aug.generation.rejected_pictures import OnRejected, RejectedPictures
from poc_aug.generation.sample_checks import CheckedSample
from poc_aug.generation.unreadable import UnreadableSample, or_skip
from poc_aug.generation.warm_report import OnError, WarmReport
from poc_aug.types import Sample, Variant

# A commit is a full sync, a few ms. A kill costs at most this much work, and nothing that was committed.
_COMMIT_EVERY = 16
_COMMIT_SECONDS = 2.0


def fill(plan: FillingPlan, report: WarmReport, on_progress: Callable[[], None]) -> None:
    """Generate what a plan lacks and write it to a new shard; whatever is raised, all that is finished is stored.

    Several processes may fill one cache at once, each by a plan of its own: a variant that another one has stored
    meanwhile, or is generating, is not made again. At the end, those that others generate are waited for, and made
    here if their process ends without them.

    Args:
        plan: what is missing.
        report: counts what is done.
        on_progress: called after each variant.

    Raises:
        PocAugError: see `poc_aug.warm_cache`.
    """
    # The loader's workers start before the writer opens its file: a forked child must not inherit it (lmdb).
    frames = load_frames(frames_of(plan, plan.missing), plan.workers)
    with frames.deaths_explained(), Filling(plan, report, on_progress) as filling:
        filling.generate(frames, plan.missing)
        filling.make_what_others_left()


class Filling:
    """A new shard of this process, while it is filled by a plan; a context manager, which closes it.

    Args:
        plan: what makes the variants, and where they go.
        report: counts what is done.
        on_progress: called after each variant.
        on_stored: called with key and index of each variant that is on disk.
    """

    def __init__(
        self,
        plan: FillingPlan,
        report: WarmReport,
        on_progress: Callable[[], None],
        on_stored: Callable[[str, int], None] | None = None,
    ) -> None:
        self._plan, self._report, self._on_progress, self._on_stored = plan, report, on_progress, on_stored
        self._elsewhere = report.elsewhere  # in earlier rounds of this run
        name = unique_name(plan.cache, plan.job)
        with ExitStack() as stack:
            self._writer = stack.enter_context(CacheWriter(plan.cache, plan.manifest, writer=name))
            self._claims = stack.enter_context(closing(OpenVariants(plan.cache, name, plan.listed)))
            keep = plan.keep_rejected
            self._pictures = RejectedPictures(self._writer.path, keep).add if keep else None
            self._open = stack.pop_all()

    def __enter__(self) -> Filling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report.elsewhere = self._elsewhere + self._claims.elsewhere
        self._open.close()

    def generate(self, frames: Iterator[Sample | UnreadableSample], missing: Mapping[str, Sequence[int]]) -> None:
        """Generate and store the missing variants of some frames; whatever is raised, all that is finished is stored.

        Args:
            frames: of the plan's dataset.
            missing: what is missing of each.
        """
        plan, report = self._plan, self._report
        jobs = _jobs(frames, self._claims, missing, report, plan)
        _generate(self._store, self._claims, jobs, plan, report, self._progress, self._pictures)

    def make_what_others_left(self) -> None:
        """Wait for the variants that other processes were generating, and make those that they did not store."""
        while missing := self._claims.wait(self._progress):
            self.generate(load_frames(frames_of(self._plan, missing), 0), missing)

    def _progress(self) -> None:
        self._report.elsewhere = self._elsewhere + self._claims.elsewhere
        self._on_progress()

    def _store(self, variants: Sequence[Variant]) -> None:
        self._writer.put_many(variants)
        self._report.stored += len(variants)
        for variant in variants:
            self._claims.release(variant.key, variant.index)
            if self._on_stored is not None:
                self._on_stored(variant.key, variant.index)


def frames_of(plan: FillingPlan, missing: Iterable[str]) -> FrameDataset:
    """The frames of some keys of a plan, by their place among these keys."""
    numbers = [plan.numbers[key] for key in missing]
    schema, calibrations = plan.pipeline.schema, plan.calibrations
    return FrameDataset(plan.dataset, plan.names, numbers, plan.adapt, schema, calibrations, plan.depths)


def _generate(
    store: Callable[[Sequence[Variant]], None],
    claims: OpenVariants,
    jobs: Iterator[tuple[CheckedSample, int]],
    plan: FillingPlan,
    report: WarmReport,
    on_progress: Callable[[], None],
    on_rejected: OnRejected | None,
) -> None:
    """Generate and store variants; whatever is raised, all that is finished is stored."""
    pipeline, on_error = plan.pipeline, plan.on_error
    pending: list[Variant] = []
    failures: list[Failure] = []

    def count_failed() -> None:
        for key, index, _ in failures[len(report.failed) - failed_before :]:
            claims.release(key, index)  # another process may try
        report.count_failed(failures, failed_before)

    failed_before = len(report.failed)
    committed = time.perf_counter()
    results = pipeline.run(
        jobs,
        ordered=False,  # a slow one keeps no others from being stored
        statistics=report.statistics,
        failures=failures if on_error == "skip" else None,
        on_rejected=on_rejected,
    )
    try:
        for variant in results:
            _count_cutouts(variant, pipeline, report, on_error)
            pending.append(variant)
            count_failed()
            report.count(variant)
            if len(pending) >= _COMMIT_EVERY or time.perf_counter() - committed > _COMMIT_SECONDS:
                store(pending)
                pending, committed = [], time.perf_counter()
            on_progress()
    except GenerationError as error:
        if error.__cause__ is None:  # the backend broke its contract, which skipping does not mend
            raise
        step = or_skip("or continue without what it fails on", error.hint, error.command)
        raise error.with_hint(*step) from error.__cause__
    finally:
        # Also on Ctrl-C and on errors, including those of `on_progress`: nothing that was generated is lost.
        try:
            rest = _rest(results)
            if on_error == "raise":
                rest = [variant for variant in rest if not _unreadable_cutouts(variant)]
            for variant in rest:
                report.count(variant)
            pending += rest
        finally:
            count_failed()
            store(pending)


def _jobs(
    frames: Iterator[Sample | UnreadableSample],
    claims: OpenVariants,
    missing: Mapping[str, Sequence[int]],
    report: WarmReport,
    plan: FillingPlan,
) -> Iterator[tuple[CheckedSample, int]]:
    """The missing variants of the frames that can be read, those that no other process makes."""
    pipeline, on_error = plan.pipeline, plan.on_error
    for frame in frames:
        if isinstance(frame, UnreadableSample):
            if on_error == "raise":
                raise frame.to_error()
            report.unreadable.append((frame.key, frame.error))
            continue
        try:
            sample = pipeline.check_sample(frame, labels_checked=True)
        except DatasetError as error:
            if on_error == "raise":
                raise
            report.unreadable.append((frame.key, error.problem))
            continue
        for index in missing[frame.key]:
            if claims.take(frame.key, index):
                yield sample, index


def _unreadable_cutouts(variant: Variant) -> list[str]:
    """Names of the cut-outs that were drawn and could not be read."""
    return [rejection.detail for rejection in variant.rejections if rejection.reason == "unreadable cut-out"]


def _count_cutouts(variant: Variant, pipeline: GenerationPipeline, report: WarmReport, on_error: OnError) -> None:
    """Count the cut-outs of a new variant that could not be read, or raise."""
    reasons = pipeline.unreadable()
    for name in _unreadable_cutouts(variant):
        problem = reasons.get(name, "it cannot be read")
        if on_error == "raise":
            restore = "restore the file (without it, it is another bank, for a new cache)"
            step = or_skip("or reject what draws it", restore)
            problem = f"cut-out {name!r}: {problem}"
            raise ObjectBankError(problem, expected="cut-outs that can be read", hint=step.hint, command=step.command)
        report.cutouts[f"{name}: {problem}"] += 1


class _Stopped(Exception):
    """Thrown into the engine's generator: no more results are taken."""


def _rest(results: Generator[Variant, None, None]) -> list[Variant]:
    """What the engine has finished and not handed out, if the loop over it was left early; otherwise nothing."""
    rest = []
    with suppress(_Stopped):
        rest.append(results.throw(_Stopped()))
        rest.extend(results)
    return rest
