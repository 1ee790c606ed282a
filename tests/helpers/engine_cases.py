"""What the tests of the engine share: inserters that record, a locator, pipelines and jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
import torch

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.types import Crop, Filled, Rejection, Sample, Variant
from tests.helpers.fakes import SCHEMA, EllipseInserter, make_recipe, make_sample, provenance_of
from tests.helpers.waiting import WATCHDOG_S

PATIENCE_S = WATCHDOG_S  # a handshake that takes this long has failed
ONE = {"objects_per_variant": [1, 1], "location": []}  # each job is one crop, and there is always room


def wait_for(event: threading.Event) -> None:
    """Wait for the other thread; what this raises is nothing that the engine takes for an error of a crop."""
    if not event.wait(PATIENCE_S):
        pytest.fail("the other thread did not come that far")


def engine_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("poc-aug-accelerator")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert engine_threads() == []


class Recording(EllipseInserter):
    """Remembers the seeds of what it has filled; ``before`` is called with the number of each batch."""

    def __init__(self, before: Callable[[int], None] = lambda number: None, **settings: Any) -> None:
        super().__init__(**settings)
        self.before = before
        self.filled: list[int] = []

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        number = len(self.batches)
        self.batches.append(len(crops))
        self.before(number)
        results = [self._one(crop) for crop in crops]
        self.filled += [crop.seed for crop in crops]
        return results


class RoadLocator:
    """Finds the road in the pixels' place: the lower two thirds; ``before`` is called with each sample's key."""

    def __init__(self, before: Callable[[str], None] = lambda key: None) -> None:
        self.before = before
        self.asked: list[tuple[str, str]] = []

    def describe(self) -> dict[str, Any]:
        return {"locator": "road"}

    def locate(self, sample: Sample, location: str) -> torch.Tensor:
        self.asked.append((sample.key, location))
        self.before(sample.key)
        return sample.labels == 0


def pipeline_of(inserter: Any, batch_size: int = 4, annotator: Any = None, **changes: Any) -> InsertionPipeline:
    recipe = make_recipe(**{**ONE, **changes})
    return InsertionPipeline(recipe, inserter, annotator, schema=SCHEMA, batch_size=batch_size)


def located(locator: Any, inserter: Any = None, batch_size: int = 4, **changes: Any) -> InsertionPipeline:
    recipe = make_recipe(**{**ONE, "location": ["road"], "locate_by": "locator", **changes})
    return InsertionPipeline(recipe, inserter or Recording(), None, locator, schema=SCHEMA, batch_size=batch_size)


def jobs_of(count: int, variants: int = 1) -> list[tuple[Sample, int]]:
    return [(sample, index) for sample in map(make_sample, range(count)) for index in range(variants)]


def seeds_of(variants: Iterable[Variant]) -> list[int]:
    return sorted(provenance_of(insertion)["seed"] for variant in variants for insertion in variant.insertions)
