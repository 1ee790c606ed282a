"""Open-IoU and instance AP of `evaluate`, against figures worked out from the frames' own scores and labels."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from poc_aug.errors import ModelError, SchemaError
from poc_aug.evaluation.anomalies import Frame, evaluate
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.open_set_figures import instance_figures
from poc_aug.labels.schema import LabelSchema
from poc_aug.metrics import score_components
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA

CLASSES = [name for name, label_id in SCHEMA.ids.items() if label_id in (0, 1, 2)]
OPEN = {"open-IoU TPR95", "open-IoU FPR5", "closed-set mIoU"}


class Doubtful(Brightness):
    """Like `Brightness`, but it takes the right third of each frame for class 1, and doubts its lowest rows."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = super().forward(images)
        width, height = logits.shape[-1], logits.shape[-2]
        logits[:, 1, :, width * 2 // 3 :] += 11
        logits[:, :, height * 9 // 10 :] *= 0.02
        return logits


class OfClasses(Streets):
    """The streets' frames with labels of known classes alone: pixels of anomalies are ignored."""

    schema = SCHEMA

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        ids = np.array(labels)
        ids[ids == Streets.schema.ids["anomaly"]] = SCHEMA.ignore[0]
        return image, ids


def by_hand(threshold: float, scores: torch.Tensor, predictions: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean IoU of the known classes, with an outlier class for everything at or above the threshold."""
    anomaly = Streets.schema.ids["anomaly"]
    found = torch.where(scores >= threshold, anomaly, predictions)
    counted = labels != 255
    iou = []
    for label_id in (SCHEMA.ids[name] for name in CLASSES):
        true, said = (labels == label_id) & counted, (found == label_id) & counted
        if true.any():
            iou.append(float((true & said).sum() / (true | said).sum()))
    return sum(iou) / len(iou)


@pytest.mark.parametrize("size_hw", [None, (33, 40)])
def test_open_iou_of_evaluate_equals_the_definition(size_hw: tuple[int, int] | None) -> None:
    frames: list[Frame] = []
    streets = Streets()
    result = evaluate(Doubtful(), streets, ("msp", "entropy"), classes=CLASSES, size_hw=size_hw, on_frame=frames.append)
    predictions = torch.stack([Doubtful()(frame.image[None] / 255).argmax(dim=1)[0] for frame in frames])
    labels = []
    for index in range(len(streets)):
        ids = torch.from_numpy(np.array(streets[index][1]))[None, None].float()
        labels.append(torch.nn.functional.interpolate(ids, frames[0].labels.shape, mode="nearest-exact")[0, 0])
    for name, score in result.scores.items():
        assert set(score.open_set) == OPEN
        scores = torch.stack([frame.scores[name] for frame in frames]).double()
        truth = torch.stack(labels)
        for figure, key in (("open-IoU TPR95", "FPR95_threshold"), ("open-IoU FPR5", "TPR5_threshold")):
            expected = by_hand(score.pixels[key], scores, predictions, truth)
            assert score.open_set[figure] == pytest.approx(expected, abs=1e-6), figure
            assert 0 < expected < 1
        assert result.to_dict()["scores"][name]["open-IoU FPR5"] == score.open_set["open-IoU FPR5"]
    msp = result.scores["msp"].open_set
    assert msp["open-IoU TPR95"] < msp["closed-set mIoU"]


def test_without_a_threshold_it_is_the_closed_set_miou() -> None:
    open_set = evaluate(Doubtful(), Streets(), classes=CLASSES).scores["msp"].open_set
    closed = evaluate_classes(Doubtful(), OfClasses(), CLASSES)
    assert open_set["closed-set mIoU"] == pytest.approx(closed.mean_iou, abs=1e-6)


def test_classes_that_only_one_side_has() -> None:
    # The dataset's class 1 is not the model's: its pixels are left out; the model's "lava" is an error wherever it is.
    own = [CLASSES[0], "lava", CLASSES[2]]
    result = evaluate(Doubtful(), Streets(), classes=own).scores["msp"].open_set
    closed = evaluate_classes(Doubtful(), OfClasses(), own)
    assert result["closed-set mIoU"] == pytest.approx(closed.mean_iou, abs=1e-6)
    assert evaluate(Doubtful(), Streets()).scores["msp"].open_set == {}
    with pytest.raises(SchemaError, match="is the model's"):
        evaluate(Doubtful(), Streets(), classes=["lava"])
    with pytest.raises(ModelError, match="logits of 3 channels for 4 classes"):
        evaluate(Doubtful(), Streets(), classes=[*CLASSES, "lava"])


def test_instance_ap_of_evaluate() -> None:
    result = evaluate(Brightness(), Streets(), components="obstacle").scores["msp"]
    assert (result.components["instance AP"], result.components["instance AP50"]) == pytest.approx((1, 1))
    assert "instance AP" not in evaluate(Brightness(), Streets()).scores["msp"].components


def test_instances_of_labels_and_scores() -> None:
    labels = torch.zeros(40, 60, dtype=torch.uint8)
    labels[2:12, 2:12] = 1
    labels[20:30, 30:40] = 1
    labels[2:12, 40:60] = 255
    scores = torch.zeros(40, 60)
    scores[2:12, 2:12] = 0.9  # found
    scores[35:38, 2:5] = 0.95  # a false alarm of 9 px, more certain than both
    scores[20:30, 30:36] = 0.8  # six tenths of the second
    scores[2:12, 40:60] = 1.0  # ignored
    # Precision at recall 0, 0, 1/2 and 1 is 1, 0, 1/2 and 2/3.
    found = instance_figures([(scores, labels)], 0.5)
    assert found["instance AP50"] == pytest.approx(0.5 * 0.25 + 0.5 * (1 / 2 + 2 / 3) / 2)
    # From an overlap of 0.6 on, the second is missed: up to recall 1/2 only.
    assert found["instance AP"] == pytest.approx((2 * found["instance AP50"] + 8 * 0.125) / 10)
    assert instance_figures([(scores, labels)], 0.5, min_px=10)["instance AP50"] == pytest.approx(1)


def test_more_instances_than_ids_of_eight_bits() -> None:
    labels = torch.zeros(128, 256, dtype=torch.uint8)
    labels[::8, ::8] = 1  # 512 objects of one pixel, too small; then all of 16
    assert instance_figures([(labels.float(), labels)], 0.5)["instance AP"] != 1
    labels = labels.repeat_interleave(4, dim=0).repeat_interleave(4, dim=1)
    assert len(score_components(labels.float(), 0.5).scores) == 512
    assert instance_figures([(labels.float(), labels)], 0.5) == {"instance AP": 1.0, "instance AP50": 1.0}


def test_ood_classes_may_have_several_names() -> None:
    schema = LabelSchema("zoo", {"road": 0, "cow": 5, "dog": 6}, ood=("cow", "dog"))
    labels = torch.tensor([[0, 0, 5, 6, 255]], dtype=torch.uint8)
    image = torch.tensor([[[255, 255, 90, 90, 0]], [[0, 0, 90, 90, 0]], [[0, 0, 90, 90, 0]]], dtype=torch.uint8)
    result = evaluate(torch.nn.Identity(), cast(Dataset[Any], [(image, labels)]), classes=["road"], schema=schema)
    assert result.scores["msp"].open_set == {"open-IoU TPR95": 1, "open-IoU FPR5": 1, "closed-set mIoU": 1}
