from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from poc_aug.errors import RecipeError, SchemaError, SettingError
from poc_aug.generation.object_order import draw_objects
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.masks import dilate, feather_radius_px
from poc_aug.reading.compose import compose
from poc_aug.types import Sample, Variant
from tests.helpers.fakes import SCHEMA, EllipseAnnotator, EllipseInserter, make_recipe, make_sample, provenance_of


def pipeline_of(inserter: EllipseInserter | None = None, **changes: object) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(**changes), inserter or EllipseInserter(), schema=SCHEMA)


def assert_same(a: Variant, b: Variant) -> None:
    assert (a.key, a.index, a.digest, a.rejections) == (b.key, b.index, b.digest, b.rejections)
    assert len(a.insertions) == len(b.insertions)
    for left, right in zip(a.insertions, b.insertions, strict=True):
        assert left.box_yxhw == right.box_yxhw
        assert left.provenance == right.provenance
        assert torch.equal(left.patch, right.patch)
        assert torch.equal(left.mask, right.mask)


def test_a_variant_is_a_pure_function_of_recipe_key_and_index() -> None:
    jobs = [(make_sample(number), index) for number in range(7) for index in range(3)]
    alone = [pipeline_of(EllipseInserter(reject=0.4)).generate(*job) for job in jobs]
    for batch_size in (1, 3, 16):
        pipeline = InsertionPipeline(make_recipe(), EllipseInserter(reject=0.4), schema=SCHEMA, batch_size=batch_size)
        together = list(pipeline.run(jobs))
        for one, other in zip(alone, together, strict=True):
            assert_same(one, other)
    assert len({variant.insertions[0].box_yxhw for variant in alone if variant.insertions}) > 5


def test_the_seed_and_the_recipe_decide() -> None:
    sample = make_sample()
    boxes = {pipeline_of(seed=seed).generate(sample).insertions[0].box_yxhw for seed in range(10)}
    assert len(boxes) > 5


def test_no_global_random_state_is_read_or_written() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = pipeline_of().generate(make_sample())
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert_same(first, pipeline_of().generate(make_sample()))


def test_batches_are_filled_across_samples_and_jobs_are_read_as_needed() -> None:
    inserter = EllipseInserter()
    pipeline = InsertionPipeline(make_recipe(), inserter, schema=SCHEMA, batch_size=4)
    read = 0

    def jobs() -> Iterator[tuple[Sample, int]]:
        nonlocal read
        for number in range(40):
            read += 1
            yield make_sample(number), 0

    for made, _ in enumerate(pipeline.run(jobs())):
        assert read - made <= 3 * 4 + 1
    assert made == 39
    assert Counter(inserter.batches)[4] >= 0.8 * len(inserter.batches)


def test_insertions_hold_no_base_pixels_outside_the_support() -> None:
    sample = make_sample()
    for insertion in pipeline_of().generate(sample).insertions:
        reach = dilate(insertion.mask, feather_radius_px(insertion.max_sigma_px))
        assert (insertion.patch[:, ~reach] == 0).all()
        y, x, h, w = insertion.box_yxhw
        assert 0 <= y
        assert 0 <= x
        assert y + h <= 48
        assert x + w <= 65


def test_composed_objects_stand_where_the_recipe_says() -> None:
    for number in range(10):
        sample = make_sample(number)
        variant = pipeline_of().generate(sample)
        after = compose(sample, variant.insertions, {"dog": 9, "cat": 9, "car": 2})
        for insertion in variant.insertions:
            y, x, h, w = provenance_of(insertion)["box_yxhw"]
            assert (sample.labels[y : y + h, x : x + w] == 0).float().mean() >= 0.3
            assert provenance_of(insertion)["rung"] in (0, 1)
        assert (after.labels != sample.labels).any() or not variant.insertions


def test_objects_come_without_replacement_over_the_variants() -> None:
    recipe = make_recipe(objects=[f"o{k}" for k in range(7)], objects_per_variant=[1, 3])
    for number in range(20):
        drawn = [spec.name for index in range(12) for spec in draw_objects(recipe, f"key{number}", index)]
        for start in range(0, len(drawn) - 7, 7):
            assert len(set(drawn[start : start + 7])) == 7
        assert all(1 <= len(draw_objects(recipe, f"key{number}", index)) <= 3 for index in range(12))


def test_every_attempt_is_recorded() -> None:
    variant = pipeline_of(EllipseInserter(reject=1.0), attempts=4).generate(make_sample())
    assert variant.insertions == ()
    count = len(draw_objects(make_recipe(attempts=4), "frame-000", 0))
    assert [r.attempt for r in variant.rejections] == [0, 1, 2, 3] * count
    assert {(r.reason, r.detail) for r in variant.rejections} == {("black", "a dark seed")}


def test_an_empty_valid_area_is_a_rejection_not_an_error() -> None:
    sample = make_sample()
    sample.labels.fill_(1)
    variant = pipeline_of().generate(sample)
    assert variant.insertions == ()
    assert {r.reason for r in variant.rejections} == {"no room"}


def test_masks_outside_the_box_and_too_small_are_rejected() -> None:
    spilled = pipeline_of(EllipseInserter(spill=0.2), crop_scale=3.0).generate(make_sample())
    assert {r.reason for r in spilled.rejections} == {"outside the box"}
    small = pipeline_of(crop_scale=3.0, min_area_of_crop=0.5).generate(make_sample())
    assert {r.reason for r in small.rejections} == {"too small"}


def test_an_annotator_finds_the_masks() -> None:
    inserter = EllipseInserter(exact=False, reject=0.2)
    pipeline = InsertionPipeline(make_recipe(), inserter, EllipseAnnotator(), schema=SCHEMA)
    variants = list(pipeline.run((make_sample(number), 0) for number in range(12)))
    scores = {part.score for v in variants for insertion in v.insertions for part in insertion.parts}
    reasons = {r.reason for v in variants for r in v.rejections}
    assert scores == {0.25}
    assert reasons == {"black", "not detected"}
    with pytest.raises(SettingError, match="annotator"):
        pipeline_of(EllipseInserter(exact=False)).generate(make_sample())


def test_two_parts_follow_the_papers_rule() -> None:
    cyclist = {"name": "cyclist", "parts": ["rider", "bicycle"]}
    variant = pipeline_of(objects=[cyclist]).generate(make_sample())
    # The fake paints both parts at the same pixels: one object, the second part's.
    assert [part.name for part in variant.insertions[0].parts] == ["bicycle"]


def test_anywhere_needs_no_schema() -> None:
    pipeline = InsertionPipeline(make_recipe(location=[]), EllipseInserter())
    assert pipeline.generate(make_sample()).insertions


def test_a_class_that_the_dataset_does_not_have_is_an_error() -> None:
    with pytest.raises(SchemaError, match="schema is not known"):
        InsertionPipeline(make_recipe(), EllipseInserter()).generate(make_sample())
    with pytest.raises(SchemaError, match="pitch"):
        pipeline_of(location=["pitch"]).generate(make_sample())
    odd = make_sample()
    with pytest.raises(SchemaError, match=r"frame-000.*\[77\]"):
        pipeline_of().generate(replace(odd, labels=odd.labels.masked_fill(odd.labels == 1, 77)))


def test_sizes_in_metres_must_be_known() -> None:
    size = {"kind": "perspective"}
    with pytest.raises(RecipeError, match=r"'dog'.*real size"):
        pipeline_of(objects=["dog"], size=size)
    assert pipeline_of(objects=["measured"], size=size)
    with pytest.raises(SettingError, match="batch_size=0"):
        InsertionPipeline(make_recipe(), EllipseInserter(), schema=SCHEMA, batch_size=0)


def test_far_objects_come_first() -> None:
    for number in range(10):
        made = pipeline_of(objects_per_variant=[3, 3]).generate(make_sample(number)).insertions
        feet = [box[0] + box[2] for box in (provenance_of(insertion)["box_yxhw"] for insertion in made)]
        assert feet == sorted(feet)
