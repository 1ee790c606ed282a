"""Joint transforms: each library gets image and labels as it wants them, and no label id is invented."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
import torchvision
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from poc_aug.errors import TransformError
from poc_aug.items.open_item import open_item
from poc_aug.joint_transforms.joint_transform import JointTransforms
from tests.helpers.item_forms import IDS, IMAGES, LABELS, RGB, H, W
from tests.helpers.joint_cases import FLIPS, Identity, apply, ids, pil_item, pixels

TO_FLOAT = v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True)


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("form", [*((name, "pil L") for name in IMAGES), *(("pil", name) for name in LABELS)])
def test_every_form_is_flipped_and_keeps_its_ids(flip: str, form: tuple[str, str]) -> None:
    item = IMAGES[form[0]](), LABELS[form[1]]()
    image, labels = apply(FLIPS[flip], item)
    assert np.array_equal(pixels(image), RGB[:, ::-1])
    assert np.array_equal(ids(labels), IDS[:, ::-1])
    assert np.array_equal(pixels(item[0]), RGB)  # what the dataset may keep is not touched
    unsigned = {"pil I;16", "tensor torch.uint16", "array u2", "tensor torch.uint32", "array u4"}
    if isinstance(labels, torch.Tensor) and form[1] in unsigned:
        assert labels.dtype in (torch.int32, torch.int64)  # torch computes with these


def test_v2_gets_tv_tensors_and_they_stay() -> None:
    image, labels = apply(v2.Compose([Identity()]), pil_item())
    assert type(image) is tv_tensors.Image
    assert type(labels) is tv_tensors.Mask
    assert labels.shape == (H, W)
    item = IMAGES["tv_tensor"](), LABELS["tv_tensor"]()
    image, labels = apply(Identity(), item)
    assert image is item[0]
    assert type(labels) is tv_tensors.Mask
    assert labels.shape == (1, H, W)


# What users of each library write for training; every step changes the geometry or the pixels.
PIPELINES: dict[str, Any] = {
    "v2": v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResizedCrop((9, 13), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.5, 0.5, 0.5),
            v2.RandomRotation(30, fill={tv_tensors.Image: 0, tv_tensors.Mask: 255}),
            TO_FLOAT,
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    ),
    "v2, pure tensors": v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomAffine(20, (0.1, 0.1), (0.5, 2.0), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomCrop((9, 13), pad_if_needed=True, fill=255),
            TO_FLOAT,
            v2.ToPureTensor(),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    ),
    "albumentations": albumentations.Compose(
        [
            albumentations.RandomScale((-0.4, 0.4), p=1.0),
            albumentations.Affine(rotate=(-20, 20), fill_mask=255, p=1.0),
            albumentations.PadIfNeeded(40, 40, fill_mask=255),
            albumentations.RandomCrop(9, 13),
            albumentations.HorizontalFlip(),
            albumentations.Normalize(),
            ToTensorV2(),
        ]
    ),
    "kornia": kornia.AugmentationSequential(
        kornia.RandomHorizontalFlip(),
        kornia.RandomAffine(30.0, (0.1, 0.1), (0.8, 1.5), p=1.0),
        kornia.RandomResizedCrop((9, 13)),
        kornia.ColorJiggle(0.2, 0.2, 0.2, 0.2, p=1.0),
        kornia.Normalize(torch.tensor([0.5] * 3), torch.tensor([0.5] * 3)),
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_invent_no_id_and_their_batches_train(name: str) -> None:
    joint = JointTransforms(PIPELINES[name])
    for _ in range(20):
        image, labels = joint(open_item(pil_item(), key="frame-1"))
        assert image.dtype == torch.float32
        assert image.shape == (3, 9, 13)
        assert labels.shape == (9, 13)
        assert set(ids(labels).ravel().tolist()) <= {*IDS.ravel().tolist(), 0, 255}
        logits = torch.zeros(1, 19, 9, 13)
        torch.nn.functional.cross_entropy(logits, labels[None].long(), ignore_index=255)


@pytest.mark.parametrize("name", PIPELINES)
def test_they_pickle(name: str) -> None:
    again = pickle.loads(pickle.dumps(JointTransforms(PIPELINES[name])))
    assert again(open_item(pil_item(), key="frame-1"))[1].shape == (9, 13)


LARGE = {
    torch.int16: -30000, torch.uint16: 60000, torch.int32: 70001, torch.int64: 2**24 - 1, torch.uint32: 100001,
}  # fmt: skip


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("name", ["v2", "albumentations", "kornia"])
def test_large_ids_come_back(name: str, dtype: torch.dtype) -> None:
    turned = {
        "v2": v2.RandomRotation((30, 30)),
        "albumentations": albumentations.Affine(rotate=(30, 30), p=1.0),
        "kornia": kornia.AugmentationSequential(kornia.RandomAffine((30.0, 30.0), p=1.0)),
    }
    large = LARGE[dtype]
    labels = torch.full((H, W), 7, dtype=torch.int64)
    labels[::2] = large
    out = apply(turned[name], (RGB.copy(), labels.to(dtype)))[1]
    assert set(ids(out).ravel().tolist()) == {0, 7, large}


def test_ids_beyond_what_a_library_can_carry_are_an_error() -> None:
    labels = np.full((H, W), 2**24 + 1)
    with pytest.raises(TransformError, match=r"'frame-1': label id 16777217 is too large for kornia"):
        apply(kornia.AugmentationSequential(kornia.RandomHorizontalFlip()), (RGB.copy(), labels))
    out = apply(albumentations.Affine(rotate=(30, 30), p=1.0), (RGB.copy(), labels))[1]
    assert set(np.unique(out)) == {0, 2**24 + 1}
    with pytest.raises(TransformError, match=r"label id 9007199254740993 is too large for albumentations"):
        apply(albumentations.HorizontalFlip(), (RGB.copy(), np.full((H, W), 2**53 + 1)))


@pytest.mark.parametrize("fill", [255, -100, 300])
@pytest.mark.parametrize("labels", ["pil L", "tv_tensor", "array i8"])
def test_labels_are_widened_for_the_fill_id(fill: int, labels: str) -> None:
    fills = {tv_tensors.Image: 0, tv_tensors.Mask: fill}
    for transforms in (
        v2.Pad(3, fill=dict(fills)),
        v2.RandomRotation((45, 45), fill=dict(fills)),
        albumentations.PadIfNeeded(40, 40, border_mode=0, fill_mask=fill),
    ):
        out = apply(transforms, (Image.fromarray(RGB), LABELS[labels]()))[1]
        assert set(ids(out).ravel().tolist()) <= {*IDS.ravel().tolist(), fill}
        assert fill in ids(out)


def only_red(image: np.ndarray, **_: Any) -> np.ndarray:
    return np.repeat(image[..., :1], 3, -1)


@pytest.mark.parametrize(
    ("transforms", "comes"),
    [
        (v2.Compose([v2.Lambda(lambda red: red[:1].expand(3, -1, -1), tv_tensors.Image)]), "red"),
        (albumentations.Lambda(image=only_red), "red"),
        (kornia.AugmentationSequential(kornia.RandomHorizontalFlip(p=0.0)), "as it was"),
        (albumentations.Compose([ToTensorV2()]), "as it was"),
        (v2.Compose([TO_FLOAT]), "as it was"),
    ],
)
def test_transforms_see_rgb_and_bgr_items_stay_bgr(transforms: Any, comes: str) -> None:
    item = {"img": RGB[..., ::-1].copy(), "gt_seg_map": IDS.copy()}  # as mmseg loads them
    out = pixels(apply(transforms, item)["img"])
    expected = np.repeat(RGB[..., :1], 3, -1) if comes == "red" else RGB[..., ::-1]
    assert np.array_equal(out, expected)


def test_bgr_becomes_rgb_where_a_pil_image_comes_out() -> None:
    item = {"img": RGB[..., ::-1].copy(), "gt_seg_map": IDS.copy()}
    assert np.array_equal(np.asarray(apply(v2.ToPILImage(), item)["img"]), RGB)


def test_real_frames_keep_their_ids(real_data: Path) -> None:
    base = torchvision.datasets.Cityscapes(
        str(real_data / "scenes" / "cityscapes"), "train", mode="fine", target_type="semantic"
    )
    pipeline = {
        "v2": v2.Compose([v2.Resize((256, 512)), v2.RandomRotation(10), TO_FLOAT]),
        "albumentations": albumentations.Compose(
            [albumentations.Resize(256, 512), albumentations.ElasticTransform(p=1.0), ToTensorV2()]
        ),
        "kornia": kornia.AugmentationSequential(kornia.Resize((256, 512)), kornia.RandomAffine(10.0, p=1.0)),
    }
    for name, transforms in pipeline.items():
        for image, labels in base:
            out = apply(transforms, (image, labels), ignored=())[1]
            assert set(ids(out).ravel().tolist()) <= {0, *np.unique(labels).tolist()}, name
            assert len(np.unique(ids(out))) > 5, name
