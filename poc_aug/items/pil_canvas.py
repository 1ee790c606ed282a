"""Canvases over PIL images: ``crop`` and ``paste`` of the rectangle, mode and palette kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError, SampleReadError
from poc_aug.files.label_pictures import refusal
from poc_aug.items.canvas import check_box, check_patch_ids, check_pixels, ids_from_array
from poc_aug.items.item_hints import pil_image_hint, pil_labels_hint
from poc_aug.items.label_ids import distinct_ids
from poc_aug.types import Box

LABEL_MODES: dict[str, tuple[str, int, int]] = {
    "L": ("u1", 0, 255),
    "P": ("u1", 0, 255),
    "I;16": ("<u2", 0, 65535),
    "I;16B": (">u2", 0, 65535),
    "I": ("i4", -(2**31), 2**31 - 1),
}
"""Modes of label images: NumPy dtype, smallest and largest id."""


class _PilCanvas:
    def __init__(self, value: Image.Image, key: str, unshared: bool) -> None:
        try:
            # Image.open reads no pixels: a broken file fails here, where the item has a name.
            value.load()
        except Exception as error:  # decoders of broken files raise nearly anything
            name = getattr(value, "filename", "") or "the image"
            raise SampleReadError(
                f"item {key!r}: cannot decode {name}: {error or type(error).__name__}",
                expected="a complete image file, loaded before it is closed",
                hint="restore the file, or leave the item out of the dataset",
            ) from error
        self._original = value
        self._value = value
        self._unshared = unshared

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._value.height, self._value.width

    @property
    def value(self) -> Image.Image:
        return self._value

    def _crop(self, box_yxhw: Box) -> Image.Image:
        y, x, h, w = check_box(box_yxhw, self.size_hw)
        if (h, w) == self.size_hw:  # the whole frame; crop refuses more pixels than Pillow opens
            return self._value
        return self._value.crop((x, y, x + w, y + h))

    def _paste(self, box_yxhw: Box, patch: Image.Image) -> None:
        self._own().paste(patch, (box_yxhw[1], box_yxhw[0]))

    def _own(self) -> Image.Image:
        if self._value is self._original and not self._unshared:
            self._value = self._original.copy()
        return self._value


def _named(where: str, picture: Image.Image) -> str:
    file = getattr(picture, "filename", "")
    return f"{where} ({file})" if file else where


class PilImageCanvas(_PilCanvas):
    """An RGB image of PIL, its pixels as they are: an EXIF orientation is neither applied nor lost.

    Raises:
        ItemFormatError: another mode.
        SampleReadError: a lazily opened file that cannot be decoded.
    """

    def __init__(self, value: Image.Image, key: str, where: str, *, unshared: bool = False) -> None:
        if value.mode != "RGB":
            raise ItemFormatError(
                f"item {key!r}: {_named(where, value)} is a PIL image of mode {value.mode!r}",
                expected="a PIL image of mode 'RGB'",
                hint=pil_image_hint(value.mode),
            )
        super().__init__(value, key, unshared)
        self.more_bands = 0

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """See `ImageCanvas.read`."""
        pixels = np.empty((3, box_yxhw[2], box_yxhw[3]), np.uint8)
        for channel, band in zip(pixels, self._crop(box_yxhw).split(), strict=True):
            channel[...] = np.asarray(band)
        return torch.from_numpy(pixels)

    def whole(self) -> torch.Tensor:
        """See `ImageCanvas.whole`."""
        # Splitting a large frame into channels takes seven times as long.
        return torch.from_numpy(np.array(self._value)).permute(2, 0, 1)

    def write(self, box_yxhw: Box, pixels: torch.Tensor) -> None:
        """See `ImageCanvas.write`."""
        check_box(box_yxhw, self.size_hw)
        check_pixels(pixels, box_yxhw)
        # Merging three bands is 3x faster than interleaving the channels here.
        self._paste(box_yxhw, Image.merge("RGB", [Image.fromarray(channel) for channel in pixels.cpu().numpy()]))

    def blend(self, box_yxhw: Box, patch: torch.Tensor, alpha: torch.Tensor, shade: torch.Tensor | None) -> None:
        """Darken by ``shade`` and blend ``patch`` over it by ``alpha``, to the bit as `poc_aug.reading.compose` does.

        PIL's paste computes ``round((a * over + (255 - a) * under) / 255)`` on the frame itself, so no pixel is
        copied out and back, which would cost more than the arithmetic.

        Args:
            box_yxhw: the rectangle.
            patch: uint8 ``[3, h, w]``.
            alpha: uint8 ``[h, w]``, 255 opaque.
            shade: uint8 ``[h, w]``: pixels become ``pixel * (255 - shade) / 255``; ``None``: none.
        """
        y, x, _, _ = check_box(box_yxhw, self.size_hw)
        frame = self._own()
        if shade is not None:
            mask, left, top = _trimmed(shade)
            frame.paste((0, 0, 0), (x + left, y + top, x + left + mask.width, y + top + mask.height), mask)
        mask, left, top = _trimmed(alpha)
        rows, cols = slice(top, top + mask.height), slice(left, left + mask.width)
        over = Image.merge("RGB", [Image.fromarray(channel[rows, cols]) for channel in patch.numpy()])
        frame.paste(over, (x + left, y + top), mask)

    def fill_bands(self, covered: torch.Tensor, values: Sequence[int]) -> None:
        """See `ImageCanvas.fill_bands`; there are none."""
        assert not values

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> torch.Tensor:
        """See `ImageCanvas.probe`."""
        # 256 single pixels take 0.04 ms; any access to the whole frame costs milliseconds.
        access = self._value.load()
        assert access is not None
        flat = bytearray(channel for row in rows for col in cols for channel in _rgb(access[col, row]))
        return torch.frombuffer(flat, dtype=torch.uint8).reshape(len(rows), len(cols), 3)


def _trimmed(weights: torch.Tensor) -> tuple[Image.Image, int, int]:
    """Weights, uint8 ``[h, w]``, as a picture cropped to those that are not zero, and its left and top."""
    picture = Image.fromarray(weights.numpy())
    left, top, right, bottom = picture.getbbox() or (0, 0, 1, 1)
    return picture.crop((left, top, right, bottom)), left, top


def _rgb(pixel: float | tuple[int, ...]) -> tuple[int, ...]:
    assert isinstance(pixel, tuple)
    return pixel


class PilLabelCanvas(_PilCanvas):
    """A label image of PIL: mode "L", "P" (ids are palette indices), "I;16", "I;16B" or "I".

    Raises:
        ItemFormatError: another mode, such as colours; or, if the picture still knows its file, a lossy format or
            another encoding that alters ids (`poc_aug.files.label_pictures`).
        SampleReadError: a lazily opened file that cannot be decoded.
    """

    def __init__(self, value: Image.Image, key: str, where: str, *, unshared: bool = False) -> None:
        if value.mode not in LABEL_MODES:
            raise ItemFormatError(
                f"item {key!r}: {_named(where, value)} is a PIL image of mode {value.mode!r}",
                expected=f"label ids: a PIL image of mode {', '.join(repr(mode) for mode in LABEL_MODES)}",
                hint=pil_labels_hint(value.mode),
            )
        if (refused := refusal(value, f"item {key!r}: {_named(where, value)}", ItemFormatError)) is not None:
            raise refused
        super().__init__(value, key, unshared)
        self._dtype, self.min_id, self.max_id = LABEL_MODES[value.mode]

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """See `LabelCanvas.read`."""
        return ids_from_array(np.asarray(self._crop(box_yxhw)))

    def write(self, box_yxhw: Box, labels: torch.Tensor) -> None:
        """See `LabelCanvas.write`."""
        _, _, h, w = check_box(box_yxhw, self.size_hw)
        ids = check_patch_ids(labels, box_yxhw, self.min_id, self.max_id).cpu().numpy().astype(self._dtype)
        # Image.fromarray would make mode "L", and pasting that into "P" would map ids through the palette.
        self._paste(box_yxhw, Image.frombytes(self._value.mode, (w, h), ids.tobytes()))

    def fill(self, box_yxhw: Box, mask: torch.Tensor, label_id: int) -> None:
        """Write ``label_id`` at the pixels of ``mask``, bool ``[h, w]``."""
        y, x, _, _ = check_box(box_yxhw, self.size_hw)
        if self._value.mode not in ("L", "P"):  # PIL fills 16 and 32 bit modes by way of 8 bits
            labels = self.read(box_yxhw)
            labels[mask] = label_id
            self.write(box_yxhw, labels)
            return
        if not self.min_id <= label_id <= self.max_id:
            check_patch_ids(torch.tensor([[label_id]]), (0, 0, 1, 1), self.min_id, self.max_id)
        pixels = mask.numpy().view(np.uint8)
        left, top, right, bottom = Image.fromarray(pixels).getbbox() or (0, 0, 1, 1)
        where = Image.fromarray(pixels[top:bottom, left:right] * np.uint8(255))
        self._own().paste(label_id, (x + left, y + top, x + right, y + bottom), where)

    def ids(self) -> frozenset[int]:
        """See `LabelCanvas.ids`."""
        if self._value.mode not in ("L", "P"):
            return distinct_ids(np.asarray(self._value))
        # Takes 0.9 ms for 2048×1024; making an array of it takes up to 2.4 ms for its memory alone.
        return frozenset(label_id for label_id, count in enumerate(self._value.histogram()) if count)

    def probe(self, rows: Sequence[int], cols: Sequence[int]) -> list[int]:
        """See `LabelCanvas.probe`."""
        access = self._value.load()
        assert access is not None
        return [_id(access[col, row]) for row in rows for col in cols]


def _id(pixel: float | tuple[int, ...]) -> int:
    assert isinstance(pixel, int)
    return pixel
