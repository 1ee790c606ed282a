"""What a notebook shows of datasets, and that looking at them leaves no trace."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset

from poc_aug.augmented_dataset import AugmentedDataset
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import SampleReadError
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, OodLabels
from poc_aug.reading.peeking import is_peeking, peeking
from poc_aug.scene_dataset import SceneShiftDataset
from tests.helpers.dataset_cases import tensors
from tests.helpers.fakes import Frames
from tests.helpers.kinds import InPlace
from tests.helpers.live_cases import live, process_of
from tests.helpers.warming_cases import pipeline
from tests.inspection.test_notebook_records import shown

LENGTH = 12


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("datasets") / "frames.cache"
    warm_cache(Frames(LENGTH), path, pipeline(), num_variants=2, workers=0)
    return path


def wrapper(cache: Path, base: Dataset[Any] | None = None, **changes: Any) -> POCAugmentedDataset:
    return POCAugmentedDataset(base or Frames(LENGTH), cache, OodLabels(254), **{"p": 0.5, **changes})


def items_of(dataset: AugmentedDataset) -> list[list[torch.Tensor]]:
    return [[torch.from_numpy(np.array(value)) for value in dataset[index]] for index in range(len(dataset))]


def look(dataset: AugmentedDataset) -> None:
    """Everything that shows a dataset."""
    shown(dataset)
    dataset.show()
    for index in range(len(dataset)):
        dataset.peek(index)
    repr(dataset)


def test_a_dataset_shows_facts_and_items_before_and_after(cache_path: Path) -> None:
    dataset = wrapper(cache_path, transforms=tensors)
    elements = shown(dataset)
    facts = ("POCAugmentedDataset: 12 items", "Frames, 12 samples, schema test", "frames.cache: 24 variants")
    for text in (*facts, "3: dog, cat, car", "p=0.5", "epoch 0", "function: not applied", "(254)", "road (0)"):
        assert text in elements.text
    assert str(cache_path.parent) not in elements.text
    assert len(elements.pictures()) == 9
    assert [value for name, value in elements.values if name == "alt"] == ["before", "after", "labels"] * 3
    indices = [index for index in range(LENGTH) if f"item {index}; " in elements.text]
    assert len(indices) == 3
    for index in indices:
        before, after = tensors(*dataset.base[index])[0], dataset[index][0]
        assert not torch.equal(before, after)


def test_a_peek_is_what_the_item_shows(cache_path: Path) -> None:
    dataset = wrapper(cache_path)
    for epoch in (0, 3):
        dataset.set_epoch(epoch)
        for index in range(LENGTH):
            peeked = dataset.peek(index)
            image, labels = tensors(*dataset[index])
            assert torch.equal(peeked.after.image, image.permute(2, 0, 1))
            assert torch.equal(peeked.after.labels, labels)
            image, labels = tensors(*dataset.base[index])
            assert torch.equal(peeked.before.image, image.permute(2, 0, 1))
            assert torch.equal(peeked.before.labels, labels)
            assert (peeked.variant is None) == torch.equal(peeked.before.image, peeked.after.image)
            assert peeked.before.key == f"frame-{index:03d}"
            assert peeked.show().width > 100
            page = peeked._repr_html_()
            assert f"frame-{index:03d}" in page
            assert ("variant" in page) == (peeked.variant is not None)
            assert page.count("data:image/") == 3
    with pytest.raises(IndexError):
        dataset.peek(LENGTH)


@pytest.mark.parametrize("changes", [{}, {"redraw": "read"}, {"variants": "all", "p": 1.0}, {"variant": 1}])
def test_looking_leaves_no_trace(changes: dict[str, Any], cache_path: Path) -> None:
    looked_at, other = wrapper(cache_path, **changes), wrapper(cache_path, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no "read again"
        look(looked_at)
        assert str(looked_at.stats()) == str(other.stats())
        assert looked_at.stats().items == 0
        for _ in range(2 if changes.get("redraw") == "read" else 1):
            assert all(map(_equal, items_of(looked_at), items_of(other)))
            look(looked_at)
        assert str(looked_at.stats()) == str(other.stats())
        assert looked_at.epoch == 0


def _equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, one, other))


def test_a_base_that_draws_is_left_as_it_was(cache_path: Path) -> None:
    shifted = SceneShiftDataset(Frames(LENGTH), InPlace("dusk"), severity=(1, 5), redraw="read")
    inner: Dataset[Any] = Subset(shifted, range(LENGTH))
    dataset = POCAugmentedDataset(inner, cache_path, OodLabels(254), p=0.0, keys=Frames(LENGTH).keys())
    draws = [shifted.peek(index).after for index in range(LENGTH)]
    look(dataset)
    assert shifted.stats().items == 0
    assert all(torch.equal(tensors(*dataset[index])[0], draws[index].image.permute(1, 2, 0)) for index in range(LENGTH))
    assert shifted.stats().items == LENGTH


class Noisy(Frames):
    """Draws random numbers of all three kinds for each item."""

    def __getitem__(self, index: int) -> Any:
        _ = random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        return super().__getitem__(index)


def test_random_numbers_are_the_next_ones(cache_path: Path) -> None:
    dataset = wrapper(cache_path, Noisy(LENGTH))

    def numbers() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    with peeking():
        expected = numbers()
    look(dataset)
    assert numbers() == expected


def test_a_broken_frame_is_named_and_the_others_are_shown(cache_path: Path) -> None:
    dataset = wrapper(cache_path, Frames(LENGTH, broken=(0, 1)), p=1.0)
    elements = shown(dataset)
    assert "item 0 cannot be read: OSError: image file is truncated" in elements.text
    assert len(elements.pictures()) == 9
    all_broken = wrapper(cache_path, Frames(LENGTH, broken=tuple(range(LENGTH))), p=1.0)
    elements = shown(all_broken)
    assert elements.text.count("cannot be read") == 12
    assert elements.pictures() == []
    assert all_broken.show().width <= 900
    with pytest.raises((OSError, SampleReadError)):
        all_broken.peek(0)


def test_other_frames_under_the_same_keys_are_said_to_be_so(cache_path: Path) -> None:
    elements = shown(wrapper(cache_path, Frames(LENGTH, size_hw=(40, 50)), p=1.0))
    assert "CacheDatasetMismatchError" in elements.text


def test_nothing_drawn_shows_a_plain_item(cache_path: Path) -> None:
    elements = shown(wrapper(cache_path, p=0.0))
    assert "No item that was looked at shows anything in epoch 0" in elements.text
    assert "as it is in its base" in elements.text
    assert len(elements.pictures()) == 3


class Huge(Frames):
    """A hundred thousand frames, of which almost none may be read."""

    read = 0

    def keys(self) -> list[str]:
        return [f"frame-{number:03d}" for number in range(100_000)]

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        return super().__getitem__(index)


def test_of_a_huge_dataset_a_few_items_are_read(cache_path: Path) -> None:
    base = Huge(100_000)
    dataset = wrapper(cache_path, base, on_miss="original")
    base.read = 0
    elements = shown(dataset)
    assert "100,000 items" in elements.text
    assert len(elements.pictures()) == 9
    assert base.read <= 12
    assert len(wrapper(cache_path, base, on_miss="original", p=0.001).drawn_items()) < 10


def test_a_live_dataset_does_not_generate_for_it(tmp_path: Path) -> None:
    with live(tmp_path / "live.cache") as dataset:
        elements = shown(dataset)
        assert process_of(dataset).pid is None
        assert "as it is in its base" in elements.text
        assert dataset.stats().items == 0
        assert len(dataset.cache) == 0


def test_labels_that_a_policy_rewrites_have_no_names_of_the_base(cache_path: Path) -> None:
    dataset = POCAugmentedDataset(Frames(LENGTH), cache_path, AnomalyLabels(), p=1.0)
    text = shown(dataset).text
    assert "road" not in text
    for name in ("id 0", "cat, dog (1)"):
        assert name in text


def test_peeking_ends_with_its_context() -> None:
    seen = []

    def stop() -> None:
        with peeking():
            seen.append(is_peeking())
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop()
    assert [*seen, is_peeking()] == [True, False]
