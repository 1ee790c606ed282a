"""What the image and the labels of an item can do, whatever their form: read, write and probe a rectangle.

Only the patch's rectangle is converted, so that augmenting costs a few percent of decoding: converting a whole
2048×1024 PIL frame to a tensor and back takes 11 ms, the copy that the first write makes 0.6 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import ItemFormatError, LabelPolicyError
from poc_aug.types import Box

AnyArray: TypeAlias = npt.NDArray[Any]


class ImageCanvas(Protocol):
    """The image of one item. The item's own image is never modified: the first write copies it."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    @property
    def value(self) -> Any:
        """The image in the form it came in: the very same object until the first write."""
        ...

    @property
    def more_bands(self) -> int:
        """How many bands the image has besides red, green and blue."""
        ...

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """A copy of the rectangle, uint8 ``[3, h, w]`` RGB on the CPU."""
        ...

    def whole(self) -> torch.Tensor:
        """A copy of all pixels, uint8 ``[3, H, W]`` RGB on the CPU, in whichever memory layout is fastest."""
        ...

    def write(self, box_yxhw: Box, pixels: torch.Tensor) -> None:
        """Replace the rectangle by ``pixels``, uint8 ``[3, h, w]`` RGB."""
        ...

    def fill_bands(self, covered: torch.Tensor, values: Sequence[int]) -> None:
        """Set the bands besides red, green and blue where ``covered``, bool ``[H, W]``, is true; one value per band."""
        ...

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> torch.Tensor:
        """Pixels of a grid, uint8 ``[len(rows), len(cols), 3]`` RGB."""
        ...


class LabelCanvas(Protocol):
    """The label map of one item. The item's own labels are never modified: the first write copies them."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    @property
    def value(self) -> Any:
        """The labels in the form they came in: the very same object until the first write."""
        ...

    @property
    def min_id(self) -> int:
        """Smallest label id that the form can hold."""
        ...

    @property
    def max_id(self) -> int:
        """Largest label id that the form can hold, such as 255 of PIL's "L"."""
        ...

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """A copy of the rectangle, integer ``[h, w]`` on the CPU (uint16 as int32, uint32 as int64)."""
        ...

    def write(self, box_yxhw: Box, labels: torch.Tensor) -> None:
        """Replace the rectangle by ``labels``, integer ``[h, w]``.

        Raises:
            LabelPolicyError: an id outside ``min_id`` and ``max_id``.
        """
        ...

    def ids(self) -> frozenset[int]:
        """All ids of the map, see `poc_aug.items.label_ids.distinct_ids`."""
        ...

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> list[int]:
        """Ids of a grid, row by row."""
        ...


def check_box(box_yxhw: Box, size_hw: tuple[int, int]) -> Box:
    """The box, if it lies inside the frame; PIL and slices would pad or clip silently.

    Raises:
        ItemFormatError: it does not.
    """
    y, x, h, w = box_yxhw
    height, width = size_hw
    if y < 0 or x < 0 or h < 1 or w < 1 or y + h > height or x + w > width:
        raise ItemFormatError(
            f"box (y, x, h, w) = {tuple(box_yxhw)} is not inside the frame of {height}x{width} pixels",
            expected="a box inside the frame",
            hint="check that the insertion was made for this image",
        )
    return box_yxhw


def check_pixels(pixels: torch.Tensor, box_yxhw: Box) -> torch.Tensor:
    """The pixels, if they are uint8 ``[3, h, w]`` of the box's size.

    Raises:
        ItemFormatError: they are not.
    """
    wanted = (3, box_yxhw[2], box_yxhw[3])
    if pixels.dtype != torch.uint8 or tuple(pixels.shape) != wanted:
        raise ItemFormatError(
            f"cannot write {pixels.dtype} {list(pixels.shape)} into box {tuple(box_yxhw)}",
            expected=f"torch.uint8 {list(wanted)}",
        )
    return pixels


def check_patch_ids(labels: torch.Tensor, box_yxhw: Box, min_id: int, max_id: int) -> torch.Tensor:
    """The labels of a patch, if they are integers ``[h, w]`` of the box's size and within the ids that fit.

    Raises:
        ItemFormatError: another dtype or shape.
        LabelPolicyError: an id that does not fit.
    """
    wanted = (box_yxhw[2], box_yxhw[3])
    if labels.is_floating_point() or labels.dtype == torch.bool or tuple(labels.shape) != wanted:
        raise ItemFormatError(
            f"cannot write {labels.dtype} {list(labels.shape)} into box {tuple(box_yxhw)}",
            expected=f"integers {list(wanted)}",
        )
    low, high = (int(bound) for bound in torch.aminmax(labels))
    if low < min_id or high > max_id:
        raise LabelPolicyError(
            f"label id {low if low < min_id else high} does not fit the labels of the dataset",
            expected=f"ids from {min_id} to {max_id}, all that their dtype can hold",
            hint="choose a smaller id in the label policy, or let the dataset return labels of a wider dtype",
        )
    return labels


def ids_from_array(labels: AnyArray) -> torch.Tensor:
    """Integer ``[h, w]`` array to a tensor that owns its memory, in a dtype that torch can compute with."""
    if labels.dtype.kind == "u" and labels.dtype.itemsize > 1:
        # torch.uint16 and uint32 have few operators: comparisons work, most others do not.
        widened = np.int32 if labels.dtype.itemsize == 2 else np.int64
        return torch.from_numpy(np.array(labels, dtype=widened))
    return torch.from_numpy(np.array(labels, dtype=labels.dtype.newbyteorder("="), order="C", subok=False))
