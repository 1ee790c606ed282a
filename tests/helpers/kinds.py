"""Both kinds of caches, of insertions and of shifted frames: the same tests run over both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from poc_aug import seeding
from poc_aug.augmented_dataset import AugmentedDataset
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.base_pipeline import GenerationPipeline
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.shift_pipeline import ShiftPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.scene_dataset import SceneShiftDataset
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from poc_aug.types import Rejection
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

DOMAINS, SEVERITIES = ("dusk", "haze"), (2, 4)
SHIFTS = len(DOMAINS) * len(SEVERITIES)


class NoiseShifter:
    """Darkens a frame and adds noise of its seed; rejects where a seed says so."""

    holds_model = True  # so that it runs in the generation process

    def __init__(self, domain: str, *, reject: float = 0.0) -> None:
        self.domain, self.reject = domain, reject

    def describe(self) -> dict[str, Any]:
        return {"shifter": "noise", "domain": self.domain, "reject": self.reject}

    def shift(self, frames: Sequence[SceneFrame]) -> list[Shifted | Rejection]:
        return [self._one(frame) for frame in frames]

    def _one(self, frame: SceneFrame) -> Shifted | Rejection:
        rng = seeding.generator(frame.seed, "noise")
        if seeding.uniform(rng, 0, 1) < self.reject:
            return Rejection("black", detail="a dark seed")
        noise = torch.randint(0, 16, frame.image.shape, generator=rng, dtype=torch.uint8)
        return Shifted(frame.image // (1 + frame.severity) + noise, {"darkened": 1 + frame.severity})


class InPlace(NoiseShifter):
    """Runs where frames are read."""

    holds_model = False


def insertion_pipeline(reject: float = 0.3, on_each: Callable[[], None] | None = None) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(), _Told(reject, on_each), batch_size=4)


def shift_pipeline(reject: float = 0.3, on_each: Callable[[], None] | None = None) -> ShiftPipeline:
    recipe = SceneRecipe(domains=DOMAINS, severities=SEVERITIES, attempts=2)
    return ShiftPipeline(recipe, [_ToldShifter(name, reject, on_each) for name in DOMAINS], batch_size=4)


def one_shift_pipeline() -> ShiftPipeline:
    """One domain at one severity."""
    recipe = SceneRecipe(domains=DOMAINS[:1], severities=SEVERITIES[:1], attempts=2)
    return ShiftPipeline(recipe, [NoiseShifter(DOMAINS[0], reject=0.3)], batch_size=4)


class _Told(EllipseInserter):
    """Says when it fills a crop."""

    def __init__(self, reject: float, on_each: Callable[[], None] | None) -> None:
        super().__init__(reject=reject)
        self.on_each = on_each

    def _one(self, crop: Any) -> Any:
        if self.on_each is not None:
            self.on_each()
        return super()._one(crop)


class _ToldShifter(NoiseShifter):
    """Says when it shifts a frame."""

    def __init__(self, domain: str, reject: float, on_each: Callable[[], None] | None) -> None:
        super().__init__(domain, reject=reject)
        self.on_each = on_each

    def _one(self, frame: SceneFrame) -> Shifted | Rejection:
        if self.on_each is not None:
            self.on_each()
        return super()._one(frame)


@dataclass(frozen=True)
class Kind:
    """One kind of cache: how it is filled, and what reads it.

    Attributes:
        name: "insertions" or "frames".
        pipeline: generates what it holds; takes the share of rejected attempts, and a function called for each.
        per_sample: records per sample and variant.
    """

    name: str
    pipeline: Callable[..., GenerationPipeline]
    per_sample: int

    def warm(self, path: Path, length: int, *, num_variants: int = 3, workers: int = 0, **changes: Any) -> WarmReport:
        """Fill a cache of `Frames`."""
        pipeline = changes.pop("pipeline", None) or self.pipeline()
        if self.name == "insertions":
            return warm_cache(Frames(length), path, pipeline, num_variants=num_variants, workers=workers, **changes)
        shifts: Any = pipeline
        dataset = SceneShiftDataset(Frames(length), shifts)
        return warm_cache(dataset, path, num_variants=num_variants, workers=workers, **changes)

    def read(self, path: Path, length: int, **changes: Any) -> AugmentedDataset:
        """What reads a cache of `Frames` as it is."""
        if self.name == "insertions":
            return POCAugmentedDataset(Frames(length), path, **changes)
        pipeline: Any = changes.pop("pipeline", None) or self.pipeline()
        return SceneShiftDataset(Frames(length), pipeline, path, **{"on_miss": "original", **changes})

    def live(self, path: Path | None, length: int, **changes: Any) -> AugmentedDataset:
        """What generates while it is read."""
        if self.name == "insertions":
            return POCAugmentedDataset(Frames(length), path, **{"pipeline": self.pipeline(), **changes})
        pipeline: Any = changes.pop("pipeline", None) or self.pipeline()
        return SceneShiftDataset(Frames(length), pipeline, path, **{"on_miss": "generate", **changes})


INSERTIONS = Kind("insertions", insertion_pipeline, 1)
FRAMES = Kind("frames", shift_pipeline, SHIFTS)
KINDS = (INSERTIONS, FRAMES)
