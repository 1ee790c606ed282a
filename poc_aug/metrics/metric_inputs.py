"""Checks of what the metrics are given."""

from __future__ import annotations

import torch

from poc_aug.errors import ItemFormatError


def check_scores(scores: torch.Tensor, labels: torch.Tensor, ignore: int) -> None:
    """Check score maps and anomaly ground truth.

    Raises:
        ItemFormatError: shapes that do not fit, scores that are not floating point or are NaN, labels other than 0, 1
            and ``ignore``.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.metric_inputs import check_scores
        >>> check_scores(torch.rand(2, 4, 8), torch.zeros(2, 4, 8, dtype=torch.uint8), ignore=255)
        >>> check_scores(torch.rand(4, 8), torch.zeros(2, 4, 8, dtype=torch.uint8), ignore=255)
        Traceback (most recent call last):
        poc_aug.errors.ItemFormatError: scores of shape [4, 8] with labels of shape [2, 4, 8]
        Expected: both [B, H, W]
        Next step: add the batch's dimension with [None], or resize the scores to the labels' size
    """
    if scores.ndim != 3 or scores.shape != labels.shape:
        raise ItemFormatError(
            f"scores of shape {list(scores.shape)} with labels of shape {list(labels.shape)}",
            expected="both [B, H, W]",
            hint="add the batch's dimension with [None], or resize the scores to the labels' size",
        )
    if not scores.dtype.is_floating_point:
        raise ItemFormatError(f"scores of {scores.dtype}", expected="floating point, higher is more anomalous")
    if labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise ItemFormatError(
            f"labels of {labels.dtype}", expected=f"integers: 0 in-distribution, 1 anomaly, {ignore} ignored"
        )
    known = (labels == 0) | (labels == 1) | (labels == ignore)
    if not bool(known.all()):
        unknown = sorted(set(labels[~known].tolist()))[:8]
        raise ItemFormatError(
            f"labels hold ids {unknown}",
            expected=f"0 in-distribution, 1 anomaly, {ignore} ignored",
            hint="read the dataset through POCAugmentedDataset with AnomalyLabels(), or map its ids "
            "(RoadAnomaly: labels == 2)",
            command="name a dataset whose schema has the anomaly's id, for example poc_aug.datasets:road_anomaly, or "
            "poc_aug:PairedFolder with schema=FILE.yaml that has ood: [CLASS]",
        )
    if bool(scores.isnan().any()):
        place = scores.isnan().nonzero()[0].tolist()
        raise ItemFormatError(
            f"scores hold NaN, {int(scores.isnan().sum())} of {scores.numel()}, the first one at {place}",
            expected="numbers (infinite ones are allowed)",
            hint="look for half-precision overflow in the model: compute the score in float32",
        )
