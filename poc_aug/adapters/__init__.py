"""From any dataset's item to our form and back, touching nothing but the patch's rectangle.

===================================  ============================================================
an item may be                       with
===================================  ============================================================
``(image, labels, ...)``             tuple, list or namedtuple; further fields stay the same objects
``{"image": ..., "mask": ...}``      dict: image, img or pixel_values; labels, label, mask, annotation,
                                     gt_seg_map, gt_semantic_seg or segmentation_map
``{"img", "gt_seg_map"}``            arrays as mmseg has them, in BGR
anything else                        ``adapt=Adapt(get=..., put=...)``
===================================  ============================================================

An image is a PIL image (RGB), a uint8 tensor ``[3, H, W]`` (tv_tensors too) or a uint8 array ``[H, W, 3]``;
labels are a PIL image (L, P, I;16, I), an integer tensor ``[H, W]`` or ``[1, H, W]``, or an integer array
``[H, W]`` or ``[H, W, 1]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.adapters.array import ArrayImageCanvas, ArrayLabelCanvas
from poc_aug.adapters.canvas import ImageCanvas, LabelCanvas
from poc_aug.adapters.container import Adapt, Leaves, describe_value, leaves_of
from poc_aug.adapters.pil import PilImageCanvas, PilLabelCanvas
from poc_aug.adapters.tensor import TensorImageCanvas, TensorLabelCanvas
from poc_aug.errors import ItemFormatError
from poc_aug.types import Sample

__all__ = ["Adapt", "ImageCanvas", "LabelCanvas", "OpenItem", "image_canvas", "label_canvas", "open_item"]


class OpenItem:
    """One item of the base dataset, open for reading and writing rectangles.

    Attributes:
        item: what the dataset returned; never modified.
        key: the item's key.
        image: canvas of the image.
        labels: canvas of the labels.
    """

    def __init__(self, item: Any, key: str, image: ImageCanvas, labels: LabelCanvas, leaves: Leaves) -> None:
        self.item = item
        self.key = key
        self.image = image
        self.labels = labels
        self._leaves = leaves

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.size_hw

    def close(self) -> Any:
        """The item in the form it came in; the very same object where nothing was written."""
        image, labels = self.image.value, self.labels.value
        if image is self._leaves.image and labels is self._leaves.labels:
            return self.item
        return self._leaves.put(image, labels)

    def sample(self, key: str | None = None) -> Sample:
        """The whole item as a `Sample` that shares no memory with it; for generation, not for reading.

        Args:
            key: key of the sample, if not that of the item.
        """
        box = (0, 0, *self.size_hw)
        return Sample(self.image.whole(), self.labels.read(box), self.key if key is None else key)


def open_item(item: Any, adapt: Adapt | None = None, *, key: str, unshared: bool = False) -> OpenItem:
    """Open an item of any supported form.

    Args:
        item: what the dataset returned.
        adapt: how to take an item of another form apart, and put it together.
        key: the item's key, named in every error.
        unshared: nobody else holds the item (`poc_aug.adapters.ownership`): its PIL images are edited where they lie.

    Raises:
        ItemFormatError: a form, dtype, mode or shape that is not supported; the message says what to change.
        SampleReadError: a lazily opened image whose file cannot be decoded.
    """
    leaves = leaves_of(item, adapt, key)
    image = image_canvas(leaves.image, key, leaves.image_name, bgr=leaves.bgr, unshared=unshared)
    labels = label_canvas(leaves.labels, key, leaves.labels_name, unshared=unshared)
    if image.size_hw != labels.size_hw:
        raise ItemFormatError(
            f"item {key!r}: {leaves.image_name} is {_size(image)} pixels (h x w), "
            f"but {leaves.labels_name} are {_size(labels)}",
            expected="image and labels of one size",
            hint="check that the dataset pairs the right files, and that no transform resizes only one",
        )
    return OpenItem(item, key, image, labels, leaves)


def image_canvas(
    value: Any, key: str, where: str = "the image", *, bgr: bool = False, unshared: bool = False
) -> ImageCanvas:
    """Canvas of an image.

    Args:
        value: PIL image, uint8 tensor ``[3, H, W]``, or uint8 array ``[H, W, 3]``.
        key: the item's key, for messages.
        where: what messages call the image.
        bgr: whether the channels of a tensor or array are blue, green, red.
        unshared: see `open_item`.

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
        return TensorImageCanvas(value, key, where, bgr=bgr)
    if isinstance(value, np.ndarray):
        return ArrayImageCanvas(value, key, where, bgr=bgr)
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
        return TensorLabelCanvas(value, key, where)
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


def _size(canvas: ImageCanvas | LabelCanvas) -> str:
    return "x".join(str(side) for side in canvas.size_hw)
