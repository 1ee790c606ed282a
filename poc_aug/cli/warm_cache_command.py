"""``poc-aug warm-cache`` (also ``warm_cache``): generate the insertions of a dataset into a cache."""

from __future__ import annotations

from typing import Any

from poc_aug.cli.build_pipeline import build_pipeline, plain_pipeline
from poc_aug.cli.command_options import with_options
from poc_aug.cli.console import console
from poc_aug.cli.fill_cache import fill_cache, read_job
from poc_aug.cli.filling_fields import ConfigFile
from poc_aug.cli.object_sources import load_objects, load_recipe
from poc_aug.cli.progress import print_objects
from poc_aug.cli.shared_options import DatasetArguments
from poc_aug.cli.unused_options import check_backend_options, check_effects, check_given_once
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.labels.detect import find_schema


@with_options(WarmCacheOptions)
def warm_cache_command(*, arguments: DatasetArguments = None, config: ConfigFile = None, **given: Any) -> None:
    """Generate the missing insertions of a dataset into a cache. Run it again to resume.

    Exit code 3: no object was accepted.
    """
    job = read_job(WarmCacheOptions, config, given)
    if job.objects is None:
        raise SettingError("--objects is missing", expected="--objects rendered")
    objects = job.objects
    if job.out is None:
        raise SettingError("--out is missing", expected="--out street.cache")
    check_backend_options(job)
    check_given_once(job)
    job.source()  # sizes, names and numbers are checked before the dataset is loaded

    def make_pipeline(dataset: Any) -> InsertionPipeline:
        pipeline = _pipeline(job, objects, dataset)
        print_objects(console, pipeline.inserter)
        return pipeline

    fill_cache("warm-cache", job, arguments, make_pipeline)


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
