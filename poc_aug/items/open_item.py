"""Any dataset's item, open for reading and writing: only the rectangle of a patch is converted.

===================================  ============================================================
an item may be                       with
===================================  ============================================================
``(image, labels, ...)``             tuple, list or namedtuple; further fields stay the same objects
``{"image": ..., "mask": ...}``      dict: image, img or pixel_values; labels, label, mask, annotation,
                                     gt_seg_map, gt_semantic_seg or segmentation_map
``{"__key__", "jpg", "seg.png"}``    as WebDataset decodes them: jpg, jpeg, png or webp; seg.png, mask.png,
                                     labels.png, label.png or semantic.png
``{"img", "gt_seg_map"}``            arrays as mmseg has them, in BGR
anything else                        ``adapt=Adapt(get=..., put=...)``
an image of more than three bands    ``adapt=Adapt(bands=...)``
===================================  ============================================================

An image is a PIL image (RGB), a uint8 tensor ``[3, H, W]`` (tv_tensors too) or a uint8 array ``[H, W, 3]``;
labels are a PIL image (L, P, I;16, I;16B, I), an integer tensor ``[H, W]`` or ``[1, H, W]``, or an integer array
``[H, W]`` or ``[H, W, 1]``. Floats that hold only whole numbers are composed exactly (`poc_aug.items.whole_floats`).

Pixels are used as the dataset returns them, since a model is trained on these: an EXIF orientation that a PIL image
still carries is neither applied nor lost. If it is then unclear whether the labels fit, one warning is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.files.pictures import exif_orientation, upright_size
from poc_aug.items.array_canvas import ArrayImageCanvas, ArrayLabelCanvas
from poc_aug.items.bands import Bands, check_nothing_further, covered_like, fill_values
from poc_aug.items.canvas import ImageCanvas, LabelCanvas
from poc_aug.items.container import Adapt, Leaves, describe_value, leaves_of
from poc_aug.items.device_canvas import DeviceImageCanvas, DeviceLabelCanvas
from poc_aug.items.per_pixel_maps import MapName, check_named_maps, report_maps
from poc_aug.items.pil_canvas import PilImageCanvas, PilLabelCanvas
from poc_aug.items.tensor_canvas import TensorImageCanvas, TensorLabelCanvas
from poc_aug.types import Sample

_orientation_warnings: set[str] = set()

__all__ = ["Adapt", "ImageCanvas", "LabelCanvas", "OpenItem", "image_canvas", "label_canvas", "open_item"]


class OpenItem:
    """One item of the base dataset, open for reading and writing rectangles.

    Attributes:
        item: what the dataset returned; never modified.
        key: the item's key.
        image: canvas of the image.
        labels: canvas of the labels.
    """

    def __init__(
        self,
        item: Any,
        key: str,
        image: ImageCanvas,
        labels: LabelCanvas,
        leaves: Leaves,
        bands: Bands | None = None,
        maps: tuple[MapName, ...] = (),
    ) -> None:
        self.item = item
        self.key = key
        self.image = image
        self.labels = labels
        self._leaves = leaves
        self._bands = bands
        self._maps = maps
        self._fill = fill_values(bands, image.more_bands, key, leaves.image_name)
        self._covered: Callable[[], torch.Tensor] | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.size_hw

    def cover(self, covered: Callable[[], torch.Tensor], followed: Collection[str] = ()) -> None:
        """Set where objects stand, for the bands besides red, green and blue; report other maps that do not show them.

        Args:
            covered: returns bool ``[H, W]``; called only if there are such bands to change.
            followed: names of further maps that will show the objects.
        """
        self._covered = covered
        if not callable(self._bands):  # such a function may change any field
            known = None if self.fields is None else (*self.fields, *followed)
            own = (self._leaves.image, self._leaves.labels)
            report_maps(self.item, self._maps, known, own, self.size_hw, self.key)

    @property
    def has_bands_to_change(self) -> bool:
        """Whether objects were inserted and the item has further bands, which `close` then changes."""
        return self._covered is not None and (bool(self._fill) or callable(self._bands))

    def close(self) -> Any:
        """The item in its original form; the same object if nothing was written.

        Raises:
            ItemFormatError: the function ``Adapt.bands`` returned nothing.
        """
        covered = self._covered() if self._covered is not None and self.has_bands_to_change else None
        if covered is not None and self._fill:
            self.image.fill_bands(covered, self._fill)
        image, labels = self.image.value, self.labels.value
        if image is self._leaves.image and labels is self._leaves.labels:
            return self.item
        new = self._leaves.put(image, labels)
        if covered is None or not callable(self._bands):
            return new
        changed = self._bands(new, covered_like(covered, image))
        if changed is None:
            raise ItemFormatError(
                f"item {self.key!r}: the function Adapt.bands returned None",
                expected="the item with its other bands changed",
                hint="end it with return",
            )
        return changed

    @property
    def bgr(self) -> bool:
        """Whether an array or tensor image has its channels as blue, green, red."""
        return self._leaves.bgr

    @property
    def fields(self) -> tuple[Any, Any] | None:
        """Index or name of image and labels in the item; ``None`` if only ``adapt=`` knows."""
        return self._leaves.fields

    def put(self, image: Any, labels: Any) -> Any:
        """A new item with ``image`` and ``labels``, of any form; all other fields are the same objects."""
        return self._leaves.put(image, labels)

    def sample(self, key: str | None = None) -> Sample:
        """The whole item as a `Sample` that shares no memory with it; used for generation, not for reading.

        Args:
            key: key of the sample, if not that of the item.
        """
        box = (0, 0, *self.size_hw)
        return Sample(self.image.whole(), self.labels.read(box), self.key if key is None else key)


def open_item(item: Any, adapt: Adapt | None = None, *, key: str, unshared: bool = False) -> OpenItem:
    """Open an item of any supported form.

    Args:
        item: what the dataset returned.
        adapt: how to take an item of another form apart and reassemble it.
        key: the item's key, named in every error.
        unshared: nobody else holds the item (`poc_aug.items.ownership`), so its PIL images are edited in place.

    Raises:
        ItemFormatError: a form, dtype, mode or shape that is not supported; the message says what to change.
        SampleReadError: a lazily opened image whose file cannot be decoded.

    Example:
        >>> item = {"image": Image.new("RGB", (8, 4)), "mask": np.zeros((4, 8), np.uint8), "name": "a.png"}
        >>> opened = open_item(item, key="a.png")
        >>> opened.labels.write((0, 0, 1, 2), torch.tensor([[13, 13]]))
        >>> changed = opened.close()
        >>> changed["mask"][0], changed["image"] is item["image"], item["mask"].max()
        (array([13, 13,  0,  0,  0,  0,  0,  0], dtype=uint8), True, ...0...)
    """
    leaves = leaves_of(item, adapt, key)
    maps = () if adapt is None else adapt.maps
    check_named_maps(maps, item, leaves.fields, key)
    bands = None if adapt is None else adapt.bands
    more = bands is not None
    image = image_canvas(leaves.image, key, leaves.image_name, bgr=leaves.bgr, unshared=unshared, more_bands=more)
    labels = label_canvas(leaves.labels, key, leaves.labels_name, unshared=unshared)
    if image.size_hw != labels.size_hw:
        raise ItemFormatError(
            f"item {key!r}: {leaves.image_name} is {_size(image)} pixels (h x w), "
            f"but {leaves.labels_name} are {_size(labels)}",
            expected="image and labels of one size",
            hint=_size_hint(leaves.image, labels.size_hw),
        )
    if "exif" in getattr(leaves.image, "info", ()):
        _warn_of_orientation(leaves.image, key, leaves.image_name)
    if adapt is not None and adapt.get is not None and not more:
        check_nothing_further(item, image, key)
    return OpenItem(item, key, image, labels, leaves, bands, maps)


def image_canvas(
    value: Any,
    key: str,
    where: str = "the image",
    *,
    bgr: bool = False,
    unshared: bool = False,
    more_bands: bool = False,
) -> ImageCanvas:
    """Canvas of an image.

    Args:
        value: PIL image, uint8 tensor ``[3, H, W]``, or uint8 array ``[H, W, 3]``.
        key: the item's key, for messages.
        where: what messages call the image.
        bgr: whether the channels of a tensor or array are blue, green, red.
        unshared: see `open_item`.
        more_bands: whether a tensor or array may have more bands than three.

    Raises:
        ItemFormatError: any other form.
        SampleReadError: a lazily opened image whose file cannot be decoded.
    """
    if isinstance(value, Image.Image):
        if bgr:
            raise ItemFormatError(
                f"item {key!r}: {where} is a PIL image, but bgr=True was given",
                expected="bgr=True for tensors and arrays only: PIL images are RGB",
                hint="leave bgr out of Adapt(...)",
            )
        return PilImageCanvas(value, key, where, unshared=unshared)
    if isinstance(value, torch.Tensor):
        here = value.device.type == "cpu" or value.is_floating_point()  # floats are not blended where they lie
        image = TensorImageCanvas if here else DeviceImageCanvas
        return image(value, key, where, bgr=bgr, more_bands=more_bands)
    if isinstance(value, np.ndarray):
        return ArrayImageCanvas(value, key, where, bgr=bgr, more_bands=more_bands)
    raise ItemFormatError(
        f"item {key!r}: {where} is {describe_value(value)}",
        expected="a PIL image, a uint8 tensor [3, H, W] or a uint8 array [H, W, 3]",
        hint="decode the image in the dataset, or say where it is with adapt=Adapt(get=..., put=...)",
        command="decode the image in the dataset, or let --dataset name one of yours that gives (image, label ids)",
    )


def label_canvas(value: Any, key: str, where: str = "the labels", *, unshared: bool = False) -> LabelCanvas:
    """Canvas of a label map.

    Args:
        value: PIL image of ids, integer tensor ``[H, W]`` or ``[1, H, W]``, or integer array ``[H, W]``.
        key: the item's key, for messages.
        where: what messages call the labels.
        unshared: see `open_item`.

    Raises:
        ItemFormatError: any other form.
        SampleReadError: a lazily opened image whose file cannot be decoded.
    """
    if isinstance(value, Image.Image):
        return PilLabelCanvas(value, key, where, unshared=unshared)
    if isinstance(value, torch.Tensor):
        here = value.device.type == "cpu" or value.is_floating_point()
        labels = TensorLabelCanvas if here else DeviceLabelCanvas
        return labels(value, key, where)
    if isinstance(value, np.ma.MaskedArray):
        raise ItemFormatError(
            f"item {key!r}: {where} are a masked array",
            expected="a plain array of label ids: what is masked has none, and would hide inserted objects",
            hint="labels.filled(255), say, with an ignore id of the schema",
        )
    if isinstance(value, np.ndarray):
        return ArrayLabelCanvas(value, key, where)
    raise ItemFormatError(
        f"item {key!r}: {where} are {describe_value(value)}",
        expected="a PIL image of ids, an integer tensor [H, W] or [1, H, W], or an integer array [H, W]",
        hint='choose one label map (torchvision Cityscapes: target_type="semantic"), '
        "or say where it is with adapt=Adapt(get=..., put=...)",
        command="choose one label map (torchvision Cityscapes: target_type=semantic), or let --dataset name one of "
        "yours that gives (image, label ids)",
    )


def _warn_of_orientation(image: Image.Image, key: str, where: str) -> None:
    """Log, once per process, that the sizes do not show if labels were drawn on the picture as stored or as rotated."""
    orientation = exif_orientation(image)
    if orientation == 1 or upright_size(image) != image.size or _orientation_warnings:
        return
    _orientation_warnings.add(key)
    logging.getLogger("poc_aug").warning(
        "item %r: %s carries EXIF orientation %d, which has not been applied. If its labels were drawn on the picture "
        "as viewers show it, they do not fit these pixels: PIL.ImageOps.exif_transpose(image), in the dataset",
        key, where, orientation,
    )  # fmt: skip


def _size_hint(image: Any, labels_hw: tuple[int, int]) -> str:
    """The next step if sizes differ: rotating a photograph as EXIF says, if that makes them equal."""
    if isinstance(image, Image.Image) and upright_size(image) == labels_hw[::-1]:
        return (
            f"the labels were drawn on the picture as its EXIF orientation {exif_orientation(image)} rotates it: "
            "PIL.ImageOps.exif_transpose(image), in the dataset"
        )
    return "check that the dataset pairs the right files, and that no transform resizes only one"


def _size(canvas: ImageCanvas | LabelCanvas) -> str:
    return "x".join(str(side) for side in canvas.size_hw)
