"""`FillingJob`: what is read, and what generates what is stored, when a cache is filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch.utils.data import Dataset, Subset

from poc_aug.errors import SettingError
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.items.frame_depth import FrameDepths
from poc_aug.items.open_item import Adapt
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import find_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.scene_recipe import shifted_key

_NUM_VARIANTS = 3


@dataclass(frozen=True)
class FillingJob:
    """What is read, and what generates what is stored.

    Attributes:
        dataset: what is read; a base sample may be in it several times.
        pipeline: generates what is stored.
        keys: keys of its items, see `POCAugmentedDataset`.
        schema: label schema of ``dataset``, if it is known.
        adapt: how to take image and labels out of its items.
        num_variants: variants per item.
        per_sample: how many items in a row are of one base sample.
        depths: the dataset's own depth maps, if they are used.
    """

    dataset: Dataset[Any]
    pipeline: GenerationPipeline
    keys: Keys | None
    schema: LabelSchema | None
    adapt: Adapt | None
    num_variants: int = _NUM_VARIANTS
    per_sample: int = 1
    depths: FrameDepths | None = None


@runtime_checkable
class FillsCache(Protocol):
    """A dataset that knows what generates its items: a `SceneShiftDataset`."""

    def filling_job(self) -> FillingJob:
        """What fills a cache for it."""
        ...


def shift_job(
    base: Dataset[Any],
    pipeline: ShiftPipeline,
    keys: Sequence[str],
    schema: LabelSchema | None,
    adapt: Adapt | None,
    num_variants: int,
    depths: FrameDepths | None = None,
) -> FillingJob:
    """The job that fills a cache of frames: each base sample in each domain and severity.

    Args:
        base: the base dataset.
        pipeline: shifts its frames.
        keys: the key of each of its samples.
        schema: its label schema, if it is known.
        adapt: how to take image and labels out of its items.
        num_variants: variants per sample, domain and severity.
        depths: the dataset's own depth maps, if they are used.
    """
    shifts = pipeline.recipe.shifts
    return FillingJob(
        Subset(base, [number for number in range(len(keys)) for _ in shifts]),
        pipeline,
        [shifted_key(key, *shift) for key in keys for shift in shifts],
        schema,
        adapt,
        num_variants,
        len(shifts),
        None if depths is None else FrameDepths(depths.source, len(shifts)),
    )


def filling_job_of(
    dataset: Dataset[Any],
    pipeline: GenerationPipeline | None,
    num_variants: int | None,
    schema: LabelSchema | str | Path | None,
    keys: Keys | None,
    adapt: Adapt | None,
) -> FillingJob:
    """The job of `poc_aug.warm_cache`'s arguments.

    Raises:
        SettingError: no pipeline for a dataset that has none itself; or arguments that such a dataset has itself.
    """
    if pipeline is not None:
        if not isinstance(pipeline, GenerationPipeline):
            raise SettingError(
                f"pipeline={type(pipeline).__name__}(...)",
                expected="an InsertionPipeline or a ShiftPipeline",
                hint="InsertionPipeline(recipe, inserter)",
            )
        if isinstance(pipeline, ShiftPipeline):
            known = find_schema(dataset, schema)
            return shift_job(dataset, pipeline, dataset_keys(dataset, keys), known, adapt, num_variants or 1)
        count = _NUM_VARIANTS if num_variants is None else num_variants
        return FillingJob(dataset, pipeline, keys, find_schema(dataset, schema), adapt, count)
    if not isinstance(dataset, FillsCache):
        raise SettingError(
            f"no pipeline for {type(dataset).__name__}",
            expected="a pipeline that generates what is stored, or a SceneShiftDataset, which has its own",
            hint="warm_cache(dataset, cache, InsertionPipeline(recipe, inserter)), or "
            'warm_cache(SceneShiftDataset(dataset, "fog"), cache)',
        )
    given = {"schema": schema, "keys": keys, "adapt": adapt}
    twice = [name for name, value in given.items() if value is not None]
    if twice:
        raise SettingError(
            f"{', '.join(twice)} with a {type(dataset).__name__}",
            expected="none: it has its own",
            hint=f"{type(dataset).__name__}(..., {twice[0]}=...)",
        )
    job = dataset.filling_job()
    return job if num_variants is None else replace(job, num_variants=num_variants)
