"""Calibration errors of a segmentation model, how far its confidence is from its accuracy: ECE, adaptive ECE, KS."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.metrics.metric_inputs import confidence_of
from poc_aug.metrics.ranked_metric import RankedMetric
from poc_aug.number_settings import checked_integer, checked_switch

_MOST_BINS = 1_000_000


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
        ignore_index: label of pixels that do not count; it may be that of a class.
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
    _setting_names = ("bins", "from_logits", "ignore_index")

    def __init__(self, *, bins: int = 15, from_logits: bool = True, ignore_index: int = 255, **options: Any) -> None:
        super().__init__("right", "wrong", **options)
        self.bins = checked_integer("bins", bins, least=1, most=_MOST_BINS)
        self.from_logits = checked_switch("from_logits", from_logits)
        self.ignore_index = checked_integer("ignore_index", ignore_index)

    def update(self, predictions: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch.

        Args:
            predictions: floating point ``[B, C, H, W]``, at least two classes, finite: logits, or probabilities.
            labels: integer ``[B, H, W]``: classes 0 to C - 1, or ``ignore_index``.

        Raises:
            ItemFormatError: no tensors, on different devices or without a pixel; other shapes, dtypes or ids, values
                that are not finite, or probabilities outside [0, 1].
        """
        confidence, right, wrong = confidence_of(
            predictions, labels, from_logits=self.from_logits, ignore=self.ignore_index
        )
        self._add("right", confidence, right)
        self._add("wrong", confidence, wrong)

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
