"""What transforms fill labels with, beside what a policy writes: an id has one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import TransformError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.joint_transforms.joint_transform import ignore_ids
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.schema import LabelSchema
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

STREET = LabelSchema("street", {"road": 0, "sky": 1, "car": 2}, ignore=(9,))


class Street(Frames):
    """Frames that are ignored as 9: 255 is free."""

    schema = STREET

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        image, labels = super().__getitem__(index)
        return image, Image.fromarray(np.where(np.array(labels) == 255, 9, np.array(labels)).astype(np.uint8))


class Unknown(Frames):
    schema = None  # type: ignore[assignment]


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fills") / "frames.cache"
    warm_cache(Frames(2), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    return path


def fills(name: str, fill: int) -> Any:
    match name:
        case "v2":
            return v2.Compose([v2.Pad(3, fill={tv_tensors.Image: 0, tv_tensors.Mask: fill})])
        case "albumentations":
            return albumentations.Compose([albumentations.PadIfNeeded(99, 99, border_mode=0, fill_mask=fill)])
        case _:
            crop = kornia.RandomCrop((99, 99), pad_if_needed=True, fill=fill)
            return kornia.AugmentationSequential(crop, data_keys=["input", "mask"])


@pytest.mark.parametrize("name", ["v2", "albumentations", "kornia"])
@pytest.mark.parametrize(
    ("policy", "fill"),
    [(OodLabels(254), 254), (OodLabels(255), 255), (NewClassLabels({"dog": 7, "cat": 8}), 8), (AnomalyLabels(), 1)],
)
def test_padding_is_no_object(cache_path: Path, name: str, policy: Any, fill: int) -> None:
    def read(**changes: Any) -> POCAugmentedDataset:
        return POCAugmentedDataset(Street(2), cache_path, policy, **changes)

    with pytest.raises(TransformError, match=f"fills labels with {fill}, which is the id of inserted"):
        read(transforms=fills(name, fill))
    ds = read(transforms=fills(name, 9 if not policy.rewrites_base else 255))
    assert ds[0] is not None
    with pytest.raises(TransformError, match="fills labels with"):
        ds.transforms = fills(name, fill)


@pytest.mark.parametrize("base", [Frames(2), Unknown(2)])
def test_objects_that_are_void_are_filled_alike(cache_path: Path, base: Frames) -> None:
    policy = OodLabels(255, known={} if base.schema is None else None, void=True)
    ds = POCAugmentedDataset(base, cache_path, policy, p=1.0, transforms=fills("v2", 255))
    assert 255 in np.asarray(ds[0][1])


def test_255_of_an_object_is_no_ignore_id(cache_path: Path) -> None:
    def pad(image: Any, labels: Any) -> Any:
        return np.array(image), np.pad(np.array(labels), 3, constant_values=255)

    ds = POCAugmentedDataset(Street(2), cache_path, OodLabels(255), p=0.0, transforms=pad)
    with pytest.raises(TransformError, match="did not go in: 255"):
        ds[0]


def test_ids_of_the_base_mean_nothing_where_the_policy_rewrites_it(cache_path: Path) -> None:
    def pad(image: Any, labels: Any) -> Any:
        return np.array(image), np.pad(np.array(labels), 3, constant_values=9)

    with pytest.raises(TransformError, match="did not go in: 9"):
        POCAugmentedDataset(Street(2), cache_path, AnomalyLabels(), transforms=pad)[0]
    assert 9 in POCAugmentedDataset(Street(2), cache_path, OodLabels(254), transforms=pad)[0][1]
    masks = LabelSchema("masks", {"table": 0, "mug": 255}, ignore=(128,))
    assert ignore_ids(AnomalyLabels(), masks) == {-100, 255}


def test_a_function_may_refer_to_transforms_of_images_alone(cache_path: Path) -> None:
    of_images = v2.Pad(3, fill=254)

    def both(image: Any, labels: Any) -> Any:
        return of_images(image), torch.from_numpy(np.pad(np.array(labels), 3, constant_values=9))

    assert POCAugmentedDataset(Street(2), cache_path, transforms=both)[0]
