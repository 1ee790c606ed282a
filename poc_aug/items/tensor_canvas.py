"""Canvases over tensors, tv_tensors included: slices, type and dtype kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from poc_aug.errors import ItemFormatError
from poc_aug.items.canvas import check_box, check_patch_ids, check_pixels
from poc_aug.items.item_hints import image_hint, label_hint
from poc_aug.items.label_ids import distinct_ids
from poc_aug.items.whole_floats import holds_bytes, holds_ids, largest_id
from poc_aug.types import Box

# torch has few operators for uint16 and uint32, so these are read as the next wider signed dtype.
_READ_AS = {
    torch.uint8: torch.uint8,
    torch.int8: torch.int8,
    torch.int16: torch.int16,
    torch.int32: torch.int32,
    torch.int64: torch.int64,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
}


class _TensorCanvas:
    def __init__(self, value: torch.Tensor) -> None:
        self._original = value
        self._value = value
        # Slices of a tv_tensor go through its dispatch; the plain view of the same memory does not.
        self._plain = value.as_subclass(torch.Tensor)

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._plain.shape[-2], self._plain.shape[-1]

    @property
    def value(self) -> torch.Tensor:
        return self._value

    def _own(self) -> torch.Tensor:
        if self._value is self._original:
            self._value = self._original.clone()  # a tv_tensor's clone is one too
            self._plain = self._value.as_subclass(torch.Tensor)
        return self._plain

    def _slice(self, box_yxhw: Box) -> torch.Tensor:
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        return self._plain[..., y : y + h, x : x + w]


class TensorImageCanvas(_TensorCanvas):
    """A uint8 ``[3, H, W]`` tensor; ``bgr`` says that its channels are blue, green, red.

    With ``more_bands`` it may be ``[C, H, W]``, of which the first three are the colours. Floats may hold whole numbers
    from 0 to 255 (`poc_aug.items.whole_floats`).

    Raises:
        ItemFormatError: another dtype or shape.
    """

    def __init__(
        self, value: torch.Tensor, key: str, where: str, *, bgr: bool = False, more_bands: bool = False
    ) -> None:
        bands = value.shape[0] if value.ndim == 3 else 0
        fits = bands == 3 or (more_bands and bands > 3)
        if not fits or not (value.dtype == torch.uint8 or holds_bytes(value.as_subclass(torch.Tensor)[:3])):
            raise ItemFormatError(
                f"item {key!r}: {where} is a {value.dtype} tensor of shape {list(value.shape)}",
                expected="a torch.uint8 tensor of shape [3, H, W], or floats that are whole numbers from 0 to 255",
                hint=image_hint(value),
            )
        super().__init__(value)
        self.more_bands = bands - 3
        self._order = (2, 1, 0) if bgr else (0, 1, 2)

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """See `ImageCanvas.read`."""
        return self._slice(box_yxhw)[list(self._order)].to("cpu", torch.uint8).contiguous()

    def whole(self) -> torch.Tensor:
        """See `ImageCanvas.whole`."""
        return self.read((0, 0, *self.size_hw))

    def write(self, box_yxhw: Box, pixels: torch.Tensor) -> None:
        """See `ImageCanvas.write`."""
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        check_pixels(pixels, box_yxhw)
        self._own()[:3, y : y + h, x : x + w] = pixels[list(self._order)].to(self._plain.device, self._plain.dtype)

    def fill_bands(self, covered: torch.Tensor, values: Sequence[int]) -> None:
        """See `ImageCanvas.fill_bands`."""
        where, bands = covered.to(self._plain.device), self._own()[3:]
        for band, value in zip(bands, values, strict=True):
            band[where] = value

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> torch.Tensor:
        """See `ImageCanvas.probe`."""
        channels = torch.tensor(self._order)
        grid = self._plain[channels[:, None, None], torch.tensor(rows)[:, None], torch.tensor(cols)]
        return grid.permute(1, 2, 0).to("cpu", torch.uint8).contiguous()


class TensorLabelCanvas(_TensorCanvas):
    """An integer ``[H, W]`` or ``[1, H, W]`` tensor; floats may hold whole numbers (`poc_aug.items.whole_floats`).

    Raises:
        ItemFormatError: another dtype or shape.
    """

    def __init__(self, value: torch.Tensor, key: str, where: str) -> None:
        fits = value.ndim == 2 or (value.ndim == 3 and value.shape[0] == 1)
        floats = value.is_floating_point()
        if not fits or (value.dtype not in _READ_AS and not (floats and holds_ids(value.as_subclass(torch.Tensor)))):
            raise ItemFormatError(
                f"item {key!r}: {where} are a {value.dtype} tensor of shape {list(value.shape)}",
                expected="label ids: an integer tensor of shape [H, W] or [1, H, W]",
                hint=label_hint(floating=value.is_floating_point(), boolean=value.dtype == torch.bool),
            )
        super().__init__(value)
        largest = largest_id(value)
        limits = None if floats else torch.iinfo(value.dtype)
        self.min_id, self.max_id = (int(limits.min), int(limits.max)) if limits else (-largest, largest)
        self._read_as = _READ_AS.get(value.dtype, torch.int64)

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """See `LabelCanvas.read`."""
        _, _, h, w = box_yxhw
        ids = self._slice(box_yxhw).reshape(h, w)
        return ids.to(device="cpu", dtype=self._read_as, copy=True).contiguous()

    def write(self, box_yxhw: Box, labels: torch.Tensor) -> None:
        """See `LabelCanvas.write`."""
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        check_patch_ids(labels, box_yxhw, self.min_id, self.max_id)
        self._own()[..., y : y + h, x : x + w] = labels.to(self._plain.device, self._plain.dtype)

    def ids(self) -> frozenset[int]:
        """See `LabelCanvas.ids`."""
        ids = self._plain.to(torch.int64) if self._plain.is_floating_point() else self._plain
        return distinct_ids(ids.numpy(force=True))

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> list[int]:
        """See `LabelCanvas.probe`."""
        grid = self._plain[..., torch.tensor(rows)[:, None], torch.tensor(cols)].reshape(-1)
        return [int(label_id) for label_id in grid.tolist()]
