"""Opening items: the sample, `adapt`, and other forms as errors that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.items.open_item import Adapt, open_item
from tests.helpers.item_forms import EXTRA, IDS, IMAGES, LABELS, RGB, H, W


def test_sample_is_the_whole_item_and_shares_no_memory() -> None:
    item = (IMAGES["tensor"](), LABELS["tensor torch.int64"]())
    sample = open_item(item, key="a/b").sample()
    assert sample.key == "a/b"
    assert open_item(item, key="a/b").sample("c").key == "c"
    assert torch.equal(sample.image, item[0])
    assert torch.equal(sample.labels, item[1])
    sample.image.zero_()
    sample.labels.zero_()
    assert torch.equal(item[0], IMAGES["tensor"]())
    assert torch.equal(item[1], LABELS["tensor torch.int64"]())


def test_adapt() -> None:
    class Thing:
        def __init__(self, picture: Any, truth: Any) -> None:
            self.picture, self.truth = picture, truth

    adapt = Adapt(
        get=lambda item: (item.picture, item.truth[0]),
        put=lambda item, image, labels: Thing(image, (labels, *item.truth[1:])),
        bgr=True,
    )
    item = Thing(np.ascontiguousarray(RGB[..., ::-1]), (IDS.copy(), EXTRA))
    opened = open_item(item, adapt, key="k")
    assert opened.close() is item
    assert np.array_equal(opened.sample().image.permute(1, 2, 0).numpy(), RGB)
    opened.labels.write((0, 0, 1, 1), torch.tensor([[7]]))
    new = opened.close()
    assert new.picture is item.picture
    assert new.truth[1] is EXTRA
    assert new.truth[0][0, 0] == 7
    assert item.truth[0][0, 0] == IDS[0, 0]


BAD_ITEMS: dict[str, tuple[Any, str]] = {
    "normalised tensor": ((torch.zeros(3, H, W), IDS), "already normalised"),
    "normalised array": ((np.zeros((H, W, 3), np.float32), IDS), "already normalised"),
    "channels last tensor": ((torch.zeros(H, W, 3, dtype=torch.uint8), IDS), r"permute\(2, 0, 1\)"),
    "channels first array": ((np.zeros((3, H, W), np.uint8), IDS), r"transpose\(1, 2, 0\)"),
    "grey tensor": ((torch.zeros(1, H, W, dtype=torch.uint8), IDS), "three colour channels"),
    "grey array": ((np.zeros((H, W), np.uint8), IDS), "three colour channels"),
    "int tensor": ((torch.zeros(3, H, W, dtype=torch.int64), IDS), "without scaling"),
    "uint16 tensor": (
        (torch.full((3, H, W), 50000, dtype=torch.uint16), IDS),
        r"scale its 16 bits to 8 in the dataset: \(x\.to\(torch\.int32\) >> 8\)\.to\(torch\.uint8\)",
    ),
    "uint16 array": (
        (np.full((H, W, 3), 50000, np.uint16), IDS),
        r"scale its 16 bits[^;]*\(x >> 8\)\.astype\('uint8'\)$",
    ),
    "uint16 array of 12 bits": ((np.full((H, W, 3), 4000, np.uint16), IDS), "a sensor's 12 bits: x >> 4"),
    "uint16 array of 8 bits": ((np.full((H, W, 3), 200, np.uint16), IDS), r"\(here 200\), convert the dtype without"),
    "int32 array of 16 bits": ((np.full((H, W, 3), 50000, np.int32), IDS), "scale its 16 bits"),
    "int32 array beyond": ((np.full((H, W, 3), 70000, np.int32), IDS), "from 70000 to 70000: scale"),
    "negative array": ((np.full((H, W, 3), -4, np.int16), IDS), "from -4 to -4: scale"),
    "grey uint16 array": (
        (np.full((H, W), 50000, np.uint16), IDS),
        "scale its 16 bits.*; return three colour channels",
    ),
    "boolean image": ((np.zeros((H, W, 3), bool), IDS), "255"),
    "four bands": ((torch.zeros(4, H, W, dtype=torch.uint8), IDS), r"adapt=Adapt\(bands=0\).* three of the 4"),
    "four bands, array": ((np.zeros((H, W, 4), np.uint8), IDS), r"adapt=Adapt\(bands=0\)"),
    "four bands, the other way": ((np.zeros((4, 30, 31), np.uint8), IDS), r"transpose\(1, 2, 0\).*Adapt\(bands="),
    "uint16 four bands": ((np.full((H, W, 4), 50000, np.uint16), IDS), r"16 bits.*; say what .*Adapt\(bands=0\)"),
    "grey [1, H, W]": ((np.zeros((1, H, W), np.uint8), IDS), "three colour channels"),
    "batch": ((torch.zeros(2, 3, H, W, dtype=torch.uint8), IDS), "not the DataLoader"),
    "RGBA": ((Image.new("RGBA", (W, H)), IDS), r'convert\("RGB"\)'),
    "grey PIL": ((Image.new("L", (W, H)), IDS), r'convert\("RGB"\)'),
    "CMYK": ((Image.new("CMYK", (W, H)), IDS), r'convert\("RGB"\)'),
    "NIR in alpha": ((Image.new("RGBA", (W, H)), IDS), r"Adapt\(bands="),
    "16-bit PIL": ((Image.new("I;16", (W, H)), IDS), r"poc_aug\.files\.pictures\.to_rgb"),
    "32-bit PIL": ((Image.new("I", (W, H)), IDS), "one range for all"),
    "float PIL": ((Image.new("F", (W, H)), IDS), "one range for all"),
    "path as image": (("a.png", IDS), "str 'a.png'"),
    "float labels": ((RGB, np.zeros((H, W), np.float32)), "ids must stay integers"),
    "float label tensor": ((RGB, torch.zeros(H, W)), "ids must stay integers"),
    "PIL float labels": ((RGB, Image.new("F", (W, H))), "mode 'F'"),
    "one-bit labels": ((RGB, Image.new("1", (W, H))), r'convert\("L"\) makes 0 and 255, .* 0 and 1'),
    "labels with alpha": ((RGB, Image.new("LA", (W, H))), r'getchannel\("L"\)'),
    "float PIL labels": ((RGB, Image.new("F", (W, H))), "whole numbers"),
    "colour labels": ((RGB, Image.new("RGB", (W, H))), "ids instead of colours"),
    "boolean labels": ((RGB, np.zeros((H, W), bool)), r"astype\('uint8'\)"),
    "boolean label tensor": ((RGB, torch.zeros(H, W, dtype=torch.bool)), r"to\(torch.uint8\)"),
    "one-hot labels": ((RGB, torch.zeros(19, H, W, dtype=torch.uint8)), "argmax"),
    "one-hot array": ((RGB, np.zeros((H, W, 19), np.uint8)), "argmax"),
    "uint64 labels": ((RGB, np.zeros((H, W), np.uint64)), "63 bits"),
    "two targets": ((RGB, (IDS, IDS)), "target_type"),
    "target dict": ((RGB, {"masks": IDS}), "adapt="),
    "no labels": ((RGB, None), "None"),
    "other size": ((RGB, IDS[:, :-1]), "17x11 pixels .* 17x10"),
    "one field": ((RGB,), "at least two fields"),
    "empty": ([], "at least two fields"),
    "string": ("item", "str 'item'"),
    "tensor": (torch.zeros(3, H, W, dtype=torch.uint8), r"Tensor of shape \[3, 17, 11\]"),
    "picture": (Image.new("RGB", (W, H)), "PIL image of mode 'RGB'"),
    "object": (EXTRA, "type object"),
    "nothing": (None, "None"),
    "no image field": ({"picture": RGB, "mask": IDS}, "no image field; its fields are 'picture', 'mask'"),
    "no label field": ({"image": RGB, "seg": IDS}, "no label field"),
    "two label fields": ({"image": RGB, "mask": IDS, "label": IDS}, "several label fields: 'label', 'mask'"),
    "two image fields": ({"image": RGB, "img": RGB, "mask": IDS}, "several image fields"),
    "label number only": ({"image": RGB, "label": 3}, "type int"),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_items_of_other_forms_are_errors_that_say_what_to_do(name: str) -> None:
    item, message = BAD_ITEMS[name]
    with pytest.raises(ItemFormatError, match=message) as caught:
        open_item(item, key="city/7")
    error = caught.value
    assert "'city/7'" in error.problem
    assert error.expected
    assert error.hint


@pytest.mark.parametrize("got", [None, (RGB,), RGB, (RGB, IDS, IDS)])
def test_adapt_must_return_a_pair(got: Any) -> None:
    with pytest.raises(ItemFormatError, match=r"Adapt\.get returned"):
        open_item({}, Adapt(get=lambda item: got, put=lambda item, image, labels: item), key="k")


def test_bgr_of_a_pil_image_is_an_error() -> None:
    adapt = Adapt(get=lambda item: item, put=lambda item, image, labels: (image, labels), bgr=True)
    with pytest.raises(ItemFormatError, match="PIL images are RGB"):
        open_item((Image.fromarray(RGB), IDS), adapt, key="k")


def test_masked_labels_are_an_error_and_filled_ones_are_not() -> None:
    image, labels = np.zeros((4, 8, 3), np.uint8), np.ma.masked_equal(np.arange(32).reshape(4, 8), 7)
    with pytest.raises(ItemFormatError, match=r"masked array(?s:.*)filled\(255\)"):
        open_item((image, labels), key="frame")
    assert open_item((image, labels.filled(255)), key="frame").sample().labels[0, 7] == 255
