"""Fields of an item besides image and labels: passed as they are, or transformed jointly."""

from __future__ import annotations

from collections import OrderedDict, UserDict, namedtuple
from dataclasses import replace
from typing import Any

import albumentations
import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from poc_aug.errors import TransformError
from poc_aug.items.open_item import Adapt
from tests.helpers.item_forms import IDS, RGB, H, W
from tests.helpers.joint_cases import FLIPS, Frame, apply, ids, pil_item, pixels

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
    further: dict[str, Any] = {
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
