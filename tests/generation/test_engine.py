"""The engine: what overlaps, what is held, what is kept when something is raised."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
from poc_aug.errors import DatasetError, GenerationError, PocAugError, RecipeError, SchemaError
from poc_aug.generation.accelerator import Accelerator
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.statistics import Statistics
from poc_aug.types import Annotation, Crop, Filled, Rejection, Sample, Variant
from tests.helpers.fakes import SCHEMA, EllipseAnnotator, EllipseInserter, make_recipe, make_sample
from tests.helpers.tiny_diffusion import sd_inpaint_path  # noqa: F401

PATIENCE_S = 30  # a handshake that takes this long has failed
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
    return sorted(insertion.provenance["seed"] for variant in variants for insertion in variant.insertions)


def take(results: Iterator[Variant], into: list[Variant]) -> None:
    into.extend(results)


# -- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("error", [OSError("truncated"), KeyboardInterrupt(), DatasetError("odd")], ids=repr)
@pytest.mark.parametrize("read", [0, 1, 3, 4, 9, 14, 30])
def test_nothing_generated_is_lost_when_reading_raises(ordered: bool, error: BaseException, read: int) -> None:
    inserter = Recording()

    def jobs() -> Iterator[tuple[Sample, int]]:
        yield from jobs_of(read)
        raise error

    made: list[Variant] = []
    with pytest.raises(type(error)) as caught:
        take(pipeline_of(inserter).run(jobs(), ordered=ordered), made)
    assert caught.value is error
    assert seeds_of(made) == sorted(inserter.filled)
    assert len(made) == len(inserter.filled)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_batch_that_runs_while_reading_raises_comes_out(ordered: bool) -> None:
    raising = threading.Event()
    inserter = Recording(lambda number: wait_for(raising))

    def jobs() -> Iterator[tuple[Sample, int]]:
        yield from jobs_of(5)
        raising.set()
        raise OSError("truncated")

    made: list[Variant] = []
    with pytest.raises(OSError, match="truncated"):
        take(pipeline_of(inserter).run(jobs(), ordered=ordered), made)
    assert [variant.key for variant in made] == [f"frame-00{number}" for number in range(4)]
    assert inserter.batches == [4]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 3])
def test_nothing_generated_is_lost_when_a_backend_raises(ordered: bool, failing: int) -> None:
    def fail(number: int) -> None:
        if number == failing:
            raise RecipeError("no such thing")

    inserter = Recording(fail)
    made: list[Variant] = []
    with pytest.raises(RecipeError, match="no such thing"):
        take(pipeline_of(inserter).run(jobs_of(25), ordered=ordered), made)
    assert seeds_of(made) == sorted(inserter.filled)
    assert inserter.batches[: failing + 1] == [4] * (failing + 1)
    assert len(made) >= 4 * failing


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("places", [(4,), (4, 5), (0, 2, 3)])
def test_nothing_else_is_lost_when_jobs_raise(ordered: bool, places: tuple[int, ...]) -> None:
    class Strange(EllipseInserter):
        def __init__(self) -> None:
            super().__init__()
            self.sound: list[int] = []
            self.count = 0

        def _one(self, crop: Crop) -> Filled | Rejection:
            self.count += 1
            if self.count - 1 in places:
                return super()._one(replace(crop, parts=("wing",)))
            self.sound.append(crop.seed)
            return super()._one(crop)

    inserter = Strange()
    made: list[Variant] = []
    with pytest.raises(RecipeError, match="wing"):
        take(pipeline_of(inserter).run(jobs_of(25), ordered=ordered), made)
    assert seeds_of(made) == sorted(inserter.sound)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_the_caller_throws_lets_finished_ones_out_first(ordered: bool) -> None:
    class Enough(Exception):
        pass

    inserter = Recording()
    results = pipeline_of(inserter).run(jobs_of(25), ordered=ordered)
    made = [next(results)]
    made.append(results.throw(Enough()))
    with pytest.raises(Enough):
        take(results, made)
    assert seeds_of(made) == sorted(inserter.filled)


def test_a_second_error_is_noted_at_the_first() -> None:
    raising = threading.Event()

    def fail(number: int) -> None:
        wait_for(raising)
        raise RecipeError("no such thing")

    def jobs() -> Iterator[tuple[Sample, int]]:
        yield from jobs_of(4)
        raising.set()
        raise OSError("truncated")

    with pytest.raises(OSError, match="truncated") as caught:
        list(pipeline_of(Recording(fail)).run(jobs()))
    assert ["no such thing" in note for note in caught.value.__notes__] == [True]


def test_an_interrupt_keeps_the_batch_that_runs() -> None:
    waiting = threading.Event()

    def interrupt(number: int) -> None:
        if number == 2:
            wait_for(waiting)
            os.kill(os.getpid(), signal.SIGINT)

    class Waits(Statistics):
        waits = 0

        def stage(self, name: str) -> Any:
            self.waits += name == "wait"
            if self.waits == 3:  # the caller's thread has settled two batches, and waits for the third
                waiting.set()
            return super().stage(name)

    inserter = Recording(interrupt)
    made: list[Variant] = []
    with pytest.raises(KeyboardInterrupt):
        take(pipeline_of(inserter).run(jobs_of(40), ordered=False, statistics=Waits()), made)
    # The third batch, and the fourth where it began before the interrupt came through.
    assert len(made) in (12, 16)
    assert seeds_of(made) == sorted(inserter.filled)


@pytest.mark.parametrize("ordered", [True, False])
def test_closing_ends_the_thread_and_reads_no_more(ordered: bool) -> None:
    read = 0

    def jobs() -> Iterator[tuple[Sample, int]]:
        nonlocal read
        for read, job in enumerate(jobs_of(60), start=1):  # noqa: B007
            yield job

    inserter = Recording()
    results = pipeline_of(inserter).run(jobs(), ordered=ordered)
    for variant in results:
        assert variant.insertions
        assert engine_threads() == ["poc-aug-accelerator_0"]
        break
    results.close()
    assert engine_threads() == []
    assert read <= 12
    assert sum(inserter.batches) <= 12
    assert list(results) == []
    # A pipeline is not used up by that; a run that is dropped before it begins has nothing to end.
    pipeline_of(inserter).run(jobs_of(3))
    assert len(list(pipeline_of(inserter).run(jobs_of(3)))) == 3


# -- backends that fail ------------------------------------------------------------------------------------------------


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
@pytest.mark.parametrize(("change", "told"), BROKEN)
def test_a_broken_contract_is_raised_at_once(change: Callable[[list[Any]], Any], told: str, skip: bool) -> None:
    failures: list[tuple[str, int, GenerationError]] | None = [] if skip else None
    inserter = Wrong(change)
    with pytest.raises(GenerationError, match=f"Wrong {told}"):
        list(pipeline_of(inserter).run(jobs_of(4), failures=failures))
    assert inserter.batches == [4]  # not once more, one by one
    annotator = WrongAnnotator(change)
    with pytest.raises(GenerationError, match=f"WrongAnnotator {told}"):
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
    assert {tuple(i.provenance["crop_yxhw"][2:]) for v in made for i in v.insertions} == {(48, 48)}
    small = [(make_sample(0, (97, 131)), 0), (make_sample(1, (131, 17)), 0)]
    with pytest.raises(DatasetError, match="'frame-001' is 131x17"):
        list(pipeline_of(inserter, objects=objects).run(small))


# -- what overlaps -----------------------------------------------------------------------------------------------------


def test_reading_goes_on_while_a_batch_is_filled() -> None:
    """As far as the bound on jobs, 3 * 4, allows."""
    read = threading.Event()

    def wait_for_reading(number: int) -> None:
        if number == 0:
            wait_for(read)

    def jobs() -> Iterator[tuple[Sample, int]]:
        for number, job in enumerate(jobs_of(16)):
            if number == 11:
                read.set()
            yield job

    assert len(list(pipeline_of(Recording(wait_for_reading)).run(jobs()))) == 16


@pytest.mark.parametrize("ordered", [True, False])
def test_variants_are_handed_out_while_the_next_batch_is_filled(ordered: bool) -> None:
    handed_out = threading.Event()

    def wait_for_a_variant(number: int) -> None:
        if number == 1:
            wait_for(handed_out)

    made = 0
    for _ in pipeline_of(Recording(wait_for_a_variant)).run(jobs_of(16), ordered=ordered):
        made += 1
        handed_out.set()
    assert made == 16


def test_cutting_out_goes_on_while_the_next_batch_is_filled() -> None:
    two_batches, begun = threading.Event(), threading.Event()

    def handshake(number: int) -> None:
        if number == 0:
            wait_for(two_batches)
        else:
            begun.set()

    def jobs() -> Iterator[tuple[Sample, int]]:
        for number, job in enumerate(jobs_of(16)):
            if number == 8:  # the second batch waits already
                two_batches.set()
            yield job

    class Slow(Statistics):
        def stage(self, name: str) -> Any:
            # Cutting out the first batch does not end before the second is under way.
            if name == "cut out":
                wait_for(begun)
            return super().stage(name)

    assert len(list(pipeline_of(Recording(handshake)).run(jobs(), statistics=Slow()))) == 16


def test_reading_does_not_wait_for_the_locator() -> None:
    read = threading.Event()

    def wait_for_reading(number: int) -> None:
        if number == 0:
            wait_for(read)

    def jobs() -> Iterator[tuple[Sample, int]]:
        for number, job in enumerate(jobs_of(16)):
            if number == 11:
                read.set()
            yield job

    locator = RoadLocator()
    assert len(list(located(locator, Recording(wait_for_reading)).run(jobs()))) == 16
    assert locator.asked == [(f"frame-{number:03d}", "road") for number in range(16)]


@pytest.mark.parametrize("late", [False, True])
def test_areas_are_found_before_a_batch_that_waits(late: bool) -> None:
    full, second, read = threading.Event(), threading.Event(), threading.Event()
    log: list[str] = []

    def find(key: str) -> None:
        if late and not log:  # every job that may be held is there before any can begin: two batches at once
            wait_for(full)
        log.append(key)

    def fill(number: int) -> None:
        log.append(f"batch {number}")
        if number == 1:
            second.set()
            wait_for(read)

    def jobs() -> Iterator[tuple[Sample, int]]:
        # The first twelve, of one sample, fill the engine: two batches of them run or wait before anything else.
        first = make_sample(0)
        for index in range(12):
            yield first, index
        wait_for(second)  # else an area, which goes first, could come before it
        for number in range(1, 9):
            if number == 4:  # the areas of three samples are asked for, and the third batch waits
                read.set()
            yield make_sample(number), 0

    class Watched(Statistics):
        def stage(self, name: str) -> Any:
            if name == "wait":
                full.set()
            return super().stage(name)

    pipeline = located(RoadLocator(find), Recording(fill))
    assert len(list(pipeline.run(jobs(), ordered=False, statistics=Watched()))) == 20
    assert log[:7] == ["frame-000", "batch 0", "batch 1", "frame-001", "frame-002", "frame-003", log[6]]
    assert log[6] in ("frame-004", "batch 2")


def test_urgent_calls_come_before_others() -> None:
    accelerator = Accelerator()
    done: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        wait_for(go)

    running = accelerator.submit(first)
    wait_for(begun)
    calls = [accelerator.submit(done.append, name, urgent=name[0] == "u") for name in ("a", "b", "u1", "u2")]
    go.set()
    for call in (running, *calls):
        call.result(PATIENCE_S)
    assert done == ["u1", "u2", "a", "b"]
    with pytest.raises(ZeroDivisionError):
        accelerator.submit(divmod, 1, 0).result(PATIENCE_S)
    accelerator.close()


def test_closing_the_accelerator_waits_for_what_runs_and_cancels_the_rest() -> None:
    accelerator = Accelerator()
    begun, closing = threading.Event(), threading.Event()

    def first() -> str:
        begun.set()
        wait_for(closing)
        return "whole"

    running = accelerator.submit(first)
    wait_for(begun)
    waiting = [accelerator.submit(pytest.fail, urgent=urgent) for urgent in (True, False)]
    accelerator.cancel_waiting()
    closing.set()
    accelerator.close()
    assert running.result(0) == "whole"
    assert all(call.cancelled() for call in waiting)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_locator_is_asked_once_a_sample(batch_size: int) -> None:
    locator = RoadLocator()
    inserter = Recording(reject=0.5)
    made = list(located(locator, inserter, batch_size, attempts=4).run(jobs_of(9, variants=3)))
    assert sorted(locator.asked) == [(f"frame-{number:03d}", "road") for number in range(9)]
    by_labels = pipeline_of(EllipseInserter(reject=0.5), location=["road"], attempts=4).run(jobs_of(9, variants=3))
    places = [[insertion.box_yxhw for insertion in variant.insertions] for variant in made]
    assert places == [[insertion.box_yxhw for insertion in variant.insertions] for variant in by_labels]


def test_one_object_anywhere_and_one_on_two_located_places() -> None:
    locator = RoadLocator()
    objects = [{"name": "bird", "location": []}, {"name": "dog", "location": ["road", "sidewalk"]}]
    made = list(located(locator, objects=objects, objects_per_variant=[2, 2]).run(jobs_of(5)))
    assert [len(variant.insertions) for variant in made] == [2] * 5
    assert locator.asked == [(f"frame-00{n}", name) for n in range(5) for name in ("road", "sidewalk")]
    direct = located(locator, objects=objects).valid_area(make_sample(), ("road", "sidewalk"))
    assert not direct.empty


# -- what is held ------------------------------------------------------------------------------------------------------

LONG = 500


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


# -- what does not matter ----------------------------------------------------------------------------------------------


def essence(variants: Iterable[Variant]) -> dict[tuple[str, int], Any]:
    """Everything of the variants that has to be equal, whatever is batched with what."""
    return {
        (variant.key, variant.index): (
            variant.rejections,
            [(i.box_yxhw, i.object_name, i.provenance, [part.name for part in i.parts]) for i in variant.insertions],
        )
        for variant in variants
    }


def test_a_diffusion_model_gives_the_same_in_any_batch(sd_inpaint_path: Path) -> None:  # noqa: F811
    inserter = DiffusionInserter(sd_inpaint_path, steps=2, device="cpu")
    recipe = make_recipe(size={"kind": "pixels", "min_px": 20, "max_px": 40}, crop_scale=1.4, attempts=2)
    jobs = [(make_sample(number, size), k) for number, size in enumerate([(97, 131), (64, 113)]) for k in range(3)]

    def run(batch_size: int, ordered: bool) -> list[Variant]:
        pipeline = InsertionPipeline(recipe, inserter, EllipseAnnotator(), schema=SCHEMA, batch_size=batch_size)
        return list(pipeline.run(jobs, ordered=ordered))

    alone = run(1, True)
    assert [(variant.key, variant.index) for variant in alone] == [(sample.key, index) for sample, index in jobs]
    reasons = {rejection.reason for variant in alone for rejection in variant.rejections}
    assert reasons == {"not detected"}  # some attempts were taken again
    assert sum(len(variant.insertions) for variant in alone) >= 5
    for batch_size, ordered in ((4, True), (3, False)):
        together = {(variant.key, variant.index): variant for variant in run(batch_size, ordered)}
        assert essence(together.values()) == essence(alone)
        for one in alone:
            other = together[one.key, one.index]
            for left, right in zip(one.insertions, other.insertions, strict=True):
                assert torch.equal(left.mask, right.mask)
                assert (left.patch.int() - right.patch.int()).abs().max() <= 2


def test_order_and_batch_size_do_not_matter() -> None:
    jobs = jobs_of(8, variants=3)
    changes = {"objects_per_variant": [0, 2], "attempts": 3, "location": ["road"]}
    first = list(pipeline_of(EllipseInserter(reject=0.4), 1, **changes).run(jobs))
    assert {len(variant.insertions) for variant in first} == {0, 1, 2}
    for batch_size in (2, 7, 64):
        for ordered in (True, False):
            made = list(pipeline_of(EllipseInserter(reject=0.4), batch_size, **changes).run(jobs, ordered=ordered))
            assert len(made) == len(jobs)
            assert essence(made) == essence(first)
            if ordered:
                assert [(v.key, v.index) for v in made] == [(v.key, v.index) for v in first]


def test_a_rejected_attempt_is_made_again_with_another_seed() -> None:
    inserter = Recording(reject=1.0)
    variants = list(pipeline_of(inserter, attempts=5).run(jobs_of(6, variants=2)))
    assert all([r.attempt for r in variant.rejections] == [0, 1, 2, 3, 4] for variant in variants)
    assert len(inserter.filled) == len(set(inserter.filled)) == 6 * 2 * 5
    # As many as are needed, not more.
    inserter = Recording(reject=0.5)
    variants = list(pipeline_of(inserter, attempts=5).run(jobs_of(6, variants=2)))
    assert len(inserter.filled) == sum(len(v.rejections) + len(v.insertions) for v in variants)
    assert {insertion.provenance["attempt"] for v in variants for insertion in v.insertions} >= {0, 1, 2}
    assert all(v.insertions or len(v.rejections) == 5 for v in variants)


def test_no_jobs_no_variants() -> None:
    assert list(pipeline_of(Recording()).run([])) == []


def test_a_sample_that_does_not_fit_the_schema_is_named() -> None:
    odd = make_sample(1)
    odd.labels[5, 5] = 99
    with pytest.raises(SchemaError, match="frame-001"):
        list(pipeline_of(Recording()).run([(make_sample(), 0), (odd, 0)]))


def test_what_a_backend_raises_on_purpose_is_not_blamed_on_a_crop() -> None:
    def fail(number: int) -> None:
        raise PocAugError("told")

    inserter = Recording(fail)
    with pytest.raises(PocAugError, match="told"):
        list(pipeline_of(inserter).run(jobs_of(4), failures=[]))
    assert inserter.batches == [4]


def test_memory_that_runs_out_is_raised_as_it_is() -> None:
    def fail(number: int) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(pipeline_of(Recording(fail)).run(jobs_of(4), failures=[]))
    with pytest.raises(torch.OutOfMemoryError):
        list(located(RoadLocator(fail)).run(jobs_of(4), failures=[]))  # type: ignore[arg-type]


def test_annotations_of_a_batch_go_to_their_crops() -> None:
    class Half(EllipseInserter):
        """Knows the masks of every other crop."""

        def _one(self, crop: Crop) -> Filled | Rejection:
            result = super()._one(crop)
            if isinstance(result, Filled) and crop.seed % 2:
                return replace(result, annotation=None)
            return result

    class Annotates(EllipseAnnotator):
        def annotate(self, crops: Sequence[Crop], filled: Sequence[Filled]) -> list[Annotation | Rejection]:
            assert all(crop.seed % 2 for crop in crops)
            return super().annotate(crops, filled)

    made = list(pipeline_of(Half(reject=0.2), annotator=Annotates(), attempts=1).run(jobs_of(40)))
    assert {i.parts[0].score: i.provenance["seed"] % 2 for v in made for i in v.insertions} == {0.5: 0, 0.25: 1}
