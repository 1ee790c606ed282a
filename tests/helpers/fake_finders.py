"""A detector, a segmenter and a finder without weights: they find what a script says, and remember what was asked.

What is asked of them is checked as the protocols of `poc_aug.backends.finders.finder_protocols` promise it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from poc_aug.backends.finders.finder_protocols import Detections, Masks

Box = tuple[float, float, float, float]
Scored = tuple[Box, float]


def box_mask(size_hw: tuple[int, int], box_xyxy: Sequence[float]) -> torch.Tensor:
    """The pixels whose centres lie in a box, bool ``[h, w]``."""
    x0, y0, x1, y1 = box_xyxy
    rows = torch.arange(size_hw[0]) + 0.5
    cols = torch.arange(size_hw[1]) + 0.5
    return ((rows >= y0) & (rows < y1))[:, None] & ((cols >= x0) & (cols < x1))[None]


def _check_image(image: torch.Tensor) -> None:
    assert image.dtype == torch.uint8
    assert image.ndim == 3
    assert image.shape[0] == 3


class FakeDetector:
    """Finds the scripted boxes of each text, best first; of a text that is not scripted, nothing."""

    def __init__(self, script: Mapping[str, Sequence[Scored]], *, limit: int = 16) -> None:
        self.script = {text: sorted(found, key=lambda one: -one[1]) for text, found in script.items()}
        self.limit = limit
        self.asked: list[tuple[str, ...]] = []

    def describe(self) -> dict[str, Any]:
        return {"detector": "fake", "texts": sorted(self.script), "limit": self.limit}

    def detect(self, images: Sequence[torch.Tensor], texts: Sequence[str]) -> list[Detections]:
        assert len(images) == len(texts)
        self.asked.append(tuple(texts))
        for image in images:
            _check_image(image)
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Detections:
        found = self.script.get(text, [])
        boxes = torch.tensor([box for box, _ in found], dtype=torch.float32).reshape(-1, 4)
        return Detections(boxes, torch.tensor([score for _, score in found], dtype=torch.float32))

    def text_limit(self, text: str) -> tuple[int, int]:
        return len(text.split()) + 2, self.limit


class FakeSegmenter:
    """The mask of a box is the box."""

    def __init__(self) -> None:
        self.encoded: list[tuple[int, int]] = []

    def describe(self) -> dict[str, Any]:
        return {"segmenter": "fake"}

    def segment(self, images: Sequence[torch.Tensor], boxes_xyxy: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        results = []
        for image, boxes in zip(images, boxes_xyxy, strict=True):
            _check_image(image)
            assert boxes.dtype == torch.float32
            assert boxes.shape[1:] == (4,)
            size_hw = (image.shape[-2], image.shape[-1])
            self.encoded.append(size_hw)
            masks = [box_mask(size_hw, box) for box in boxes.tolist()]
            results.append(torch.stack(masks) if masks else torch.zeros(0, *size_hw, dtype=torch.bool))
        return results


class FakeFinder:
    """Finds scripted masks with scores, in the script's order.

    Args:
        script: for each text its masks, bool ``[h, w]`` or a box that is cut to the image, with their scores.
        limit: tokens there are; a text takes one a word.
        seconds: how long a search takes, for tests with threads.

    Attributes:
        asked: images and texts of every call.
        most_at_once: most calls that ran at the same time.
    """

    def __init__(
        self,
        script: Mapping[str, Sequence[tuple[torch.Tensor | Box, float]]],
        *,
        limit: int = 16,
        seconds: float = 0.0,
    ) -> None:
        self.script, self.limit, self.seconds = dict(script), limit, seconds
        self.asked: list[tuple[int, list[tuple[str, ...]]]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def describe(self) -> dict[str, Any]:
        return {"finder": "fake", "texts": sorted(self.script), "limit": self.limit}

    def text_limit(self, text: str) -> tuple[int, int]:
        return len(text.split()), self.limit

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        with self._lock:
            self.asked.append((len(images), [tuple(own) for own in texts]))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.seconds)
        with self._lock:
            self._at_once -= 1
        return [[self._one(image, text) for text in own] for image, own in zip(images, texts, strict=True)]

    def _one(self, image: torch.Tensor, text: str) -> Masks:
        _check_image(image)
        size_hw = (image.shape[-2], image.shape[-1])
        found = self.script.get(text, [])
        masks = [one if isinstance(one, torch.Tensor) else box_mask(size_hw, one) for one, _ in found]
        return Masks(
            masks=torch.stack(masks) if masks else torch.zeros(0, *size_hw, dtype=torch.bool),
            scores=torch.tensor([score for _, score in found], dtype=torch.float32),
            boxes_xyxy=torch.tensor([_bounds(mask) for mask in masks], dtype=torch.float32).reshape(-1, 4),
        )


def _bounds(mask: torch.Tensor) -> Box:
    rows, cols = mask.any(dim=1).nonzero().flatten().tolist(), mask.any(dim=0).nonzero().flatten().tolist()
    return (cols[0], rows[0], cols[-1] + 1, rows[-1] + 1) if rows else (0.0, 0.0, 0.0, 0.0)
