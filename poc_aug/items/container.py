"""Where an item keeps its image and its labels, and how it is reassembled."""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.items.bands import Bands, check_bands
from poc_aug.items.per_pixel_maps import MapName, check_maps

IMAGE_FIELDS = ("image", "img", "pixel_values")
LABEL_FIELDS = (
    "labels",
    "label",
    "mask",
    "annotation",
    "gt_seg_map",
    "gt_semantic_seg",
    "segmentation_map",
)
WEB_LABEL_FIELDS = ("seg.png", "mask.png", "labels.png", "label.png", "semantic.png")
"""Labels in WebDataset's samples, which have a ``__key__``, and whose fields are named by files' extensions."""
_WEB_IMAGE_FIELDS = ("jpg", "jpeg", "png", "webp")
_MMSEG_LABEL_FIELDS = ("gt_seg_map", "gt_semantic_seg")

_ADAPT_COMMAND = "let --dataset name a function of yours, module:function, whose dataset gives (image, label ids)"
_ADAPT_LINE = (
    "adapt=Adapt(get=lambda item: (<image>, <labels>), put=lambda item, image, labels: <new item>); "
    "module-level functions instead of lambdas if workers are spawned"
)


@dataclass(frozen=True, slots=True)
class Adapt:
    """How to take the image and the labels out of an item of any other form, put them back, and treat other bands.

    An image may have more than three bands: uint8 ``[C, H, W]`` or ``[H, W, C]``, the first three red, green, blue.
    An inserted object has only colours, so ``bands`` has to say what becomes of the other bands under it: unchanged,
    near infrared and depth would stay those of the road. Items with four-band images that are otherwise of a known
    form need nothing else::

        POCAugmentedDataset(base, "a.cache", adapt=Adapt(bands=0))

        def without_depth(item, covered):  # bands anywhere in the item
            return {**item, "depth": np.where(covered, 0, item["depth"])}

        POCAugmentedDataset(base, "a.cache", adapt=Adapt(bands=without_depth))

    Attributes:
        get: ``item -> (image, labels)``, each a PIL image, a tensor or an array. Must not modify the item. ``None``:
            the item is of a known form (`poc_aug.items.open_item`).
        put: ``(item, image, labels) -> new item``, with the image and labels in the form that ``get`` gave, or, after
            joint ``transforms``, in the form that those returned. Must not modify the item: the dataset may keep it in
            memory. Given if ``get`` is.
        bgr: whether the channels of an array or tensor image are blue, green, red.
        bands: what becomes of the bands besides red, green and blue under an object. A value, 0 to 255, or a tuple with
            one per band: the image's further bands are filled with it. ``"keep"``: they stay the road's. A function
            ``(item, covered) -> new item``, called after ``put`` on items with objects: ``covered`` is bool ``[H, W]``,
            an array (for tensor images a tensor), true where an object or its soft edge covers the frame, not where
            only its shadow falls. It must not modify its arguments. ``None``: an image of more bands is an error, also
            one of which ``get`` takes three bands.
        maps: names of further fields with one value per pixel (depth, normals) that stay as they are where objects are
            inserted, of tuples their indices. Without it a warning says so.

    Raises:
        ItemFormatError: ``get`` without ``put`` or the reverse, or ``bands`` or ``maps`` that are none of these.

    Example:
        >>> from poc_aug.items.open_item import open_item
        >>> adapt = Adapt(
        ...     get=lambda item: (item["camera"]["front"], item["ids"]),
        ...     put=lambda item, image, labels: {**item, "camera": {"front": image}, "ids": labels},
        ... )
        >>> item = {"camera": {"front": torch.zeros(3, 4, 8, dtype=torch.uint8)}, "ids": torch.zeros(4, 8).long()}
        >>> open_item(item, adapt, key="frame 0").size_hw
        (4, 8)
    """

    get: Callable[[Any], tuple[Any, Any]] | None = None
    put: Callable[[Any, Any, Any], Any] | None = None
    bgr: bool = False
    bands: Bands | None = None
    maps: tuple[MapName, ...] = ()

    def __post_init__(self) -> None:
        check_bands(self.bands)
        check_maps(self.maps)
        if (self.get is None) != (self.put is None):
            given, missing = ("put", "get") if self.get is None else ("get", "put")
            raise ItemFormatError(
                f"Adapt has {given} and no {missing}",
                expected="both, or neither if the item is of a known form",
                hint=f"pass {_ADAPT_LINE}",
            )


@dataclass(frozen=True, slots=True)
class Leaves:
    """The two leaves of an item that matter, their names for messages, and how to put new ones in their place.

    Attributes:
        image: the image, in the dataset's form.
        labels: the labels, in the dataset's form.
        image_name: what a message calls the image.
        labels_name: what a message calls the labels.
        bgr: whether an array or tensor image has its channels as blue, green, red.
        put: ``(image, labels) -> new item``, every other field the same object.
        fields: index or name of the two in the item; ``None`` if only ``adapt=`` knows.
    """

    image: Any
    labels: Any
    image_name: str
    labels_name: str
    bgr: bool
    put: Callable[[Any, Any], Any]
    fields: tuple[Any, Any] | None = None


def leaves_of(item: Any, adapt: Adapt | None, key: str) -> Leaves:
    """Find the image and the labels of an item.

    Args:
        item: what the dataset returned.
        adapt: the user's functions that find them.
        key: the item's key, for messages.

    Raises:
        ItemFormatError: an item whose form is not known, or not clear.
    """
    if adapt is not None:
        if adapt.get is not None and adapt.put is not None:
            return _adapted(item, adapt.get(item), adapt.put, adapt.bgr, key)
        leaves = leaves_of(item, None, key)
        return replace(leaves, bgr=True) if adapt.bgr else leaves
    if isinstance(item, dict | UserDict):
        return _mapping(item, key)
    if isinstance(item, tuple | list):
        return _sequence(item, key)
    if type(item).__module__.startswith("datasets."):  # only `Dataset.map` passes such rows
        raise ItemFormatError(
            f"item {key!r} is a row of Dataset.map, which stores what it is given back on disk: every epoch would show "
            "the same insertions",
            expected="rows that are composed each time that they are read",
            hint="dataset.to_iterable_dataset().map(composer); or dataset.with_transform(ComposeRows(composer)), of "
            "poc_aug.integrations.hugging_face; or POCAugmentedDataset(dataset, cache, keys=...). To store one draw on "
            "purpose: dataset.map(lambda row: composer(dict(row)))",
        )
    if isinstance(item, Mapping):
        raise ItemFormatError(
            f"item {key!r} is a mapping of type {type(item).__name__}, which cannot be copied safely",
            expected="a dict, or a tuple (image, labels)",
            hint=f"pass {_ADAPT_LINE}",
            command=_ADAPT_COMMAND,
        )
    raise ItemFormatError(
        f"item {key!r} is {describe_value(item)}",
        expected="(image, labels), possibly with further fields, or a dict with an image and a label map",
        hint=f"pass {_ADAPT_LINE}",
        command=_ADAPT_COMMAND,
    )


def _adapted(item: Any, pair: Any, put: Callable[[Any, Any, Any], Any], bgr: bool, key: str) -> Leaves:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ItemFormatError(
            f"item {key!r}: Adapt.get returned {describe_value(pair)}",
            expected="a pair (image, labels)",
            hint="return both from get: Adapt(get=lambda item: (item.image, item.labels), ...)",
        )
    image, labels = pair
    return Leaves(
        image, labels, "the image of adapt=", "the labels of adapt=", bgr,
        lambda new_image, new_labels: put(item, new_image, new_labels),
    )  # fmt: skip


def _sequence(item: tuple[Any, ...] | list[Any], key: str) -> Leaves:
    if len(item) < 2:
        raise ItemFormatError(
            f"item {key!r} is {describe_value(item)}",
            expected="at least two fields: (image, labels)",
            hint="let the dataset return its label map too; a test set without labels cannot be augmented",
        )

    def put(image: Any, labels: Any) -> Any:
        if isinstance(item, list):
            new = copy.copy(item)
            new[0], new[1] = image, labels
            return new
        fields = (image, labels, *item[2:])
        make = getattr(type(item), "_make", None)  # a namedtuple takes its fields one by one
        return make(fields) if make is not None else type(item)(fields)

    return Leaves(item[0], item[1], "the image (field 0)", "the labels (field 1)", False, put, (0, 1))


def _mapping(item: dict[Any, Any] | UserDict[Any, Any], key: str) -> Leaves:
    web = "__key__" in item
    image_field = _one_field(item, IMAGE_FIELDS + _WEB_IMAGE_FIELDS if web else IMAGE_FIELDS, "image", key)
    label_field = _one_field(item, LABEL_FIELDS + WEB_LABEL_FIELDS if web else LABEL_FIELDS, "label", key)

    def put(image: Any, labels: Any) -> Any:
        new = copy.copy(item)
        new[image_field], new[label_field] = image, labels
        return new

    # mmseg decodes with OpenCV, so its arrays are BGR; a PIL image under the same names is not.
    bgr = image_field == "img" and label_field in _MMSEG_LABEL_FIELDS and isinstance(item["img"], np.ndarray)
    return Leaves(
        item[image_field], item[label_field], f"the image (field {image_field!r})",
        f"the labels (field {label_field!r})", bgr, put, (image_field, label_field),
    )  # fmt: skip


def _one_field(item: Mapping[Any, Any], names: tuple[str, ...], what: str, key: str) -> str:
    present = [name for name in names if name in item]
    # {"image", "mask", "label": 3} is clear: a class number is not a label map.
    pictures = [name for name in present if _is_picture(item[name])]
    chosen = pictures or present
    if len(chosen) == 1:
        return chosen[0]
    fields = ", ".join(repr(name) for name in item)
    if not chosen:
        raise ItemFormatError(
            f"item {key!r} has no {what} field; its fields are {fields}",
            expected=f"one of {', '.join(names)}",
            hint=f"rename the field, or pass {_ADAPT_LINE}",
            command=_ADAPT_COMMAND,
        )
    raise ItemFormatError(
        f"item {key!r} has several {what} fields: {', '.join(repr(name) for name in chosen)}",
        expected=f"one {what} field",
        hint=f"say which one with {_ADAPT_LINE}",
        command=_ADAPT_COMMAND,
    )


def _is_picture(value: Any) -> bool:
    return isinstance(value, Image.Image) or (isinstance(value, torch.Tensor | np.ndarray) and value.ndim >= 2)


def describe_value(value: Any) -> str:
    """A value in a few words, for messages: its type, and its shape or length if it has one."""
    name = type(value).__name__
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"a {name} of shape {list(value.shape)}, {value.dtype}"
    if isinstance(value, Image.Image):
        return f"a PIL image of mode {value.mode!r}"
    if isinstance(value, str | bytes):
        return f"a {name} {value[:40]!r}"
    if isinstance(value, tuple | list):
        return f"a {name} of {len(value)} field(s): {', '.join(type(field).__name__ for field in value[:5])}"
    if isinstance(value, Mapping):
        return f"a {name} with the fields {', '.join(repr(field) for field in list(value)[:10])}"
    return f"a value of type {name}" if value is not None else "None"
