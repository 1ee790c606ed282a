from __future__ import annotations

import json

import pytest

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.statistics import STAGE_NAMES, Statistics
from tests.helpers.fakes import SCHEMA, EllipseAnnotator, EllipseInserter, make_recipe, make_sample


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    """Of a run with every kind of stage but a locator's."""
    counted = Statistics()
    inserter = EllipseInserter(exact=False, reject=0.3)
    recipe = make_recipe(objects_per_variant=[0, 3])
    pipeline = InsertionPipeline(recipe, inserter, EllipseAnnotator(), schema=SCHEMA, batch_size=4)
    made = list(pipeline.run([(make_sample(number), k) for number in range(9) for k in range(2)], statistics=counted))
    assert sum(len(variant.insertions) for variant in made) == counted.accepted.total()
    assert sum(len(variant.rejections) for variant in made) == sum(counted.rejections.values())
    assert dict(counted.batches) == {size: inserter.batches.count(size) for size in inserter.batches}
    return counted


def test_counts_fit(statistics: Statistics) -> None:
    assert set(statistics.attempts) == {"dog", "cat", "car"}
    for name, attempts in statistics.attempts.items():
        rejected = sum(count for (other, _), count in statistics.rejections.items() if other == name)
        assert attempts == statistics.accepted[name] + rejected
        assert statistics.accepted[name] > 0
        assert rejected > 0
    assert {reason for _, reason in statistics.rejections} >= {"black", "not detected"}


def test_it_is_json_and_loses_nothing(statistics: Statistics) -> None:
    values = json.loads(json.dumps(statistics.to_dict(), allow_nan=False))
    assert values == statistics.to_dict()
    assert list(values["classes"]) == sorted(statistics.attempts)
    for name, one in values["classes"].items():
        assert one["attempts"] == one["accepted"] + sum(one["rejections"].values())
        assert one["rejections"] == {r: count for (other, r), count in statistics.rejections.items() if other == name}
    assert {int(size): count for size, count in values["batches"].items()} == dict(statistics.batches)
    # Each attempt that found a place went through the inserter once.
    filled = sum(size * count for size, count in statistics.batches.items())
    no_room = sum(count for (_, reason), count in statistics.rejections.items() if reason == "no room")
    assert filled == statistics.attempts.total() - no_room


def test_every_stage_has_its_time(statistics: Statistics) -> None:
    assert tuple(statistics.seconds) == STAGE_NAMES
    assert {name for name, seconds in statistics.seconds.items() if seconds <= 0} == set()


def test_a_stage_that_raises_is_counted_too() -> None:
    statistics = Statistics()
    with pytest.raises(ZeroDivisionError), statistics.stage("read"):
        raise ZeroDivisionError
    assert statistics.seconds["read"] > 0
    with pytest.raises(KeyError, match="reading"), statistics.stage("reading"):
        pass


def test_counts_add_up_over_runs() -> None:
    statistics = Statistics()
    pipeline = InsertionPipeline(make_recipe(objects_per_variant=[1, 1]), EllipseInserter(), schema=SCHEMA)
    for _ in range(3):
        list(pipeline.run([(make_sample(), 0)], statistics=statistics))
    assert statistics.accepted.total() == statistics.attempts.total() == 3
    assert statistics.to_dict()["batches"] == {"1": 3}
    assert Statistics().to_dict()["classes"] == {}
