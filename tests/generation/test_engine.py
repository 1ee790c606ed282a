"""The engine: in whatever order and batches, the same variants, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.backends.diffusion.diffusion_inserter import DiffusionInserter
from poc_aug.errors import SchemaError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.scene import Scene
from poc_aug.generation.statistics import Statistics
from poc_aug.types import Annotation, Crop, Filled, Rejection, Variant
from tests.helpers.engine_cases import Recording, RoadLocator, jobs_of, located, no_thread_is_left, pipeline_of  # noqa: F401
from tests.helpers.fakes import SCHEMA, EllipseAnnotator, EllipseInserter, make_recipe, make_sample, provenance_of
from tests.helpers.tiny_diffusion import sd_inpaint_path  # noqa: F401


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
    pipeline, sample = located(locator, objects=objects), make_sample()
    scene = Scene(pipeline.check_sample(sample), pipeline.places, Statistics(), at_once)
    area = scene.area(("road", "sidewalk"))
    assert area.mask is not None
    assert torch.equal(area.mask, sample.labels == 0)
    assert scene.area(("road", "sidewalk")) is area


def at_once(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(function(*arguments))
    return future


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
    assert {i.parts[0].score: provenance_of(i)["seed"] % 2 for v in made for i in v.insertions} == {0.5: 0, 0.25: 1}
