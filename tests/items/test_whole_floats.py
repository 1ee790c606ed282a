"""Floats that hold bytes or ids, as torchgeo's and pytorch-ood's datasets return them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from poc_aug.errors import ItemFormatError, LabelPolicyError
from poc_aug.items.image_digest import digest_of
from poc_aug.items.open_item import Adapt, open_item
from tests.helpers.item_forms import IDS, RGB, H, W

PIXELS = torch.from_numpy(RGB).permute(2, 0, 1).contiguous()
LABELS = torch.from_numpy(IDS.astype(np.int64))
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
BOX = (3, 2, 5, 6)


def as_float(image: Any, labels: Any) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = [(image.to(dtype), labels.to(dtype)) for dtype in FLOATS]
    pairs.append((tv_tensors.Image(image.float()), tv_tensors.Mask(labels.float()[None])))
    array = image.permute(1, 2, 0).numpy()
    return [*pairs, (array.astype(np.float32), labels.numpy().astype(np.float64))]


@pytest.mark.parametrize("pair", as_float(PIXELS, LABELS), ids=str)
def test_whole_floats_are_read_and_written_as_what_they_hold(pair: tuple[Any, Any]) -> None:
    plain, opened = open_item((PIXELS, LABELS), key="k"), open_item(pair, key="k")
    assert digest_of(opened.image) == digest_of(plain.image)
    assert torch.equal(opened.sample().image, PIXELS)
    assert torch.equal(opened.sample().labels, LABELS)
    assert torch.equal(opened.image.read(BOX), plain.image.read(BOX))
    assert torch.equal(opened.labels.read(BOX).long(), plain.labels.read(BOX))
    assert opened.labels.ids() == plain.labels.ids()
    assert all(isinstance(label_id, int) for label_id in opened.labels.ids())
    assert opened.labels.probe([0, 5], [1, 7]) == plain.labels.probe([0, 5], [1, 7])
    for item in (plain, opened):
        item.image.write(BOX, torch.arange(90, dtype=torch.uint8).reshape(3, 5, 6) + 160)
        item.labels.write(BOX, torch.full((5, 6), 254))
    image, labels = opened.close()
    assert (type(image), type(labels)) == (type(pair[0]), type(pair[1]))
    assert (image.dtype, labels.dtype) == (pair[0].dtype, pair[1].dtype)
    pixels = torch.as_tensor(np.asarray(image).transpose(2, 0, 1)) if isinstance(image, np.ndarray) else image
    assert torch.equal(pixels.as_subclass(torch.Tensor).double(), plain.image.value.double())
    assert torch.equal(torch.as_tensor(labels).reshape(H, W).as_subclass(torch.Tensor).long(), plain.labels.value)
    # The item itself is untouched.
    assert torch.equal(open_item(pair, key="k").sample().image, PIXELS)


def changed(value: float) -> torch.Tensor:
    image = PIXELS.float()
    image[1, 4, 4] = value
    return image


@pytest.mark.parametrize(("image", "hint"), [
    (PIXELS.float() / 255, "already normalised"),
    ((PIXELS > 99).float(), "all 0 or 1, so that it is not clear"),
    (torch.ones(3, H, W), "all 0 or 1"),
    ((PIXELS.float() - 128) / 60, "values go from -"),
    (PIXELS.float() * 40, "scale it to whole numbers from 0 to 255"),
    (changed(256), "values go from 0 to 256"),
    (changed(-1), "values go from -1 to 255"),
    (changed(3.5), "values go from 0 to 255"),
    (changed(float("nan")), "already normalised"),
    (changed(float("inf")), "values go from 0 to inf"),
    (torch.cat([PIXELS.float()] * 2)[:4], r"Adapt\(bands=0\)"),
    (PIXELS.float().permute(1, 2, 0), r"permute\(2, 0, 1\)"),
])  # fmt: skip
def test_other_floats_are_refused(image: torch.Tensor, hint: str) -> None:
    forms: list[Any] = [image]
    if image.shape == PIXELS.shape:
        forms.append(image.permute(1, 2, 0).numpy())
    for form in forms:
        with pytest.raises(ItemFormatError, match=hint):
            open_item((form, LABELS), key="k")


def test_only_the_colours_have_to_be_bytes() -> None:
    height = torch.full((1, H, W), 1234.5)
    image = torch.cat([PIXELS.float(), height])
    opened = open_item({"image": image, "mask": LABELS}, Adapt(bands=0), key="k")
    covered = torch.zeros(H, W, dtype=torch.bool)
    covered[2:4, 5] = True
    opened.cover(lambda: covered)
    opened.image.write(BOX, torch.full((3, 5, 6), 7, dtype=torch.uint8))
    new = opened.close()["image"]
    assert torch.equal(new[3] == 0, covered)
    assert torch.equal(new[3][~covered], height[0][~covered])


@pytest.mark.parametrize("labels", [LABELS / 255, (LABELS > 3).float(), LABELS.float() + 0.5,
                                    torch.full((H, W), 2.0**25), torch.full((H, W), float("nan"))])  # fmt: skip
def test_floats_that_may_be_no_ids_are_refused(labels: torch.Tensor) -> None:
    for form in (labels, labels.numpy()):
        with pytest.raises(ItemFormatError, match="ids must stay integers"):
            open_item((PIXELS, form), key="k")


def test_an_id_that_a_float_cannot_hold_is_an_error() -> None:
    opened = open_item((PIXELS, LABELS.half()), key="k")
    with pytest.raises(LabelPolicyError, match="label id 2049 does not fit"):
        opened.labels.write((0, 0, 1, 1), torch.tensor([[2049]]))
    open_item((PIXELS, -LABELS.float()), key="k").labels.write((0, 0, 1, 1), torch.tensor([[-1]]))
