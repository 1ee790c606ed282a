"""Protocols of open-vocabulary models: texts in, scored masks out.

A `Finder` is what `PromptAnnotator` and `PromptLocator` are built on. Most finders are a `Detector` (text to boxes)
followed by a `Segmenter` (box to mask); some models do both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found for one text in one image, best first, before any NMS.

    Attributes:
        boxes_xyxy: float32 ``[N, 4]`` on the CPU, corners ``(x0, y0, x1, y1)`` in pixels of the image.
        scores: float32 ``[N]`` on the CPU, in [0, 1].
    """

    boxes_xyxy: torch.Tensor
    scores: torch.Tensor


@dataclass(frozen=True, slots=True)
class Masks:
    """What was found for one text in one image.

    Attributes:
        masks: bool ``[N, h, w]`` on the CPU, in the image's size.
        scores: float32 ``[N]`` on the CPU, of the detection, in [0, 1].
        boxes_xyxy: float32 ``[N, 4]`` on the CPU, of the detection.
    """

    masks: torch.Tensor
    scores: torch.Tensor
    boxes_xyxy: torch.Tensor


@runtime_checkable
class Detector(Protocol):
    """Text to boxes."""

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        ...

    def detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        """Boxes over the thresholds for one text per image.

        Args:
            images: uint8 ``[3, h, w]`` each, RGB, of any sizes.
            texts: one per image, as the user wrote it ("a sheep"); the detector converts it to its own form.
        """
        ...

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and how many are allowed."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Boxes to masks."""

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        ...

    def segment(self, images: Sequence[torch.Tensor], boxes_xyxy: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The best mask of each box: one bool ``[N, h, w]`` per image, on the CPU.

        Args:
            images: uint8 ``[3, h, w]`` each, RGB, of any sizes.
            boxes_xyxy: float32 ``[N, 4]`` per image; ``N`` may be 0.
        """
        ...


@runtime_checkable
class Finder(Protocol):
    """Texts to scored masks."""

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        ...

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        """For each image and each of its texts: what was found, after NMS.

        Args:
            images: uint8 ``[3, h, w]`` each, RGB, of any sizes.
            texts: the texts to look for in each image, at least one.
        """
        ...

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and how many are allowed."""
        ...


def segment_nonempty(
    run: Callable[[list[tuple[torch.Tensor, torch.Tensor]]], Sequence[torch.Tensor]],
    images: Sequence[torch.Tensor],
    boxes_xyxy: Sequence[torch.Tensor],
) -> list[torch.Tensor]:
    """`Segmenter.segment` with ``run`` over the images that have boxes; the others get no mask and are not encoded."""
    with_boxes = [i for i, boxes in enumerate(boxes_xyxy) if len(boxes)]
    segmented = run([(images[i], boxes_xyxy[i]) for i in with_boxes])
    results = [torch.zeros(0, *image.shape[-2:], dtype=torch.bool) for image in images]
    for i, masks in zip(with_boxes, segmented, strict=True):
        results[i] = masks
    return results
