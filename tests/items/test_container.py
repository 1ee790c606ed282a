"""Items come back in their form: tuples, dicts, named tuples and subclasses."""

from __future__ import annotations

import collections
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.items.open_item import open_item
from tests.helpers.item_forms import EXTRA, IDS, IMAGES, LABELS, RGB, H, W, ids_of, patch_for, pixels_of, same_form


class Pair(NamedTuple):
    image: Any
    labels: Any
    meta: Any


class Triple(tuple[Any, ...]):
    pass


def _as_dict(image_field: str, label_field: str, image: Any, labels: Any) -> dict[str, Any]:
    return {image_field: image, "extra": EXTRA, label_field: labels}


ITEMS: dict[str, Callable[[Any, Any], Any]] = {
    "tuple": lambda image, labels: (image, labels),
    "tuple, more fields": lambda image, labels: (image, labels, EXTRA),
    "tuple subclass": lambda image, labels: Triple((image, labels, EXTRA)),
    "namedtuple": lambda image, labels: Pair(image, labels, EXTRA),
    "list": lambda image, labels: [image, labels, EXTRA],
    **{
        f"dict {image_field}, {label_field}": partial(_as_dict, image_field, label_field)
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
