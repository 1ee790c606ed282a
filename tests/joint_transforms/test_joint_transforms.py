"""Joint transforms: each library gets image and labels as it wants them, and no label id is invented."""

from __future__ import annotations

import functools
import pickle
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
import torchvision
from albumentations.pytorch import ToTensorV2
from kornia.constants import DataKey
from PIL import Image
from torch.utils.data import ConcatDataset, Subset
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

from poc_aug.errors import ItemFormatError, TransformError
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.joint_transforms.joint_transform import JointTransforms, transform_pair
from tests.helpers.item_forms import IDS, IMAGES, LABELS, RGB, H, W

TO_FLOAT = v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True)


class Identity(v2.Transform):
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


def pil_item() -> tuple[Image.Image, Image.Image]:
    return Image.fromarray(RGB), Image.fromarray(IDS)


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


# The forms of items, and what else is in them.

Pair = namedtuple("Pair", ["image", "labels", "name", "depth"])


class Named(OrderedDict[str, Any]):
    """A dict of the user's own."""


class Row(UserDict[str, Any]):
    """As the batches of transformers are."""


@pytest.mark.parametrize("name", ["v2", "v2 in nn.Sequential", "albumentations.Compose", "kornia"])
def test_further_fields_of_tuples_pass_as_they_are(name: str) -> None:
    depth = Image.fromarray(RGB[..., 0])
    for make in (tuple, list, Pair._make):
        item = make([*pil_item(), "street", depth])
        out = apply(FLIPS[name], item)
        assert type(out) is type(item)
        assert np.array_equal(pixels(out[0]), RGB[:, ::-1])
        assert np.array_equal(ids(out[1]), IDS[:, ::-1])
        assert out[2] == "street"
        assert out[3] is depth


@pytest.mark.parametrize("name", ["v2", "v2 in nn.Sequential", "albumentations.Compose", "kornia"])
@pytest.mark.parametrize("kind", [dict, Named, Row])
def test_further_fields_of_dicts_pass_as_they_are(name: str, kind: Any) -> None:
    further = {
        "weights": torch.rand(H, W),
        "depth": Image.fromarray(RGB[..., 0]),
        "camera": np.eye(3),
        "path": "a.png",
        "meta": {"nested": torch.rand(3, H, W)},
    }
    image, labels = pil_item()
    item = kind({**further, "image": image, "mask": labels})  # v2 takes the first plain tensor for an image
    out = apply(FLIPS[name], item)
    assert type(out) is kind
    assert np.array_equal(pixels(out["image"]), RGB[:, ::-1])
    assert np.array_equal(ids(out["mask"]), IDS[:, ::-1])
    assert out["meta"]["nested"] is further["meta"]["nested"]
    assert all(out[field] is further[field] for field in ("weights", "depth", "camera", "path"))
    assert item["image"] is image


def test_boxes_are_transformed_jointly_and_sanitised() -> None:
    boxes = tv_tensors.BoundingBoxes([[1, 2, 4, 8], [5, 5, 5, 5]], format="XYXY", canvas_size=(H, W))
    image, labels = pil_item()
    item = {"image": image, "mask": labels, "boxes": boxes, "labels": torch.tensor([3, 4])}
    out = apply(v2.Compose([v2.RandomHorizontalFlip(1.0), v2.SanitizeBoundingBoxes()]), item)
    assert out["boxes"].tolist() == [[W - 4, 2, W - 1, 8]]
    assert out["labels"].tolist() == [3]
    assert np.array_equal(ids(out["mask"]), IDS[:, ::-1])
    assert apply(v2.RandomHorizontalFlip(1.0), (image, labels, boxes))[2][0].tolist() == [W - 4, 2, W - 1, 8]


def test_albumentations_transforms_the_further_targets_that_it_was_told_of() -> None:
    image, labels = pil_item()
    item = {"image": image, "mask": labels, "depth": RGB[..., 0].copy(), "other": RGB[..., 1].copy()}
    flip = albumentations.Compose([albumentations.HorizontalFlip(p=1.0)], additional_targets={"depth": "mask"})
    out = apply(flip, item)
    assert np.array_equal(out["depth"], RGB[:, ::-1, 0])
    assert out["other"] is item["other"]


def test_albumentations_transforms_boxes_and_their_labels() -> None:
    flip = albumentations.Compose(
        [albumentations.HorizontalFlip(p=1.0)],
        bbox_params=albumentations.BboxParams("pascal_voc", label_fields=["names"]),
    )
    image, labels = pil_item()
    item = {"image": image, "mask": labels, "bboxes": [[1, 2, 4, 8]], "names": ["car"]}
    out = apply(flip, item)
    assert np.allclose(out["bboxes"], [[W - 4, 2, W - 1, 8]])
    assert [*out["names"]] == ["car"]
    assert np.array_equal(ids(out["mask"]), IDS[:, ::-1])


def test_steps_of_kornia_that_take_no_labels_are_named() -> None:
    warp = kornia.AugmentationSequential(kornia.RandomThinPlateSpline(p=1.0))
    with pytest.raises(TransformError, match=r"AugmentationSequential\(RandomThinPlateSpline\) has a step"):
        apply(warp, pil_item())


@dataclass
class Frame:
    picture: Any
    segments: Any


def test_items_of_another_form_are_put_together_by_adapt() -> None:
    adapt = Adapt(
        get=lambda frame: (frame.picture, frame.segments),
        put=lambda frame, image, labels: replace(frame, picture=image, segments=labels),
    )
    for name in ("v2", "v2 in nn.Sequential", "albumentations.Compose", "kornia"):
        out = apply(FLIPS[name], Frame(*pil_item()), adapt=adapt)
        assert np.array_equal(pixels(out.picture), RGB[:, ::-1])
        assert np.array_equal(ids(out.segments), IDS[:, ::-1])
    with pytest.raises(TransformError, match=r"made .* label ids"):
        apply(lambda frame: replace(frame, segments=np.array(frame.segments) / 255), Frame(*pil_item()), adapt=adapt)
    assert apply(lambda frame: "a caption", Frame(*pil_item()), adapt=adapt) == "a caption"


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


# Transforms that cannot take a pair.


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


# Any other callable.


class Joint:
    """Of the user's own: it takes pairs."""

    def __call__(self, image: Any, labels: Any) -> Any:
        return image, labels


class OwnSequential(torch.nn.Sequential):
    def forward(self, image: Any, labels: Any) -> Any:
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

    ids = np.tile(np.arange(6, dtype=np.uint8), (12, 2))
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


# The same transforms elsewhere.


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


class Torchvisions(torchvision.datasets.VisionDataset):
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
    for dataset in (base, Subset(base, [0]), ConcatDataset([base, base])):
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
