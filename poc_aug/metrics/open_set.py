"""Open-set segmentation: the IoU of the known classes when a model may also call a pixel anomalous (ISSU)."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.metrics import ranked
from poc_aug.metrics.anomaly import curve
from poc_aug.metrics.metric_inputs import checked_rate
from poc_aug.metrics.ranked_metric import RankedMetric
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.tensor_inputs import FLOATS, INTEGERS, check_tensors, ids_in

_KINDS = ("right", "wrong", "outlier")
"""Pixels by predicted class: of that class, of another known class, anomalous."""


class OpenSetSegmentation(RankedMetric):
    """Open-IoU: the mean IoU of the known classes, where pixels whose anomaly score is high are taken away from them.

    A pixel is predicted to be an outlier if its score is at or above a threshold, otherwise to be of the class that
    the model predicts. The open-IoU of known class ``k`` is ``TP / (TP + FP + FN)``, over all pixels of a dataset:
    ``FP`` counts pixels of other known classes *and of anomalies* that are predicted as ``k``, ``FN`` pixels of ``k``
    that are predicted as another class *or as outliers*. Outliers are no class of their own: the mean is over known
    classes (Grcić et al., *On Advantages of Mask-level Recognition for Outlier-aware Segmentation*, CVPR Workshops
    2023; reported by ISSU, Laskar et al., *A Dataset for Semantic Segmentation in the Presence of Unknowns*, CVPR 2025,
    at the thresholds of 95% TPR and of 5% FPR). Classes that no pixel is labelled with are left out of the mean, as in
    `poc_aug.evaluation.closed_set`; the public code of ISSU counts them as 0.

    Both thresholds come from the pixels themselves, in one pass. The figures are exact up to 250,000 distinct scores
    per predicted class; beyond that, the number of a class's pixels above a threshold, and the threshold's own rate,
    are known to a relative 5e-5 (`poc_aug.metrics.ranked`). Memory is constant, at most 30 MB per class.

    ``compute`` returns 0-dimensional float64 tensors:

    - ``open_IoU_TPR95``, ``TPR95_threshold``: at the largest threshold with a true positive rate of ``tpr`` or more;
    - ``open_IoU_FPR5``, ``FPR5_threshold``: at the smallest threshold with a false positive rate of ``fpr`` or less; if
      even the highest score has a higher rate, no pixel is an outlier, and the threshold is infinite;
    - ``closed_IoU``: the usual mean IoU, of the labelled pixels of known classes alone, without a threshold.

    Without a pixel of a known class all are NaN; without an anomalous pixel all but ``closed_IoU``.

    Args:
        num_classes: number of known classes.
        tpr: true positive rate of ``open_IoU_TPR95``.
        fpr: false positive rate of ``open_IoU_FPR5``.
        ood_index: label of anomalous pixels.
        ignore_index: label of pixels that do not count.
        options: those of ``torchmetrics.Metric``.

    Example:
        Road (0) and car (1); the score finds the anomaly (254), but rejects a pixel of the road too:

        >>> import torch
        >>> from poc_aug.metrics import OpenSetSegmentation
        >>> metric = OpenSetSegmentation(2)
        >>> labels = torch.tensor([[[0, 0, 0, 1, 1, 254]]])
        >>> predictions = torch.tensor([[[0, 0, 0, 1, 1, 0]]])
        >>> metric.update(torch.tensor([[[0.1, 0.1, 0.8, 0.2, 0.1, 0.7]]]), predictions, labels)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'open_IoU_TPR95': 0.833, 'TPR95_threshold': 0.7, 'open_IoU_FPR5': 0.875, 'FPR5_threshold': inf,
         'closed_IoU': 1.0}
    """

    higher_is_better = True
    _setting_names = ("num_classes", "tpr", "fpr", "ood_index", "ignore_index")

    def __init__(
        self,
        num_classes: int,
        *,
        tpr: float = 0.95,
        fpr: float = 0.05,
        ood_index: int = 254,
        ignore_index: int = 255,
        **options: Any,
    ) -> None:
        num_classes = checked_integer("num_classes", num_classes, least=1)
        ood_index, ignore_index = checked_integer("ood_index", ood_index), checked_integer("ignore_index", ignore_index)
        for name, index in (("ood_index", ood_index), ("ignore_index", ignore_index)):
            if 0 <= index < num_classes:
                raise SettingError(
                    f"{name}={index} is the id of a known class",
                    expected=f"an id outside 0 to {num_classes - 1}",
                    hint=f"choose another, and map those labels to it: {name}={num_classes}",
                )
        if ood_index == ignore_index:
            raise SettingError(f"ood_index={ood_index} is ignore_index too", expected="two ids")
        super().__init__(*(f"{kind}_{k}" for kind in _KINDS for k in range(num_classes)), **options)
        self.num_classes = num_classes
        self.tpr, self.fpr = checked_number("tpr", tpr, above=0, most=1), checked_rate("fpr", fpr)
        self.ood_index, self.ignore_index = ood_index, ignore_index
        self.add_state("labelled", default=torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, scores: torch.Tensor, predictions: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch.

        Args:
            scores: floating point ``[B, H, W]``, higher is more anomalous; infinite values are allowed.
            predictions: integer ``[B, H, W]``: the most probable class, 0 to ``num_classes`` - 1.
            labels: integer ``[B, H, W]``: class 0 to ``num_classes`` - 1, ``ood_index``, or ``ignore_index``.

        Raises:
            ItemFormatError: no tensors, on different devices or without a pixel; other shapes, dtypes or ids, or NaN
                among the scores.
        """
        self._check(scores, predictions, labels)
        scores, predictions, labels = scores.detach(), predictions.long(), labels.long()
        predictions = torch.where(labels == self.ignore_index, -1, predictions)
        known = labels[(predictions >= 0) & (labels != self.ood_index)]
        self.labelled += torch.bincount(known, minlength=self.num_classes).to(self.labelled)
        for k in range(self.num_classes):
            chosen = predictions == k
            values, truth = ranked.select(scores, chosen), ranked.select(labels, chosen)
            outlier = truth == self.ood_index
            self._add(f"right_{k}", values, truth == k)
            self._add(f"wrong_{k}", values, (truth != k) & ~outlier)
            self._add(f"outlier_{k}", values, outlier)

    def compute(self) -> dict[str, torch.Tensor]:
        """The figures over everything that was added, in all processes."""
        united = {name: self._united(name) for name in self._summaries()}
        anomalous = ranked.merge([united[f"outlier_{k}"] for k in range(self.num_classes)])
        known = ranked.merge([united[f"{kind}_{k}"] for kind in ("right", "wrong") for k in range(self.num_classes)])
        nan = torch.tensor(float("nan"), dtype=torch.float64, device=self.device)
        figures = dict.fromkeys(("open_IoU_TPR95", "TPR95_threshold", "open_IoU_FPR5", "FPR5_threshold"), nan)
        if len(anomalous[0]) and len(known[0]):
            thresholds, true_positives, false_positives = curve(known, anomalous)
            found = int((true_positives / true_positives[-1] >= self.tpr).nonzero()[0])
            quiet = int((false_positives / false_positives[-1] <= self.fpr).sum())
            at_tpr, at_fpr = thresholds[found], thresholds[quiet - 1] if quiet else None
            figures = {
                "open_IoU_TPR95": self._iou(united, at_tpr).nanmean(),
                "TPR95_threshold": at_tpr,
                "open_IoU_FPR5": self._iou(united, at_fpr).nanmean(),
                "FPR5_threshold": torch.full_like(nan, float("inf")) if at_fpr is None else at_fpr,
            }
        without = {name: summary for name, summary in united.items() if not name.startswith("outlier")}
        return {**figures, "closed_IoU": self._iou(without, None).nanmean()}

    def class_iou(self, threshold: float | None = None) -> torch.Tensor:
        """Open-IoU of each class at a threshold; ``None``: no pixel is an outlier.

        Returns:
            float64 ``[num_classes]``, NaN for classes that no pixel is labelled with.

        Raises:
            SettingError: the threshold is no number.

        Example:
            >>> import torch
            >>> from poc_aug.metrics import OpenSetSegmentation
            >>> metric = OpenSetSegmentation(2)
            >>> predictions, labels = torch.tensor([[[0, 0, 0]]]), torch.tensor([[[0, 0, 254]]])
            >>> metric.update(torch.tensor([[[0.25, 0.5, 0.75]]]), predictions, labels)
            >>> metric.class_iou(0.75).tolist(), metric.class_iou().tolist()
            ([1.0, nan], [0.666..., nan])
        """
        limit = None if threshold is None else checked_number("threshold", threshold, infinite=True)
        united = {name: self._united(name) for name in self._summaries()}
        return self._iou(united, None if limit is None else torch.tensor(limit, dtype=torch.float64))

    def _summaries(self) -> list[str]:
        return [f"{kind}_{k}" for kind in _KINDS for k in range(self.num_classes)]

    def _iou(self, united: dict[str, ranked.Summary], threshold: torch.Tensor | None) -> torch.Tensor:
        """IoU per class of the summaries given, without the pixels at or above the threshold."""
        kept = torch.zeros(len(_KINDS), self.num_classes, dtype=torch.float64, device=self.device)
        for name, (values, counts) in united.items():
            kind, _, k = name.rpartition("_")
            below = counts if threshold is None else counts[values.double() < threshold.to(values.device)]
            kept[_KINDS.index(kind), int(k)] = below.sum()
        right, wrong, outlier = kept
        iou = right / (self.labelled + wrong + outlier)
        return torch.where(self.labelled > 0, iou, float("nan"))

    def _check(self, scores: torch.Tensor, predictions: torch.Tensor, labels: torch.Tensor) -> None:
        given = {"scores": scores, "predictions": predictions, "labels": labels}
        check_tensors(**given)
        if scores.ndim != 3 or scores.shape != labels.shape or scores.shape != predictions.shape:
            shapes = ", ".join(f"{name} of shape {list(value.shape)}" for name, value in given.items())
            raise ItemFormatError(
                shapes,
                expected="all of them [B, H, W]",
                hint="predictions are classes, logits.argmax(dim=1); resize all to the labels' size",
            )
        if scores.dtype not in FLOATS:
            raise ItemFormatError(f"scores of {scores.dtype}", expected="floating point, higher is more anomalous")
        last = self.num_classes - 1
        self._check_ids("predictions", predictions, f"classes 0 to {last}", ())
        marks = (self.ood_index, self.ignore_index)
        expected = f"classes 0 to {last}, {self.ood_index} (anomaly) or {self.ignore_index} (ignored)"
        self._check_ids("labels", labels, expected, marks)
        if bool(scores.isnan().any()):
            raise ItemFormatError(
                f"scores hold NaN, {int(scores.isnan().sum())} of {scores.numel()}",
                expected="numbers (infinite ones are allowed)",
                hint="look for half-precision overflow in the model: compute the score in float32",
            )

    def _check_ids(self, name: str, ids: torch.Tensor, expected: str, marks: tuple[int, ...]) -> None:
        if ids.dtype not in INTEGERS:
            raise ItemFormatError(f"{name} of {ids.dtype}", expected=f"integers: {expected}")
        ids = ids.long()
        unknown = (ids < 0) | (ids >= self.num_classes)
        for mark in marks:
            unknown &= ids != mark
        if bool(unknown.any()):
            raise ItemFormatError(
                f"{name} hold ids {ids_in(ids[unknown])}",
                expected=expected,
                hint="map ids of no class to ignore_index first",
            )
