"""Canvases over NumPy arrays: ``[H, W, 3]`` images in RGB or BGR, ``[H, W]`` labels, dtype kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from poc_aug.errors import ItemFormatError
from poc_aug.items.canvas import AnyArray, check_box, check_patch_ids, check_pixels, ids_from_array
from poc_aug.items.item_hints import image_hint, label_hint
from poc_aug.items.label_ids import distinct_ids
from poc_aug.items.whole_floats import holds_bytes, holds_ids, largest_id
from poc_aug.types import Box


class _ArrayCanvas:
    def __init__(self, value: AnyArray) -> None:
        self._original = value
        self._value = value

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._value.shape[0], self._value.shape[1]

    @property
    def value(self) -> AnyArray:
        return self._value

    def _own(self) -> AnyArray:
        # A copy is writable and in memory, also that of a read-only or memory-mapped array.
        if self._value is self._original:
            self._value = self._original.copy(order="K")
        return self._value

    def _slice(self, box_yxhw: Box) -> AnyArray:
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        return self._value[y : y + h, x : x + w]


class ArrayImageCanvas(_ArrayCanvas):
    """A uint8 ``[H, W, 3]`` array; ``bgr`` says that its channels are blue, green, red (OpenCV, mmseg).

    With ``more_bands`` it may be ``[H, W, C]``, of which the first three are the colours. Floats may hold whole numbers
    from 0 to 255 (`poc_aug.items.whole_floats`).

    Raises:
        ItemFormatError: another dtype or shape.
    """

    def __init__(self, value: AnyArray, key: str, where: str, *, bgr: bool = False, more_bands: bool = False) -> None:
        bands = value.shape[2] if value.ndim == 3 else 0
        fits = bands == 3 or (more_bands and bands > 3)
        if not fits or not (value.dtype == np.uint8 or holds_bytes(value[:, :, :3])):
            raise ItemFormatError(
                f"item {key!r}: {where} is a {value.dtype} array of shape {list(value.shape)}",
                expected="a uint8 array of shape [H, W, 3], or floats that are whole numbers from 0 to 255",
                hint=image_hint(value),
            )
        super().__init__(value)
        self.more_bands = bands - 3
        self._colours = slice(2, None, -1) if bgr else slice(3)

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """See `ImageCanvas.read`."""
        rgb = self._slice(box_yxhw)[:, :, self._colours].transpose(2, 0, 1)
        return torch.from_numpy(np.array(rgb, np.uint8, order="C", subok=False))

    def whole(self) -> torch.Tensor:
        """See `ImageCanvas.whole`."""
        rgb = np.array(self._slice((0, 0, *self.size_hw))[:, :, self._colours], np.uint8, order="C", subok=False)
        return torch.from_numpy(rgb).permute(2, 0, 1)

    def write(self, box_yxhw: Box, pixels: torch.Tensor) -> None:
        """See `ImageCanvas.write`."""
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        patch = check_pixels(pixels, box_yxhw).cpu().numpy().transpose(1, 2, 0)
        self._own()[y : y + h, x : x + w, self._colours] = patch

    def fill_bands(self, covered: torch.Tensor, values: Sequence[int]) -> None:
        """See `ImageCanvas.fill_bands`."""
        self._own()[:, :, 3:][covered.numpy()] = values

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> torch.Tensor:
        """See `ImageCanvas.probe`."""
        grid = self._value[np.array(rows)[:, None], np.array(cols)][:, :, self._colours]
        return torch.from_numpy(np.array(grid, np.uint8, order="C", subok=False))


class ArrayLabelCanvas(_ArrayCanvas):
    """An integer ``[H, W]`` or ``[H, W, 1]`` array; floats may hold whole numbers (`poc_aug.items.whole_floats`).

    Raises:
        ItemFormatError: another dtype or shape.
    """

    def __init__(self, value: AnyArray, key: str, where: str) -> None:
        fits = value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 1)
        whole = value.dtype.kind in "iu" and value.dtype != np.uint64
        if not fits or not (whole or holds_ids(value)):
            raise ItemFormatError(
                f"item {key!r}: {where} are a {value.dtype} array of shape {list(value.shape)}",
                expected="label ids: an integer array of shape [H, W] (at most 63 bits)",
                hint=label_hint(floating=value.dtype.kind == "f", boolean=value.dtype.kind == "b"),
            )
        super().__init__(value)
        largest = largest_id(value)
        limits = None if largest else np.iinfo(value.dtype)
        self.min_id, self.max_id = (int(limits.min), int(limits.max)) if limits else (-largest, largest)

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """See `LabelCanvas.read`."""
        _, _, h, w = box_yxhw
        return ids_from_array(_whole(self._slice(box_yxhw).reshape(h, w)))

    def write(self, box_yxhw: Box, labels: torch.Tensor) -> None:
        """See `LabelCanvas.write`."""
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        ids = check_patch_ids(labels, box_yxhw, self.min_id, self.max_id).cpu().numpy()
        target = self._own()[y : y + h, x : x + w]
        target[...] = ids.reshape(target.shape)

    def ids(self) -> frozenset[int]:
        """See `LabelCanvas.ids`."""
        return distinct_ids(_whole(self._value))

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> list[int]:
        """See `LabelCanvas.probe`."""
        grid: list[int] = _whole(self._value[np.array(rows)[:, None], np.array(cols)]).reshape(-1).tolist()
        return grid


def _whole(ids: AnyArray) -> AnyArray:
    return ids.astype(np.int64) if ids.dtype.kind == "f" else ids
