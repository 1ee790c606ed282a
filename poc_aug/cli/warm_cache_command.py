"""``poc-aug warm-cache`` (also ``warm_cache``): generate the insertions of a dataset into a cache."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from poc_aug.cache import Manifest
from poc_aug.cli.arguments import load_dataset, parse_arguments
from poc_aug.cli.build_pipeline import build_pipeline, plain_pipeline, with_locator
from poc_aug.cli.command_options import with_options
from poc_aug.cli.console import console, errors
from poc_aug.cli.dry_run import dry_run
from poc_aug.cli.fill_cache import fill_cache, read_job
from poc_aug.cli.filling_fields import ConfigFile
from poc_aug.cli.machine_options import engine_of
from poc_aug.cli.object_sources import load_objects, load_recipe
from poc_aug.cli.progress import print_objects
from poc_aug.cli.set_options import name_of_set, with_paper_set
from poc_aug.cli.shared_options import DatasetArguments
from poc_aug.cli.unused_options import check_backend_options, check_effects, check_given_once
from poc_aug.cli.warm_cache_options import WarmCacheOptions
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.labels.detect import find_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.paper_sets import PaperSet, load_set
from poc_aug.protocols import Inserter
from poc_aug.recipe import Recipe


@with_options(WarmCacheOptions)
def warm_cache_command(*, arguments: DatasetArguments = None, config: ConfigFile = None, **given: Any) -> None:
    """Generate the missing insertions of a dataset into a cache. Run it again to resume.

    Exit code 3: no object was accepted.
    """
    job = read_job(WarmCacheOptions, config, name_of_set(given), partial(with_paper_set, arguments=arguments))
    if job.objects is None:
        raise SettingError("--objects is missing", expected="--objects rendered")
    if job.out is None and not job.dry_run:
        raise SettingError("--out is missing", expected="--out street.cache")
    check_backend_options(job)
    check_given_once(job)
    engine_of(job)
    job.source()  # sizes, names and numbers are checked before the dataset is loaded
    paper_set = None if job.paper_set is None else load_set(job.paper_set)
    if job.dry_run:
        _dry_run(job, arguments, paper_set)
        return
    if job.rate is not None:
        raise SettingError(
            f"no effect: --rate {job.rate:g} without --dry-run", expected="--dry-run", hint="leave it out"
        )

    def make_pipeline(dataset: Any) -> InsertionPipeline:
        pipeline = _pipeline(job, dataset)
        print_objects(console, pipeline.inserter)
        if paper_set is not None:
            _say_what_differs(paper_set, job, pipeline, dataset)
        return pipeline

    rebuild = None if job.backend is None else partial(_pipeline, job)
    fill_cache("warm-cache", job, arguments, make_pipeline, rebuild)


def _pipeline(job: WarmCacheOptions, dataset: Any) -> InsertionPipeline:
    """The pipeline that the options ask for."""
    recipe, inserter = _recipe(job, dataset)
    if inserter is not None:
        return plain_pipeline(recipe, inserter, job, batch_size=job.batch_size)
    return build_pipeline(console, recipe, job, batch_size=job.batch_size)


def _recipe(job: WarmCacheOptions, dataset: Any) -> tuple[Recipe, Inserter | None]:
    """Recipe and, if no model paints, inserter, after a check that each of the options has an effect."""
    assert job.objects is not None
    schema: LabelSchema | None = find_schema(dataset, job.label_schema)
    inserter: Inserter | None = None
    if job.backend is None:
        recipe, inserter = load_objects(
            job.objects, job.source(), schema=schema, paper_sizes=job.paper_sizes, say=console.print
        )
    else:
        recipe = load_recipe(job.objects, job.source(), paper_sizes=job.paper_sizes)
    check_effects(job, recipe, inserter, schema, dataset)
    return recipe, inserter


def _dry_run(job: WarmCacheOptions, arguments: list[str] | None, paper_set: PaperSet | None) -> None:
    assert job.dataset is not None
    if job.report is not None:
        raise SettingError(f"--report {job.report} with --dry-run", expected="one of the two: a dry run writes nothing")
    if job.rate is not None and job.backend is None:
        raise SettingError(
            f"no effect: --rate {job.rate:g}, since no model paints objects from {job.objects}",
            expected="a model: --backend diffusion, or a set",
            hint="leave it out",
        )
    dataset = load_dataset(job.dataset.type, {**job.dataset.args, **parse_arguments(list(arguments or []))})
    recipe, inserter = _recipe(job, dataset)
    painted_by = job.backend or str(inserter.describe().get("inserter") if inserter is not None else None)
    if job.backend == "text-to-image":
        from poc_aug.backends.diffusion.text_to_image import text_to_image_recipe

        size_px = job.backend_args.get("size_px")
        recipe = text_to_image_recipe(recipe, **({} if size_px is None else {"size_px": size_px}))
    recipe = with_locator(recipe, job.locator)
    dry_run(console, job, dataset, recipe, painted_by=painted_by, paper_set=paper_set)


def _say_what_differs(paper_set: PaperSet, job: WarmCacheOptions, pipeline: InsertionPipeline, dataset: Any) -> None:
    """Say in what the cache will not be the set that is named, if it will not."""
    manifest = Manifest.create(pipeline.recipe_json, pipeline.describe(), {})
    lines = list(paper_set.differences(replace(manifest, samples=len(dataset))))
    if job.limit is not None and job.limit < len(dataset):
        lines.append(f"frames: only the first {job.limit}")
    if job.num_variants != paper_set.variants:
        lines.append(f"variants: {job.num_variants} per frame, not {paper_set.variants}")
    if lines:
        errors.print(f"note: this cache will not be {paper_set.name}, these differ:", style="yellow")
        for line in lines:
            errors.print(f"  {line}", style="yellow")
