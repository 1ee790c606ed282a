"""Component-wise anomaly segmentation: sIoU, PPV and mean F1 of SegmentMeIfYouCan."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch

from poc_aug.errors import SettingError
from poc_aug.masks import connected_components
from poc_aug.metrics.base_metric import Metric
from poc_aug.metrics.metric_inputs import check_scores, checked_anomaly_ignore
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.tensor_inputs import check_tensors

Track = Literal["anomaly", "obstacle"]

_SIZES: dict[Track, tuple[int, int]] = {"anomaly": (500, 100), "obstacle": (50, 10)}
_STEPS = 11  # 0.25, 0.30, ..., 0.75


class Components(NamedTuple):
    """Figures of the components of one frame, float64 ``[n]`` each: the result of `ComponentSegmentation.frame`.

    Attributes:
        siou: sIoU of each component of the ground truth.
        ppv: positive predictive value of each predicted component.
        predicted_siou: sIoU of each predicted component.

    Example:
        >>> import torch
        >>> from poc_aug.metrics import ComponentSegmentation
        >>> scores, labels = torch.tensor([[0.9, 0.9, 0.1, 0.9]]), torch.tensor([[1, 1, 0, 0]])
        >>> components = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0).frame(scores, labels)
        >>> components.siou, components.ppv
        (tensor([1.], dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """

    siou: torch.Tensor
    ppv: torch.Tensor
    predicted_siou: torch.Tensor


class ComponentSegmentation(Metric):  # type: ignore[misc]
    """Component-wise anomaly segmentation (SegmentMeIfYouCan, Chan et al. 2021, section 4.2).

    Components are 8-connected. At a threshold ``t``, a component of the ground truth is a true positive if its sIoU
    exceeds ``t``, otherwise a false negative; a predicted component is a false positive unless its PPV exceeds ``t``.
    ``F1`` is the mean of ``2 TP / (2 TP + FN + FP)`` over ``t`` in 0.25, 0.30, ..., 0.75, with components counted over
    all frames. The figures equal those of the benchmark's public kit.

    ``compute`` returns 0-dimensional float64 tensors ``sIoU``, ``PPV``, ``F1`` (means over all components; NaN without
    one) and, for the three named thresholds, ``F1_25``, ``F1_50``, ``F1_75``.

    Args:
        threshold: a pixel counts as anomalous if its score is *above* this; the benchmark uses the threshold of the
            best pixel-wise F1, ``F1_threshold`` of `AnomalySegmentation`.
        track: track of the benchmark that sets the smallest components: ``"anomaly"`` drops predicted components below
            500 px and ground truth below 100 px, ``"obstacle"`` below 50 and 10 px.
        min_predicted_px: smaller predicted components are dropped; ``None``: the track's size.
        min_true_px: smaller components of the ground truth are ignored, with the predictions on them; ``None``: the
            track's size.
        ignore_index: label of pixels that do not count.
        options: those of ``torchmetrics.Metric``.

    Example:
        Two objects: the first is covered, three of the second one's four pixels are, and there is a false alarm.

        >>> import torch
        >>> from poc_aug.metrics import ComponentSegmentation
        >>> labels = torch.tensor([[[1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0]]])
        >>> scores = torch.tensor([[[0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.9]]])
        >>> metric = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0)
        >>> metric.update(scores, labels)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'sIoU': 0.875, 'PPV': 0.667, 'F1': 0.773, 'F1_25': 0.8, 'F1_50': 0.8, 'F1_75': 0.5}
    """

    is_differentiable = False
    higher_is_better = True
    _setting_names = ("threshold", "min_predicted_px", "min_true_px", "ignore_index")
    full_state_update = False
    true_positives: torch.Tensor
    false_negatives: torch.Tensor
    false_positives: torch.Tensor
    sums: torch.Tensor
    counts: torch.Tensor

    def __init__(
        self,
        threshold: float,
        *,
        track: Track = "anomaly",
        min_predicted_px: int | None = None,
        min_true_px: int | None = None,
        ignore_index: int = 255,
        **options: Any,
    ) -> None:
        if not isinstance(track, str) or track not in _SIZES:
            raise SettingError(f"track={track!r}", expected=f"one of {tuple(_SIZES)}")
        super().__init__(**options)
        self.threshold = checked_number("threshold", threshold, infinite=True)
        self.ignore_index = checked_anomaly_ignore(ignore_index)
        predicted_px, true_px = _SIZES[track]
        self.min_predicted_px = checked_integer(
            "min_predicted_px", predicted_px if min_predicted_px is None else min_predicted_px, least=0
        )
        self.min_true_px = checked_integer("min_true_px", true_px if min_true_px is None else min_true_px, least=0)
        for name in ("true_positives", "false_negatives", "false_positives"):
            self.add_state(name, default=torch.zeros(_STEPS, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("sums", default=torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", default=torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch.

        Args:
            scores: floating point ``[B, H, W]``, higher is more anomalous.
            labels: integer ``[B, H, W]``: 0 in-distribution, 1 anomaly, ``ignore_index``.

        Raises:
            ItemFormatError: no tensors, on different devices or without a pixel; other shapes, dtypes or ids, or NaN
                among the scores.
        """
        check_scores(scores, labels, self.ignore_index)
        limits = torch.linspace(0.25, 0.75, _STEPS, dtype=torch.float64)[:, None]
        for frame_scores, frame_labels in zip(scores, labels, strict=True):
            components = self._frame(frame_scores, frame_labels)
            hits = (components.siou[None] > limits).sum(dim=1)
            self.true_positives += hits.to(self.true_positives.device)
            self.false_negatives += (len(components.siou) - hits).to(self.true_positives.device)
            self.false_positives += (components.ppv[None] <= limits).sum(dim=1).to(self.true_positives.device)
            self.sums += torch.stack([components.siou.sum(), components.ppv.sum()]).to(self.sums.device)
            self.counts += torch.tensor([len(components.siou), len(components.ppv)], device=self.counts.device)

    def frame(self, scores: torch.Tensor, labels: torch.Tensor) -> Components:
        """Figures of the components of one frame; the metric's state does not change.

        Args:
            scores: floating point ``[H, W]``.
            labels: integer ``[H, W]``.

        Raises:
            ItemFormatError: as `update`.
        """
        check_tensors(scores=scores, labels=labels)
        check_scores(scores[None], labels[None], self.ignore_index)
        return self._frame(scores, labels)

    def _frame(self, scores: torch.Tensor, labels: torch.Tensor) -> Components:
        labels = labels.cpu()
        true, _ = connected_components(labels == 1)
        predicted, _ = connected_components((scores.cpu() > self.threshold) & (labels != self.ignore_index))
        predicted = _drop_small(predicted, self.min_predicted_px)
        sizes = true.flatten().long().bincount()
        counts = (labels != self.ignore_index) & ((true == 0) | (sizes[true.long()] >= self.min_true_px))
        return _score(true[counts].long(), predicted[counts].long())

    def compute(self) -> dict[str, torch.Tensor]:
        """The figures over everything that was added, in all processes."""
        hits = 2 * self.true_positives.double()
        f1 = hits / (hits + self.false_negatives + self.false_positives)
        siou, ppv = self.sums / self.counts
        return {
            "sIoU": siou,
            "PPV": ppv,
            "F1": f1.mean(),
            "F1_25": f1[0],
            "F1_50": f1[_STEPS // 2],
            "F1_75": f1[-1],
        }


def _drop_small(components: torch.Tensor, least_px: int) -> torch.Tensor:
    sizes = components.flatten().long().bincount()
    return torch.where(sizes[components.long()] >= least_px, components, 0)


def _score(true: torch.Tensor, predicted: torch.Tensor) -> Components:
    """Figures from the component numbers of the pixels that count, int64 ``[n]`` each; 0 means no component."""
    rows, cols = int(true.max()) + 1 if len(true) else 1, int(predicted.max()) + 1 if len(predicted) else 1
    table = (true * cols + predicted).bincount(minlength=rows * cols).view(rows, cols).double()
    return Components(
        siou=_adjusted(table),
        ppv=_share(table),
        predicted_siou=_adjusted(table.T),
    )


def _adjusted(table: torch.Tensor) -> torch.Tensor:
    """SIoU of the rows' components: IoU with all components they meet, without the pixels of other rows' components."""
    areas, met = table.sum(dim=1), (table > 0).double()
    met[:, 0] = 0
    covered = (table * met).sum(dim=1)
    # Pixels of the columns that a row meets which lie on no row's component.
    stray = met @ table[0]
    siou = covered / (areas + stray)
    return siou[1:][areas[1:] > 0]


def _share(table: torch.Tensor) -> torch.Tensor:
    """PPV of the columns' components: the share of their pixels that lies on components of the rows."""
    areas = table.sum(dim=0)
    return (table[1:].sum(dim=0) / areas)[1:][areas[1:] > 0]
