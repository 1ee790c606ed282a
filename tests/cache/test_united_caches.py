"""Several caches, and caches of several recipes, read as one."""

from __future__ import annotations

import gc
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ImageOps

from poc_aug import OodLabels, POCAugmentedDataset
from poc_aug.cache import Cache, UnitedCaches, open_members
from poc_aug.cache.members import member_paths
from poc_aug.errors import CacheDatasetMismatchError, CacheMismatchError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.types import Variant
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.kinds import FRAMES
from tests.helpers.warming_cases import content


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """What a test has opened is closed when it ends, also what the traceback of an error holds."""
    yield
    gc.collect()


def pipeline(seed: int = 0, **changes: Any) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(seed=seed, **changes), EllipseInserter())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Caches of two recipes: 3 variants of 8 samples, 2 of the first 6."""
    folder = tmp_path_factory.mktemp("two")
    first, second = folder / "a.cache", folder / "b.cache"
    warm_cache(Frames(8), first, pipeline(), num_variants=3, workers=0)
    warm_cache(Frames(8), second, pipeline(1), num_variants=2, workers=0, limit=6)
    return first, second


def shown(dataset: POCAugmentedDataset, epochs: int) -> Counter[str]:
    """How often variants of each cache are shown, by the cache's name; every item is augmented."""
    assert isinstance(dataset.cache, UnitedCaches)
    counts: Counter[str] = Counter()
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        for index in range(len(dataset)):
            reading = dataset._open(index)
            assert reading.variant is not None
            counts[dataset.cache.cache_of(reading.variant.index).path.name] += 1
    return counts


def test_variants_of_all_caches_are_read(two: tuple[Path, Path]) -> None:
    dataset = POCAugmentedDataset(Frames(8), list(two), OodLabels(254), variants="all")
    assert len(dataset) == 8 * 5
    for index in range(len(dataset)):
        item = dataset[index]
        number, place = divmod(index, 5)
        path, own = (two[0], place) if place < 3 else (two[1], place - 3)
        if place >= 3 and number >= 6:
            alone: Any = Frames(8)[number]
        else:
            alone = POCAugmentedDataset(Frames(8), path, OodLabels(254), p=1, variant=own, on_miss="original")[number]
        assert pixels(item) == pixels(alone)


def test_shares(two: tuple[Path, Path]) -> None:
    """Of 6 samples that both hold, 30% show the second cache; of the other 2, none."""
    dataset = POCAugmentedDataset(Frames(8), two, OodLabels(254), p=1, shares=[0.7, 0.3])
    counts = shown(dataset, 100)
    assert counts.total() == 800
    assert abs(counts["b.cache"] - 180) < 5 * (600 * 0.3 * 0.7) ** 0.5  # five standard deviations
    equal = shown(POCAugmentedDataset(Frames(8), two, OodLabels(254), p=1), 100)
    assert abs(equal["b.cache"] - 240) < 5 * (600 * 0.4 * 0.6) ** 0.5  # 2 of 5 variants


def test_a_share_of_zero_is_never_shown(two: tuple[Path, Path]) -> None:
    dataset = POCAugmentedDataset(Frames(6), two, OodLabels(254), p=1, shares=[0, 1], on_miss="original")
    assert shown(dataset, 10) == {"b.cache": 60}


def test_workers_and_pickles_show_the_same(two: tuple[Path, Path]) -> None:
    dataset = POCAugmentedDataset(Frames(8), two, OodLabels(254), p=1, shares=[1, 1], redraw="epoch")
    here = [pixels(dataset[index]) for index in range(8)]
    copied = pickle.loads(pickle.dumps(dataset))
    assert [pixels(copied[index]) for index in range(8)] == here
    for context in ("fork", "forkserver"):  # the latter sends the dataset, as "spawn" does
        loader: Any = torch.utils.data.DataLoader(
            dataset, batch_size=None, num_workers=1, multiprocessing_context=context, collate_fn=pixels
        )
        assert list(loader) == here


def pixels(item: Any) -> tuple[bytes, bytes]:
    return item[0].tobytes(), item[1].tobytes()


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1], "one number of 0 or more per cache"),
        ([0, 0], "not all 0"),
        ([-1, 2], "0 or more"),
        ([float("nan"), 1], "0 or more"),
        (["a", 1], "one number"),
        (0.5, "one number"),
    ],
)
def test_wrong_shares(two: tuple[Path, Path], shares: Any, expected: str) -> None:
    with pytest.raises(SettingError, match=r"shares=.*") as caught:
        POCAugmentedDataset(Frames(8), two, OodLabels(254), shares=shares)
    assert expected in caught.value.expected


def test_what_does_not_go_together(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="for one cache"):
        POCAugmentedDataset(Frames(8), two[0], shares=[1])
    with pytest.raises(SettingError, match="with pipeline="):
        POCAugmentedDataset(Frames(8), list(two), pipeline=pipeline())
    with pytest.raises(SettingError, match="given twice"):
        POCAugmentedDataset(Frames(8), [two[0], two[0]])
    with pytest.raises(SettingError, match="cache=list"):
        POCAugmentedDataset(Frames(8), [])
    FRAMES.warm(tmp_path / "frames.cache", 1)
    with pytest.raises(CacheMismatchError, match="different kinds"):
        POCAugmentedDataset(Frames(8), [two[0], tmp_path / "frames.cache"])


def test_a_cache_of_another_dataset_among_several(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.cache"
    warm_cache(Frames(2), other, pipeline(), num_variants=1, workers=0, keys=["x/one.png", "x/two.png"])
    with pytest.raises(CacheDatasetMismatchError, match="holds none of this dataset's 8 samples"):
        POCAugmentedDataset(Frames(8), [two[0], other])


def test_a_second_recipe_becomes_a_member(tmp_path: Path) -> None:
    path, alone = tmp_path / "a.cache", tmp_path / "alone.cache"
    warm_cache(Frames(4), path, pipeline(), num_variants=3, workers=0)
    before = content(path)
    with pytest.raises(CacheMismatchError, match="seed") as caught:
        warm_cache(Frames(4), path, pipeline(1), num_variants=2, workers=0)
    assert "add_recipe=True" in caught.value.hint
    assert "--add-recipe" in caught.value.command
    report = warm_cache(Frames(4), path, pipeline(1), num_variants=2, workers=0, add_recipe=True)
    assert (report.made, report.present) == (8, 0)
    # From now on it is known there.
    assert warm_cache(Frames(4), path, pipeline(1), num_variants=2, workers=0).made == 0
    assert warm_cache(Frames(4), path, pipeline(), num_variants=5, workers=0).made == 8  # 3 -> 5
    assert before.items() <= content(path).items()
    warm_cache(Frames(4), alone, pipeline(1), num_variants=2, workers=0)
    assert [content(member) for member in member_paths(path)[1:]] == [content(alone)]
    with Cache.open(path, fingerprint=pipeline(1).fingerprint) as member:
        assert len(member) == 8


def test_all_recipes_of_a_cache_are_read_unless_chosen(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(3), path, pipeline(), num_variants=2, workers=0)
    warm_cache(Frames(3), path, pipeline(objects=["gnu", "emu"]), num_variants=1, workers=0, add_recipe=True)
    policy = OodLabels(254, known={})
    both = POCAugmentedDataset(Frames(3), path, policy, variants="all")
    assert len(both) == 9
    assert {spec.name for recipe in both.recipes for spec in recipe.objects} >= {"gnu", "emu"}
    short = open_members(path)[1].manifest.fingerprint[:6]
    chosen = POCAugmentedDataset(Frames(3), path, policy, variants="all", recipes=[short])
    assert len(chosen) == 3
    assert isinstance(chosen.cache, Cache)
    with pytest.raises(CacheMismatchError, match="holds no recipe 'ffff"):
        POCAugmentedDataset(Frames(3), path, policy, recipes=["ffffffff"])
    with pytest.raises(SettingError, match="recipes="):
        POCAugmentedDataset(Frames(3), path, policy, recipes="ffffffff")


def test_members_of_another_kind_or_dataset_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    FRAMES.warm(path, 1)
    with pytest.raises(CacheMismatchError, match="holds frames, and this recipe makes insertions"):
        warm_cache(Frames(1), path, pipeline(), num_variants=1, workers=0, add_recipe=True)
    street = tmp_path / "b.cache"
    warm_cache(Frames(2), street, pipeline(), num_variants=1, workers=0)

    class Others(Frames):
        def __getitem__(self, index: int) -> Any:
            image, labels = super().__getitem__(index)
            return ImageOps.invert(image), labels

    Others.__name__ = Others.__qualname__ = "Frames"
    with pytest.raises(CacheDatasetMismatchError):
        warm_cache(Others(2), street, pipeline(1), num_variants=1, workers=0, add_recipe=True)


def test_live_generation_continues_a_member(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0)
    warm_cache(Frames(2), path, pipeline(1), num_variants=1, workers=0, add_recipe=True)
    with POCAugmentedDataset(Frames(2), path, OodLabels(254, known={}), pipeline=pipeline(1), p=1) as dataset:
        assert dataset.cache.path.parent.name == "recipes"
        assert dataset[0] is not None


def test_numbers_of_variants(two: tuple[Path, Path]) -> None:
    united = UnitedCaches([open_members(path) for path in two])
    with united:
        key = united.keys()[0]
        assert united.variants(key) == (0, 1, 2, 3, 4)
        assert united.indices() == {0, 1, 2, 3, 4}
        assert len(united) == 24 + 12
        assert len(list(united)) == 36
        for index in range(5):
            variant = united.get(key, index)
            assert isinstance(variant, Variant)
            assert variant.index == index
            cache, name, own = united.place_of(key, index)
            assert cache.variants(name)[own] == own
        assert united.get(key, 5) is None
        assert united.get(key, -1) is None
