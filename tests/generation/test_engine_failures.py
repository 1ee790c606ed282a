"""Backends that fail under the engine: named, left out one by one, or raised at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from poc_aug.errors import DatasetError, GenerationError, PocAugError
from poc_aug.types import Crop, Filled, Rejection, Sample
from tests.helpers.engine_cases import (
    Recording,
    RoadLocator,
    jobs_of,
    located,
    no_thread_is_left,  # noqa: F401
    pipeline_of,
    seeds_of,
)
from tests.helpers.fakes import EllipseAnnotator, EllipseInserter, make_sample, provenance_of


class Wrong(EllipseInserter):
    """Breaks the contract by what ``change`` makes of its results."""

    def __init__(self, change: Callable[[list[Any]], Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.change = change

    def insert(self, crops: Sequence[Crop]) -> Any:
        return self.change(super().insert(crops))


class WrongAnnotator(EllipseAnnotator):
    def __init__(self, change: Callable[[list[Any]], Any]) -> None:
        self.change, self.calls = change, 0

    def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> Any:
        self.calls += 1
        return self.change(super().annotate(crops, filled))


BROKEN: list[tuple[Callable[[list[Any]], Any], str]] = [
    (lambda results: results[1:], "returned 3 results for 4 crops"),
    (lambda results: [*results, results[0]], "returned 5 results for 4 crops"),
    (lambda results: [], "returned 0 results for 4 crops"),
    (lambda results: iter(results), "returned a list_iterator for 4 crops"),
    (lambda results: None, "returned a NoneType for 4 crops"),
    (lambda results: [*results[1:], None], "returned results of type NoneType for 4 crops"),
]


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(("change", "problem"), BROKEN)
def test_a_broken_contract_is_raised_at_once(change: Callable[[list[Any]], Any], problem: str, skip: bool) -> None:
    failures: list[tuple[str, int, GenerationError]] | None = [] if skip else None
    inserter = Wrong(change)
    with pytest.raises(GenerationError, match=f"Wrong {problem}"):
        list(pipeline_of(inserter).run(jobs_of(4), failures=failures))
    assert inserter.batches == [4]  # not once more, one by one
    annotator = WrongAnnotator(change)
    with pytest.raises(GenerationError, match=f"WrongAnnotator {problem}"):
        list(pipeline_of(EllipseInserter(exact=False), annotator=annotator).run(jobs_of(4), failures=failures))
    assert annotator.calls == 1
    assert not failures


class Broken(EllipseInserter):
    """Raises on crops of frames that begin with a black pixel, as a library might."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        if not crop.image.any():
            raise ZeroDivisionError("black")
        return super()._one(crop)


def black(number: int) -> Sample:
    sample = make_sample(number)
    return replace(sample, image=torch.zeros_like(sample.image))


def test_a_crop_that_a_backend_raises_on_is_found_and_left_out() -> None:
    jobs = [(black(number) if number in (2, 9) else make_sample(number), 0) for number in range(12)]
    failures: list[tuple[str, int, GenerationError]] = []
    made = list(pipeline_of(Broken()).run(jobs, failures=failures))
    assert [(key, index) for key, index, _ in failures] == [("frame-002", 0), ("frame-009", 0)]
    for key, _, error in failures:
        assert key in str(error)
        assert "ZeroDivisionError: black" in str(error)
        assert isinstance(error.__cause__, ZeroDivisionError)
    alone = [pipeline_of(Broken()).generate(*job) for job in jobs if job[0].key not in ("frame-002", "frame-009")]
    assert [variant.key for variant in made] == [variant.key for variant in alone]
    assert seeds_of(made) == seeds_of(alone)
    with pytest.raises(GenerationError, match=r"'frame-002'.*ZeroDivisionError"):
        list(pipeline_of(Broken()).run(jobs))


def test_a_locator_that_raises_is_named_and_its_variants_left_out() -> None:
    def fail(key: str) -> None:
        if key == "frame-003":
            raise ZeroDivisionError("no road")

    jobs = jobs_of(8, variants=2)
    failures: list[tuple[str, int, GenerationError]] = []
    made = list(located(RoadLocator(fail)).run(jobs, failures=failures))
    assert [(key, index) for key, index, _ in failures] == [("frame-003", 0), ("frame-003", 1)]
    assert "location 'road'" in str(failures[0][2])
    assert [(v.key, v.index) for v in made] == [(s.key, index) for s, index in jobs if s.key != "frame-003"]
    with pytest.raises(GenerationError, match=r"'frame-003'.*'road'.*no road"):
        list(located(RoadLocator(fail)).run(jobs))


@pytest.mark.parametrize("change", [lambda mask: mask[1:], lambda mask: mask.float(), lambda mask: mask[None]])
def test_an_area_of_another_form_is_an_error(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    class Odd(RoadLocator):
        def locate(self, sample: Sample, location: str) -> torch.Tensor:
            return change(super().locate(sample, location))

    with pytest.raises(GenerationError, match=r"Odd returned torch.* for 'road' in sample 'frame-000'"):
        list(located(Odd()).run(jobs_of(2)))


def test_a_sample_smaller_than_a_crop_is_an_error_before_any_crop_is_filled() -> None:
    inserter = Recording()
    objects = ["dog", {"name": "person", "crop_px": 49}]
    with pytest.raises(
        DatasetError, match=r"(?s)'frame-000' is 48x65 pixels .*'person': crop_px=49.*49x49.*48 or less"
    ):
        list(pipeline_of(inserter, objects=objects).run(jobs_of(3)))
    assert inserter.batches == []
    objects = [{"name": "person", "crop_px": 48}]
    made = list(pipeline_of(inserter, objects=objects).run(jobs_of(3)))
    assert {tuple(provenance_of(i)["crop_yxhw"][2:]) for v in made for i in v.insertions} == {(48, 48)}
    small = [(make_sample(0, (97, 131)), 0), (make_sample(1, (131, 17)), 0)]
    with pytest.raises(DatasetError, match="'frame-001' is 131x17"):
        list(pipeline_of(inserter, objects=objects).run(small))


def test_what_a_backend_raises_on_purpose_is_not_blamed_on_a_crop() -> None:
    def fail(number: int) -> None:
        raise PocAugError("on purpose")

    inserter = Recording(fail)
    with pytest.raises(PocAugError, match="on purpose"):
        list(pipeline_of(inserter).run(jobs_of(4), failures=[]))
    assert inserter.batches == [4]


def test_memory_that_runs_out_is_raised_as_it_is() -> None:
    def fail(number: int) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(pipeline_of(Recording(fail)).run(jobs_of(4), failures=[]))
    with pytest.raises(torch.OutOfMemoryError):
        list(located(RoadLocator(fail)).run(jobs_of(4), failures=[]))  # type: ignore[arg-type]
