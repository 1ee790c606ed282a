"""Closed-set evaluation: hand-counted cases, names that differ, real frames against a confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from poc_aug.datasets import camvid
from poc_aug.errors import DatasetError, ModelError, SchemaError
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.labels.schema import SCHEMAS, LabelSchema


class Tables(Dataset[Any]):
    """Pictures whose red channel says what a model predicts, and labels."""

    schema = LabelSchema("tables", {"Road": 7, "car": 9, "sky": 4, "hole": 200}, ignore=(0, 255), ood=("hole",))

    def __init__(self, predicted: list[list[int]], labels: list[list[int]]) -> None:
        self.predicted, self.labels = torch.tensor(predicted), torch.tensor(labels, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        image = self.predicted[index].to(torch.uint8)[None, None].expand(3, 2, -1)
        return image, self.labels[index][None].expand(2, -1)


class Reads(nn.Module):
    """Logits of ``channels`` classes: the channel that the red value names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        red = (images[:, 0] * 255).round().long()
        return nn.functional.one_hot(red, self.channels).permute(0, 3, 1, 2).float()


CLASSES = ("road", "truck", "car", "person")


def test_hand_counted() -> None:
    # road: 2 right, 1 missed, 1 too many. car: 1 right, 1 missed (as a person). The hole and ignored pixels: nothing.
    data = Tables([[0, 0, 3, 0], [2, 3, 0, 1]], [[7, 7, 7, 9], [9, 200, 0, 255]])
    result = evaluate_classes(Reads(4), data, CLASSES)
    assert result.iou == pytest.approx({"Road": 2 / 4, "car": 1 / 2})
    assert result.mean_iou == pytest.approx(0.5)
    assert (result.frames, result.absent, result.dataset) == (2, (), "Tables")


def test_classes_are_merged_by_name_and_void_channels_left_out() -> None:
    data = Tables([[1, 2, 0, 3]], [[9, 9, 7, 9]])
    assert evaluate_classes(Reads(4), data, CLASSES).iou["car"] == pytest.approx(1 / 3)
    assert evaluate_classes(Reads(4), data, CLASSES, merge={"Truck": "CAR"}).iou["car"] == pytest.approx(2 / 3)
    # The fourth channel is a void one when three classes are named: the largest of the others is taken, here the first.
    assert evaluate_classes(Reads(4), data, CLASSES[:3]).iou == pytest.approx({"Road": 1 / 2, "car": 1 / 3})


def test_absent_classes_do_not_count() -> None:
    result = evaluate_classes(Reads(4), Tables([[0, 2]], [[7, 7]]), CLASSES)
    assert result.iou == pytest.approx({"Road": 0.5})
    assert result.absent == ("car",)
    assert result.to_dict()["mIoU"] == pytest.approx(0.5)


def test_what_does_not_fit_is_named() -> None:
    data = Tables([[0]], [[7]])
    with pytest.raises(SchemaError, match="elephant"):
        evaluate_classes(Reads(4), data, CLASSES, merge={"elephant": "car"})
    with pytest.raises(SchemaError, match="bus"):
        evaluate_classes(Reads(4), data, CLASSES, merge={"truck": "bus"})
    with pytest.raises(SchemaError, match="no class of schema 'tables'"):
        evaluate_classes(Reads(4), data, ("cat", "dog"))
    with pytest.raises(SchemaError, match="hold ids"):
        evaluate_classes(Reads(4), Tables([[0]], [[77]]), CLASSES)
    with pytest.raises(ModelError, match="2 channels for 4 classes"):
        evaluate_classes(Reads(2), data, CLASSES)
    with pytest.raises(DatasetError, match="no pixel of 1 frame "):
        evaluate_classes(Reads(4), Tables([[0]], [[255]]), CLASSES)
    with pytest.raises(DatasetError, match="no pixel of 0 frames"):
        evaluate_classes(Reads(4), data, CLASSES, limit=0)


def test_negative_ids_are_not_the_last_class() -> None:
    schema = LabelSchema("plates", {"road": 0, "licence plate": -1}, ignore=(-1, 255))
    data = Tables([[0, 0]], [[0, 0]])
    data.labels = torch.tensor([[0, -1]], dtype=torch.int16)
    assert evaluate_classes(Reads(4), data, ("road",), schema=schema).iou == pytest.approx({"road": 1})


def test_the_mode_and_the_frames_size_are_kept_and_sizes_may_differ(real_data: Path) -> None:
    frames = camvid(real_data / "scenes" / "camvid", "val")
    classes = tuple(SCHEMAS["cityscapes-trainIds"].ids)
    model = nn.Conv2d(3, len(classes), 5, stride=3, padding=1)
    model.train()
    result = evaluate_classes(model, frames, classes, merge={"terrain": "vegetation"}, limit=2, size_hw=(90, 121))
    assert model.training
    assert 0 <= result.mean_iou < 1
    assert {"road", "sidewalk", "sky", "tree"} <= {*result.iou, *result.absent}


def test_equals_a_confusion_matrix_on_real_frames(real_data: Path) -> None:
    frames = camvid(real_data / "scenes" / "camvid", "val")
    assert frames.schema is not None
    names = list(frames.schema.ids)[:11]  # by id; further ones are other names of the same
    torch.manual_seed(0)
    model = nn.Conv2d(3, len(names), 3, padding=1)
    result = evaluate_classes(model, frames, names, limit=3)
    confusion = torch.zeros(256, 256, dtype=torch.int64)
    for index in range(3):
        image, labels = frames[index]
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        truth = torch.from_numpy(np.array(labels)).long()
        with torch.no_grad():
            predicted = model(pixels)[0].argmax(dim=0)
        confusion += torch.bincount(truth.flatten() * 256 + predicted.flatten(), minlength=256**2).reshape(256, 256)
    known = [name for name in names if frames.schema.known_id(name) is not None]
    confusion[frames.schema.ignore[0]] = 0
    for name in known:
        i = frames.schema.id_of(name)
        union = confusion[i].sum() + confusion[:, i].sum() - confusion[i, i]
        if confusion[i].sum():
            assert result.iou[name] == pytest.approx(float(confusion[i, i] / union), abs=1e-6)
