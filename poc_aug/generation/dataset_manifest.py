"""The manifest of a cache: what a pipeline makes of a dataset, the same whichever process fills it."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset, Subset

from poc_aug.cache import Codec, Manifest
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.labels.schema import LabelSchema


def manifest_of(
    pipeline: GenerationPipeline, dataset: str, schema: LabelSchema | None, codec: Codec, samples: int | None = None
) -> Manifest:
    """The manifest of a cache.

    Args:
        pipeline: fills the cache.
        dataset: `type_name` of the base dataset.
        schema: its label schema.
        codec: codec of patches or frames.
        samples: how many samples it has, repeated ones once.
    """
    return Manifest(
        fingerprint=pipeline.fingerprint,
        recipe=pipeline.recipe_json,
        backends=pipeline.describe(),
        dataset={"type": dataset, "schema": schema.name if schema else None},
        codec=codec,
        samples=samples,
    )


def type_name(dataset: Dataset[Any]) -> str:
    """Name of the dataset's class; a subset is named after what it is a subset of."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset).__name__
