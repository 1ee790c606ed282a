"""Checks of what the metrics are given."""

from __future__ import annotations

from typing import Any

import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.tensor_inputs import FLOATS, INTEGERS, check_tensors, ids_in, signed


def checked_anomaly_ignore(ignore_index: Any) -> int:
    """The label of pixels that do not count, which is neither that of in-distribution pixels nor that of anomalies.

    Raises:
        SettingError: 0, 1, or no integer.

    Example:
        >>> from poc_aug.metrics.metric_inputs import checked_anomaly_ignore
        >>> checked_anomaly_ignore(0)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: ignore_index=0
        Expected: an id other than 0 (in-distribution) and 1 (anomaly)
        Next step: map the pixels that do not count to 255
    """
    ignore = checked_integer("ignore_index", ignore_index)
    if ignore in (0, 1):
        raise SettingError(
            f"ignore_index={ignore}",
            expected="an id other than 0 (in-distribution) and 1 (anomaly)",
            hint="map the pixels that do not count to 255",
        )
    return ignore


def checked_rate(name: str, rate: Any) -> float:
    """A false positive rate that is allowed: 0 or more, below 1.

    Raises:
        SettingError: it is not, or no number.

    Example:
        >>> from poc_aug.metrics.metric_inputs import checked_rate
        >>> checked_rate("fpr", 0)
        0.0
        >>> checked_rate("fpr", 5)
        Traceback (most recent call last):
        poc_aug.errors.SettingError: fpr=5.0
        Expected: 0 or more, below 1
    """
    number = checked_number(name, rate)
    if not 0 <= number < 1:
        raise SettingError(f"{name}={number}", expected="0 or more, below 1")
    return number


def check_scores(scores: torch.Tensor, labels: torch.Tensor, ignore: int) -> None:
    """Check score maps and anomaly ground truth.

    Raises:
        ItemFormatError: no tensors, on different devices or without a pixel; shapes that do not fit, scores that are
            not floating point or are NaN, labels other than 0, 1 and ``ignore``.

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
    check_tensors(scores=scores, labels=labels)
    if scores.ndim != 3 or scores.shape != labels.shape:
        raise ItemFormatError(
            f"scores of shape {list(scores.shape)} with labels of shape {list(labels.shape)}",
            expected="both [B, H, W]",
            hint="add the batch's dimension with [None], or resize the scores to the labels' size",
        )
    if scores.dtype not in FLOATS:
        raise ItemFormatError(f"scores of {scores.dtype}", expected="floating point, higher is more anomalous")
    if labels.dtype not in INTEGERS:
        raise ItemFormatError(
            f"labels of {labels.dtype}", expected=f"integers: 0 in-distribution, 1 anomaly, {ignore} ignored"
        )
    labels = signed(labels)
    known = (labels == 0) | (labels == 1) | (labels == ignore)
    if not bool(known.all()):
        raise ItemFormatError(
            f"labels hold ids {ids_in(labels[~known])}",
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


def confidence_of(
    predictions: torch.Tensor, labels: torch.Tensor, *, from_logits: bool, ignore: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The predicted class's probability, and which pixels are predicted rightly.

    Args:
        predictions: floating point ``[B, C, H, W]``: logits, or probabilities.
        labels: integer ``[B, H, W]``: classes 0 to C - 1, or ``ignore``.
        from_logits: whether the predictions are logits.
        ignore: label of pixels that do not count.

    Returns:
        ``[B, H, W]`` each: probabilities, float32 (of float64 predictions float64); masks of the pixels that count and
        are right, and that count and are wrong.

    Raises:
        ItemFormatError: no tensors, on different devices or without a pixel; other shapes, dtypes or ids, fewer than
            two classes, logits that are not finite, probabilities outside [0, 1].

    Example:
        >>> import torch
        >>> from poc_aug.metrics.metric_inputs import confidence_of
        >>> probabilities = torch.tensor([[0.75, 0.5], [0.25, 0.5]])[None, :, None]
        >>> confidence_of(probabilities, torch.tensor([[[1, 0]]]), from_logits=False, ignore=255)
        (tensor([[[0.7500, 0.5000]]]), tensor([[[False,  True]]]), tensor([[[ True, False]]]))
    """
    check_tensors(predictions=predictions, labels=labels)
    fits = predictions.ndim == 4 and labels.ndim == 3 and predictions.shape[0] == labels.shape[0]
    if not fits or predictions.shape[2:] != labels.shape[1:]:
        raise ItemFormatError(
            f"predictions of shape {list(predictions.shape)} with labels of shape {list(labels.shape)}",
            expected="[B, C, H, W] and [B, H, W]",
            hint="resize the predictions to the labels' size",
        )
    if labels.dtype not in INTEGERS or predictions.dtype not in FLOATS:
        raise ItemFormatError(
            f"predictions of {predictions.dtype}, labels of {labels.dtype}", expected="floating point and integer"
        )
    classes, labels = predictions.shape[1], signed(labels)
    if classes < 2:
        raise ItemFormatError(f"predictions of {classes} class", expected="at least two classes")
    counted = labels != ignore
    unknown = labels[counted & ((labels < 0) | (labels >= classes))]
    if len(unknown):
        raise ItemFormatError(
            f"labels hold ids {ids_in(unknown)}",
            expected=f"classes 0 to {classes - 1}, or {ignore}",
            hint="map other ids to ignore_index first",
        )
    predictions = predictions.detach()
    if predictions.dtype != torch.float64:
        predictions = predictions.float()
    if not bool(predictions.isfinite().all()):
        nan, total = int(predictions.isnan().sum()), predictions.numel()
        infinite = total - nan - int(predictions.isfinite().sum())
        held = " and ".join(
            [f"NaN, {nan} of {total}"] * (nan > 0) + [f"infinity, {infinite} of {total}"] * (infinite > 0)
        )
        raise ItemFormatError(
            f"predictions hold {held}",
            expected="finite numbers",
            hint="run the model in float32; give a class that is masked out a low finite logit, such as -1e4",
        )
    if not from_logits and not bool(((predictions >= 0) & (predictions <= 1 + 1e-4)).all()):
        raise ItemFormatError(
            f"probabilities from {float(predictions.min()):g} to {float(predictions.max()):g}",
            expected="values in [0, 1]",
            hint="pass logits with from_logits=True",
        )
    confidence, predicted = (predictions.softmax(dim=1) if from_logits else predictions).max(dim=1)
    right = labels == predicted
    return confidence, counted & right, counted & ~right
