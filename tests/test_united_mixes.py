"""Caches of several recipes together with upkeep, export, live generation and other processes."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import Subset

from poc_aug import OodLabels, POCAugmentedDataset
from poc_aug.cache import Cache, UnitedCaches
from poc_aug.cache.members import member_paths
from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting import export
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.upkeep import compact_cache, drop
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

LENGTH = 4


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    gc.collect()


def pipeline(*objects: str) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(objects=list(objects)), EllipseInserter())


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A cache of two recipes."""
    path = tmp_path / "a.cache"
    warm_cache(Frames(LENGTH), path, pipeline("dog", "cat"), num_variants=2, workers=0)
    warm_cache(Frames(LENGTH), path, pipeline("cow", "horse"), num_variants=2, workers=0, add_recipe=True)
    return path


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*.png"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write(cache: Any, out: Path, **changes: Any) -> Any:
    return export(Frames(LENGTH), cache, "pebal", out, split="train", workers=0, labels=OodLabels(254), **changes)


def test_an_export_continued_from_a_compacted_copy_has_its_frames(both: Path, tmp_path: Path) -> None:
    write(both, tmp_path / "out")
    drop(both, class_name="dog")
    compact_cache(both, tmp_path / "b.cache")
    assert write(tmp_path / "b.cache", tmp_path / "out").written > 0
    write(tmp_path / "b.cache", tmp_path / "fresh")
    assert files(tmp_path / "out") == files(tmp_path / "fresh")


def test_a_drop_rewrites_the_frames_that_it_changes_alone(both: Path, tmp_path: Path) -> None:
    whole = write(both, tmp_path / "out")
    changed = drop(both, class_name="dog")
    again = write(both, tmp_path / "out")
    assert 0 < again.written == changed.variants < whole.written
    write(both, tmp_path / "fresh")
    assert files(tmp_path / "out") == files(tmp_path / "fresh")


def test_empty_frames_go_when_they_are_not_kept_any_more(both: Path, tmp_path: Path) -> None:
    drop(both, class_name="dog")
    write(both, tmp_path / "out")
    write(both, tmp_path / "out", keep_empty=False)
    write(both, tmp_path / "fresh", keep_empty=False)
    assert files(tmp_path / "out") == files(tmp_path / "fresh")


def test_an_export_with_another_schema_is_another_export(both: Path, tmp_path: Path) -> None:
    write(both, tmp_path / "out")
    with pytest.raises(ExportError, match="another export"):
        write(both, tmp_path / "out", schema="cityscapes-trainIds", check_labels=False)


def test_exporting_closes_no_cache_of_the_caller(both: Path, tmp_path: Path) -> None:
    with Cache.open(both) as opened:
        write([opened, member_paths(both)[1]], tmp_path / "out")
        assert opened.variants(opened.keys()[0])


def test_a_copy_shows_what_was_there_when_the_dataset_was_made(both: Path) -> None:
    dataset = POCAugmentedDataset(Frames(LENGTH), both, OodLabels(254), p=1, on_miss="raise", redraw="epoch")
    here = [dataset[index][0].tobytes() for index in range(LENGTH)]
    warm_cache(Frames(LENGTH), both, pipeline("dog", "cat"), num_variants=6, workers=0)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.cache.variants(copy.keys[0]) == (0, 1, 2, 3)
    assert [copy[index][0].tobytes() for index in range(LENGTH)] == here


def test_a_pipeline_continues_its_own_recipe_or_is_refused(both: Path) -> None:
    policy = OodLabels(254, known={})
    with Cache.open(both) as opened:
        with POCAugmentedDataset(Frames(LENGTH), opened, policy, pipeline=pipeline("cow", "horse")) as dataset:
            assert dataset.cache.path == member_paths(both)[1]
            assert {spec.name for spec in dataset.recipe.objects} == {"cow", "horse"}
    with pytest.raises(SettingError, match="a function, with a cache of 2 recipes"):
        POCAugmentedDataset(Frames(LENGTH), both, policy, pipeline=lambda: pipeline("cow", "horse"))


@pytest.mark.parametrize("recipes", [["ffffffff"], [5]])
def test_recipes_of_an_opened_cache(both: Path, recipes: Any) -> None:
    with Cache.open(both) as opened, pytest.raises(SettingError, match="recipes="):
        POCAugmentedDataset(Frames(LENGTH), opened, recipes=recipes)


def test_samples_that_only_a_member_holds_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(LENGTH), path, pipeline("dog", "cat"), num_variants=1, workers=0, limit=2)
    warm_cache(Frames(LENGTH), path, pipeline("cow", "horse"), num_variants=1, workers=0, add_recipe=True)
    part = Subset(Frames(LENGTH), [2, 3])
    dataset = POCAugmentedDataset(part, path, OodLabels(254, known={}), p=1)
    assert isinstance(dataset.cache, UnitedCaches)
    assert dataset[0] is not None


def test_a_class_is_dropped_of_recipes_that_hold_none_of_it_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(LENGTH), path, pipeline("dog"), num_variants=1, workers=0)
    warm_cache(Frames(LENGTH), path, pipeline("cow", "dog"), num_variants=1, workers=0, add_recipe=True, limit=1)
    drop(path, class_name="dog")
    with pytest.warns(UserWarning, match="'dog' was dropped in recipe"):
        warm_cache(Frames(LENGTH), path, pipeline("cow", "dog"), num_variants=2, workers=0)
    for member in member_paths(path):
        with Cache.open(member) as cache:
            variants = [cache.get(*name) for name in cache]
        names = {one.object_name for variant in variants if variant is not None for one in variant.insertions}
        assert "dog" not in names
