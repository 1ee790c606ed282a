"""One insertion with every stage on the way to it: what ``poc-aug try`` draws."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from poc_aug.backends.finders.finder_protocols import Finder, Masks
from poc_aug.camera_model import Camera
from poc_aug.errors import RecipeError
from poc_aug.generation.engine import Engine
from poc_aug.generation.insertion_jobs import InsertionJobs
from poc_aug.generation.insertion_stages import CropOutcome, InsertionStages
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.places import Places
from poc_aug.generation.scene import Scene
from poc_aug.generation.statistics import Statistics
from poc_aug.protocols import Annotator, Inserter
from poc_aug.recipe import ObjectSpec, Recipe
from poc_aug.types import Box, Crop, Extent, Filled, Region, Rejection, Sample, Variant


@dataclass
class Attempt:
    """One attempt at placing the object.

    Attributes:
        number: from 0.
        seed: its seed.
        region: where it was to go, or why there was no place.
        crop: what the inserter received; ``None`` if there was no place.
        filled: what the inserter returned.
        masks: what the annotator's finder found, one `Masks` per text; empty if the annotator has no finder.
        rejection: why it was rejected; ``None`` if it was accepted.
    """

    number: int
    seed: int
    region: Region | Rejection
    crop: Crop | None = None
    filled: Filled | Rejection | None = None
    masks: list[Masks] = field(default_factory=list)
    rejection: Rejection | None = None


@dataclass
class Trace:
    """All attempts at one object in one sample.

    Attributes:
        sample: what was inserted into.
        valid_area: bool ``[H, W]``, where the object may stand.
        attempts: in order; the last one was accepted, or all were rejected.
        variant: what the pipeline made of them.
        statistics: counts and stage times.
        camera: the frame's camera; ``None`` if it is not known.
    """

    sample: Sample
    valid_area: torch.Tensor
    attempts: list[Attempt]
    variant: Variant
    statistics: Statistics
    camera: Camera | None = None


def trace_variant(
    pipeline: InsertionPipeline, sample: Sample, variant: int = 0, *, on_attempt: Callable[[int], None] | None = None
) -> Trace:
    """Run one variant of one sample, and keep what its stages received and returned.

    The variant equals `InsertionPipeline.generate`'s.

    Args:
        pipeline: of a recipe with one object per variant.
        sample: what to insert into.
        variant: its number.
        on_attempt: called before each attempt with its number, from 0.

    Raises:
        RecipeError: the recipe puts several objects into a variant.

    Example:
        >>> from poc_aug import LabelSchema, Recipe, RenderedInserter
        >>> size = {"kind": "pixels", "min_px": 12, "max_px": 16}
        >>> single = {"objects_per_variant": [1, 1], "camera": {"horizon": 0.2}}
        >>> recipe = Recipe.from_dict({"objects": ["traffic cone"], "size": size, **single})
        >>> pipeline = InsertionPipeline(recipe, RenderedInserter(), schema=LabelSchema("ground", {"road": 0}))
        >>> image, labels = torch.full((3, 48, 64), 128, dtype=torch.uint8), torch.zeros(48, 64, dtype=torch.uint8)
        >>> trace = trace_variant(pipeline, Sample(image, labels, key="grey"))
        >>> len(trace.attempts), trace.attempts[0].rejection, trace.camera.horizon_from
        (1, None, 'given')
    """
    recipe = pipeline.recipe
    if recipe.objects_per_variant != (1, 1):
        raise RecipeError(
            f"objects_per_variant={recipe.objects_per_variant}", expected="(1, 1): one object is traced at a time"
        )
    pipeline.check()
    inserter = _RecordingInserter(pipeline.inserter)
    annotator, finder = _recording_annotator(pipeline.annotator)
    jobs = _RecordingJobs(recipe, inserter, pipeline.places, on_attempt)
    statistics = Statistics()
    stages = InsertionStages(inserter, annotator, statistics)
    engine: Engine[Crop, CropOutcome, Variant] = Engine(stages, pipeline.batch_size, statistics)
    made = next(engine.run(jobs.make([(sample, variant)], statistics, engine.submit), ordered=True))
    rejections = {rejection.attempt: rejection for rejection in made.rejections}
    attempts = []
    for number, (seed, region) in enumerate(jobs.regions.items()):
        filled = inserter.filled.get(seed)
        masks = finder.masks.get(id(filled.image), []) if finder and isinstance(filled, Filled) else []
        attempts.append(Attempt(number, seed, region, inserter.crops.get(seed), filled, masks, rejections.get(number)))
    scene, location = jobs.traced
    mask = scene.area(location).mask
    valid_area = torch.ones(sample.size_hw, dtype=torch.bool) if mask is None else mask
    return Trace(sample, valid_area, attempts, made, statistics, scene.camera)


class _RecordingJobs(InsertionJobs):
    """Keeps where each attempt's object was to go, by seed, and the scene."""

    def __init__(
        self, recipe: Recipe, inserter: Inserter, places: Places, on_attempt: Callable[[int], None] | None
    ) -> None:
        super().__init__(recipe, inserter, places)
        self.on_attempt = on_attempt
        self.regions: dict[int, Region | Rejection] = {}
        self.traced: tuple[Scene, tuple[str, ...]]

    def place(
        self, scene: Scene, spec: ObjectSpec, seed: int, occupied: Sequence[Box]
    ) -> tuple[Region, Crop] | Rejection:
        if self.on_attempt is not None:
            self.on_attempt(len(self.regions))
        placed = super().place(scene, spec, seed, occupied)
        self.regions[seed] = placed if isinstance(placed, Rejection) else placed[0]
        self.traced = scene, self.places.location(spec)
        return placed


def _recording_annotator(annotator: Annotator | None) -> tuple[Annotator | None, _RecordingFinder | None]:
    """The annotator with a finder that keeps what it finds, if it has a finder."""
    if annotator is None or not hasattr(annotator, "finder"):
        return annotator, None
    # A copy: the caller's annotator, and a locator that shares its finder, are left as they are.
    annotator = copy.copy(annotator)
    finder = annotator.finder = _RecordingFinder(annotator.finder)
    return annotator, finder


class _RecordingInserter:
    """An inserter that keeps the crops it was given and what it returned, by seed."""

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


class _RecordingFinder:
    """A finder that keeps the masks it found, by the identity of the picture, which `_RecordingInserter` keeps."""

    def __init__(self, inner: Finder) -> None:
        self.inner = inner
        self.masks: dict[int, list[Masks]] = {}

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def text_limit(self, text: str) -> tuple[int, int]:
        return self.inner.text_limit(text)

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        masks = self.inner.find(images, texts)
        self.masks.update((id(image), rows) for image, rows in zip(images, masks, strict=True))
        return masks
