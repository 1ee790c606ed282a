"""Transforms of the base dataset itself: those that interpolate labels are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kornia.augmentation as kornia
import numpy as np
import pytest
import torchvision
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision import transforms as v1
from torchvision.transforms import v2

from poc_aug.errors import ItemFormatError, TransformError
from poc_aug.joint_transforms.joint_transform import transform_pair
from tests.helpers.item_forms import IDS, RGB, H, W
from tests.helpers.joint_cases import FLIPS, ids, pil_item, pixels


def test_datasets_of_this_library_take_them_too(tmp_path: Path) -> None:
    from poc_aug import PairedFolder, SyntheticStreet

    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(IDS).save(tmp_path / "a_gt.png")
    street = SyntheticStreet((32, 48), 1)[0]
    for name in ("v2.Compose", "albumentations.Compose", "kornia"):
        image, labels = PairedFolder(tmp_path, ["a.png"], ["a_gt.png"], transforms=FLIPS[name])[0]
        assert np.array_equal(pixels(image), RGB[:, ::-1])
        assert np.array_equal(ids(labels), IDS[:, ::-1])
        image, labels = SyntheticStreet((32, 48), 1, transforms=FLIPS[name])[0]
        assert np.array_equal(ids(labels), np.asarray(street[1])[:, ::-1])
    with pytest.raises(TransformError, match="AugmentationSequential"):
        PairedFolder(tmp_path, ["a.png"], ["a_gt.png"], transforms=kornia.RandomHorizontalFlip())[0]
    Image.fromarray(RGB).save(tmp_path / "a_colour.png")
    with pytest.raises(ItemFormatError, match=r"'a\.png'"):
        PairedFolder(tmp_path, ["a.png"], ["a_colour.png"], transforms=FLIPS["v2"])[0]
    assert transform_pair(lambda *pair: pair, 1, 2, key="k") == (1, 2)


def folder(tmp_path: Path, **transforms: Any) -> Any:
    from poc_aug import PairedFolder

    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(IDS).save(tmp_path / "a_gt.png")
    return PairedFolder(tmp_path, ["a.png"], ["a_gt.png"], **transforms)


class Torchvisions(torchvision.datasets.VisionDataset):  # type: ignore[misc]
    """A dataset of somebody else's that does as torchvision's do."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return pil_item() if self.transforms is None else self.transforms(*pil_item())


NEAREST = v2.InterpolationMode.NEAREST
GRID = v2.InterpolationMode.NEAREST_EXACT


@pytest.mark.parametrize(
    ("transforms", "named"),
    [
        ({"target_transform": v1.Resize(9)}, r"target_transform=...\) has Resize\(interpolation=bilinear\)"),
        ({"target_transform": v1.Compose([v2.PILToTensor(), v2.Resize(9)])}, "Resize"),
        ({"target_transform": v1.ColorJitter(0.5)}, "ColorJitter"),
        ({"transforms": v2.Compose([v2.CenterCrop(9), v2.Resize(9)])}, r"transforms=...\) has Resize.* as a PIL image"),
        ({"transforms": v2.RandomAutocontrast(1.0)}, "RandomAutocontrast"),
        ({"transforms": v2.RandomApply([v2.GaussianBlur(3)], 1.0)}, "GaussianBlur"),
        ({"transforms": v2.CenterCrop(9)}, None),
        ({"transforms": v2.Compose([v2.Resize(9, NEAREST), v2.Resize(9, GRID)])}, None),
        ({"target_transform": v1.Resize(9, interpolation=NEAREST)}, None),
        ({"transform": v1.Resize((H, W))}, None),
        ({"transforms": lambda *pair: pair}, None),
    ],
)
def test_base_datasets_that_interpolate_their_labels(tmp_path: Path, transforms: Any, named: str | None) -> None:
    from poc_aug.joint_transforms.joint_transform import check_base_transforms

    base = Torchvisions(str(tmp_path), **transforms)
    datasets: list[Dataset[Any]] = [base, Subset(base, [0]), ConcatDataset([base, base])]
    for dataset in datasets:
        if named is None:
            check_base_transforms(dataset)
        else:
            with pytest.raises(TransformError, match=named):
                check_base_transforms(dataset)
    if "transforms" in transforms:
        check_base_transforms(folder(tmp_path, **transforms))


def test_wrapping_and_warming_look_at_the_base(tmp_path: Path) -> None:
    from poc_aug import InsertionPipeline, POCAugmentedDataset, warm_cache
    from tests.helpers.fakes import EllipseInserter, make_recipe

    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    base = folder(tmp_path, target_transform=v1.Resize((9, 9)), schema="cityscapes-trainIds")
    with pytest.raises(TransformError, match="Resize"):
        warm_cache(base, tmp_path / "x.cache", pipeline)
    assert not (tmp_path / "x.cache").exists()
    with pytest.raises(TransformError, match="Resize"):
        POCAugmentedDataset(base, None, pipeline=pipeline)
