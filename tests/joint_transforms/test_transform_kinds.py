"""Which callables are joint transforms, and which are refused at once."""

from __future__ import annotations

from typing import Any

import kornia.augmentation as kornia
import pytest
import torch
from torchvision import transforms as v1
from torchvision.transforms import v2

from poc_aug.errors import TransformError
from poc_aug.joint_transforms.joint_transform import JointTransforms
from tests.helpers.joint_cases import apply, pil_item


@pytest.mark.parametrize(
    ("transforms", "named"),
    [
        ([v2.RandomHorizontalFlip()], "join a list of transforms"),
        (v1.ToTensor(), "torchvision.transforms.ToTensor, which transforms an image alone"),
        (v1.Compose([v2.CenterCrop(4), v1.ToTensor()]), "torchvision.transforms.ToTensor"),
        (v2.Compose([v2.CenterCrop(4), v1.Normalize([0.5], [0.5])]), "torchvision.transforms.Normalize"),
        (v2.Compose([v2.RandomCrop(4), v2.RandomApply([v1.ColorJitter()])]), "torchvision.transforms.ColorJitter"),
        (kornia.RandomHorizontalFlip(), "AugmentationSequential, which transforms both"),
        (kornia.ImageSequential(kornia.RandomHorizontalFlip()), "AugmentationSequential"),
        (torch.nn.Sequential(kornia.RandomAffine(30.0)), "AugmentationSequential"),
    ],
)
def test_what_transforms_images_alone_is_refused_at_once(transforms: Any, named: str) -> None:
    with pytest.raises(TransformError, match=named):
        JointTransforms(transforms)


@pytest.mark.filterwarnings("ignore:The transform `ToTensor")
def test_to_tensor_of_v2_would_leave_the_image_unscaled() -> None:
    with pytest.raises(TransformError, match=r"v2.ToDtype\(torch.float32, scale=True\)"):
        JointTransforms(v2.Compose([v2.CenterCrop(4), v2.ToTensor()]))
    image, _ = apply(v2.Compose([v2.ToPILImage(), v2.ToTensor()]), pil_item())
    assert image.is_floating_point()


def test_mixing_of_batches_is_refused_by_torchvision() -> None:
    with pytest.raises(ValueError, match="does not support"):
        apply(v2.MixUp(num_classes=19), pil_item())


class Joint:
    """Of the user's own: it takes pairs."""

    def __call__(self, image: Any, labels: Any) -> Any:
        return image, labels


class OwnSequential(torch.nn.Sequential):
    def forward(self, image: Any, labels: Any) -> Any:  # type: ignore[override]
        return "own", image, labels


def test_other_callables_are_called_as_they_were() -> None:
    item = pil_item()
    assert apply(lambda image, labels: (image, labels, 3), item) == (*item, 3)
    assert apply(Joint(), item) == item
    assert apply(OwnSequential(v2.CenterCrop(3)), item) == ("own", *item)
    record = {"image": item[0], "mask": item[1]}
    assert apply(v1.Lambda(lambda given: given is record), record)
    assert apply(v1.Compose([v1.Lambda(lambda given: given), lambda given: given["mask"]]), record) is item[1]
    assert apply(lambda given: given is record, record)
    old = type("Old", (v1.RandomCrop,), {"forward": lambda self, image, labels: (image, labels)})
    assert apply(old(3), item) == item
