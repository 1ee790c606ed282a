"""What the commands that fill a cache have in common: ``warm-cache`` and ``warm-scenes``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import typer

from poc_aug.cli.arguments import check_device, load_dataset, parse_arguments
from poc_aug.cli.console import console, errors
from poc_aug.cli.machine_options import engine_of
from poc_aug.cli.progress import nothing_accepted_text, print_report, warm_progress
from poc_aug.cli.run_report import run_report
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.cli.warm_scenes_options import WarmScenesOptions
from poc_aug.errors import SettingError
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.ray_cluster import RayEngine
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache

NOTHING_ACCEPTED = 3
"""Exit code of a run after which no variant has an object or a frame."""

_Job = TypeVar("_Job", WarmCacheOptions, WarmScenesOptions)


def read_job(
    options: type[_Job],
    config: Path | None,
    given: dict[str, Any],
    complete: Callable[[Mapping[str, Any]], dict[str, Any]] = dict,
) -> _Job:
    """The options of a YAML file and of the command line, which wins.

    Args:
        options: the options' class.
        config: the YAML file.
        given: what the command line gives.
        complete: adds options that follow from those that are given.

    Raises:
        SettingError: an option that cannot be read, or no dataset is named.
    """
    values = {} if config is None else options.from_yaml(config)
    # A dataset of the command line replaces the configuration's as a whole, arguments too.
    job = options.from_values(complete({**values, **options.given_values(given)}), "options")
    if job.dataset is None:
        raise SettingError("--dataset is missing", expected="--dataset poc_aug:SyntheticStreet size=256,512")
    return job


def fill_cache(
    command: str,
    job: WarmCacheOptions | WarmScenesOptions,
    arguments: Sequence[str] | None,
    make_pipeline: Callable[[Any], GenerationPipeline],
    rebuild: Callable[[Any], GenerationPipeline] | None = None,
) -> None:
    """Fill the cache that a command's options name, with progress and report.

    Args:
        command: name of the command.
        job: its options; dataset and cache are named.
        arguments: arguments of the dataset, as ``key=value``.
        make_pipeline: makes the pipeline for the dataset.
        rebuild: makes it again in each Ray actor, so that models are loaded there; ``None``: it is sent as it is.

    Raises:
        typer.Exit: with code 3: no object was accepted and no frame was made.
    """
    assert job.dataset is not None
    assert job.out is not None
    with run_report(job.report, command, job.out) as result:
        engine = engine_of(job)
        check_device(job.device)
        dataset = load_dataset(job.dataset.type, {**job.dataset.args, **parse_arguments(list(arguments or []))})
        pipeline = make_pipeline(dataset)
        if isinstance(engine, RayEngine) and rebuild is not None:
            engine = replace(engine, make_pipeline=partial(rebuild, dataset))
        frames = isinstance(pipeline, ShiftPipeline)
        report = WarmReport()
        try:
            with warm_progress(console, "frames" if frames else "variants") as show:
                warm_cache(
                    dataset,
                    job.out,
                    pipeline,
                    num_variants=job.num_variants,
                    limit=job.limit,
                    schema=job.label_schema,
                    keys=job.keys,
                    workers=job.workers,
                    codec=job.codec,
                    on_error=job.on_error,
                    keep_rejected=job.keep_rejected,
                    add_recipe=job.add_recipe,
                    replace_dropped=job.replace_dropped,
                    on_progress=show,
                    report=report,
                    shard=job.shard,
                    engine=engine,
                )
        except BaseException:
            # What was accepted before this run is only looked up at its end.
            result.update(report.to_dict(), cache=job.out, nothing_accepted=None)
            raise
        result.update(report.to_dict(), cache=job.out)
        print_report(console, report, job.out, frames=frames)
        if report.nothing_accepted:
            errors.print(nothing_accepted_text(report, job.out, frames=frames), style="red")
            raise typer.Exit(NOTHING_ACCEPTED)
        if report.made == report.present == 0 and (report.unreadable or report.failed):
            errors.print(f"error: nothing was made for {job.out}: everything was skipped, see above", style="red")
            raise typer.Exit(NOTHING_ACCEPTED)
