"""Anomaly segmentation, component by component: sIoU, PPV and the mean F1 of SegmentMeIfYouCan."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch

from poc_aug.errors import SettingError
from poc_aug.masks import connected_components
from poc_aug.metrics.metric_inputs import check_scores
from poc_aug.metrics.metric_needs import require_torchmetrics

torchmetrics = require_torchmetrics()

Track = Literal["anomaly", "obstacle"]

_SIZES: dict[Track, tuple[int, int]] = {"anomaly": (500, 100), "obstacle": (50, 10)}
_STEPS = 11  # 0.25, 0.30, ..., 0.75


class Components(NamedTuple):
    """What the components of one frame score, float64 ``[n]`` each.

    Attributes:
        siou: of each component of the ground truth.
        ppv: of each predicted component.
        predicted_siou: the sIoU of each predicted component.
    """

    siou: torch.Tensor
    ppv: torch.Tensor
    predicted_siou: torch.Tensor


class ComponentSegmentation(torchmetrics.Metric):  # type: ignore[misc, name-defined]
    """Component-wise anomaly segmentation (SegmentMeIfYouCan, Chan et al. 2021, section 4.2).

    Components are 8-connected. A component of the ground truth is found at ``t`` where its sIoU exceeds ``t``; a
    predicted one is a false alarm where its PPV does not. ``F1`` is the mean of ``2 TP / (2 TP + FN + FP)`` over ``t``
    in 0.25, 0.30, ..., 0.75, components being counted over all frames. Figures equal the benchmark's public kit's.

    ``compute`` returns 0-dimensional float64 tensors ``sIoU``, ``PPV``, ``F1`` (means over all components; NaN without
    one) and, for the three named thresholds, ``F1_25``, ``F1_50``, ``F1_75``.

    Args:
        threshold: a pixel is called anomalous where its score is *above* it (the benchmark takes the one of the best
            pixel-wise F1: `AnomalySegmentation`).
        track: sizes of the benchmark's tracks: ``"anomaly"`` leaves out predicted components below 500 px and ground
            truth below 100 px, ``"obstacle"`` 50 and 10.
        min_predicted_px: predicted components below are dropped; ``None``: the track's.
        min_true_px: components of the ground truth below are ignored, with what is predicted on them; ``None``: the
            track's.
        ignore_index: label of pixels that do not count.
        options: those of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    higher_is_better = True
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
        if track not in _SIZES:
            raise SettingError(f"track={track!r}", expected=f"one of {tuple(_SIZES)}")
        super().__init__(**options)
        self.threshold, self.ignore_index = threshold, ignore_index
        predicted_px, true_px = _SIZES[track]
        self.min_predicted_px = predicted_px if min_predicted_px is None else min_predicted_px
        self.min_true_px = true_px if min_true_px is None else min_true_px
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
            ItemFormatError: other shapes, dtypes or ids, or NaN among the scores.
        """
        check_scores(scores, labels, self.ignore_index)
        limits = torch.linspace(0.25, 0.75, _STEPS, dtype=torch.float64)[:, None]
        for frame_scores, frame_labels in zip(scores, labels, strict=True):
            found = self.frame(frame_scores, frame_labels)
            hit = (found.siou[None] > limits).sum(dim=1)
            self.true_positives += hit.to(self.true_positives.device)
            self.false_negatives += (len(found.siou) - hit).to(self.true_positives.device)
            self.false_positives += (found.ppv[None] <= limits).sum(dim=1).to(self.true_positives.device)
            self.sums += torch.stack([found.siou.sum(), found.ppv.sum()]).to(self.sums.device)
            self.counts += torch.tensor([len(found.siou), len(found.ppv)], device=self.counts.device)

    def frame(self, scores: torch.Tensor, labels: torch.Tensor) -> Components:
        """What the components of one frame score; nothing is added.

        Args:
            scores: floating point ``[H, W]``.
            labels: integer ``[H, W]``.
        """
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
    """Scores from the component numbers of the pixels that count, int64 ``[n]`` each; 0 is none."""
    rows, cols = int(true.max()) + 1 if len(true) else 1, int(predicted.max()) + 1 if len(predicted) else 1
    table = (true * cols + predicted).bincount(minlength=rows * cols).view(rows, cols).double()
    return Components(
        siou=_adjusted(table),
        ppv=_share(table),
        predicted_siou=_adjusted(table.T),
    )


def _adjusted(table: torch.Tensor) -> torch.Tensor:
    """SIoU of the rows' components: IoU with all that they meet, without what belongs to other rows' components."""
    areas, met = table.sum(dim=1), (table > 0).double()
    met[:, 0] = 0
    covered = (table * met).sum(dim=1)
    # Of the columns that a row meets: what lies on no row's component.
    stray = met @ table[0]
    siou = covered / (areas + stray)
    return siou[1:][areas[1:] > 0]


def _share(table: torch.Tensor) -> torch.Tensor:
    """PPV of the columns' components: their share on components of the rows."""
    areas = table.sum(dim=0)
    return (table[1:].sum(dim=0) / areas)[1:][areas[1:] > 0]
