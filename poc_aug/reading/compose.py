"""Composing: put insertions into an image, touching nothing but each patch's rectangle.

POC §3.1, "object blending": ``(1 - a) * base + a * patch``, where ``a`` is the feathered mask. We feather as
``max(mask, G_sigma(mask))``, so the object itself stays opaque. An insertion that brings its own matte (``alpha``) is
blended with that instead: its edge is known already. Its shadow (``shade``) darkens the base first.

On the CPU this is done in whole numbers, which `benchmarks/blending.py` compares with kornia's filters; tensors on
another device are blended there, with kornia (`poc_aug.reading.compose_tensors`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.masks import bounds, dilate, window, with_margin
from poc_aug.reading.compose_opacity import opacity
from poc_aug.reading.compose_tensors import blend_into, paint_into
from poc_aug.types import Box, Insertion, Sample


class PixelCanvas(Protocol):
    """Something that lends and takes back rectangles: an image or a label map in any form."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def read(self, box_yxhw: Box) -> torch.Tensor:
        """A copy of the rectangle: uint8 ``[3, h, w]`` of an image, integer ``[h, w]`` of labels."""
        ...

    def write(self, box_yxhw: Box, value: torch.Tensor) -> None:
        """Replace the rectangle."""
        ...


@runtime_checkable
class Blends(Protocol):
    """An image canvas that blends by itself, to the same bits as `compose_image` does for others."""

    def blend(self, box_yxhw: Box, patch: torch.Tensor, alpha: torch.Tensor, shade: torch.Tensor | None) -> None:
        """Darken by ``shade``, then put ``patch`` over it by ``alpha``."""
        ...


@runtime_checkable
class Fills(Protocol):
    """A label canvas that writes an id under a mask by itself."""

    def fill(self, box_yxhw: Box, mask: torch.Tensor, label_id: int) -> None:
        """Write ``label_id`` where ``mask`` is true."""
        ...


@runtime_checkable
class LendsImage(Protocol):
    """A canvas over an image on a device other than the CPU, which is blended into where it lies."""

    @property
    def bgr(self) -> bool:
        """Whether its channels are blue, green, red."""
        ...

    def lend_image(self) -> torch.Tensor:
        """Its own pixels, uint8 ``[3, H, W]``, to be written to."""
        ...


@runtime_checkable
class LendsLabels(Protocol):
    """A canvas over labels on a device other than the CPU, which are written to where they lie."""

    def lend_labels(self) -> torch.Tensor:
        """Its own ids, integer ``[H, W]``, to be written to."""
        ...


def _blend_patch(pixels: npt.NDArray[np.uint8], insertion: Insertion, sigma_px: float) -> None:
    """Blend into uint8 ``[3, h, w]`` in place, in whole numbers, each step rounded: 2x faster than float32."""
    # Each in its own bounds: a shadow is often wider than its object, and lies at its foot only.
    if insertion.shade is not None:
        inner = window(bounds(insertion.shade))
        light = 255 - insertion.shade.numpy()[inner]
        for channel in pixels:  # one channel at a time stays in the processor's cache
            under = channel[inner]
            under[...] = _over_255(np.multiply(under, light, dtype=np.uint16))
    alpha = opacity(insertion, sigma_px)
    inner = window(bounds(alpha))
    cover = alpha.numpy()[inner].astype(np.uint16)
    for channel, patch in zip(pixels, insertion.patch.numpy(), strict=True):
        under = channel[inner]
        mixed = under * (255 - cover)
        mixed += patch[inner] * cover
        under[...] = _over_255(mixed)


def _over_255(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """``values / 255``, rounded to the nearest, in place; exact up to 255 * 255 (Blinn, "Three Wrongs", 1995)."""
    values += 128
    values += values >> 8
    values >>= 8
    return values


def paint_labels(
    canvas: PixelCanvas,
    insertions: Sequence[Insertion],
    ids: Mapping[str, int],
    *,
    ring_px: int = 0,
    ring_id: int = 255,
) -> None:
    """Write the label ids of insertions' parts, and a ring of ``ring_id`` around each object.

    Whatever the base's labels were under an object, ignore included, they become the object's. All rings come
    before all objects: none covers another object.

    Args:
        canvas: the label map.
        insertions: in their order, far to near; the masks of one's parts are disjoint.
        ids: label id of each part's class name.
        ring_px: width of the rings in pixels; 0: none.
        ring_id: label id of the rings.
    """
    if isinstance(canvas, LendsLabels):
        paint_into(canvas.lend_labels()[None], [insertions], ids, ring_px=ring_px, ring_id=ring_id)
        return
    if ring_px:
        for insertion in insertions:
            box, mask = with_margin(insertion.box_yxhw, insertion.mask, ring_px, canvas.size_hw)
            labels = canvas.read(box)
            labels[dilate(mask, ring_px)] = ring_id
            canvas.write(box, labels)
    for insertion in insertions:
        if isinstance(canvas, Fills):
            for part in insertion.parts:
                canvas.fill(insertion.box_yxhw, part.mask, ids[part.name])
            continue
        labels = canvas.read(insertion.box_yxhw)
        for part in insertion.parts:
            labels[part.mask] = ids[part.name]
        canvas.write(insertion.box_yxhw, labels)


def compose_image(canvas: PixelCanvas, insertions: Iterable[Insertion], sigma_px: float) -> None:
    """Blend insertions, in their order (far to near), into an image canvas."""
    if isinstance(canvas, LendsImage):
        blend_into(canvas.lend_image()[None], [[*insertions]], sigma_px, bgr=canvas.bgr)
        return
    for insertion in insertions:
        if isinstance(canvas, Blends):
            canvas.blend(insertion.box_yxhw, insertion.patch, opacity(insertion, sigma_px), insertion.shade)
            continue
        pixels = canvas.read(insertion.box_yxhw)  # a copy, blended into in place
        _blend_patch(pixels.numpy(), insertion, sigma_px)
        canvas.write(insertion.box_yxhw, pixels)


class _Tensor:
    """A canvas over the last two dimensions of a tensor, which it writes into."""

    def __init__(self, value: torch.Tensor) -> None:
        self.value = value

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.value.shape[-2], self.value.shape[-1]

    def read(self, box_yxhw: Box) -> torch.Tensor:
        y, x, h, w = box_yxhw
        return self.value[..., y : y + h, x : x + w].clone()

    def write(self, box_yxhw: Box, value: torch.Tensor) -> None:
        y, x, h, w = box_yxhw
        self.value[..., y : y + h, x : x + w] = value


def compose(
    sample: Sample,
    insertions: Sequence[Insertion],
    ids: Mapping[str, int],
    *,
    sigma_px: float = 1.0,
    ring_px: int = 0,
    ring_id: int = 255,
) -> Sample:
    """A copy of ``sample`` with the insertions in its image and labels; ``sample`` is not modified."""
    image, labels = _Tensor(sample.image.clone()), _Tensor(sample.labels.clone())
    compose_image(image, insertions, sigma_px)
    paint_labels(labels, insertions, ids, ring_px=ring_px, ring_id=ring_id)
    return replace(sample, image=image.value, labels=labels.value)
