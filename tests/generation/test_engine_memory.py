"""The engine holds a bounded number of frames, and failures hold none."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence

import pytest
import torch

from poc_aug.errors import GenerationError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.types import Crop, Filled, Rejection, Sample
from tests.helpers.engine_cases import ONE, Recording, RoadLocator, located, no_thread_is_left, pipeline_of  # noqa: F401
from tests.helpers.fakes import SCHEMA, EllipseInserter, make_recipe, make_sample

LONG = 160  # ten times what may be held


class Lazy:
    """A long dataset that counts how many of its frames are alive."""

    def __init__(self, length: int, variants: int = 1, first_black: bool = False, sky: Sequence[int] = ()) -> None:
        self.length, self.variants, self.first_black, self.sky = length, variants, first_black, set(sky)
        self.alive = self.most = 0

    def _gone(self) -> None:
        self.alive -= 1

    def sample(self, number: int) -> Sample:
        image = make_sample(0, (24, 33)).image.clone()
        if number == 0 and self.first_black:
            image.zero_()
        labels = torch.full((24, 33), 1 if number in self.sky else 0, dtype=torch.uint8)
        weakref.finalize(image, self._gone)
        self.alive += 1
        self.most = max(self.most, self.alive)
        return Sample(image, labels, f"frame-{number:03d}")

    def jobs(self) -> Iterator[tuple[Sample, int]]:
        for number in range(self.length):
            sample = self.sample(number)
            for index in range(self.variants):
                yield sample, index


class RejectBlack(EllipseInserter):
    def _one(self, crop: Crop) -> Filled | Rejection:
        return super()._one(crop) if crop.image.any() else Rejection("black")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Frames have to go without the cycle collector: it may come late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize(
    "dataset",
    [
        Lazy(LONG),
        Lazy(LONG // 2, variants=2),
        Lazy(LONG, first_black=True),
        Lazy(LONG, sky=range(0, LONG, 2)),
    ],
    ids=["one", "two variants", "slow first", "no room in every other"],
)
def test_frames_held_are_bounded(dataset: Lazy, batch_size: int, ordered: bool) -> None:
    dataset.most = 0
    locations = {"locate_by": "locator", "location": ["road"]} if dataset.variants == 2 else {"location": ["road"]}
    # The first, black frame is tried again and again, and holds up the others' way out if they come in order.
    recipe = make_recipe(**{**ONE, **locations, "attempts": 150 if dataset.first_black else 3})
    pipeline = InsertionPipeline(recipe, RejectBlack(), None, RoadLocator(), schema=SCHEMA, batch_size=batch_size)
    made = sum(1 for _ in pipeline.run(dataset.jobs(), ordered=ordered))
    assert made == dataset.length * dataset.variants
    assert dataset.alive == 0
    assert batch_size / dataset.variants <= dataset.most <= 3 * batch_size + 1


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("where", ["inserter", "locator"])
def test_failures_hold_no_frames(where: str) -> None:
    def fail(key: object) -> None:
        raise ZeroDivisionError("no")

    dataset = Lazy(60, variants=2)
    failures: list[tuple[str, int, GenerationError]] = []
    pipeline = located(RoadLocator(fail)) if where == "locator" else pipeline_of(Recording(fail))
    assert list(pipeline.run(dataset.jobs(), failures=failures)) == []
    assert len(failures) == 120
    assert dataset.alive == 0
    assert dataset.most <= 13
    assert all(isinstance(error.__cause__, ZeroDivisionError) for _, _, error in failures)
