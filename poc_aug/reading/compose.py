"""Composing: put insertions into an image, touching nothing but each patch's rectangle.

POC §3.1, "object blending": ``(1 - a) * base + a * patch``, where ``a`` is the feathered mask. We feather as
``max(mask, G_sigma(mask))``, so the object itself stays opaque. An insertion that brings its own matte (``alpha``) is
blended with that instead: its edge is known already. Its shadow (``shade``) darkens the base first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import SettingError
from poc_aug.masks import bounds, dilate, feather, window
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
    """An image canvas that blends by itself, to the same bits as `blend`."""

    def blend(self, box_yxhw: Box, patch: torch.Tensor, alpha: torch.Tensor, shade: torch.Tensor | None) -> None:
        """Darken by ``shade``, then put ``patch`` over it by ``alpha``."""
        ...


@runtime_checkable
class Fills(Protocol):
    """A label canvas that writes an id under a mask by itself."""

    def fill(self, box_yxhw: Box, mask: torch.Tensor, label_id: int) -> None:
        """Write ``label_id`` where ``mask`` is true."""
        ...


def opacity(insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """How much of the patch shows: uint8 ``[h, w]``, 255 is opaque; its own matte, else its feathered mask.

    Raises:
        SettingError: a feather wider than the patch holds pixels for.
    """
    if insertion.alpha is not None:
        return insertion.alpha
    if not 0 <= sigma_px <= insertion.max_sigma_px:
        raise SettingError(
            f"sigma_px={sigma_px}",
            expected=f"0 to {insertion.max_sigma_px}: the insertion holds no pixels beyond that feather",
            hint="choose a smaller sigma_px, or make the cache with a larger max_sigma_px in the recipe",
        )
    return feather(insertion.mask, sigma_px).mul_(255).round_().to(torch.uint8)


def support(insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """The pixels that composing may change: bool ``[h, w]`` in the patch's rectangle."""
    touched = opacity(insertion, sigma_px) > 0
    return touched if insertion.shade is None else touched | (insertion.shade > 0)


def covered(insertions: Iterable[Insertion], size_hw: tuple[int, int], sigma_px: float) -> torch.Tensor:
    """The pixels that an object or its soft edge covers: bool ``[H, W]`` of the frame; shadows do not count."""
    mask = torch.zeros(size_hw, dtype=torch.bool)
    for insertion in insertions:
        y, x, h, w = insertion.box_yxhw
        mask[y : y + h, x : x + w] |= opacity(insertion, sigma_px) > 0
    return mask


def blend(base: torch.Tensor, insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """Blend an insertion into the pixels of its rectangle.

    Args:
        base: uint8 ``[3, h, w]``, the base image in the patch's rectangle; not modified.
        insertion: what to blend in.
        sigma_px: feather in pixels.

    Returns:
        uint8 ``[3, h, w]``; equal to ``base`` wherever `support` is false.
    """
    pixels = base.clone(memory_format=torch.contiguous_format)
    _blend_into(pixels.numpy(), insertion, sigma_px)
    return pixels


def _blend_into(pixels: npt.NDArray[np.uint8], insertion: Insertion, sigma_px: float) -> None:
    """Blend in place. In whole numbers, each step rounded to the nearest: 2x faster than float32."""
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
    if ring_px:
        for insertion in insertions:
            box, mask = _grown(insertion.box_yxhw, insertion.mask, ring_px, canvas.size_hw)
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


def _grown(box: Box, mask: torch.Tensor, margin_px: int, size_hw: tuple[int, int]) -> tuple[Box, torch.Tensor]:
    """The box grown by ``margin_px`` inside the frame, and the mask in it."""
    y, x, h, w = box
    top, left = max(0, y - margin_px), max(0, x - margin_px)
    bottom, right = min(size_hw[0], y + h + margin_px), min(size_hw[1], x + w + margin_px)
    padding = (x - left, right - x - w, y - top, bottom - y - h)
    return (top, left, bottom - top, right - left), torch.nn.functional.pad(mask, padding)


def compose_image(canvas: PixelCanvas, insertions: Iterable[Insertion], sigma_px: float) -> None:
    """Blend insertions, in their order (far to near), into an image canvas."""
    for insertion in insertions:
        if isinstance(canvas, Blends):
            canvas.blend(insertion.box_yxhw, insertion.patch, opacity(insertion, sigma_px), insertion.shade)
            continue
        pixels = canvas.read(insertion.box_yxhw)  # a copy, blended into in place
        _blend_into(pixels.numpy(), insertion, sigma_px)
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
