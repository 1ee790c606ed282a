"""`InPlaceGenerator`: generates what an item shows where it is read, for pipelines that hold no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.types import Sample, Variant


class InPlaceGenerator:
    """Generates variants in the process that reads, again at each read.

    Args:
        pipeline: what generates; without models, since each loader worker has a copy.
    """

    def __init__(self, pipeline: GenerationPipeline) -> None:
        self.pipeline = pipeline

    def generate(self, requests: Sequence[tuple[Sample, int]]) -> list[Variant | None]:
        """Generate variants of samples, by index."""
        return list(self.pipeline.run(requests))

    def offer(self, make_sample: Callable[[], Sample], key: str, index: int) -> bool:
        """Nothing is generated ahead, since nothing is kept."""
        return False


class NothingStored:
    """Stands for the cache of what is generated in place."""

    path = Path()

    def variants(self, key: str) -> tuple[int, ...]:
        """None."""
        return ()

    def get(self, key: str, variant: int) -> Variant | None:
        """``None``."""
        return None

    def get_new(self, key: str, variant: int) -> Variant | None:
        """``None``."""
        return None

    def kept(self, variant: Variant) -> Variant:
        """The variant as it is: there is no journal."""
        return variant
