"""One insertion with everything that happened on its way: what ``poc-aug try`` draws."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from poc_aug.camera_model import Camera
from poc_aug.errors import RecipeError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.scene import Scene
from poc_aug.generation.statistics import Statistics
from poc_aug.protocols import Inserter
from poc_aug.recipe import ObjectSpec
from poc_aug.types import Box, Crop, Extent, Filled, Region, Rejection, Sample, Variant

if TYPE_CHECKING:
    from poc_aug.backends.finders.finder_protocols import Finder, Masks


@dataclass
class Attempt:
    """One attempt at placing the object.

    Attributes:
        number: from 0.
        seed: its seed.
        region: where it was to be, or why there was no place.
        crop: what the inserter got; ``None`` where there was no place.
        filled: what the inserter gave.
        found: what the annotator's finder found, one `Masks` a text; empty where the annotator has no finder.
        rejection: why it gave nothing; ``None`` where it was accepted.
    """

    number: int
    seed: int
    region: Region | Rejection
    crop: Crop | None = None
    filled: Filled | Rejection | None = None
    found: list[Masks] = field(default_factory=list)
    rejection: Rejection | None = None


@dataclass
class Trace:
    """All attempts at one object in one sample.

    Attributes:
        sample: what was inserted into.
        valid_area: bool ``[H, W]``, where it may stand.
        attempts: in order; the last one was accepted, or all were rejected.
        variant: what the pipeline made of them.
        statistics: counts and stage times.
        camera: the frame's camera; ``None`` where it is not known.
    """

    sample: Sample
    valid_area: torch.Tensor
    attempts: list[Attempt]
    variant: Variant
    statistics: Statistics
    camera: Camera | None = None


def trace(pipeline: InsertionPipeline, sample: Sample, variant: int = 0) -> Trace:
    """Run one variant of one sample, and keep what its stages saw and gave.

    The variant equals `InsertionPipeline.generate`'s.

    Args:
        pipeline: of a recipe with one object a variant.
        sample: what to insert into.
        variant: its number.

    Raises:
        RecipeError: the recipe puts several objects into a variant.
    """
    recipe = pipeline.recipe
    if recipe.objects_per_variant != (1, 1):
        raise RecipeError(
            f"objects_per_variant={recipe.objects_per_variant}", expected="(1, 1): one object is traced at a time"
        )
    seen = _Seen(pipeline)
    statistics = Statistics()
    made = next(seen.run([(sample, variant)], statistics=statistics))
    rejections = {rejection.attempt: rejection for rejection in made.rejections}
    attempts = []
    for number, (seed, region) in enumerate(seen.regions.items()):
        filled = seen.inserter.filled.get(seed)
        found = seen.found_in(filled) if isinstance(filled, Filled) else []
        attempts.append(
            Attempt(number, seed, region, seen.inserter.crops.get(seed), filled, found, rejections.get(number))
        )
    return Trace(sample, seen.valid_mask(sample, variant), attempts, made, statistics, seen.view(sample))


class _Seen(InsertionPipeline):
    """A pipeline that keeps what its stages saw."""

    inserter: _SeenInserter

    def __init__(self, pipeline: InsertionPipeline) -> None:
        annotator = pipeline.annotator
        self.finder: _SeenFinder | None = None
        if annotator is not None and hasattr(annotator, "finder"):
            # A copy: the caller's annotator, and a locator that shares its finder, are left as they are.
            annotator = copy.copy(annotator)
            self.finder = _SeenFinder(annotator.finder)
            annotator.finder = self.finder
        inserter = _SeenInserter(pipeline.inserter)
        super().__init__(
            pipeline.recipe,
            inserter,
            annotator,
            pipeline.locator,
            schema=pipeline.schema,
            batch_size=pipeline.batch_size,
        )
        self.regions: dict[int, Region | Rejection] = {}

    def found_in(self, filled: Filled) -> list[Masks]:
        return [] if self.finder is None else self.finder.found.get(id(filled.image), [])

    def valid_mask(self, sample: Sample, variant: int) -> torch.Tensor:
        (location,) = self.locations(sample.key, variant)
        mask = self.valid_area(sample, location).mask
        return torch.ones(sample.size_hw, dtype=torch.bool) if mask is None else mask

    def _place(
        self, scene: Scene, spec: ObjectSpec, seed: int, occupied: Sequence[Box]
    ) -> tuple[Region, Crop] | Rejection:
        placed = super()._place(scene, spec, seed, occupied)
        self.regions[seed] = placed if isinstance(placed, Rejection) else placed[0]
        return placed


class _SeenInserter:
    """Passes on, and keeps what went in and came out, by seed."""

    def __init__(self, inner: Inserter) -> None:
        self.inner = inner
        self.needs_camera = inner.needs_camera
        self.crops: dict[int, Crop] = {}
        self.filled: dict[int, Filled | Rejection] = {}

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def extent(self, object_name: str, seed: int) -> Extent | Rejection | None:
        return self.inner.extent(object_name, seed)

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        filled = self.inner.insert(crops)
        for crop, result in zip(crops, filled, strict=True):
            self.crops[crop.seed], self.filled[crop.seed] = crop, result
        return filled


class _SeenFinder:
    """Passes on, and keeps what was found, by the identity of the searched picture, which `_SeenInserter` keeps."""

    def __init__(self, inner: Finder) -> None:
        self.inner = inner
        self.found: dict[int, list[Masks]] = {}

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def text_limit(self, text: str) -> tuple[int, int]:
        return self.inner.text_limit(text)

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        found = self.inner.find(images, texts)
        self.found.update((id(image), rows) for image, rows in zip(images, found, strict=True))
        return found
