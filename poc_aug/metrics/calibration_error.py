"""Calibration errors of a segmentation model, how far its confidence is from its accuracy: ECE, adaptive ECE, KS."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.metrics.ranked_metric import RankedMetric


class SegmentationCalibration(RankedMetric):
    """Calibration errors of the predicted class's probability, pooled over all labelled pixels of a dataset.

    ``compute`` returns 0-dimensional float64 tensors, in [0, 1]; NaN if no pixel is labelled:

    - ``ECE``: expected calibration error over ``bins`` intervals of equal width (Naeini et al. 2015; Guo et al. 2017);
    - ``AdaptiveECE``: the same over ``bins`` groups of equally many pixels (Nixon et al. 2019);
    - ``KS``: Kolmogorov-Smirnov error, the largest gap of the cumulative confidence and accuracy, without bins
      (Gupta et al., ICLR 2021);
    - ``accuracy`` and ``confidence``, their means.

    Memory is constant: confidences are kept as counts, exactly up to 250,000 distinct ones, beyond that to a relative
    rank of 5e-5 (`poc_aug.metrics.ranked`).

    Args:
        bins: number of intervals of ``ECE`` and ``AdaptiveECE``.
        from_logits: whether ``update`` gets logits; otherwise probabilities.
        ignore_index: label of pixels that do not count.
        options: those of ``torchmetrics.Metric``.

    Example:
        A model that is 80% sure of class 0 everywhere, but right at half of the pixels:

        >>> import torch
        >>> from poc_aug.metrics import SegmentationCalibration
        >>> metric = SegmentationCalibration(from_logits=False)
        >>> probabilities = torch.tensor([0.8, 0.2])[None, :, None, None].expand(1, 2, 1, 4)
        >>> metric.update(probabilities, torch.tensor([[[0, 1, 0, 1]]]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'ECE': 0.3, 'AdaptiveECE': 0.3, 'KS': 0.3, 'accuracy': 0.5, 'confidence': 0.8}
    """

    higher_is_better = False

    def __init__(self, *, bins: int = 15, from_logits: bool = True, ignore_index: int = 255, **options: Any) -> None:
        if bins < 1:
            raise SettingError(f"bins={bins}", expected="1 or more")
        super().__init__("right", "wrong", **options)
        self.bins, self.from_logits, self.ignore_index = bins, from_logits, ignore_index

    def update(self, predictions: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch.

        Args:
            predictions: floating point ``[B, C, H, W]``: logits, or probabilities.
            labels: integer ``[B, H, W]``: classes 0 to C - 1, or ``ignore_index``.

        Raises:
            ItemFormatError: other shapes or ids, NaN, or probabilities outside [0, 1].
        """
        self._check(predictions, labels)
        predictions = predictions.detach().float()
        probabilities = predictions.softmax(dim=1) if self.from_logits else predictions
        confidence, predicted = probabilities.max(dim=1)
        counted, right = labels != self.ignore_index, labels == predicted
        self._add("right", confidence, counted & right)
        self._add("wrong", confidence, counted & ~right)

    def compute(self) -> dict[str, torch.Tensor]:
        """The figures over everything that was added, in all processes."""
        right, wrong = self._united("right"), self._united("wrong")
        values = torch.cat([right[0].double(), wrong[0].double()])
        order = values.argsort()
        values = values[order]
        pixels = torch.cat([right[1], wrong[1]])[order].double()
        hits = torch.cat([right[1], torch.zeros_like(wrong[1])])[order].double()
        total = pixels.sum()
        gaps = values * pixels - hits  # confidence minus accuracy, in pixels
        # Right-closed intervals, as in Guo et al. Equal confidences stay in one group, placed by its middle pixel.
        wide = ((values * self.bins).ceil() - 1).clamp(0, self.bins - 1).long()
        middle = (pixels.cumsum(0) - pixels / 2) / total
        # Right and wrong pixels of the same confidence go into the same group.
        _, same = torch.unique_consecutive(values, return_inverse=True)
        middle = torch.zeros_like(middle).scatter_reduce(0, same, middle, "mean", include_self=False)[same]
        even = (middle * self.bins).long().clamp(0, self.bins - 1)
        last = torch.ones_like(values, dtype=torch.bool)
        last[:-1] = values[1:] != values[:-1]
        return {
            "ECE": self._binned(gaps, wide) / total,
            "AdaptiveECE": self._binned(gaps, even) / total,
            "KS": gaps.cumsum(0)[last].abs().max() / total if len(gaps) else total / total,
            "accuracy": hits.sum() / total,
            "confidence": (values * pixels).sum() / total,
        }

    def _binned(self, gaps: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        return gaps.new_zeros(self.bins).index_add(0, place, gaps).abs().sum()

    def _check(self, predictions: torch.Tensor, labels: torch.Tensor) -> None:
        fits = predictions.ndim == 4 and labels.ndim == 3 and predictions.shape[0] == labels.shape[0]
        if not fits or predictions.shape[2:] != labels.shape[1:]:
            raise ItemFormatError(
                f"predictions of shape {list(predictions.shape)} with labels of shape {list(labels.shape)}",
                expected="[B, C, H, W] and [B, H, W]",
                hint="resize the predictions to the labels' size",
            )
        if labels.dtype.is_floating_point or not predictions.dtype.is_floating_point:
            raise ItemFormatError(
                f"predictions of {predictions.dtype}, labels of {labels.dtype}", expected="floating point and integer"
            )
        classes = predictions.shape[1]
        unknown = labels[(labels != self.ignore_index) & ((labels < 0) | (labels >= classes))]
        if len(unknown):
            raise ItemFormatError(
                f"labels hold ids {sorted(set(unknown.tolist()))[:8]}",
                expected=f"classes 0 to {classes - 1}, or {self.ignore_index}",
                hint="map other ids to ignore_index first",
            )
        if bool(predictions.isnan().any()):
            raise ItemFormatError(
                f"predictions hold NaN, {int(predictions.isnan().sum())} of {predictions.numel()}", expected="numbers"
            )
        if not self.from_logits and not bool(((predictions >= 0) & (predictions <= 1 + 1e-4)).all()):
            raise ItemFormatError(
                f"probabilities from {float(predictions.min()):g} to {float(predictions.max()):g}",
                expected="values in [0, 1]",
                hint="pass logits with from_logits=True",
            )
