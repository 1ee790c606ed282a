"""``poc-aug warm-cache`` (also ``warm_cache``): generate the insertions of a dataset into a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poc_aug.cli.arguments import check_device, load_dataset, parse_arguments
from poc_aug.cli.build_pipeline import build_pipeline, plain_pipeline
from poc_aug.cli.command_options import with_options
from poc_aug.cli.console import console, errors
from poc_aug.cli.object_sources import load_objects, load_recipe
from poc_aug.cli.progress import nothing_accepted_text, print_objects, print_report, warm_progress
from poc_aug.cli.run_report import run_report
from poc_aug.cli.shared_options import DatasetArguments
from poc_aug.cli.unused_options import check_backend_options, check_effects, check_given_once
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.detect import find_schema

NOTHING_ACCEPTED = 3
"""Exit code of a run after which no variant has an object."""


@with_options(WarmCacheOptions)
def warm_cache_command(
    *,
    arguments: DatasetArguments = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A YAML file of these options; those given here win.")
    ] = None,
    **given: Any,
) -> None:
    """Generate the missing insertions of a dataset into a cache. Run it again to resume.

    Exit code 3: no object was accepted.
    """
    values = {} if config is None else WarmCacheOptions.from_yaml(config)
    # A dataset of the command line replaces the configuration's as a whole, arguments too.
    job = WarmCacheOptions.from_values({**values, **WarmCacheOptions.given_values(given)}, "options")
    if job.dataset is None:
        raise SettingError("--dataset is missing", expected="--dataset poc_aug:SyntheticStreet size=256,512")
    if job.objects is None:
        raise SettingError("--objects is missing", expected="--objects rendered")
    if job.out is None:
        raise SettingError("--out is missing", expected="--out street.cache")
    check_backend_options(job)
    check_given_once(job)
    job.source()  # sizes, names and numbers are checked before the dataset is loaded
    with run_report(job.report, "warm-cache", job.out) as result:
        check_device(job.device)
        dataset = load_dataset(job.dataset.type, {**job.dataset.args, **parse_arguments(arguments or [])})
        pipeline = _pipeline(job, job.objects, dataset)
        print_objects(console, pipeline.inserter)
        report = WarmReport()
        try:
            with warm_progress(console) as show:
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
                    on_progress=show,
                    report=report,
                )
        except BaseException:
            # What was accepted before this run is only looked up at its end.
            result.update(report.to_dict(), cache=job.out, nothing_accepted=None)
            raise
        result.update(report.to_dict(), cache=job.out)
        print_report(console, report, job.out)
        if report.nothing_accepted:
            errors.print(nothing_accepted_text(report, job.out), style="red")
            raise typer.Exit(NOTHING_ACCEPTED)
        if report.made == report.present == 0 and (report.unreadable or report.failed):
            errors.print(f"error: nothing was made for {job.out}: everything was skipped, see above", style="red")
            raise typer.Exit(NOTHING_ACCEPTED)


def _pipeline(job: WarmCacheOptions, objects: str, dataset: Any) -> InsertionPipeline:
    """The pipeline that the options ask for, after a check that each of them has an effect."""
    schema = find_schema(dataset, job.label_schema)
    if job.backend is None:
        recipe, inserter = load_objects(
            objects, job.source(), schema=schema, paper_sizes=job.paper_sizes, say=console.print
        )
        check_effects(job, recipe, inserter, schema, dataset)
        return plain_pipeline(recipe, inserter, job, batch_size=job.batch_size)
    recipe = load_recipe(objects, job.source(), paper_sizes=job.paper_sizes)
    check_effects(job, recipe, None, schema, dataset)
    return build_pipeline(console, recipe, job, batch_size=job.batch_size)
