"""Maps of instance or segment ids in any form, RGB-encoded as COCO's panoptic PNGs too: read, and written alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.items.canvas import AnyArray
from poc_aug.items.open_item import label_canvas

_LARGEST_RGB = 256**3 - 1


class IdMap:
    """A map of ids, one per pixel, that is never modified.

    Args:
        value: a PIL image, a tensor or an array: integers ``[H, W]`` (also ``[1, H, W]`` tensors and ``[H, W, 1]``
            arrays), or colours, uint8, whose id is R + 256 G + 65536 B: a PIL image in RGB, an array ``[H, W, 3]``, a
            tensor ``[3, H, W]`` or ``[H, W, 3]``.
        size_hw: the frame's size.
        key: the item's key, for messages.
        where: what messages call the map.
        rgb: whether colours are ids; otherwise they are an error.

    Attributes:
        value: the map.
        ids: the ids, an integer tensor ``[H, W]``.
        max_id: the largest id that its form can hold.

    Raises:
        ItemFormatError: another form, dtype or size.

    Example:
        >>> colours = np.zeros((2, 4, 3), np.uint8)
        >>> colours[0, 0] = 1, 2, 0
        >>> IdMap(colours, (2, 4), "frame", "the panoptic map", rgb=True).ids[0].tolist()
        [513, 0, 0, 0]
    """

    def __init__(self, value: Any, size_hw: tuple[int, int], key: str, where: str, *, rgb: bool = False) -> None:
        self.value = value
        self._key, self._where, self._size_hw = key, where, size_hw
        self._channels = _channels(value, size_hw) if rgb else None
        if self._channels is not None:
            pixels = _array(value)
            red, green, blue = pixels if self._channels == 0 else pixels.transpose(2, 0, 1)
            found = (height, width) = red.shape
            ids = red.astype(np.int32)
            ids += green.astype(np.int32) << 8
            ids += blue.astype(np.int32) << 16
            self.ids, self.max_id = torch.from_numpy(ids), _LARGEST_RGB
        else:
            canvas = label_canvas(value, key, where)
            found = (height, width) = canvas.size_hw
            self.max_id = canvas.max_id
            self.ids = canvas.read((0, 0, height, width))
        if found != size_hw:
            raise ItemFormatError(
                f"item {key!r}: {where} are {height}x{width} pixels (h x w), the image {size_hw[0]}x{size_hw[1]}",
                expected="one id per pixel of the image",
                hint="check that no transform before this resizes only one",
            )

    def check_fits(self, largest: int) -> None:
        """Check that an id fits the map's form.

        Raises:
            ItemFormatError: it does not.
        """
        if largest > self.max_id:
            raise ItemFormatError(
                f"item {self._key!r}: a new object's id {largest} does not fit {self._where}, whose form holds ids up "
                f"to {self.max_id}",
                expected="a map of a wider dtype",
                hint='convert it before, for example with array.astype("int32") or image.convert("I")',
            )

    def with_ids(self, ids: torch.Tensor) -> Any:
        """A map of the same form with other ids, integer ``[H, W]``; they have to fit (`check_fits`)."""
        if self._channels is None:
            canvas = label_canvas(self.value, self._key, self._where)
            canvas.write((0, 0, *self._size_hw), ids)
            return canvas.value
        numbers = ids.numpy()
        colours = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16 & 255], self._channels).astype(np.uint8)
        if isinstance(self.value, Image.Image):
            return Image.fromarray(colours)
        if isinstance(self.value, np.ndarray):
            return colours
        new = self.value.clone()  # a tv_tensor's clone is one too
        new.as_subclass(torch.Tensor).copy_(torch.from_numpy(colours))
        return new


def blank_id_map(like: Any, size_hw: tuple[int, int]) -> Any:
    """A map without objects in the form of a label map: a PIL image of mode "I", an int32 tensor or array of zeros."""
    height, width = size_hw
    if isinstance(like, Image.Image):
        return Image.new("I", (width, height))
    if isinstance(like, np.ndarray):
        return np.zeros(size_hw, np.int32)
    blank = torch.zeros(size_hw, dtype=torch.int32)
    return as_mask_like(like, blank)


def as_mask_like(like: Any, mask: torch.Tensor) -> torch.Tensor:
    """A mask, as torchvision's ``tv_tensors.Mask`` if ``like`` is a tv_tensor, otherwise as it is."""
    if not is_tv_tensor(like):
        return mask
    from torchvision.tv_tensors import Mask

    wrapped: torch.Tensor = Mask(mask)
    return wrapped


def is_tv_tensor(value: Any) -> bool:
    """Whether a value is one of torchvision's tv_tensors; loads nothing of torchvision if it is none."""
    if not isinstance(value, torch.Tensor) or type(value) is torch.Tensor:
        return False
    from torchvision.tv_tensors import TVTensor

    return isinstance(value, TVTensor)


def _channels(value: Any, size_hw: tuple[int, int]) -> int | None:
    """The axis of the three colours; ``None`` if the value holds no colours."""
    if isinstance(value, Image.Image):
        return 2 if value.mode == "RGB" else None
    shape = tuple(value.shape) if isinstance(value, torch.Tensor | np.ndarray) else ()
    if len(shape) != 3 or value.dtype not in (torch.uint8, np.uint8):
        return None
    if shape[2] == 3 and (shape[:2] == size_hw or shape[0] != 3):
        return 2
    return 0 if shape[0] == 3 and isinstance(value, torch.Tensor) else None


def _array(value: Any) -> AnyArray:
    return value.numpy(force=True) if isinstance(value, torch.Tensor) else np.asarray(value)
