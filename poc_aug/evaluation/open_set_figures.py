"""What newer benchmarks report besides pixels and components: open-IoU (ISSU), and instance AP of anomalies (OoDIS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from poc_aug.errors import ModelError
from poc_aug.evaluation.inference import resize_labels
from poc_aug.evaluation.matched_classes import matched_classes
from poc_aug.labels.schema import LabelSchema
from poc_aug.metrics import AnomalyInstanceSegmentation, OpenSetSegmentation, score_components

_OOD, _IGNORED, _NO_INSTANCE = 254, 255, -1


class OpenSetFigures:
    """Open-IoU of several scores of one model on a dataset whose labels have known classes as well as anomalies.

    Classes of model and dataset are matched by name, as in `evaluate_classes`: pixels of classes that the model does
    not have are left out, and predicting a class that the dataset does not have is an error like any other.

    Args:
        schema: the dataset's.
        classes: names of the model's first channels, in order; further ones (void) are left out.
        scores: names of the scores.
        device: where the logits are.

    Raises:
        SchemaError: the dataset has none of the classes.

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.open_set_figures import OpenSetFigures
        >>> from poc_aug.labels.schema import LabelSchema
        >>> schema = LabelSchema("animals", {"road": 3, "animal": 7}, ood=("animal",))
        >>> figures = OpenSetFigures(schema, ("sky", "road"), ("energy",))
        >>> logits = torch.tensor([[[[0.0, 0.0, 0.0]], [[9.0, 9.0, 1.0]]]])
        >>> labels = torch.tensor([[3, 3, 7]], dtype=torch.uint8)
        >>> figures.add(labels, logits, {"energy": -logits.logsumexp(dim=1)[0]})
        >>> figures.figures("energy")
        {'open-IoU TPR95': 1.0, 'open-IoU FPR5': 1.0, 'closed-set mIoU': 1.0}
    """

    def __init__(
        self, schema: LabelSchema, classes: Sequence[str], scores: Iterable[str], device: str | torch.device = "cpu"
    ) -> None:
        names, self._class_of_id, class_of_channel = matched_classes(schema, classes, {})
        for name in schema.ood:
            self._class_of_id[schema.id_of(name)] = _OOD
        self._class_of_channel = class_of_channel.to(device)
        # One more class for everything that the dataset does not have.
        self._metrics = {score: OpenSetSegmentation(len(names) + 1).to(device) for score in scores}

    def add(self, labels: torch.Tensor, logits: torch.Tensor, scores: Mapping[str, torch.Tensor]) -> None:
        """Add a frame.

        Args:
            labels: ids of the dataset, integer ``[h, w]``; resized (nearest) to the logits' size.
            logits: ``[1, C, H, W]``.
            scores: floating point ``[H, W]``, by score name.

        Raises:
            ModelError: there are fewer channels than classes.
        """
        channels = len(self._class_of_channel)
        if logits.shape[1] < channels:
            raise ModelError(
                f"logits of {logits.shape[1]} channels for {channels} classes",
                expected="one channel per class, in the order of classes",
            )
        truth = resize_labels(self._class_of_id[labels.long()], logits.shape[-2:]).to(logits.device)
        predicted = self._class_of_channel[logits[:, :channels].argmax(dim=1)]
        for name, metric in self._metrics.items():
            metric.update(scores[name][None], predicted, truth[None])

    def figures(self, score: str) -> dict[str, float]:
        """Open-IoU at 95% TPR and at 5% FPR, and the mean IoU without a threshold, of a score; all in [0, 1]."""
        values = self._metrics[score].compute()
        names = {
            "open-IoU TPR95": "open_IoU_TPR95",
            "open-IoU FPR5": "open_IoU_FPR5",
            "closed-set mIoU": "closed_IoU",
        }
        return {shown: float(values[name]) for shown, name in names.items()}


def instance_figures(
    frames: Iterable[tuple[torch.Tensor, torch.Tensor]], threshold: float, *, min_px: int = 1
) -> dict[str, float]:
    """AP and AP50 of anomalies where neither model nor labels have instances: those of connected components.

    Args:
        frames: score maps ``[H, W]``, and labels ``[H, W]``: 0 in-distribution, 1 anomaly, 255 ignored.
        threshold: pixels with a score above this belong to a predicted component, whose confidence is their mean score.
        min_px: smaller predicted components are left out.

    Returns:
        ``instance AP`` and ``instance AP50``.

    Example:
        >>> import torch
        >>> from poc_aug.evaluation.open_set_figures import instance_figures
        >>> labels = torch.zeros(8, 16, dtype=torch.uint8)
        >>> labels[2:6, 3:8] = 1
        >>> instance_figures([(labels.float(), labels)], 0.5)
        {'instance AP': 1.0, 'instance AP50': 1.0}
    """
    metric = AnomalyInstanceSegmentation(ignore_index=_NO_INSTANCE)
    for scores, labels in frames:
        ignored = labels == _IGNORED
        truth = score_components((labels == 1).float(), 0.5).predicted.masked_fill(ignored.cpu(), _NO_INSTANCE)
        found = score_components(scores, threshold, min_px=min_px, ignored=ignored)
        metric.update(found.predicted, found.scores, truth)
    return {f"instance {name}": float(value) for name, value in metric.compute().items()}
