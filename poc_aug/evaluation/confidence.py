"""Confidence against correctness on the known classes: figures of calibration and of misclassification detection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from poc_aug.evaluation.figure_values import json_figures
from poc_aug.metrics import MisclassificationDetection, SegmentationCalibration

_REASONS = {
    "AUROC": "all labelled pixels are right, or all are wrong",
    "FPR95": "all labelled pixels are right, or all are wrong",
    "AUPR-Success": "no labelled pixel is right",
    "AUPR-Error": "no labelled pixel is wrong",
}


class ConfidenceFigures:
    """Figures of the softmax's maximum against whether the pixel is right: ECE and `MisclassificationDetection`.

    Args:
        classes: number of the dataset's classes; a prediction beyond them is wrong.
        ignore_index: label of pixels that do not count.
        device: where the metrics are.

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.confidence import ConfidenceFigures
        >>> figures = ConfidenceFigures(classes=2, ignore_index=255)
        >>> logits = torch.tensor([[4.0, 1.0], [0.0, 0.0]])[None, :, None]
        >>> figures.update(logits, predicted=torch.tensor([[[0, 0]]]), truth=torch.tensor([[[0, 1]]]))
        >>> {name: round(value, 3) for name, value in figures.compute().items()}
        {'ECE': 0.375, 'AUROC': 1.0, 'FPR95': 0.0, 'AUPR-Success': 1.0, 'AUPR-Error': 1.0}
    """

    def __init__(self, classes: int, ignore_index: int, device: str | torch.device = "cpu") -> None:
        self.classes = classes
        self.calibration = SegmentationCalibration(from_logits=False, ignore_index=ignore_index).to(device)
        self.detection = MisclassificationDetection(from_logits=False, ignore_index=ignore_index).to(device)

    def update(self, logits: torch.Tensor, predicted: torch.Tensor, truth: torch.Tensor) -> None:
        """Add a batch.

        Args:
            logits: floating point ``[B, C, H, W]``, of all channels among which the model chooses.
            predicted: int64 ``[B, H, W]``: the chosen channel's place among the dataset's classes, or ``classes``.
            truth: integer ``[B, H, W]``: places among the dataset's classes, or ``ignore_index``.
        """
        # The confidence at the place of the prediction: several channels may mean one class of the dataset.
        confidence = logits.softmax(dim=1).amax(dim=1, keepdim=True)
        empty = confidence.new_zeros((len(confidence), self.classes + 1, *confidence.shape[2:]))
        probabilities = empty.scatter(1, predicted[:, None], confidence)
        self.calibration.update(probabilities, truth)
        self.detection.update(probabilities, truth)

    def compute(self) -> dict[str, float]:
        """The figures over everything that was added; NaN if undefined."""
        figures = {"ECE": self.calibration.compute()["ECE"], **self.detection.compute()}
        return {name: float(value) for name, value in figures.items()}


def confidence_values(figures: Mapping[str, float]) -> dict[str, Any]:
    """The figures of `ConfidenceFigures` as JSON values: null with a reason if undefined.

    Example:
        >>> from poc_aug.evaluation.confidence import confidence_values
        >>> confidence_values({"ECE": 0.25, "AUPR-Error": float("nan")})
        {'ECE': 0.25, 'AUPR-Error': None, 'undefined': {'AUPR-Error': 'no labelled pixel is wrong'}}
    """
    return json_figures(figures, lambda name: _REASONS.get(name, "no labelled pixel"))
