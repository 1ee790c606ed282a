from __future__ import annotations

import collections
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError, SampleReadError
from poc_aug.files.pictures import exif_orientation
from poc_aug.items import open_item as adapters
from poc_aug.items.open_item import Adapt, open_item
from tests.helpers.item_forms import (
    IDS,
    IMAGES,
    LABELS,
    RGB,
    RNG,
    H,
    W,
    ids_of,
    patch_for,
    pixels_of,
    readonly,
    same_form,
)
from tests.helpers.picture_files import png, with_orientation


class Pair(NamedTuple):
    image: Any
    labels: Any
    meta: Any


class Triple(tuple):
    pass


EXTRA = object()
ITEMS: dict[str, Callable[[Any, Any], Any]] = {
    "tuple": lambda image, labels: (image, labels),
    "tuple, more fields": lambda image, labels: (image, labels, EXTRA),
    "tuple subclass": lambda image, labels: Triple((image, labels, EXTRA)),
    "namedtuple": lambda image, labels: Pair(image, labels, EXTRA),
    "list": lambda image, labels: [image, labels, EXTRA],
    **{
        f"dict {image_field}, {label_field}": lambda image, labels, i=image_field, j=label_field: {
            i: image,
            "extra": EXTRA,
            j: labels,
        }
        for image_field, label_field in [
            ("image", "mask"), ("image", "label"), ("image", "annotation"), ("image", "labels"),
            ("pixel_values", "labels"), ("img", "segmentation_map"),
        ]
    },
    "OrderedDict": lambda image, labels: collections.OrderedDict(image=image, mask=labels, extra=EXTRA),
    "UserDict": lambda image, labels: collections.UserDict(image=image, mask=labels, extra=EXTRA),
}  # fmt: skip


def fields_of(item: Any) -> list[Any]:
    return list(item.values()) if isinstance(item, dict | collections.UserDict) else list(item)


@pytest.mark.parametrize("container", ITEMS)
@pytest.mark.parametrize(
    ("image_form", "label_form"), [("pil", "pil P"), ("tv_tensor", "tv_tensor"), ("array", "array i8")]
)
def test_container_comes_back_in_its_form(container: str, image_form: str, label_form: str) -> None:
    image, labels = IMAGES[image_form](), LABELS[label_form]()
    item = ITEMS[container](image, labels)
    opened = open_item(item, key="k")
    assert opened.size_hw == (H, W)
    assert opened.close() is item

    box = (4, 2, 5, 6)
    pixels, ids = patch_for(box)
    opened.image.write(box, pixels)
    opened.labels.write(box, ids)
    new = opened.close()
    assert type(new) is type(item)
    assert new is not item
    assert all(field is image or field is labels or field is EXTRA for field in fields_of(item))
    assert len(fields_of(new)) == len(fields_of(item))
    if isinstance(item, dict | collections.UserDict):
        assert list(new) == list(item)
    for old_field, new_field in zip(fields_of(item), fields_of(new), strict=True):
        if old_field is EXTRA:
            assert new_field is EXTRA
        else:
            assert same_form(old_field, new_field)
    assert np.array_equal(pixels_of(image), RGB)
    assert np.array_equal(ids_of(labels), IDS)


def test_only_the_written_leaf_is_new() -> None:
    item = (IMAGES["pil"](), LABELS["pil L"]())
    opened = open_item(item, key="k")
    opened.labels.write((0, 0, 1, 1), torch.tensor([[7]]))
    new = opened.close()
    assert new[0] is item[0]
    assert new[1] is not item[1]


def test_dict_subclass_keeps_type_and_attributes() -> None:
    class Item(dict):  # type: ignore[type-arg]
        pass

    item = Item(image=IMAGES["array"](), label=LABELS["array u1"]())
    item.source = EXTRA  # type: ignore[attr-defined]
    opened = open_item(item, key="k")
    opened.labels.write((0, 0, 1, 1), torch.tensor([[7]]))
    assert type(opened.close()) is Item
    assert opened.close().source is EXTRA


@pytest.mark.parametrize("field", ["gt_seg_map", "gt_semantic_seg"])
def test_mmseg_arrays_are_bgr(field: str) -> None:
    bgr = np.ascontiguousarray(RGB[..., ::-1])
    opened = open_item({"img": bgr, field: IDS.copy(), "img_shape": (H, W)}, key="k")
    assert np.array_equal(opened.sample().image.permute(1, 2, 0).numpy(), RGB)
    opened.image.write((0, 0, 1, 1), torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None])
    assert opened.close()["img"][0, 0].tolist() == [3, 2, 1]


def test_img_is_rgb_elsewhere() -> None:
    for item in ({"img": RGB, "label": IDS}, {"img": Image.fromarray(RGB), "gt_seg_map": IDS}):
        assert np.array_equal(open_item(item, key="k").sample().image.permute(1, 2, 0).numpy(), RGB)


def test_class_number_beside_a_mask_is_no_second_label_map() -> None:
    item = {"image": IMAGES["pil"](), "mask": LABELS["pil L"](), "label": 3}
    opened = open_item(item, key="k")
    opened.labels.write((0, 0, 1, 1), torch.tensor([[7]]))
    assert opened.close()["label"] == 3
    assert opened.close()["mask"].getpixel((0, 0)) == 7


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


GOOD_IMAGE, GOOD_LABELS = RGB, IDS
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
    "16-bit PIL": ((Image.new("I;16", (W, H)), IDS), r"poc_aug\.pictures\.to_rgb"),
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


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "JPEG2000", "TIFF"])
def test_lossy_labels_of_any_dataset_are_refused(kind: str, loaded: bool, tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    Image.fromarray(IDS).save(path, kind, **({"compression": "jpeg"} if kind == "TIFF" else {}))
    with Image.open(path) as labels:
        if loaded:
            labels.load()
        with pytest.raises(ItemFormatError, match=r"'city/7': the labels \(field 1\) \(.*labels\.png\): .* lossy"):
            open_item((RGB, labels), key="city/7")
        # A dataset that makes ids of it says so by its own code.
        assert open_item((RGB, labels.convert("L").point(lambda value: value > 9)), key="city/7").size_hw == (H, W)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_labels_of_few_bits_are_refused_while_they_can_be_seen(bits: int, tmp_path: Path) -> None:
    with Image.open(png(tmp_path / "labels.png", IDS % 4, bits, 0)) as labels:
        with pytest.raises(ItemFormatError, match=rf"grey of {bits} bits"):
            open_item((RGB, labels), key="city/7")


def test_files_are_named_where_pictures_know_them(tmp_path: Path) -> None:
    Image.new("RGBA", (W, H)).save(tmp_path / "a.png")
    Image.new("LA", (W, H)).save(tmp_path / "gt.png")
    with Image.open(tmp_path / "a.png") as image, Image.open(tmp_path / "gt.png") as labels:
        for item, name in (((image, IDS), "a"), ((RGB, labels), "gt")):
            with pytest.raises(ItemFormatError, match=rf"\(.*{name}\.png\) is a PIL image of mode"):
                open_item(item, key="k")


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_orientation_is_neither_followed_nor_lost(orientation: int) -> None:
    """The pixels that the loop trains on count; written or not, the item says the same of its orientation."""
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG", exif=with_orientation(orientation))
    for unshared in (False, True):
        image = Image.open(buffer)
        opened = open_item((image, IDS), key="k", unshared=unshared)
        assert np.array_equal(opened.image.whole().permute(1, 2, 0).numpy(), RGB)
        opened.image.write((0, 0, 1, 1), torch.zeros(3, 1, 1, dtype=torch.uint8))
        new = opened.close()[0]
        assert new.size == (W, H)
        assert exif_orientation(new) == orientation == exif_orientation(image)


def test_one_warning_where_an_orientation_leaves_the_labels_open(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "_orientations_seen", set())
    for orientation, told in ((1, 0), (6, 0), (3, 1), (3, 1)):  # 6: equal sizes say that the labels lie as stored
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, "JPEG", exif=with_orientation(orientation))
        open_item((Image.open(buffer), IDS), key="city/7")
        assert len(caplog.records) == told
    assert "'city/7': the image (field 0) carries EXIF orientation 3" in caplog.text
    open_item((RGB, IDS), key="city/7")
    assert len(caplog.records) == 1


def test_sizes_that_an_orientation_explains() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", exif=with_orientation(6))
    with pytest.raises(ItemFormatError, match="EXIF orientation 6") as caught:
        open_item((Image.open(buffer), IDS.T.copy()), key="k")
    assert "exif_transpose" in caught.value.hint


def test_frames_above_pillows_limit_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W // 3)  # a frame made from an array never was checked
    sample = open_item((Image.fromarray(RGB), Image.fromarray(IDS)), key="k").sample()
    assert np.array_equal(sample.labels.numpy(), IDS)
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), RGB)


def test_mapping_that_is_no_dict_is_an_error() -> None:
    class Lazy(collections.abc.Mapping):  # type: ignore[type-arg]
        def __getitem__(self, field: str) -> Any:
            return {"image": RGB, "mask": IDS}[field]

        def __iter__(self) -> Any:
            return iter(("image", "mask"))

        def __len__(self) -> int:
            return 2

    with pytest.raises(ItemFormatError, match=r"mapping of type Lazy[\s\S]*adapt="):
        open_item(Lazy(), key="k")


@pytest.mark.parametrize("got", [None, (RGB,), RGB, (RGB, IDS, IDS)])
def test_adapt_must_return_a_pair(got: Any) -> None:
    with pytest.raises(ItemFormatError, match=r"Adapt\.get returned"):
        open_item({}, Adapt(get=lambda item: got, put=lambda item, image, labels: item), key="k")


def test_bgr_of_a_pil_image_is_an_error() -> None:
    adapt = Adapt(get=lambda item: item, put=lambda item, image, labels: (image, labels), bgr=True)
    with pytest.raises(ItemFormatError, match="PIL images are RGB"):
        open_item((Image.fromarray(RGB), IDS), adapt, key="k")


@pytest.mark.parametrize("broken", ["image", "labels"])
def test_truncated_file_is_named(broken: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    shape = (64, 64, 3) if broken == "image" else (64, 64)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(buffer, "PNG")
    path = tmp_path / "broken.png"
    path.write_bytes(buffer.getvalue()[:3000])
    lazy = Image.open(path)
    try:
        item = (lazy, IDS) if broken == "image" else (RGB, lazy)
        with pytest.raises(SampleReadError, match=r"'city/7'[\s\S]*broken\.png"):
            open_item(item, key="city/7")
    finally:
        lazy.close()


def test_no_warnings_of_read_only_memory() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_item((readonly(RGB), readonly(IDS)), key="k")
        opened.sample()
        opened.image.write((0, 0, 1, 1), torch.zeros(3, 1, 1, dtype=torch.uint8))
