"""`Composer`: items that somebody else has loaded, and how their names are found in a cache."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from poc_aug.cache import Cache
from poc_aug.composer import Composed, Composer
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import (
    CacheMismatchError,
    CacheMissError,
    CacheNotFoundError,
    DatasetKeyError,
    ItemFormatError,
    LabelPolicyError,
    PocAugError,
    SchemaError,
    SettingError,
)
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.schema import LabelSchema
from tests.helpers.dataset_cases import equal, keep, tensors
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe

LENGTH = 6
VARIANTS = 3
ROOT = "/data/streets"


class Paths(Frames):
    """Frames with the paths of files below a root."""

    def keys(self) -> list[str]:
        return [f"train/city-{number % 2}/frame-{number:03d}.png" for number in range(self.length)]


def items(length: int = LENGTH) -> list[dict[str, Any]]:
    """As pipelines load them: arrays in BGR, with the whole path."""
    base = Paths(length)
    return [
        {
            "img_path": f"{ROOT}/{key}",
            "img": np.array(image)[..., ::-1].copy(),
            "gt_seg_map": np.array(labels),
            "ori_shape": (48, 65),
        }
        for key, (image, labels) in zip(base.keys(), (base[number] for number in range(length)), strict=True)
    ]


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("composer") / "frames.cache"
    warm_cache(Paths(LENGTH), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=3, workers=0)
    return path


def composer_of(cache: Any, **changes: Any) -> Composer:
    return Composer(cache, **{"schema": SCHEMA, "p": 1.0, "redraw": "epoch", **changes})


def rgb(item: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(item["img"][..., ::-1].copy()), torch.from_numpy(item["gt_seg_map"])


@pytest.mark.parametrize("policy", [OodLabels(254), NewClassLabels({"dog": 7, "cat": 8}), AnomalyLabels()])
def test_an_item_is_what_the_dataset_returns(cache_path: Path, policy: Any) -> None:
    dataset = POCAugmentedDataset(Paths(LENGTH), cache_path, policy, variant=1, p=1.0, transforms=tensors)
    composer = composer_of(cache_path, label_policy=policy, variant=1)
    for number, item in enumerate(items()):
        before = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in item.items()}
        result = composer(item)
        assert equal(rgb(result), dataset[number])
        assert list(result) == list(item)
        assert result["ori_shape"] is item["ori_shape"]
        assert result["img"].dtype == np.uint8
        assert all(np.array_equal(item[name], value) for name, value in before.items())  # it is not modified
    assert composer.schema == POCAugmentedDataset(Paths(LENGTH), cache_path, policy).schema


def test_compose_takes_and_returns_arrays(cache_path: Path) -> None:
    composer, base = composer_of(cache_path, variant=0), Paths(LENGTH)
    image, labels = base[2]
    composed = composer.compose(np.array(image), torch.from_numpy(np.array(labels)).long(), key=base.keys()[2])
    assert isinstance(composed, Composed)
    new_image, new_labels = composed
    assert new_image is composed.image
    assert new_image.shape == (48, 65, 3)
    assert new_labels.dtype == torch.int64
    assert composed.variant is not None
    assert (composed.key, composed.variant.index) == (base.keys()[2], 0)
    mask = torch.zeros(48, 65, dtype=torch.bool)
    for insertion in composed.variant.insertions:
        y, x, h, w = insertion.box_yxhw
        mask[y : y + h, x : x + w] |= insertion.mask
    assert torch.equal(new_labels[~mask], torch.from_numpy(np.array(labels)).long()[~mask])
    assert set(new_labels[mask].tolist()) <= set(composed.ids.values())


def test_draws_depend_on_seed_epoch_and_key_only(cache_path: Path) -> None:
    one, other = composer_of(cache_path, p=0.5, seed=3), composer_of(cache_path, p=0.5, seed=3)
    seen = set()
    for epoch in range(12):
        one.set_epoch(epoch)
        other.set_epoch(epoch)
        first = [one(item) for item in items()]
        second = [other(item) for item in reversed(items())]
        assert all(equal(rgb(a), rgb(b)) for a, b in zip(first, reversed(second), strict=True))
        seen.add(b"".join(item["img"].tobytes() for item in first))
    assert len(seen) > 3
    assert one.epoch == 11
    assert one.stats().items == LENGTH


def test_the_nth_read_shows_what_epoch_n_shows(cache_path: Path) -> None:
    by_epoch, by_read = composer_of(cache_path, p=0.7), composer_of(cache_path, p=0.7, redraw="read")
    for epoch in range(4):
        by_epoch.set_epoch(epoch)
        assert all(equal(rgb(by_epoch(item)), rgb(by_read(item))) for item in items())


def test_reading_again_without_an_epoch_warns_once(cache_path: Path) -> None:
    composer = composer_of(cache_path, redraw=None)
    composer(items()[0])
    with pytest.warns(UserWarning, match=r"read again in epoch 0.*redraw=\"read\" to Composer"):
        composer(items()[0])
    composer(items()[0])
    single = composer_of(cache_path, redraw=None, variant=1)  # nothing is drawn
    single(items()[0])
    single(items()[0])


class Stream(IterableDataset[Any]):
    """A stream, each process of which reads its part and composes it."""

    def __init__(self, composer: Composer) -> None:
        self.composer = composer

    def __iter__(self) -> Iterator[Any]:
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        yield from map(self.composer, items()[first::step])


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_of_a_stream_give_the_same_items(cache_path: Path, start: str) -> None:
    composer = composer_of(cache_path, p=0.7, redraw="read")
    stream = Stream(composer)
    alone = composer_of(cache_path, p=0.7, redraw="read")
    loader = DataLoader(stream, batch_size=1, num_workers=2, multiprocessing_context=start, collate_fn=keep)
    for _ in range(2):  # counts of reads outlive the workers
        found = sorted((item for batch in loader for item in batch), key=lambda item: str(item["img_path"]))
        wanted = sorted((alone(item) for item in items()), key=lambda item: str(item["img_path"]))
        assert all(equal(rgb(a), rgb(b)) for a, b in zip(found, wanted, strict=True))
    assert composer.stats().items == LENGTH


def test_a_copy_of_another_process_counts_for_itself(cache_path: Path) -> None:
    composer = composer_of(cache_path, p=0.7, redraw="read")
    for item in items():
        composer(item)
    copy = pickle.loads(pickle.dumps(composer))
    assert all(equal(rgb(composer(item)), rgb(copy(item))) for item in items())
    assert multiprocessing.current_process().name == "MainProcess"


@pytest.mark.parametrize(
    "name",
    [
        "train/city-1/frame-003.png",
        f"{ROOT}/train/city-1/frame-003.png",
        "./train/city-1/frame-003.png",
        "..\\streets\\train\\city-1\\frame-003.png",
        "city-1/frame-003.png",
        "frame-003.png",
        "city-1/frame-003",
        "frame-003.jpg",
        "somewhere/else/frame-003.png",
        "a flat copy/frame-003",
    ],
)
def test_names_are_found_by_their_ends(cache_path: Path, name: str) -> None:
    image, labels = Paths(LENGTH)[3]
    composer = composer_of(cache_path, variant=0)
    assert composer.compose(image, labels, key=name).key == "train/city-1/frame-003.png"
    item = {"image": image, "labels": labels, "img_path": Path(name)}
    assert composer(item)["labels"].getextrema() == (0, 255)


@pytest.mark.parametrize("name", ["train/city-1", "frame-00", ".png", "frame-300.png", "/"])
def test_other_names_are_not_found(cache_path: Path, name: str) -> None:
    image, labels = Paths(LENGTH)[4]
    with pytest.raises(CacheMissError, match="holds no item") as caught:
        composer_of(cache_path).compose(image, labels, key=name)
    assert "train/city-0/frame-000.png" in caught.value.expected
    assert 'on_miss="original"' in caught.value.hint
    composed = composer_of(cache_path, on_miss="original").compose(image, labels, key=name)
    assert composed.variant is None
    assert composed.image is image
    assert composed.labels is labels


def test_a_file_of_the_same_name_is_compared(cache_path: Path) -> None:
    image, labels = Paths(LENGTH)[4]
    with pytest.raises(CacheMissError):
        composer_of(cache_path).compose(image, labels, key="another/dataset/frame-003.png")
    with pytest.raises(PocAugError, match="was made from") as caught:  # a key of the cache, of another picture
        composer_of(cache_path).compose(image, labels, key="train/city-1/frame-003.png")
    assert "key=" in caught.value.hint


def test_a_name_that_fits_several_keys(tmp_path: Path) -> None:
    class Cities(Frames):
        def keys(self) -> list[str]:
            return [f"city-{number}/frame.png" for number in range(self.length)]

    path = tmp_path / "cities.cache"
    warm_cache(Cities(3), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0, limit=2)
    image, labels = Cities(3)[1]
    composer = composer_of(path)
    assert composer.compose(image, labels, key="/data/city-1/frame").variant is not None
    with pytest.raises(CacheMissError, match="fits 2 keys") as caught:  # although it was filled in part
        composer.compose(image, labels, key="frame.png")
    assert "'city-0/frame.png', 'city-1/frame.png'" in caught.value.expected
    assert composer_of(path, on_miss="original").compose(image, labels, key="frame.png").variant is None


def test_a_cache_that_was_filled_in_part_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "part.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Paths(LENGTH), path, pipeline, num_variants=1, workers=0, limit=2)
    composer = composer_of(path)
    with caplog.at_level(logging.WARNING, "poc_aug"):
        results = [composer(item) for item in items()]
    assert [result is item for result, item in zip(results, items(), strict=True)] == [False] * LENGTH
    assert sum("filled in part" in record.message for record in caplog.records) == 1
    with pytest.raises(CacheMissError):
        [composer_of(path, on_miss="raise")(item) for item in items()]


def test_a_copy_does_not_pass_over_what_was_stored_after_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "grows.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Paths(2), path, pipeline, num_variants=1, workers=0)
    data = pickle.dumps(composer_of(path))
    warm_cache(Paths(LENGTH), path, pipeline, num_variants=1, workers=0)
    copy = pickle.loads(data)
    assert copy(items()[1]) is not None
    with pytest.raises(CacheMissError, match="holds no item"):
        copy(items()[2])


def test_a_name_that_fits_two_samples_of_another_cache_does_not_stick(tmp_path: Path) -> None:
    class Named(Frames):
        def __init__(self, **numbers: int) -> None:
            super().__init__(len(numbers))
            self.numbers = numbers

        def keys(self) -> list[str]:
            return [name.replace("_", "/") for name in self.numbers]

        def __getitem__(self, index: int) -> Any:
            return Frames()[[*self.numbers.values()][index]]

    caches = [tmp_path / "flat.cache", tmp_path / "deep.cache"]
    for path, base in zip(caches, (Named(a=0, b=1), Named(a=0, b=1, t_a=2)), strict=True):
        warm_cache(base, path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    composer = composer_of(caches, shares=[0, 1])
    for name, number in (("a", 0), ("t/a", 2), ("a", 0)):
        assert composer.compose(*Frames()[number], key=name).variant is not None


def test_several_caches_are_drawn_by_their_shares(cache_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cache"
    pipeline = InsertionPipeline(make_recipe(seed=5, objects=["cow"]), EllipseInserter())
    warm_cache(Frames(LENGTH), other, pipeline, num_variants=1, workers=0)  # it has other keys
    composer = composer_of([cache_path, other], shares=[0.3, 0.7], redraw="read", seed=1)
    cows = 0
    for _ in range(50):
        for item in items():
            image, labels = rgb(item)
            composed = composer.compose(image.permute(2, 0, 1), labels, key=item["img_path"])
            assert composed.key.startswith("train/")
            assert composed.variant is not None
            cows += any(insertion.object_name == "cow" for insertion in composed.variant.insertions)
    assert 180 <= cows <= 240  # 210 of 300, at 3.8 sigma
    assert composer.ids.keys() >= {"cow", "dog"}


@pytest.mark.parametrize(
    ("item", "names"),
    [
        ({"image": 1, "file_name": "a.png"}, ["'image', 'file_name'", "key='file_name'"]),
        ({"image": 1, "labels": 2}, ["'image', 'labels'", "composer.compose"]),
        (("image", "labels"), ["tuple", "composer.compose"]),
        ({"img_path": ""}, ["''", "key="]),
        ({"img_path": 7}, ["7", "a string"]),
    ],
)
def test_an_item_without_a_name(cache_path: Path, item: Any, names: list[str]) -> None:
    with pytest.raises(DatasetKeyError) as caught:
        composer_of(cache_path)(item)
    assert all(name in str(caught.value) for name in names)


def test_a_function_names_an_item(cache_path: Path) -> None:
    composer = composer_of(cache_path, key=lambda item: f"frame-{item[2]:03d}.png", variant=0)
    image, labels = Paths(LENGTH)[5]
    result = composer((image, labels, 5))
    assert result[2] == 5
    assert result[0] is not image


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"key": 3}, SettingError),
        ({"key": ""}, SettingError),
        ({"p": 2}, SettingError),
        ({"p": None}, SettingError),
        ({"redraw": "always"}, SettingError),
        ({"seed": 0.5}, SettingError),
        ({"shares": [1]}, SettingError),
        ({"variant": 9}, SettingError),
        ({"variant": -1}, SettingError),
        ({"on_miss": "generate"}, SettingError),
        ({"sigma_px": 9.0}, SettingError),
        ({"adapt": "image"}, SettingError),
        ({"schema": "no such schema"}, SchemaError),
        ({"label_policy": 254}, LabelPolicyError),
        ({"label_policy": NewClassLabels({"dog": 7})}, LabelPolicyError),
        ({"label_policy": OodLabels(2)}, LabelPolicyError),
    ],
)
def test_wrong_settings(cache_path: Path, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        composer_of(cache_path, **changes)


def test_wrong_caches(cache_path: Path, tmp_path: Path) -> None:
    for caches, error in (
        (None, SettingError),
        ([], SettingError),
        (Frames(), SettingError),
        (tmp_path / "none", CacheNotFoundError),
        ([cache_path, cache_path], SettingError),
    ):
        with pytest.raises(error):
            composer_of(caches)
    with pytest.raises(CacheMismatchError, match="no recipe"):
        composer_of(cache_path, recipes=["0000"])


def test_wrong_items(cache_path: Path) -> None:
    composer, item = composer_of(cache_path), items()[0]
    with pytest.raises(SchemaError, match="not know"):
        composer({**item, "gt_seg_map": np.full((48, 65), 9, np.uint8)})
    with pytest.raises(ItemFormatError, match="pixels"):
        composer({**item, "gt_seg_map": item["gt_seg_map"][:20]})
    swapped = composer_of(cache_path, schema=LabelSchema("swapped", {"sky": 0, "road": 1, "car": 2}), variant=0)
    with pytest.raises(SchemaError):  # the same frame, read with the ids of other classes
        swapped(item)


def test_an_item_that_is_not_drawn_is_the_same_object(cache_path: Path) -> None:
    composer = composer_of(cache_path, p=0)
    assert all(composer(item) is item for item in items())
    assert "p=0.0" in repr(composer)
    with Composer(Cache.open(cache_path), schema=SCHEMA, p=1.0) as opened:
        assert opened(items()[0])["img"].shape == (48, 65, 3)
