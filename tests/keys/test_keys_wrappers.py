"""Keys of datasets that wrap others: torch's wrappers, and those that people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, StackDataset, Subset, random_split

from poc_aug import POCAugmentedDataset, SyntheticStreet, warm_cache
from poc_aug.camera import Calibration, FrameCalibrations
from poc_aug.errors import CacheDatasetMismatchError, DatasetKeyError, SchemaError
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import require_schema
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import LENGTH, Chosen, HandsOn, Named, Repeat, Unnamed, augmented, pipeline, warm

WRAPPERS: list[Any] = [
    lambda base: Repeat(base, 3),
    lambda base: HandsOn(base, 2),
    lambda base: Subset(base, [0, 0, 3, 1, 3]),
    lambda base: Subset(base, torch.tensor([1, 1, 2])),  # type: ignore[arg-type]
    lambda base: Subset(base, np.array([-1, 0, -1])),  # type: ignore[arg-type]
    lambda base: Subset(Subset(base, [3, 2, 2]), [2, 0, -1]),
    lambda base: ConcatDataset([base, base]),
    lambda base: Subset(ConcatDataset([base, base]), [5, 1, 0]),
    lambda base: ConcatDataset([Subset(base, [0, 1])] * 3),
    lambda base: random_split(base, [3, 1], torch.Generator().manual_seed(0))[0],
    lambda base: Chosen(base, [2, 2, 1, 0, 3]),
    lambda base: Chosen(base, np.array([2, 2, 1]), "order"),
    lambda base: Chosen(base, [2, 2, 1], "my_oversampling"),
    lambda base: Repeat(Repeat(base, 2), 2),
    lambda base: Subset(Repeat(base, 2), [5, 1]),
]


@pytest.mark.parametrize("make", WRAPPERS)
@pytest.mark.parametrize("kind", [Named, Unnamed])
def test_every_item_of_a_wrapper_is_augmented(tmp_path: Path, make: Any, kind: Any) -> None:
    base = kind(LENGTH)
    path = warm(base, tmp_path / "a.cache")
    wrapper = make(base)
    ds = POCAugmentedDataset(wrapper, path, p=1.0, variant=0, schema=SCHEMA)
    assert augmented(ds) == len(wrapper)
    alone = POCAugmentedDataset(base, path, p=1.0, variant=0, schema=SCHEMA)
    shown = {alone[i][0].tobytes() for i in range(LENGTH)}
    assert {ds[i][0].tobytes() for i in range(len(ds))} <= shown


@pytest.mark.parametrize("make", WRAPPERS[:9])
def test_a_repeated_sample_is_warmed_once(tmp_path: Path, make: Any) -> None:
    wrapper = make(Frames(LENGTH))
    report = warm_cache(wrapper, tmp_path / "a.cache", pipeline(), num_variants=2, workers=0, schema=SCHEMA)
    distinct = len(set(dataset_keys(wrapper)))
    assert distinct < len(wrapper)
    assert report.made == report.total == 2 * distinct
    again = warm_cache(wrapper, tmp_path / "a.cache", pipeline(), num_variants=2, workers=0, schema=SCHEMA)
    assert again.made == 0
    assert augmented(POCAugmentedDataset(wrapper, tmp_path / "a.cache", p=1.0, schema=SCHEMA)) == len(wrapper)


class Interleaved(Repeat):
    def __getitem__(self, index: int) -> Any:
        return self.wrapped_frames[index // self.times]


def test_a_wrapper_that_is_understood_wrongly_is_an_error(tmp_path: Path) -> None:
    base = Unnamed(LENGTH)
    path = warm(base, tmp_path / "a.cache")
    ds = POCAugmentedDataset(Interleaved(base, 2), path, p=1.0, schema=SCHEMA)
    with pytest.raises(CacheDatasetMismatchError, match="keys="):
        [ds[i] for i in range(len(ds))]
    with pytest.raises(DatasetKeyError, match=r"samples \d and \d of Interleaved have the same key(?s:.*)keys="):
        warm(Interleaved(base, 2), tmp_path / "b.cache")
    keys = [f"{i // 2:08d}" for i in range(2 * LENGTH)]
    given = POCAugmentedDataset(Interleaved(base, 2), path, p=1.0, schema=SCHEMA, keys=keys)
    assert augmented(given) == 2 * LENGTH
    warm(Interleaved(base, 2), tmp_path / "b.cache", keys=keys)


class Hidden(Dataset[Any]):
    """Holds what it wraps where nobody finds it."""

    def __init__(self, base: Any, times: int) -> None:
        self.get = base.__getitem__
        self.length = times * len(base)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.get(index % LENGTH)


def test_a_share_that_nothing_explains_is_an_error(tmp_path: Path) -> None:
    path = warm(Unnamed(LENGTH), tmp_path / "a.cache")
    hidden = Hidden(Unnamed(LENGTH), 3)
    with pytest.raises(CacheDatasetMismatchError, match="4 of this dataset's 12 samples") as caught:
        POCAugmentedDataset(hidden, path, p=1.0, schema=SCHEMA)
    for part in ("keys=", "made from 4 samples", "'00000004'", 'on_miss="original"'):
        assert part in str(caught.value)
    assert "--keys NAME" in caught.value.on_command_line()
    assert "keys=" not in caught.value.on_command_line()
    meant = POCAugmentedDataset(hidden, path, p=1.0, schema=SCHEMA, on_miss="original")
    assert augmented(meant) == LENGTH
    keys = [f"{i % LENGTH:08d}" for i in range(12)]
    assert augmented(POCAugmentedDataset(hidden, path, p=1.0, schema=SCHEMA, keys=keys)) == 12


def test_one_key_for_different_images_is_an_error(tmp_path: Path) -> None:
    for keys in (lambda index: "same", ["a", "b", "b", "c"]):
        with pytest.raises(DatasetKeyError, match=r"are different images(?s:.*)keys="):
            warm(Frames(LENGTH), tmp_path / "a.cache", keys=keys)
    assert not (tmp_path / "a.cache").exists()


def test_stacked_and_side_by_side(tmp_path: Path) -> None:
    class Images(Dataset[Any]):
        images = tuple(f"/d/{i}.png" for i in range(LENGTH))

        def __len__(self) -> int:
            return LENGTH

        def __getitem__(self, index: int) -> Any:
            return Frames(LENGTH)[index][0]

    class Labels(Images):
        images = ()

        def __getitem__(self, index: int) -> Any:
            return Frames(LENGTH)[index][1]

    names = [f"{i}.png" for i in range(LENGTH)]
    stack: Any = StackDataset(Images(), Labels())
    assert dataset_keys(stack) == names
    assert dataset_keys(StackDataset(labels=Labels(), image=Images())) == names
    assert dataset_keys(StackDataset(Labels(), Labels())) == [f"{i:08d}" for i in range(LENGTH)]
    path = warm(stack, tmp_path / "a.cache")
    assert augmented(POCAugmentedDataset(stack, path, p=1.0, schema=SCHEMA)) == LENGTH


class Permuted(Chosen):
    """In another order, and hands on every attribute that it does not have."""

    def __getattr__(self, name: str) -> Any:
        if name in ("base", "numbers_name", "indices", "my_order"):
            raise AttributeError(name)
        return getattr(self.base, name)


class Listed(Unnamed):
    """Known by the paths of its images."""

    images = tuple(f"/d/leftImg8bit/train/ulm/{i}_leftImg8bit.png" for i in range(LENGTH))

    def calibration(self, index: int) -> Calibration:
        return Calibration((100.0, 100.0), (8.0, 5.0), height_m=1.0 + range(LENGTH)[index])


@pytest.mark.parametrize("kind", [Named, Unnamed, Listed])
@pytest.mark.parametrize("attribute", ["indices", "my_order"])
@pytest.mark.parametrize("wrapper", [Chosen, Permuted])
def test_another_order_of_all_samples(tmp_path: Path, kind: Any, attribute: str, wrapper: Any) -> None:
    order, base = [2, 0, 1, 3], kind(LENGTH)
    keys = dataset_keys(base)
    other = wrapper(base, order, attribute)
    assert dataset_keys(other) == [keys[i] for i in order]
    path = warm(base, tmp_path / "a.cache")
    assert augmented(POCAugmentedDataset(other, path, p=1.0, schema=SCHEMA)) == LENGTH


def test_groups_are_no_order() -> None:
    base = Listed(LENGTH)
    for groups in ([0, 0, 1, 1], [0, 1, 2, 2], [3, 3, 3, 3]):
        wrapper = Chosen(base, groups, "groups")
        assert dataset_keys(wrapper) == dataset_keys(base)


@pytest.mark.parametrize("wrapper", [Chosen, Permuted])
def test_cameras_come_in_the_order_of_the_wrapper(wrapper: Any) -> None:
    base = Listed(LENGTH)
    found = FrameCalibrations(wrapper(base, [2, 0, 1, 3], "my_order"))
    assert [found.of(i).height_m for i in range(LENGTH)] == [3.0, 1.0, 2.0, 4.0]
    for twice in (Repeat(base, 2), HandsOn(base, 2)):
        found = FrameCalibrations(twice)
        assert [found.of(i).height_m for i in range(2 * LENGTH)] == [1.0, 2.0, 3.0, 4.0] * 2


def test_an_unknown_schema_of_a_wrapper_names_that_of_what_it_wraps() -> None:
    with pytest.raises(
        SchemaError, match=r"of Repeat is not known: it wraps SyntheticStreet, whose own is 'cityscapes"
    ):
        require_schema(Repeat(SyntheticStreet(size=(32, 64), length=2), 2))
