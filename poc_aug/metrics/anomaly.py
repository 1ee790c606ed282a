"""Pixel-wise anomaly segmentation: AuPRC, FPR at 95% TPR, TPR at 5% FPR, AUROC and the best F1 over all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from poc_aug.errors import SettingError
from poc_aug.metrics import ranked
from poc_aug.metrics.metric_inputs import check_scores, checked_anomaly_ignore, checked_rate
from poc_aug.metrics.ranked_metric import RankedMetric
from poc_aug.number_settings import checked_number
from poc_aug.tensor_inputs import signed

_FIGURES = ("AuPRC", "FPR95", "FPR95_threshold", "TPR5", "TPR5_threshold", "AUROC", "F1", "F1_threshold")


class AnomalySegmentation(RankedMetric):
    """Pixel-wise anomaly segmentation over all pixels of a dataset (SegmentMeIfYouCan, Chan et al. 2021, section 4.1).

    Pixels are pooled, not averaged per image, and thresholds are not chosen beforehand: every distinct score is one,
    as in scikit-learn. The figures are exact up to 250,000 distinct scores per class; beyond that, the number of pixels
    above each score is known to a relative 5e-5 on any scale (`poc_aug.metrics.ranked`), in constant memory.

    ``compute`` returns 0-dimensional float64 tensors:

    - ``AuPRC``: average precision, ``sum((recall_k - recall_k-1) * precision_k)``;
    - ``FPR95``, ``FPR95_threshold``: false positive rate at the largest threshold with a true positive rate of
      ``tpr`` or more;
    - ``TPR5``, ``TPR5_threshold``: true positive rate at the smallest threshold with a false positive rate of ``fpr``
      or less (ISSU, Laskar et al., CVPR 2025); 0 and infinity if even the highest score has a higher rate;
    - ``AUROC``: area under the ROC curve, ties counting half;
    - ``F1``, ``F1_threshold``: the largest F1 and the largest threshold that has it.

    A pixel counts as anomalous if its score is at or above a threshold. If no pixel is anomalous, or none is
    in-distribution, all figures are NaN.

    Args:
        tpr: the true positive rate of ``FPR95``.
        fpr: the false positive rate of ``TPR5``.
        ignore_index: label of pixels that do not count; not 0 or 1.
        options: those of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from poc_aug.metrics import AnomalySegmentation
        >>> metric = AnomalySegmentation()
        >>> metric.update(torch.tensor([[[0.1, 0.9, 0.8, 0.3]]]), torch.tensor([[[0, 1, 0, 255]]]))
        >>> metric.update(torch.tensor([[[0.2, 0.7, 0.4, 0.6]]]), torch.tensor([[[0, 1, 0, 0]]]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'AuPRC': 0.833, 'FPR95': 0.2, 'FPR95_threshold': 0.7, 'TPR5': 0.5, 'TPR5_threshold': 0.9,
         'AUROC': 0.9, 'F1': 0.8, 'F1_threshold': 0.7}
    """

    higher_is_better = True
    _setting_names = ("tpr", "fpr", "ignore_index")

    def __init__(self, *, tpr: float = 0.95, fpr: float = 0.05, ignore_index: int = 255, **options: Any) -> None:
        super().__init__("known", "anomalous", **options)
        self.tpr, self.fpr = checked_number("tpr", tpr, above=0, most=1), checked_rate("fpr", fpr)
        self.ignore_index = checked_anomaly_ignore(ignore_index)

    def update(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch.

        Args:
            scores: floating point ``[B, H, W]``, higher is more anomalous; infinite values are allowed.
            labels: integer ``[B, H, W]``: 0 in-distribution, 1 anomaly, ``ignore_index``.

        Raises:
            ItemFormatError: no tensors, on different devices or without a pixel; other shapes, dtypes or ids, or NaN
                among the scores.
        """
        check_scores(scores, labels, self.ignore_index)
        scores, labels = scores.detach(), signed(labels)
        self._add("known", scores, labels == 0)
        self._add("anomalous", scores, labels == 1)

    def compute(self) -> dict[str, torch.Tensor]:
        """The figures over everything that was added, in all processes."""
        known, anomalous = self._united("known"), self._united("anomalous")
        thresholds, true_positives, false_positives = curve(known, anomalous)
        if not (len(known[0]) and len(anomalous[0])):
            nan = torch.tensor(float("nan"), dtype=torch.float64, device=self.device)
            return dict.fromkeys(_FIGURES, nan)
        positives, negatives = true_positives[-1], false_positives[-1]
        recall, fall_out = true_positives / positives, false_positives / negatives
        precision = true_positives / (true_positives + false_positives)
        f1 = 2 * true_positives / (true_positives + false_positives + positives)
        first, best = int((recall >= self.tpr).nonzero()[0]), int(f1.argmax())
        quiet = int((fall_out <= self.fpr).sum())  # the rate never falls, so the first ones are those at or below it
        zero = recall.new_zeros(1)
        width, height = torch.diff(fall_out, prepend=zero), torch.cat([zero, recall])
        return {
            "AuPRC": (torch.diff(recall, prepend=zero) * precision).sum(),
            "FPR95": fall_out[first],
            "FPR95_threshold": thresholds[first],
            "TPR5": recall[quiet - 1] if quiet else zero[0],
            "TPR5_threshold": thresholds[quiet - 1] if quiet else torch.full_like(zero[0], float("inf")),
            "AUROC": (width * (height[1:] + height[:-1]) / 2).sum(),
            "F1": f1[best],
            "F1_threshold": thresholds[best],
        }

    def curves(self) -> dict[str, torch.Tensor]:
        """The curve behind the figures: one point per threshold, the largest threshold first.

        Returns:
            ``threshold``, ``precision``, ``recall`` and ``false_positive_rate``, float64 ``[n]``.

        Example:
            >>> import torch
            >>> from poc_aug.metrics import AnomalySegmentation
            >>> metric = AnomalySegmentation()
            >>> metric.update(torch.tensor([[[0.1, 0.9, 0.8]]]), torch.tensor([[[0, 1, 0]]]))
            >>> metric.curves()["precision"].tolist()
            [1.0, 0.5, 0.333...]
        """
        thresholds, true_positives, false_positives = curve(self._united("known"), self._united("anomalous"))
        return {
            "threshold": thresholds,
            "precision": true_positives / (true_positives + false_positives),
            "recall": true_positives / true_positives[-1:],
            "false_positive_rate": false_positives / false_positives[-1:],
        }

    def quantiles(self, shares: Sequence[float]) -> dict[str, list[float]]:
        """Quantiles of the scores of in-distribution ("known") and of anomalous pixels; empty if there are none.

        Args:
            shares: quantile levels in [0, 1].

        Raises:
            SettingError: levels that are no numbers, or outside.

        Example:
            >>> import torch
            >>> from poc_aug.metrics import AnomalySegmentation
            >>> metric = AnomalySegmentation()
            >>> metric.update(torch.tensor([[[0.25, 0.5, 0.75]]]), torch.tensor([[[0, 0, 1]]]))
            >>> metric.quantiles([0.0, 1.0])
            {'known': [0.25, 0.5], 'anomalous': [0.75, 0.75]}
        """
        levels = [checked_number("shares", share, most=1) for share in shares]
        if any(level < 0 for level in levels):
            raise SettingError(f"shares={levels}", expected="quantile levels in [0, 1]")
        return {name: _quantiles(self._united(name), levels) for name in ("known", "anomalous")}


def _quantiles(summary: ranked.Summary, shares: Sequence[float]) -> list[float]:
    values, counts = summary
    if not len(values):
        return []
    wanted = torch.tensor(shares, dtype=torch.float64, device=values.device) * (counts.sum() - 1)
    places = torch.searchsorted(counts.cumsum(0).double(), wanted, right=True)
    return [float(value) for value in values[places.clamp(max=len(values) - 1)]]


def curve(known: ranked.Summary, anomalous: ranked.Summary) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distinct scores of both classes, descending, and how many pixels of each class are at or above them.

    Returns:
        Thresholds, true positives, false positives, float64 ``[n]``.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.anomaly import curve
        >>> known = torch.tensor([0.2, 0.6]), torch.tensor([5, 1])
        >>> anomalous = torch.tensor([0.6]), torch.tensor([3])
        >>> [values.tolist() for values in curve(known, anomalous)]
        [[0.600..., 0.200...], [3.0, 3.0], [1.0, 6.0]]
    """
    values = torch.cat([known[0].double(), anomalous[0].double()])
    order = values.argsort(descending=True)
    values = values[order]
    last = torch.ones_like(values, dtype=torch.bool)
    last[:-1] = values[1:] != values[:-1]
    zeros = torch.zeros_like
    false = torch.cat([known[1], zeros(anomalous[1])])[order].cumsum(0)
    true = torch.cat([zeros(known[1]), anomalous[1]])[order].cumsum(0)
    return values[last], true[last].double(), false[last].double()
