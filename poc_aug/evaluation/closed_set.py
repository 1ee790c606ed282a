"""Evaluating a segmentation model on the classes that it knows: intersection over union, pixels pooled."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from torchmetrics.classification import MulticlassJaccardIndex

from poc_aug.errors import DatasetError, ModelError, SchemaError
from poc_aug.evaluation.anomalies import evaluating, logits_of, resized
from poc_aug.items.open_item import Adapt, open_item
from poc_aug.keys import Keys, dataset_keys
from poc_aug.labels.detect import require_schema
from poc_aug.labels.schema import LabelSchema, class_key


@dataclass(frozen=True)
class ClassResult:
    """Closed-set result on one dataset.

    Attributes:
        dataset: its name.
        frames: frames that were evaluated.
        iou: intersection over union, in [0, 1], of each class with a labelled pixel, by the dataset's name for it.
        absent: classes that both know and no pixel is labelled with; they do not count.
        seconds: time taken.
    """

    dataset: str
    frames: int
    iou: Mapping[str, float]
    absent: tuple[str, ...]
    seconds: float

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that are there."""
        return fmean(self.iou.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "dataset": self.dataset,
            "frames": self.frames,
            "mIoU": self.mean_iou,
            "IoU": dict(self.iou),
            "absent": list(self.absent),
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
) -> ClassResult:
    """Evaluate a model on labelled frames, one at a time; the state is torchmetrics' `MulticlassJaccardIndex`.

    Model and dataset meet by class name. A pixel counts if the model knows its class; predicting a class that the
    dataset does not have is an error like any other.

    Args:
        model: maps float32 ``[1, 3, H, W]``, RGB in [0, 1], to logits ``[1, C, h, w]``; they are resized (bilinear) to
            the labels' size.
        dataset: map-style, as for `POCAugmentedDataset`.
        classes: names of the first channels, in order; channels beyond them (void) are left out.
        merge: the dataset's name for a class of the model, where they differ: ``{"truck": "car"}`` for a dataset that
            calls both a car.
        name: what the dataset is called in the result; ``None``: its type.
        size_hw: images (bilinear) and labels (nearest) are resized to this first; ``None``: as they are.
        limit: only the first frames.
        schema: label schema, if it is not known.
        keys: names of the samples, as in `POCAugmentedDataset`; they name frames in errors and files.
        adapt: how to take items of another form apart.
        device: where the model runs.

    Raises:
        SchemaError: the dataset's classes are not known, none is the model's, labels hold an id that the schema does
            not know, or ``merge`` names an unknown class.
        ModelError: what the model returns is no map of logits, or has fewer channels than ``classes``.
        DatasetError: no frame, or no pixel of a class that both know.
    """
    known = require_schema(dataset, schema)
    names, to_class, channels = _matched(known, classes, merge or {})
    sample_names, started = dataset_keys(dataset, keys), time.perf_counter()
    count = len(sample_names) if limit is None else min(limit, len(sample_names))
    # One class more: all that the dataset does not have.
    metric = MulticlassJaccardIndex(len(names) + 1, average=None, ignore_index=_IGNORED).to(device)
    labelled = torch.zeros(len(names), dtype=torch.bool)
    model = model.to(device)
    with evaluating(model):
        for number in range(count):
            sample = open_item(dataset[number], adapt, key=sample_names[number]).sample()
            known.check(sample.labels, sample.key)
            truth = to_class[sample.labels.long()]
            image, truth = resized(sample.image, truth, size_hw)
            logits = logits_of(model, image.to(device), truth.shape)
            if logits.shape[1] < len(classes):
                raise ModelError(
                    f"logits of {logits.shape[1]} channels for {len(classes)} classes",
                    expected="a channel a class, in the order of classes",
                )
            found = channels.to(device)[logits[:, : len(classes)].argmax(dim=1)]
            there = torch.bincount(truth.flatten().long(), minlength=_IGNORED + 1)[: len(names)] > 0
            labelled |= there
            metric.update(found, truth[None].long().to(device))
    if not bool(labelled.any()):
        raise DatasetError(
            f"no pixel of {count} frames of {name or type(dataset).__name__} is of a class that counts",
            expected=f"labels of {', '.join(names)}",
        )
    values = metric.compute().cpu()
    return ClassResult(
        name or type(dataset).__name__,
        count,
        {each: float(values[i]) for i, each in enumerate(names) if labelled[i]},
        tuple(each for i, each in enumerate(names) if not labelled[i]),
        time.perf_counter() - started,
    )


_IGNORED = 255


def _matched(
    schema: LabelSchema, classes: Sequence[str], merge: Mapping[str, str]
) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Names that both know; dataset id -> their place, uint8; the model's channel -> their place, int64."""
    other = {class_key(own): theirs for own, theirs in merge.items()}
    unknown = [own for own in merge if class_key(own) not in {class_key(each) for each in classes}]
    unknown += [theirs for theirs in merge.values() if theirs not in schema]
    if unknown:
        theirs = f"those of {schema.name!r} ({', '.join(schema.ids)})"
        raise SchemaError(f"merge names {unknown}", expected=f"the model's classes ({', '.join(classes)}) to {theirs}")
    ids = [schema.known_id(other.get(class_key(each), each)) for each in classes]
    places = {label_id: place for place, label_id in enumerate(dict.fromkeys(i for i in ids if i is not None))}
    if not places:
        raise SchemaError(
            f"no class of schema {schema.name!r} ({', '.join(schema.ids)}) is the model's",
            expected=f"some of: {', '.join(classes)}",
            hint="give the model's classes in the order of its channels, and merge={own: theirs} where names differ",
            command="give the model's classes in the order of its channels: --classes NAME|FILE.yaml",
        )
    # The last place is for an id of -1 ("licence plate").
    to_class = torch.full((max(*schema.ids.values(), *schema.ignore, 0) + 2,), _IGNORED, dtype=torch.uint8)
    for label_id, place in places.items():
        to_class[label_id] = place
    by_id = {label_id: each for each, label_id in reversed(list(schema.ids.items()))}
    channels = torch.tensor([len(places) if i is None else places[i] for i in ids])
    return [by_id[label_id] for label_id in places], to_class, channels
