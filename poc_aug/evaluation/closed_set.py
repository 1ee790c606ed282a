"""Evaluating a segmentation model on the classes that it knows: IoU over all pixels of a dataset."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from poc_aug.counting import count_of
from poc_aug.errors import DatasetError, ModelError
from poc_aug.evaluation.confidence import ConfidenceFigures, confidence_values
from poc_aug.evaluation.inference import evaluating, frame_logits, resize_pair
from poc_aug.evaluation.matched_classes import NO_CLASS, matched_classes
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema
from poc_aug.optional_imports import require


@dataclass(frozen=True)
class ClassResult:
    """Closed-set result on one dataset.

    Attributes:
        dataset: its name.
        frames: number of evaluated frames.
        iou: intersection over union, in [0, 1], of each class with a labelled pixel, by the dataset's name for it.
        absent: classes that model and dataset share but that no pixel is labelled with; they do not count.
        seconds: time taken.
        confidence: figures of the softmax's maximum against whether the pixel is right: ``ECE`` of
            `SegmentationCalibration` and the figures of `MisclassificationDetection`; NaN if undefined.

    Example:
        >>> from poc_aug.evaluation.closed_set import ClassResult
        >>> result = ClassResult("camvid", 26, {"road": 0.9, "car": 0.5}, absent=("sky",), seconds=3.21)
        >>> result.mean_iou
        0.7
        >>> result.to_dict()["absent"]
        ['sky']
    """

    dataset: str
    frames: int
    iou: Mapping[str, float]
    absent: tuple[str, ...]
    seconds: float
    confidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur."""
        return fmean(self.iou.values())

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "dataset": self.dataset,
            "frames": self.frames,
            "mIoU": self.mean_iou,
            "IoU": dict(self.iou),
            "absent": list(self.absent),
            "confidence": confidence_values(self.confidence),
            "seconds": round(self.seconds, 2),
        }


@torch.no_grad()
def evaluate_classes(
    model: nn.Module,
    dataset: Dataset[Any],
    classes: Sequence[str],
    *,
    merge: Mapping[str, str] | None = None,
    name: str | None = None,
    size_hw: tuple[int, int] | None = None,
    limit: int | None = None,
    schema: LabelSchema | str | None = None,
    keys: Keys | None = None,
    adapt: Adapt | None = None,
    device: str | torch.device = "cpu",
    on_progress: Callable[[int, int], None] | None = None,
) -> ClassResult:
    """Evaluate a model on labelled frames, one at a time: IoU, and the confidence against whether the pixel is right.

    IoU is torchmetrics' `MulticlassJaccardIndex`. Classes of model and dataset are matched by name. A pixel counts if
    the model knows its class; predicting a class that the dataset does not have is an error like any other.

    Args:
        model: maps float32 ``[1, 3, H, W]``, RGB in [0, 1], to logits ``[1, C, h, w]``; they are resized (bilinear) to
            the labels' size.
        dataset: map-style, as for `POCAugmentedDataset`.
        classes: names of the first channels, in order; channels beyond them (void) are left out.
        merge: the dataset's name for a class of the model, if they differ: ``{"truck": "car"}`` for a dataset that
            calls both a car.
        name: name of the dataset in the result; ``None``: its type.
        size_hw: size to which images (bilinear) and labels (nearest) are resized first; ``None``: as they are.
        limit: evaluate the first frames only.
        schema: label schema, if the dataset's is not known.
        keys: names of the samples, as in `POCAugmentedDataset`; they name frames in errors and files.
        adapt: how to take items of another form apart, as in `POCAugmentedDataset`.
        device: where the model runs.
        on_progress: called before each frame with the number of frames done and their total.

    Raises:
        SchemaError: the dataset's classes are not known, the model has none of them, labels hold an id that the schema
            does not know, or ``merge`` names an unknown class.
        ModelError: the model does not return a map of logits, or one with fewer channels than ``classes``.
        DatasetError: no frame, or no pixel of a class that model and dataset share.

    Example:
        A model whose logits are the pixel's colour, so that red means road, green grass and blue sky:

        >>> import torch
        >>> from torch import nn
        >>> from poc_aug.evaluation.closed_set import evaluate_classes
        >>> from poc_aug.labels.schema import LabelSchema
        >>> image = torch.zeros(3, 2, 4, dtype=torch.uint8)
        >>> image[2, 0], image[0, 1] = 255, 255  # sky above road
        >>> labels = torch.tensor([[7, 7, 7, 7], [4, 4, 4, 7]], dtype=torch.uint8)
        >>> schema = LabelSchema("views", {"road": 4, "sky": 7})
        >>> evaluate_classes(nn.Identity(), [(image, labels)], ("road", "grass", "sky"), schema=schema).iou
        {'road': 0.75, 'sky': 0.800...}
    """
    dataset_schema = require_schema(dataset, schema)
    names, class_of_id, class_of_channel = matched_classes(dataset_schema, classes, merge or {})
    sample_names, started = dataset_keys(dataset, keys), time.perf_counter()
    count = len(sample_names) if limit is None else min(limit, len(sample_names))
    jaccard = require("torchmetrics.classification", extra="metrics", purpose="mIoU").MulticlassJaccardIndex
    # One more class for everything that the dataset does not have.
    metric = jaccard(len(names) + 1, average=None, ignore_index=NO_CLASS).to(device)
    confidence = ConfidenceFigures(len(names), NO_CLASS, device)
    labelled = torch.zeros(len(names), dtype=torch.bool)
    model = model.to(device)
    with evaluating(model):
        for index in range(count):
            if on_progress is not None:
                on_progress(index, count)
            sample = open_item(dataset[index], adapt, key=sample_names[index]).sample()
            dataset_schema.check(sample.labels, sample.key)
            image, truth = resize_pair(sample.image, class_of_id[sample.labels.long()], size_hw)
            logits = frame_logits(model, image.to(device), truth.shape)
            if logits.shape[1] < len(classes):
                raise ModelError(
                    f"logits of {logits.shape[1]} channels for {len(classes)} classes",
                    expected="one channel per class, in the order of classes",
                )
            predicted = class_of_channel.to(device)[logits[:, : len(classes)].argmax(dim=1)]
            labelled |= torch.bincount(truth.flatten().long(), minlength=NO_CLASS + 1)[: len(names)] > 0
            metric.update(predicted, truth[None].long().to(device))
            confidence.update(logits[:, : len(classes)], predicted, truth[None].to(device))
    if not bool(labelled.any()):
        raise DatasetError(
            f"no pixel of {count_of(count, 'frame')} of {name or type(dataset).__name__} is of a class that counts",
            expected=f"labels of {', '.join(names)}",
        )
    values = metric.compute().cpu()
    return ClassResult(
        name or type(dataset).__name__,
        count,
        {class_name: float(values[i]) for i, class_name in enumerate(names) if labelled[i]},
        tuple(class_name for i, class_name in enumerate(names) if not labelled[i]),
        time.perf_counter() - started,
        confidence.compute(),
    )
