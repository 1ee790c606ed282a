"""Composing: put insertions into an image, touching nothing but each patch's rectangle.

POC §3.1, "object blending": ``(1 - a) * base + a * patch``, where ``a`` is the feathered mask. We feather as
``max(mask, G_sigma(mask))``, so the object itself stays opaque. An insertion that brings its own matte (``alpha``) is
blended with that instead: its edge is known already. Its shadow (``shade``) darkens the base first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from kornia.filters import gaussian_blur2d

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


def feather_radius_px(sigma_px: float) -> int:
    """How far beyond the mask a feather of ``sigma_px`` reaches, in pixels."""
    return math.ceil(3 * sigma_px)


def feather(mask: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """``max(mask, G_sigma(mask))``: 1 on the object, falling to 0 within `feather_radius_px` around it.

    Args:
        mask: bool ``[h, w]``.
        sigma_px: standard deviation of the Gaussian in pixels; 0 gives the mask itself.

    Returns:
        float32 ``[h, w]`` in [0, 1].
    """
    hard = mask.to(torch.float32)
    if sigma_px == 0:
        return hard
    size = 2 * feather_radius_px(sigma_px) + 1
    soft = gaussian_blur2d(hard[None, None], (size, size), (sigma_px, sigma_px), border_type="constant")[0, 0]
    return torch.maximum(hard, soft)


def dilate(mask: torch.Tensor, radius_px: int) -> torch.Tensor:
    """Grow a mask by a square of ``radius_px``: bool ``[h, w]``."""
    if radius_px == 0:
        return mask
    grown = mask[None].to(torch.float32)
    for kernel in ((2 * radius_px + 1, 1), (1, 2 * radius_px + 1)):  # separable: 2 k instead of k^2 reads
        padding = (kernel[0] // 2, kernel[1] // 2)
        grown = torch.nn.functional.max_pool2d(grown, kernel, stride=1, padding=padding)
    return grown[0] > 0


def opacity(insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """How much of the patch shows: float32 ``[h, w]`` in [0, 1]; its own matte, else its feathered mask."""
    if insertion.alpha is not None:
        return insertion.alpha.to(torch.float32) / 255
    return feather(insertion.mask, sigma_px)


def support(insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """The pixels that composing may change: bool ``[h, w]`` in the patch's rectangle."""
    touched = opacity(insertion, sigma_px) > 0
    return touched if insertion.shade is None else touched | (insertion.shade > 0)


def blend(base: torch.Tensor, insertion: Insertion, sigma_px: float) -> torch.Tensor:
    """Blend an insertion into the pixels of its rectangle.

    Args:
        base: uint8 ``[3, h, w]``, the base image in the patch's rectangle; not modified.
        insertion: what to blend in.
        sigma_px: feather in pixels.

    Returns:
        uint8 ``[3, h, w]``; equal to ``base`` wherever `support` is false.
    """
    under = base.to(torch.float32)
    if insertion.shade is not None:
        under = under * (1 - insertion.shade.to(torch.float32) / 255)
    over = torch.lerp(under, insertion.patch.to(torch.float32), opacity(insertion, sigma_px))
    return over.round_().clamp_(0, 255).to(torch.uint8)


def paint_labels(
    canvas: PixelCanvas,
    insertion: Insertion,
    ids: Mapping[str, int],
    *,
    ring_px: int = 0,
    ring_id: int = 255,
) -> None:
    """Write the label ids of an insertion's parts, and a ring of ``ring_id`` around the object.

    Whatever the base's labels were under the object, ignore included, they become the object's.

    Args:
        canvas: the label map.
        insertion: its parts' masks are disjoint.
        ids: label id of each part's class name.
        ring_px: width of the ring in pixels; 0: no ring.
        ring_id: label id of the ring.
    """
    box, masks = insertion.box_yxhw, [part.mask for part in insertion.parts]
    if ring_px:
        box, masks = _grown(box, masks, ring_px, canvas.size_hw)
    labels = canvas.read(box)
    if ring_px:
        labels[dilate(torch.stack(masks).any(dim=0), ring_px)] = ring_id
    for part, mask in zip(insertion.parts, masks, strict=True):
        labels[mask] = ids[part.name]
    canvas.write(box, labels)


def _grown(
    box: Box, masks: list[torch.Tensor], margin_px: int, size_hw: tuple[int, int]
) -> tuple[Box, list[torch.Tensor]]:
    """The box grown by ``margin_px`` inside the frame, and the masks in it."""
    y, x, h, w = box
    top, left = max(0, y - margin_px), max(0, x - margin_px)
    bottom, right = min(size_hw[0], y + h + margin_px), min(size_hw[1], x + w + margin_px)
    padding = (x - left, right - x - w, y - top, bottom - y - h)
    grown = [torch.nn.functional.pad(mask, padding) for mask in masks]
    return (top, left, bottom - top, right - left), grown


def compose_image(canvas: PixelCanvas, insertions: Iterable[Insertion], sigma_px: float) -> None:
    """Blend insertions, in their order (far to near), into an image canvas."""
    for insertion in insertions:
        canvas.write(insertion.box_yxhw, blend(canvas.read(insertion.box_yxhw), insertion, sigma_px))


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
    insertions: Iterable[Insertion],
    ids: Mapping[str, int],
    *,
    sigma_px: float = 1.0,
    ring_px: int = 0,
    ring_id: int = 255,
) -> Sample:
    """A copy of ``sample`` with the insertions in its image and labels; ``sample`` is not modified."""
    image, labels = _Tensor(sample.image.clone()), _Tensor(sample.labels.clone())
    for insertion in insertions:
        compose_image(image, (insertion,), sigma_px)
        paint_labels(labels, insertion, ids, ring_px=ring_px, ring_id=ring_id)
    return Sample(image.value, labels.value, sample.key)
