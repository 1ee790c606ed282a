"""Transforms that invent label ids, and images given as labels: errors that name the ids."""

from __future__ import annotations

from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
from kornia.constants import DataKey
from PIL import Image
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

from poc_aug.errors import TransformError
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.joint_transforms.joint_transform import JointTransforms
from tests.helpers.item_forms import IDS, RGB, H, W
from tests.helpers.joint_cases import Frame, apply, ids, pil_item  # noqa: F401

TF = v2.Compose([v2.Resize(9), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
TURN = v2.RandomRotation((45, 45), fill={tv_tensors.Image: 0, tv_tensors.Mask: 77})


def wrapped_v2(image: Any, labels: Any) -> Any:
    return TF(image, labels)


def resize_both(item: dict[str, Any]) -> dict[str, Any]:
    return {name: v2.functional.resize(value, [9, 9]) for name, value in item.items()}


def turned_mask(image: Any, labels: Any) -> Any:
    return TURN(tv_tensors.Image(v2.functional.pil_to_tensor(image)), tv_tensors.Mask(np.array(labels)))


COARSE = Image.fromarray(np.where(np.arange(H * W).reshape(H, W) % 5 < 2, 3, 90).astype(np.uint8))


@pytest.mark.parametrize(
    ("transforms", "found"),
    [
        (wrapped_v2, r"wrapped_v2 made \d+ label ids that did not go in: 0\.0\d+"),
        (lambda image, labels: (image, np.array(labels, np.float32) / 255), "0.0117647, 0.352941"),
        (lambda image, labels: (image, torch.full((4, 4), float("nan"))), "1 label ids that did not go in: nan"),
        (lambda image, labels: (image, np.array(labels) + 1), "2 label ids that did not go in: 4, 91"),
        (lambda image, labels: [image, labels.convert("RGB").convert("L").point(lambda v: v + 1), "x"], "4, 91"),
        (lambda image, labels: {"image": image, "labels": v1.functional.to_tensor(labels)}, "0.0117647"),
        (lambda image, labels: (image, v2.functional.resize(labels, [9, 9])), r"made \d+ label ids"),
        (v2.Compose([v2.Lambda(lambda mask: mask + 1, tv_tensors.Mask)]), r"v2.Compose\(Lambda\) made 2 label ids"),
        (
            albumentations.Compose([albumentations.Affine(rotate=(30, 30), p=1.0)], mask_interpolation=1),
            r"albumentations.core.composition.Compose\(Affine\) made \d+ label ids",
        ),
    ],
)
def test_invented_ids_are_an_error_that_names_them(transforms: Any, found: str) -> None:
    with pytest.raises(TransformError, match=found) as caught:
        apply(transforms, (Image.fromarray(RGB), COARSE))
    assert "'frame-1'" in str(caught.value)
    assert "[3, 90]" in str(caught.value)
    assert "check_transforms=False" in str(caught.value)
    apply(transforms, (Image.fromarray(RGB), COARSE), check=False)


def test_labels_that_were_normalised_as_an_image() -> None:
    """As with torchvision's training presets on a dataset that was not wrapped for v2."""
    steps = v2.Compose([v2.ToImage(), v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)])
    preset = v2.Compose([steps, v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    out = preset(*pil_item())
    assert out[1].shape == (3, H, W)  # broadcast over the means
    with pytest.raises(TransformError, match=r"label ids that did not go in: -2\.1"):
        apply(lambda image, labels: preset(image, labels), pil_item())
    assert apply(preset, pil_item())[1].shape == (H, W)


def test_invented_ids_in_dicts() -> None:
    with pytest.raises(TransformError, match="resize_both made"):
        apply(resize_both, {"image": Image.fromarray(RGB), "labels": COARSE})


@pytest.mark.parametrize("shift", [0, 3])
def test_invented_ids_in_what_mmseg_packs(shift: int) -> None:
    structures = pytest.importorskip("mmengine.structures")

    def pack(item: dict[str, Any]) -> dict[str, Any]:
        data = torch.from_numpy(item["gt_seg_map"].astype(np.int64))[None] + shift
        sample = structures.BaseDataElement(gt_sem_seg=structures.PixelData(data=data))
        return {"inputs": torch.from_numpy(item["img"]).permute(2, 0, 1), "data_samples": sample}

    ids = np.tile(np.arange(6, dtype=np.uint8), (12, 2))  # noqa: F811
    item = open_item({"img": np.zeros((12, 12, 3), np.uint8), "gt_seg_map": ids}, key="k")
    joint = JointTransforms(pack)
    if shift:
        with pytest.raises(TransformError, match="did not go in: 6, 7, 8"):
            joint(item)
    else:
        assert joint(item)["data_samples"].gt_sem_seg.data.max() == 5


def test_kornia_told_to_interpolate_labels() -> None:
    linear = kornia.AugmentationSequential(
        kornia.RandomAffine((30.0, 30.0), p=1.0), extra_args={DataKey.MASK: {"resample": "bilinear"}}
    )
    for check in (True, False):  # casting would hide it, so it is never cast
        with pytest.raises(TransformError, match="made values between label ids, such as"):
            apply(linear, (Image.fromarray(RGB), COARSE), check=check)


def test_variables_that_are_not_yet_assigned() -> None:
    def joint(image: Any, labels: Any) -> Any:
        return later(image, labels)

    prepared = JointTransforms(joint)
    later = v2.RandomRotation((45, 45), fill=77)
    assert prepared.fill_ids == frozenset()
    assert JointTransforms(joint).fill_ids == {0, 77}


def test_v2_steps_of_the_users_own_may_return_another_form() -> None:
    steps = v2.Compose([v2.CenterCrop(9), lambda image, labels: {"image": image, "labels": labels + 1}])
    with pytest.raises(TransformError, match="4, 91"):
        apply(steps, (Image.fromarray(RGB), COARSE))
    adapt = Adapt(get=lambda frame: (frame.picture, frame.segments), put=lambda frame, *leaves: Frame(*leaves))
    with pytest.raises(TransformError, match="returned a dict with the fields 'image', 'labels'"):
        apply(steps, Frame(*pil_item()), adapt=adapt)


@pytest.mark.parametrize(
    "transforms",
    [
        lambda image, labels: (image, np.eye(128, dtype=np.float32)[np.array(labels)]),  # one-hot
        lambda image, labels: (image, np.array(labels) == 3),
        lambda image, labels: {"inputs": image, "data_samples": labels},
        lambda image, labels: (image,),
        lambda image, labels: image,
        lambda image, labels: (labels, image),
        lambda image, labels: (image, "two cars"),
        lambda image, labels: (image, np.zeros((0, 4), np.uint8)),
        lambda image, labels: (image, torch.from_numpy(np.array(labels)).float()),
        lambda image, labels: (image, torch.from_numpy(np.array(labels)).to(torch.bfloat16)),
        lambda image, labels: (image, np.where(np.array(labels) == 3, 255, 90)),
        turned_mask,
    ],
)
def test_nothing_is_wrong_with(transforms: Any) -> None:
    apply(transforms, (Image.fromarray(RGB), COARSE), ignored=(255,))


def test_the_first_eight_items_and_then_one_in_a_thousand_are_checked() -> None:
    calls: list[int] = []

    def later(image: Any, labels: Any) -> Any:
        calls.append(1)
        return image, np.array(labels) + (len(calls) > 8)

    joint = JointTransforms(later)
    item = Image.fromarray(RGB), COARSE
    for _ in range(999):
        joint(open_item(item, key="frame-1"))
    with pytest.raises(TransformError, match="4, 91"):
        joint(open_item(item, key="frame-1"))


def dark(image: Any, labels: Any) -> Any:
    return image, v1.functional.to_tensor(labels).long()  # 0 of 0 to 254, 1 of 255


def test_labels_that_were_divided_by_255_and_made_integers() -> None:
    item = pil_item()
    assert set(np.unique(IDS)) > {0, 1}  # the ids that come out did go in
    joint = JointTransforms(dark)
    for _ in range(7):
        joint(open_item(item, key="frame-1"))
    with pytest.raises(TransformError, match=r"'frame-1': transforms=.*dark left only ids \[0\]"):
        joint(open_item(item, key="frame-1"))


def test_labels_of_few_ids_may_well_be_dark() -> None:
    binary = Image.fromarray(RGB), Image.fromarray((IDS > 9).astype(np.uint8))
    small = v2.Lambda(lambda mask: mask.clamp(0, 0)[..., :5, :5], tv_tensors.Mask)
    calls: list[int] = []

    def first_is_fine(*pair: Any) -> Any:
        calls.append(1)
        return dark(*pair) if len(calls) > 1 else pair

    few, cropped, mixed = JointTransforms(dark), JointTransforms(small), JointTransforms(first_is_fine)
    for _ in range(20):
        few(open_item(binary, key="frame-1"))
        cropped(open_item(pil_item(), key="frame-1"))
        mixed(open_item(pil_item(), key="frame-1"))
