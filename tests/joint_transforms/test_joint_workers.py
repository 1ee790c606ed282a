"""Joint transforms in the workers of a ``DataLoader``, through `POCAugmentedDataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
from albumentations.pytorch import ToTensorV2
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import TransformError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.joint_cases import Same, halved, wrong_in_worker_1

SIZE = (21, 33)
JOINT: dict[str, Any] = {
    "v2": v2.Compose(
        [
            v2.RandomCrop(SIZE),
            v2.RandomHorizontalFlip(),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    ),
    "albumentations": albumentations.Compose(
        [albumentations.RandomCrop(*SIZE), albumentations.Normalize(), ToTensorV2()]
    ),
    "albumentations, seeded": albumentations.Compose(
        [albumentations.RandomCrop(*SIZE), albumentations.Normalize(), ToTensorV2()], seed=7
    ),
    "kornia": kornia.AugmentationSequential(kornia.RandomCrop(SIZE), kornia.RandomHorizontalFlip()),
}


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joint") / "frames.cache"
    warm_cache(Frames(24), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    return path


@pytest.mark.parametrize(
    ("name", "start"),
    [*((name, "fork") for name in JOINT), *((name, "forkserver") for name in ("v2", "albumentations", "kornia"))],
)
def test_batches_of_workers_hold_the_ids_of_the_labels(cache_path: Path, name: str, start: str) -> None:
    ds = POCAugmentedDataset(Frames(8), cache_path, p=1.0, transforms=JOINT[name])
    seen = set()
    for images, labels in DataLoader(ds, batch_size=4, num_workers=1, multiprocessing_context=start):
        assert images.shape == (4, 3, *SIZE)
        assert images.dtype == torch.float32
        assert labels.shape == (4, *SIZE)
        torch.nn.functional.cross_entropy(torch.zeros(4, 3, *SIZE), labels.long().where(labels < 3, -100))
        seen |= set(labels.unique().tolist())
    assert seen <= {0, 1, 2, 254, 255}
    assert 254 in seen


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_the_check_runs_in_workers(cache_path: Path, start: str) -> None:
    ds = POCAugmentedDataset(Frames(8), cache_path, transforms=halved)
    loader = DataLoader(ds, num_workers=1, multiprocessing_context=start)
    with pytest.raises(TransformError, match=r"halved made \d label ids that did not go in: 0.5"):
        next(iter(loader))


def test_the_check_can_be_turned_off(cache_path: Path) -> None:
    ds = POCAugmentedDataset(Frames(8), cache_path, transforms=halved, check_transforms=False)
    assert len([*DataLoader(ds, num_workers=2, multiprocessing_context="fork")]) == 8


def test_each_worker_checks_its_own_first_items(cache_path: Path) -> None:
    ds = POCAugmentedDataset(Frames(24), cache_path, p=0.0, transforms=wrong_in_worker_1)
    for index in range(24):  # this process's turns are over
        ds[index]
    with pytest.raises(TransformError, match="wrong_in_worker_1 made"):
        [*DataLoader(ds, num_workers=2, multiprocessing_context="fork")]


def drawn(ds: POCAugmentedDataset, start: str, epochs: int = 1, **options: Any) -> list[list[torch.Tensor]]:
    loader = DataLoader(ds, num_workers=2, multiprocessing_context=start, batch_size=1, **options)
    return [[images[0] for images, _ in loader] for _ in range(epochs)]


@pytest.mark.parametrize("name", JOINT)
def test_workers_and_epochs_draw_differently_and_reproducibly(cache_path: Path, name: str) -> None:
    ds = POCAugmentedDataset(Same(12), cache_path, p=0.0, transforms=JOINT[name])
    torch.manual_seed(3)
    epochs = drawn(ds, "fork", epochs=2)
    for epoch in epochs:  # items 0, 2, ... are worker 0's
        assert any(not torch.equal(a, b) for a, b in zip(epoch[::2], epoch[1::2], strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(*epochs, strict=True))
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for a, b in zip(drawn(ds, "fork")[0], epochs[0], strict=True))


def test_workers_that_are_sent_the_dataset_draw_differently(cache_path: Path) -> None:
    """As with "spawn" the dataset is pickled; what is more, all begin with the random states of the fork server."""
    ds = POCAugmentedDataset(Same(12), cache_path, p=0.0, transforms=JOINT["albumentations"])
    (epoch,) = drawn(ds, "forkserver")
    assert any(not torch.equal(a, b) for a, b in zip(epoch[::2], epoch[1::2], strict=True))


def test_persistent_workers_go_on_drawing(cache_path: Path) -> None:
    ds = POCAugmentedDataset(Same(12), cache_path, p=0.0, transforms=JOINT["albumentations"])
    first, second = drawn(ds, "fork", epochs=2, persistent_workers=True)
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("policy", "fill", "fine"),
    [
        (OodLabels(254), 255, True),  # the schema's ignore id
        (OodLabels(254), -100, True),  # torch's
        (OodLabels(254, ignore_id=99), 99, True),
        (OodLabels(254), 99, False),
        (NewClassLabels({"dog": 3, "cat": 4}), 255, True),
        (AnomalyLabels(), 255, True),
        (AnomalyLabels(), 2, False),
    ],
)
def test_ignore_ids_may_come_out(cache_path: Path, policy: Any, fill: int, fine: bool) -> None:
    def pad(image: Any, labels: Any) -> Any:
        return np.array(image), np.pad(np.array(labels).astype(np.int64)[:, 1:], 3, constant_values=fill)

    ds = POCAugmentedDataset(Frames(2), cache_path, policy, transforms=pad)
    if fine:
        assert fill in ds[0][1]
    else:
        with pytest.raises(TransformError, match=f"did not go in: {fill}; .*"):
            ds[0]


def test_255_of_a_class_is_no_ignore_id(cache_path: Path) -> None:
    from poc_aug.joint_transforms.joint_transform import ignore_ids
    from poc_aug.labels.schema import LabelSchema

    masks = LabelSchema("masks", {"table": 0, "mug": 255}, ignore=(128,))
    assert ignore_ids(OodLabels(7), masks) == {-100, 128}
    assert ignore_ids(OodLabels(7), None) == {-100, 255}


def test_transforms_can_be_exchanged_and_are_refused_at_once(cache_path: Path) -> None:
    ds = POCAugmentedDataset(Frames(2), cache_path, redraw="epoch", transforms=JOINT["v2"])
    assert ds.transforms is JOINT["v2"]
    ds.transforms = None
    assert ds[0][0].mode == "RGB"
    ds.transforms = JOINT["kornia"]
    assert ds[0][0].shape == (3, *SIZE)
    with pytest.raises(TransformError, match="AugmentationSequential"):
        POCAugmentedDataset(Frames(2), cache_path, transforms=kornia.RandomHorizontalFlip())
