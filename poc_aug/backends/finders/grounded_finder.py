"""A detector followed by a segmenter: text to boxes, boxes to masks (Grounded-SAM, POC §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torchvision.ops import nms

from poc_aug.backends.common.limits import check_counts, check_nms
from poc_aug.backends.finders.answer_checks import check_count
from poc_aug.backends.finders.finder_protocols import Detections, Detector, Masks, Segmenter
from poc_aug.backends.finders.paper_settings import NMS_IOU


class GroundedFinder:
    """Finds masks by text with a `Detector` and a `Segmenter`.

    Args:
        detector: text to boxes.
        segmenter: boxes to masks; it gets each image once, with the boxes of all its texts.
        nms_iou: of two boxes of one text that overlap more than this, the weaker one is dropped (GenVal: 0.8).
        max_boxes: most boxes kept per text.

    Raises:
        SettingError: a setting outside its limits.
    """

    def __init__(
        self, detector: Detector, segmenter: Segmenter, *, nms_iou: float = NMS_IOU, max_boxes: int = 20
    ) -> None:
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
        """Tokens that the text takes, and how many are allowed."""
        return self.detector.text_limit(text)

    def find(self, images: Sequence[torch.Tensor], texts: Sequence[Sequence[str]]) -> list[list[Masks]]:
        """For each image and each of its texts: what was found, best first.

        Raises:
            GenerationError: the detector or the segmenter returned a wrong number of results.
        """
        check_count("rows of texts", len(texts), "images", len(images))
        pairs = [(image, text) for image, image_texts in zip(images, texts, strict=True) for text in image_texts]
        if not pairs:
            return [[] for _ in images]
        detections = self.detector.detect([image for image, _ in pairs], [text for _, text in pairs])
        check_count(f"results of {type(self.detector).__name__}", len(detections), "texts", len(pairs))
        best = iter([self._best(of_text) for of_text in detections])
        rows = [[next(best) for _ in image_texts] for image_texts in texts]
        boxes = [
            torch.cat([of_text.boxes_xyxy for of_text in row]) if row else torch.zeros(0, 4, dtype=torch.float32)
            for row in rows
        ]
        masks = self.segmenter.segment(images, boxes)
        segmenter = type(self.segmenter).__name__
        check_count(f"results of {segmenter}", len(masks), "images", len(images))
        results = []
        for row, image_masks, image_boxes in zip(rows, masks, boxes, strict=True):
            check_count(f"masks of {segmenter}", len(image_masks), "boxes", len(image_boxes))
            split = torch.split(image_masks, [len(of_text.scores) for of_text in row]) if row else ()
            results.append(
                [Masks(mask, of_text.scores, of_text.boxes_xyxy) for of_text, mask in zip(row, split, strict=True)]
            )
        return results

    def _best(self, detections: Detections) -> Detections:
        # torchvision's nms returns indices by falling score.
        keep = nms(detections.boxes_xyxy, detections.scores, self.nms_iou)[: self.max_boxes]
        return Detections(detections.boxes_xyxy[keep], detections.scores[keep])
