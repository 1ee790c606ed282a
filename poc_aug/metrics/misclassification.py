"""Misclassification detection: whether a model's confidence tells the pixels that it gets right from the others."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.errors import ItemFormatError
from poc_aug.metrics import ranked
from poc_aug.metrics.anomaly import curve
from poc_aug.metrics.metric_inputs import confidence_of
from poc_aug.metrics.ranked_metric import RankedMetric
from poc_aug.number_settings import checked_integer, checked_number, checked_switch
from poc_aug.tensor_inputs import FLOATS, check_tensors


class MisclassificationDetection(RankedMetric):
    """Confidence against correctness, pooled over all labelled pixels of a dataset: the curves of the BRAVO challenge.

    A pixel is right if the class of the largest logit is its label. Its confidence is that class's softmax probability,
    or a map that is passed along. Right pixels should be the confident ones (Hendrycks & Gimpel, ICLR 2017; Corbière et
    al., NeurIPS 2019; Vu et al., *The BRAVO Semantic Segmentation Challenge Results in UNCV2024*, ECCV Workshops 2024).

    ``compute`` returns 0-dimensional float64 tensors:

    - ``AUROC``: probability that a right pixel is more confident than a wrong one, ties counting half;
    - ``FPR95``: share of the wrong pixels at or above the largest confidence threshold with ``tpr`` of the right pixels
      or more;
    - ``AUPR-Success``: average precision of finding right pixels by their confidence;
    - ``AUPR-Error``: average precision of finding wrong pixels by their lack of confidence.

    Without a right pixel ``AUPR-Success`` is NaN, without a wrong one ``AUPR-Error``, without either also ``AUROC`` and
    ``FPR95``. The definitions are those of the challenge's toolkit (``valeoai/bravo_challenge``, there
    ``get_curve_metrics``), which draws pixels and rounds confidences to 65,536 levels. Here all pixels count and every
    distinct confidence is a threshold: exactly up to 250,000 distinct ones per kind, beyond that to a relative 5e-5 of
    the pixels above it (``AUPR-Error``: below it), in constant memory (`poc_aug.metrics.ranked`).

    Args:
        tpr: the true positive rate of ``FPR95``.
        from_logits: whether ``update`` gets logits; otherwise probabilities.
        ignore_index: label of pixels that do not count; it may be that of a class.
        options: those of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> from poc_aug.metrics import MisclassificationDetection
        >>> metric = MisclassificationDetection(from_logits=False)
        >>> sure_of_0 = torch.tensor([0.9, 0.8, 0.7, 0.6])
        >>> predictions = torch.stack([sure_of_0, 1 - sure_of_0])[None, :, None]
        >>> metric.update(predictions, torch.tensor([[[0, 0, 1, 0]]]))  # the third pixel is wrong
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'AUROC': 0.667, 'FPR95': 1.0, 'AUPR-Success': 0.917, 'AUPR-Error': 0.5}
    """

    higher_is_better = True
    _setting_names = ("tpr", "from_logits", "ignore_index")

    def __init__(self, *, tpr: float = 0.95, from_logits: bool = True, ignore_index: int = 255, **options: Any) -> None:
        super().__init__("right", "wrong", "doubted_right", "doubted_wrong", **options)
        self.tpr = checked_number("tpr", tpr, above=0, most=1)
        self.from_logits = checked_switch("from_logits", from_logits)
        self.ignore_index = checked_integer("ignore_index", ignore_index)

    def update(self, predictions: torch.Tensor, labels: torch.Tensor, confidence: torch.Tensor | None = None) -> None:
        """Add a batch.

        Args:
            predictions: floating point ``[B, C, H, W]``, at least two classes, finite: logits, or probabilities.
            labels: integer ``[B, H, W]``: classes 0 to C - 1, or ``ignore_index``.
            confidence: floating point ``[B, H, W]`` on any scale, higher is surer, infinite values are allowed;
                ``None``: the predicted class's probability.

        Raises:
            ItemFormatError: no tensors, on different devices or without a pixel; other shapes, dtypes or ids, values
                that are not finite, probabilities outside [0, 1], or NaN among the confidences.
        """
        probability, right, wrong = confidence_of(
            predictions, labels, from_logits=self.from_logits, ignore=self.ignore_index
        )
        if confidence is not None:
            check_tensors(confidence=confidence, labels=labels)
            if confidence.shape != labels.shape or confidence.dtype not in FLOATS:
                raise ItemFormatError(
                    f"confidence of {confidence.dtype} {list(confidence.shape)} with labels {list(labels.shape)}",
                    expected="floating point [B, H, W], as the labels",
                )
            if bool(confidence.isnan().any()):
                raise ItemFormatError(
                    f"confidence holds NaN, {int(confidence.isnan().sum())} of {confidence.numel()}", expected="numbers"
                )
            probability = confidence.detach()
        # Summaries are finest at the top: one from the confident end, one from the other end for AUPR-Error.
        for prefix, values in (("", probability), ("doubted_", -probability)):
            self._add(f"{prefix}right", values, right)
            self._add(f"{prefix}wrong", values, wrong)

    def compute(self) -> dict[str, torch.Tensor]:
        """The figures over everything that was added, in all processes."""
        right, wrong = self._united("right"), self._united("wrong")
        _, hits, misses = curve(wrong, right)
        nan = torch.full((), float("nan"), dtype=torch.float64, device=hits.device)
        auroc = fpr = nan
        if len(right[0]) and len(wrong[0]):
            recall, fall_out = hits / hits[-1], misses / misses[-1]
            zero = recall.new_zeros(1)
            height = torch.cat([zero, recall])
            auroc = (torch.diff(fall_out, prepend=zero) * (height[1:] + height[:-1]) / 2).sum()
            fpr = fall_out[int((recall >= self.tpr).nonzero()[0])]
        return {
            "AUROC": auroc,
            "FPR95": fpr,
            "AUPR-Success": _average_precision(right, wrong) if len(right[0]) else nan,
            "AUPR-Error": (
                _average_precision(self._united("doubted_wrong"), self._united("doubted_right"))
                if len(wrong[0])
                else nan
            ),
        }


def _average_precision(positive: ranked.Summary, negative: ranked.Summary) -> torch.Tensor:
    _, hits, alarms = curve(negative, positive)
    return (torch.diff(hits / hits[-1], prepend=hits.new_zeros(1)) * hits / (hits + alarms)).sum()
