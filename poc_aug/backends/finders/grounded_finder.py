"""A detector followed by a segmenter: text to boxes, boxes to masks (Grounded-SAM, POC §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torchvision.ops import nms

from poc_aug.backends.common.limits import check_counts, check_nms
from poc_aug.backends.finders.answer_checks import check_count
from poc_aug.backends.finders.finder_protocols import Detections, Detector, Masks, Segmenter


class GroundedFinder:
    """Finds masks by text with a `Detector` and a `Segmenter`.

    Args:
        detector: text to boxes.
        segmenter: boxes to masks; it sees each image once, with the boxes of all its texts.
        nms_iou: of two boxes of one text that overlap more than this, the weaker one is dropped (GenVal: 0.8).
        max_boxes: most boxes kept for one text.

    Raises:
        SettingError: a setting outside its limits.
    """

    def __init__(self, detector: Detector, segmenter: Segmenter, *, nms_iou: float = 0.8, max_boxes: int = 20) -> None:
        check_nms(nms_iou)
        check_counts(max_boxes=max_boxes)
        self.detector, self.segmenter = detector, segmenter
        self.nms_iou, self.max_boxes = nms_iou, max_boxes

    def describe(self) -> dict[str, Any]:
        """JSON values of everything that decides what is found."""
        return {
            "detector": self.detector.describe(),
            "segmenter": self.segmenter.describe(),
            "nms_iou": self.nms_iou,
            "max_boxes": self.max_boxes,
        }

    def text_limit(self, text: str) -> tuple[int, int]:
        """Tokens that the text takes, and tokens there are."""
        return self.detector.text_limit(text)

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        """For each image and each of its texts: what was found, best first.

        Raises:
            GenerationError: the detector or the segmenter gave another number of results than it was asked for.
        """
        check_count("rows of texts", len(texts), "images", len(images))
        pairs = [(image, text) for image, own in zip(images, texts, strict=True) for text in own]
        if not pairs:
            return [[] for _ in images]
        found = self.detector.detect([image for image, _ in pairs], [text for _, text in pairs])
        check_count(f"results of {type(self.detector).__name__}", len(found), "texts", len(pairs))
        kept = iter([self._best(one) for one in found])
        rows = [[next(kept) for _ in own] for own in texts]
        boxes = [
            torch.cat([one.boxes_xyxy for one in row]) if row else torch.zeros(0, 4, dtype=torch.float32)
            for row in rows
        ]
        masks = self.segmenter.segment(images, boxes)
        segmenter = type(self.segmenter).__name__
        check_count(f"results of {segmenter}", len(masks), "images", len(images))
        results = []
        for row, of_image, own in zip(rows, masks, boxes, strict=True):
            check_count(f"masks of {segmenter}", len(of_image), "boxes", len(own))
            split = torch.split(of_image, [len(one.scores) for one in row]) if row else ()
            results.append([Masks(mask, one.scores, one.boxes_xyxy) for one, mask in zip(row, split, strict=True)])
        return results

    def _best(self, found: Detections) -> Detections:
        # torchvision's nms returns indices by falling score.
        keep = nms(found.boxes_xyxy, found.scores, self.nms_iou)[: self.max_boxes]
        return Detections(found.boxes_xyxy[keep], found.scores[keep])
