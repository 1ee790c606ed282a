"""Instance segmentation of anomalies: AP and AP50 of OoDIS, and instances from a map of anomaly scores."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.masks import connected_components
from poc_aug.metrics.anomaly import curve
from poc_aug.metrics.ranked_metric import RankedMetric
from poc_aug.number_settings import checked_integer, checked_number
from poc_aug.tensor_inputs import FLOATS, INTEGERS, check_tensors, ids_in

_Ints = npt.NDArray[np.int64]

OVERLAPS = tuple(range(50, 100, 5))
"""IoU that a match has to exceed, in percent: 50, 55, ..., 95."""


class PredictedInstances(NamedTuple):
    """Instances of one frame: the result of `score_components`, and what `AnomalyInstanceSegmentation.update` takes.

    Attributes:
        predicted: int64 ``[H, W]``, 0 for no instance, 1 to N.
        scores: float64 ``[N]``.

    Example:
        >>> import torch
        >>> from poc_aug.metrics.instance import PredictedInstances
        >>> PredictedInstances(torch.tensor([[0, 1, 1]]), torch.tensor([0.5])).scores
        tensor([0.5000])
    """

    predicted: torch.Tensor
    scores: torch.Tensor


class AnomalyInstanceSegmentation(RankedMetric):
    """Instance segmentation of anomalies as OoDIS measures it (Nekrasov et al., ICRA 2025): AP and AP50.

    The rules are those of Cityscapes' instance-level benchmark for one class. At an overlap ``t``, a predicted instance
    matches an instance of the ground truth if their IoU exceeds ``t``; of several that match one, the most confident is
    a true positive, the others are false positives. A prediction without a match is a false positive, unless more than
    ``t`` of it lies on ignored pixels or on instances of fewer than ``min_true_px`` pixels; those instances need not be
    found, and predictions that match one do not count. Predictions are ranked over all frames; the average precision is
    the area under the curve of precision against recall, by trapezoids, from precision 1 at recall 0 (COCO's differs:
    it takes the largest precision at a recall or above, at 101 of them).

    ``compute`` returns 0-dimensional float64 tensors, NaN without an instance to be found:

    - ``AP``: the mean of the average precision at overlaps 0.50, 0.55, ..., 0.95;
    - ``AP50``: the average precision at 0.50.

    The figures are exact up to 250,000 distinct scores of predicted instances; memory is constant
    (`poc_aug.metrics.ranked`).

    Args:
        min_true_px: smaller instances of the ground truth are ignored; OoDIS: 10.
        ignore_index: id of pixels of the ground truth that do not count.
        options: those of ``torchmetrics.Metric``.

    Example:
        Two animals; the first is found exactly, the second by two thirds, with a false alarm in between:

        >>> import torch
        >>> from poc_aug.metrics import AnomalyInstanceSegmentation
        >>> metric = AnomalyInstanceSegmentation(min_true_px=1)
        >>> truth = torch.tensor([[1, 1, 1, 0, 0, 0, 2, 2, 2]])
        >>> predicted = torch.tensor([[1, 1, 1, 0, 2, 0, 3, 3, 0]])
        >>> metric.update(predicted, torch.tensor([0.9, 0.8, 0.7]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'AP': 0.617, 'AP50': 0.792}
    """

    higher_is_better = True
    _setting_names = ("min_true_px", "ignore_index")

    def __init__(self, *, min_true_px: int = 10, ignore_index: int = 255, **options: Any) -> None:
        min_true_px = checked_integer("min_true_px", min_true_px, least=0)
        ignore_index = checked_integer("ignore_index", ignore_index)
        if ignore_index == 0:
            raise SettingError("ignore_index=0", expected="another id: 0 means that there is no instance")
        super().__init__(*(f"{kind}_{overlap}" for overlap in OVERLAPS for kind in ("hit", "false")), **options)
        self.min_true_px, self.ignore_index = min_true_px, ignore_index
        self.add_state("instances", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: torch.Tensor, scores: torch.Tensor, instances: torch.Tensor) -> None:
        """Add one frame.

        Args:
            predicted: boolean masks ``[N, H, W]``, which may overlap, or a map of integers ``[H, W]``: 0 for no
                instance, 1 to N. Instances without a pixel do not count.
            scores: floating point ``[N]``, higher is more certain; infinite values are allowed.
            instances: ground truth, integer ``[H, W]``: 0 where there is no anomaly, ``ignore_index``, any other id one
                instance.

        Raises:
            ItemFormatError: no tensors, on different devices, or a frame without a pixel; other shapes, dtypes or ids,
                or NaN among the scores.
        """
        self._check(predicted, scores, instances)
        scores = scores.detach().to(self.device, torch.float64)
        overlaps = _overlaps(predicted.cpu(), instances.cpu().long().numpy(), len(scores))
        counted = overlaps.is_instance(self.ignore_index) & (overlaps.true_px >= self.min_true_px)
        self.instances += int(counted.sum())
        order = scores.argsort(descending=True, stable=True).cpu().numpy()
        for overlap in OVERLAPS:
            hit, false = overlaps.judge(overlap, order, counted, self.ignore_index)
            self._add(f"hit_{overlap}", scores, torch.from_numpy(hit).to(self.device))
            self._add(f"false_{overlap}", scores, torch.from_numpy(false).to(self.device))

    def compute(self) -> dict[str, torch.Tensor]:
        """The figures over everything that was added, in all processes."""
        precisions = torch.stack([self._average_precision(overlap) for overlap in OVERLAPS])
        return {"AP": precisions.mean(), "AP50": precisions[0]}

    def _average_precision(self, overlap: int) -> torch.Tensor:
        _, hits, false = curve(self._united(f"false_{overlap}"), self._united(f"hit_{overlap}"))
        if not int(self.instances):
            return torch.tensor(float("nan"), dtype=torch.float64, device=self.device)
        recall, precision = hits / self.instances, hits / (hits + false)
        steps = torch.diff(recall, prepend=recall.new_zeros(1))
        before = torch.cat([precision.new_ones(1), precision])[:-1]
        return (steps * (precision + before) / 2).sum()

    def _check(self, predicted: torch.Tensor, scores: torch.Tensor, instances: torch.Tensor) -> None:
        given: dict[str, Any] = {"predicted": predicted, "scores": scores, "instances": instances}
        # A frame may be without a predicted instance, but not without a pixel.
        empty = {name for name in ("predicted", "scores") if torch.is_tensor(given[name]) and not given[name].numel()}
        check_tensors(**{name: value for name, value in given.items() if name not in empty})
        masks = predicted.dtype == torch.bool
        if instances.ndim != 2 or predicted.ndim != (3 if masks else 2) or predicted.shape[-2:] != instances.shape:
            raise ItemFormatError(
                f"predicted of shape {list(predicted.shape)} and {predicted.dtype}, "
                f"instances of shape {list(instances.shape)}",
                expected="boolean masks [N, H, W] or integers [H, W], and instances [H, W]: one frame at a time",
                hint="call update for each frame of a batch",
            )
        for name, ids in (("predicted", predicted), ("instances", instances)):
            if ids.dtype not in INTEGERS and not (masks and name == "predicted"):
                raise ItemFormatError(f"{name} of {ids.dtype}", expected="integers: 0 for no instance")
        if scores.ndim != 1 or scores.dtype not in FLOATS or (masks and len(scores) != len(predicted)):
            count = f" for {len(predicted)} masks" if masks else ""
            raise ItemFormatError(
                f"scores of shape {list(scores.shape)} and {scores.dtype}{count}",
                expected="floating point [N], one per predicted instance",
            )
        if bool(scores.isnan().any()):
            raise ItemFormatError(f"scores hold NaN, {int(scores.isnan().sum())} of {len(scores)}", expected="numbers")
        if not masks:
            _check_ids("predicted", predicted.long(), 0, len(scores), f"0 to {len(scores)}, as there are scores")
        known = instances.long()
        known = known[known != self.ignore_index]
        _check_ids("instances", known, 0, None, f"0 or more, or {self.ignore_index} (ignored)")


def score_components(
    scores: torch.Tensor,
    threshold: float,
    *,
    min_px: int = 1,
    ignored: torch.Tensor | None = None,
    by: Literal["mean", "max"] = "mean",
) -> PredictedInstances:
    """Instances from a map of anomaly scores: the 8-connected components of pixels above a threshold.

    Args:
        scores: floating point ``[H, W]``, no NaN.
        threshold: a pixel counts as anomalous if its score is above this, as in `ComponentSegmentation`.
        min_px: smaller components are left out.
        ignored: boolean ``[H, W]``: pixels that belong to no component.
        by: a component's score is the mean, or the largest, of those of its pixels.

    Raises:
        SettingError: a threshold that is no number, ``min_px`` below 1, an unknown ``by``.
        ItemFormatError: no tensors, on different devices or without a pixel; shapes or dtypes that do not fit, or NaN
            among the scores.

    Example:
        >>> import torch
        >>> from poc_aug.metrics import score_components
        >>> found = score_components(torch.tensor([[0.9, 0.7, 0.1, 0.6]]), 0.5)
        >>> found.predicted, found.scores
        (tensor([[1, 1, 0, 2]]), tensor([0.8000, 0.6000], dtype=torch.float64))
    """
    threshold, min_px = (
        checked_number("threshold", threshold, infinite=True),
        checked_integer("min_px", min_px, least=1),
    )
    if by not in ("mean", "max"):
        raise SettingError(f"by={by!r}", expected="'mean' or 'max'")
    check_tensors(scores=scores, **({} if ignored is None else {"ignored": ignored}))
    if scores.ndim != 2 or scores.dtype not in FLOATS:
        raise ItemFormatError(f"scores of shape {list(scores.shape)} and {scores.dtype}", expected="floats [H, W]")
    if bool(scores.isnan().any()):
        raise ItemFormatError(f"scores hold NaN, {int(scores.isnan().sum())} of {scores.numel()}", expected="numbers")
    scores = scores.detach().cpu().double()
    above = scores > threshold
    if ignored is not None:
        if ignored.shape != scores.shape or ignored.dtype != torch.bool:
            raise ItemFormatError(
                f"ignored of shape {list(ignored.shape)} and {ignored.dtype}, scores of {list(scores.shape)}",
                expected="boolean, of the scores' shape",
            )
        above &= ~ignored.cpu()
    components, count = connected_components(above)
    numbers, values = components[above].long() - 1, scores[above]
    sizes = torch.bincount(numbers, minlength=count)
    how = "amax" if by == "max" else "mean"
    start = torch.full((count,), -float("inf"), dtype=torch.float64)
    merged = start.scatter_reduce(0, numbers, values, how, include_self=False)
    kept = sizes >= min_px
    renumbered = torch.cat([torch.zeros(1, dtype=torch.int64), kept.long().cumsum(0) * kept])
    return PredictedInstances(renumbered[components.long()], merged[kept])


class _Overlaps(NamedTuple):
    """How predictions and ground truth of one frame overlap: the pairs that do, and all areas.

    Attributes:
        ids: distinct ids of the ground truth, ``[R]``.
        true_px: their pixels, ``[R]``.
        predicted_px: pixels of each prediction, ``[N]``.
        row, column, shared_px: of each pair that overlaps, the place in ``ids``, the prediction, and the pixels.
    """

    ids: _Ints
    true_px: _Ints
    predicted_px: _Ints
    row: _Ints
    column: _Ints
    shared_px: _Ints

    def is_instance(self, ignore_index: int) -> npt.NDArray[np.bool_]:
        none: npt.NDArray[np.bool_] = (self.ids == 0) | (self.ids == ignore_index)
        return ~none

    def judge(
        self, overlap: int, order: _Ints, counted: npt.NDArray[np.bool_], ignore_index: int
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which predictions are true and which are false positives; neither: they do not count.

        Args:
            overlap: IoU that a match has to exceed, in percent.
            order: predictions, the most certain first.
            counted: which rows are instances that have to be found.
            ignore_index: id of pixels that do not count.
        """
        count = len(self.predicted_px)
        union = self.true_px[self.row] + self.predicted_px[self.column] - self.shared_px
        # In integers, so that an IoU of exactly 0.6 does not exceed 60%.
        matches = self.is_instance(ignore_index)[self.row] & (100 * self.shared_px > overlap * union)
        rank = np.empty(count, dtype=np.int64)
        rank[order] = np.arange(count)
        best = np.full(len(self.ids), count, dtype=np.int64)
        np.minimum.at(best, self.row[matches], rank[self.column[matches]])
        hit = np.zeros(count, dtype=np.bool_)
        hit[order[best[counted & (best < count)]]] = True
        matched, needed = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
        matched[self.column[matches]] = True
        needed[self.column[matches & counted[self.row]]] = True
        forgiven = ~counted[self.row] & (self.ids[self.row] != 0)
        ignored_px = np.bincount(self.column[forgiven], self.shared_px[forgiven], minlength=count)
        ignored = 100 * ignored_px > overlap * self.predicted_px
        false = (needed & ~hit) | (~matched & ~ignored & (self.predicted_px > 0))
        return hit, false


def _overlaps(predicted: torch.Tensor, instances: _Ints, count: int) -> _Overlaps:
    ids, rows, true_px = np.unique(instances, return_inverse=True, return_counts=True)
    rows = rows.reshape(instances.shape)
    if predicted.dtype == torch.bool:
        found = [np.bincount(rows[mask], minlength=len(ids)) for mask in predicted.numpy()]
        table = np.stack(found) if found else np.zeros((0, len(ids)), dtype=np.int64)
        column, row = table.nonzero()
        shared = table[column, row]
    else:
        places = predicted.long().numpy()
        inside = places > 0
        pairs, shared = np.unique((places[inside] - 1) * len(ids) + rows[inside], return_counts=True)
        column, row = np.divmod(pairs, max(1, len(ids)))
    predicted_px = np.bincount(column, shared, minlength=count).astype(np.int64)
    return _Overlaps(ids, true_px, predicted_px, row, column, shared)


def _check_ids(name: str, ids: torch.Tensor, least: int, most: int | None, expected: str) -> None:
    outside = ids < least if most is None else (ids < least) | (ids > most)
    if bool(outside.any()):
        raise ItemFormatError(f"{name} hold ids {ids_in(ids[outside])}", expected=expected)
