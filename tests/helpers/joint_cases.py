"""What the workers of the tests of joint transforms load: little, for a spawned one imports this file."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch.utils.data import get_worker_info
from torchvision import transforms as v1
from torchvision.transforms import v2

from poc_aug.items.open_item import open_item
from poc_aug.joint_transforms.joint_transform import JointTransforms
from tests.helpers.fakes import Frames
from tests.helpers.item_forms import IDS, RGB


class Same(Frames):
    """Every item has the same pixels, so that only the transform tells two items apart."""

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(0)


def halved(image: Any, labels: Any) -> Any:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels)) / 2


def wrong_in_worker_1(image: Any, labels: Any) -> Any:
    worker = get_worker_info()
    return np.array(image), np.array(labels) + (worker is not None and worker.id == 1)


class Identity(v2.Transform):  # type: ignore[misc]
    """Of the user's own, derived from v2's."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt


FLIPS: dict[str, Any] = {
    "v2": v2.RandomHorizontalFlip(1.0),
    "v2.Compose": v2.Compose([v2.RandomHorizontalFlip(1.0), Identity(), v2.ToImage(), v2.PILToTensor()]),
    "v2.RandomApply": v2.RandomApply([v2.RandomHorizontalFlip(1.0)], p=1.0),
    "v2 in nn.Sequential": torch.nn.Sequential(v2.RandomHorizontalFlip(1.0), Identity()),
    "v2 in the old Compose": v1.Compose([v2.RandomHorizontalFlip(1.0), Identity()]),
    "v2 in the old RandomChoice": v1.RandomChoice([v2.RandomHorizontalFlip(1.0)]),
    "v2 in a partial": functools.partial(v2.RandomHorizontalFlip(1.0)),
    "v2, its method": v2.RandomHorizontalFlip(1.0).forward,
    "albumentations": albumentations.HorizontalFlip(p=1.0),
    "albumentations.Compose": albumentations.Compose([albumentations.HorizontalFlip(p=1.0)]),
    "albumentations, to tensors": albumentations.Compose([albumentations.HorizontalFlip(p=1.0), ToTensorV2()]),
    "albumentations.OneOf": albumentations.OneOf([albumentations.HorizontalFlip(p=1.0)], p=1.0),
    "kornia": kornia.AugmentationSequential(kornia.RandomHorizontalFlip(p=1.0)),
    "kornia, with keys": kornia.AugmentationSequential(
        kornia.RandomHorizontalFlip(p=1.0), data_keys=["input", "mask", "bbox"]
    ),
}


def pixels(image: Any) -> np.ndarray:
    """What came out as uint8 ``[h, w, 3]``."""
    if isinstance(image, torch.Tensor):
        scaled = (image * 255).round() if image.is_floating_point() else image
        return scaled.as_subclass(torch.Tensor).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.asarray(image)


def ids(labels: Any) -> np.ndarray:
    """What came out as int64 ``[h, w]``; fractions are not hidden."""
    array = labels.as_subclass(torch.Tensor).numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    assert array.dtype.kind in "iu"
    assert array.ndim == 2 or array.shape[0] == 1
    return array.astype(np.int64).reshape(array.shape[-2:])


def apply(transforms: Any, item: Any, **options: Any) -> Any:
    adapt = options.get("adapt")
    return JointTransforms(transforms, **options)(open_item(item, adapt, key="frame-1"))


def pil_item() -> tuple[Image.Image, Image.Image]:
    return Image.fromarray(RGB), Image.fromarray(IDS)


@dataclass
class Frame:
    picture: Any
    segments: Any
