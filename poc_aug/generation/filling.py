"""Filling a cache by a plan: reads frames, generates what is missing, writes it to a shard of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress

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
    name = unique_name(plan.cache, plan.job)
    # The loader's workers start before the writer opens its file: a forked child must not inherit it (lmdb).
    frames = load_frames(_read_by(plan, plan.missing), plan.workers)
    with (
        frames.deaths_explained(),
        CacheWriter(plan.cache, plan.manifest, writer=name) as writer,
        closing(OpenVariants(plan.cache, name, plan.listed)) as claims,
    ):
        pictures = RejectedPictures(writer.path, plan.keep_rejected).add if plan.keep_rejected else None

        def progress() -> None:
            report.elsewhere = claims.elsewhere
            on_progress()

        jobs = _jobs(frames, claims, plan.missing, report, plan)
        _generate(writer, claims, jobs, plan, report, progress, pictures)
        while missing := claims.wait():
            again = load_frames(_read_by(plan, missing), 0)
            _generate(writer, claims, _jobs(again, claims, missing, report, plan), plan, report, progress, pictures)
        report.elsewhere = claims.elsewhere


def _read_by(plan: FillingPlan, missing: Mapping[str, Sequence[int]]) -> FrameDataset:
    numbers = [plan.numbers[key] for key in missing]
    schema, calibrations = plan.pipeline.schema, plan.calibrations
    return FrameDataset(plan.dataset, plan.names, numbers, plan.adapt, schema, calibrations, plan.depths)


def _generate(
    writer: CacheWriter,
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
                _store(writer, claims, pending, report)
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
            _store(writer, claims, pending, report)


def _store(writer: CacheWriter, claims: OpenVariants, variants: Sequence[Variant], report: WarmReport) -> None:
    writer.put_many(variants)
    report.stored += len(variants)
    for variant in variants:
        claims.release(variant.key, variant.index)


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
