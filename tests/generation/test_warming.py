"""Warming a cache: in steps, resumed, with the schema that counts."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheMismatchError, PocAugError, SchemaError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.schema import LabelSchema
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe, make_sample
from tests.helpers.warming_cases import content, pipeline

# torch starts threads, and Python 3.12 warns of forking beside them; the forked jobs use one thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def test_running_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    first = warm_cache(Frames(5), path, pipeline(), num_variants=2, workers=0)
    assert (first.total, first.present, first.made) == (10, 0, 10)
    assert first.objects > 0
    assert first.rejections["black"] > 0
    before = content(path)
    files = {file: file.stat().st_mtime_ns for file in path.rglob("*.lmdb")}
    second = warm_cache(Frames(5), path, pipeline(), num_variants=2, workers=0)
    assert (second.total, second.present, second.made) == (10, 10, 0)
    assert content(path) == before
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*.lmdb")} == files


def test_each_sample_is_checked_and_each_variant_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def count(module: str, name: str) -> None:
        home = importlib.import_module(f"poc_aug.{module}")
        original = getattr(home, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(home, name, counted)

    count("labels.schema", "distinct_ids")
    count("generation.frame_loading", "distinct_ids")
    count("generation.pipeline", "check_known")
    count("generation.pipeline", "check_sample")
    count("generation.insertion_jobs", "check_sample")
    count("generation.insertion_jobs", "draw_objects")
    count("generation.sample_checks", "find_camera")
    report = warm_cache(Frames(5), tmp_path / "a.cache", pipeline(), schema=SCHEMA, num_variants=2, workers=0)
    assert report.made == 10
    once_a_run = {"check_known": len(pipeline().recipe.objects)}
    assert calls == {"distinct_ids": 5, "check_sample": 5, "find_camera": 5, "draw_objects": 10, **once_a_run}
    calls.clear()
    # Samples that nobody has checked are checked by the run, which checks the recipe once, however often it runs.
    ready, sample = pipeline().with_schema(SCHEMA), make_sample()
    made = [ready.generate(sample, index) for index in range(3)]
    assert [variant.index for variant in made] == [0, 1, 2]
    assert calls == {"distinct_ids": 3, "check_sample": 3, "find_camera": 3, "draw_objects": 3, **once_a_run}


def test_a_pipeline_with_another_part_is_checked_again() -> None:
    ready, sample = pipeline().with_schema(SCHEMA), make_sample()
    ready.generate(sample)
    ready.schema = None
    with pytest.raises(SchemaError, match="label schema is not known"):
        ready.generate(sample)
    ready.schema = SCHEMA
    ready.recipe = ready.recipe.with_changes(location=("moon",))
    with pytest.raises(SchemaError, match=r"moon.*no such class"):
        ready.generate(sample)


def test_steps_add_up_to_one_run(tmp_path: Path) -> None:
    whole, steps = tmp_path / "whole.cache", tmp_path / "steps.cache"
    warm_cache(Frames(6), whole, pipeline(), num_variants=3, workers=2)
    warm_cache(Frames(6), steps, pipeline(), num_variants=1, limit=4, workers=0)
    warm_cache(Frames(6), steps, pipeline(), num_variants=3, limit=2, workers=1)
    report = warm_cache(Frames(6), steps, pipeline(), num_variants=3, workers=2)
    assert report.present == 8
    assert content(steps) == content(whole)


def test_rejected_variants_are_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "black.cache"
    never = InsertionPipeline(make_recipe(), EllipseInserter(reject=1.0))
    assert warm_cache(Frames(3), path, never, num_variants=1, workers=0).objects == 0
    assert warm_cache(Frames(3), path, never, num_variants=1, workers=0).made == 0


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    warm_cache(Frames(2), tmp_path / "a.cache", pipeline(), num_variants=1, workers=1)
    assert torch.equal(state, torch.get_rng_state())


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0)
    before = content(path)
    with pytest.raises(CacheMismatchError, match="margin_px"):
        warm_cache(Frames(2), path, pipeline(margin_px=3), num_variants=2, workers=0)
    with pytest.raises(CacheMismatchError, match="reject"):
        warm_cache(Frames(2), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=2, workers=0)
    assert content(path) == before


def test_an_unknown_schema_is_an_error_before_any_work(tmp_path: Path) -> None:
    class Bare(Frames):
        schema = None  # type: ignore[assignment]

    with pytest.raises(SchemaError, match="schema is not known"):
        warm_cache(Bare(2), tmp_path / "a.cache", pipeline(), workers=0)
    assert not (tmp_path / "a.cache").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_variants": 0}, "num_variants=0"),
        ({"limit": 0}, "limit=0"),
        ({"workers": -1}, "-1"),
        ({"on_error": "x"}, "'x'"),
    ],
)
def test_bad_parameters_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline(), **changes)
    with pytest.raises(PocAugError, match="tiff"):
        warm_cache(Frames(2), tmp_path / "a.cache", pipeline(), codec="tiff")  # type: ignore[arg-type]


class Bare(Frames):
    """Whose schema nobody knows."""

    schema = None  # type: ignore[assignment]


def test_the_pipelines_own_schema_counts_where_the_datasets_is_not_known(tmp_path: Path) -> None:
    path, known = tmp_path / "a.cache", tmp_path / "known.cache"
    own = InsertionPipeline(make_recipe(), EllipseInserter(), schema=SCHEMA)
    assert warm_cache(Bare(3), path, own, num_variants=1, workers=0).objects
    with Cache.open(path) as opened:
        assert opened.manifest.dataset["schema"] == SCHEMA.name
    warm_cache(Frames(3), known, own, num_variants=1, workers=0)
    assert content(path) == content(known)
    # A dataset that generates while it is read takes the same one, for its label policy too.
    with POCAugmentedDataset(Bare(3), pipeline=own, p=1.0) as ds:
        assert ds.base_schema == SCHEMA
        assert ds[0]


def test_a_given_or_certain_schema_counts_before_the_pipelines(tmp_path: Path) -> None:
    other = InsertionPipeline(
        make_recipe(), EllipseInserter(), schema=LabelSchema("other", {"road": 2}, ground=("road",))
    )  # fmt: skip
    for name, dataset, schema in (("certain", Frames(2), None), ("given", Bare(2), SCHEMA)):
        warm_cache(dataset, tmp_path / f"{name}.cache", other, schema=schema, num_variants=1, workers=0)
        with Cache.open(tmp_path / f"{name}.cache") as opened:
            assert opened.manifest.dataset["schema"] == SCHEMA.name
