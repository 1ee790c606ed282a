"""What evaluation and temperature fitting share: modes that are restored, logits that are checked and resized."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from poc_aug.errors import MissingDependencyError, ModelError
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.inference import evaluating, frame_logits, logits_of, resize_logits, resize_pair
from poc_aug.evaluation.temperature import TemperatureScaling
from poc_aug.seeding import generator
from tests.helpers.evaluation_cases import Brightness, Streets


class Returns(nn.Module):
    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: torch.Tensor) -> Any:
        return self.output


def test_modes_of_single_modules_are_restored_also_after_an_error() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).train()
    model[1].eval()  # frozen statistics

    def fail() -> None:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [module.training for module in model.modules()] == [True, True, False]


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ({"out": torch.zeros(2, 3, 5, 7)}, "returned a dict"),
        (torch.zeros(3, 5, 7), r"returned shape \[3, 5, 7\] for images of \[2, 3, 5, 7\]"),
        (torch.zeros(1, 3, 5, 7), r"returned shape \[1, 3, 5, 7\]"),
        (torch.zeros(2, 3, 7, 5), r"\[2, 3, 7, 5\] for images of 5x7"),
    ],
)
def test_models_that_return_no_logits_are_named(output: Any, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        logits_of(Returns(output), torch.zeros(2, 3, 5, 7))
    with pytest.raises(ModelError, match=problem):
        TemperatureScaling().fit(Returns(output), [(torch.zeros(2, 3, 5, 7), torch.zeros(2, 5, 7, dtype=torch.long))])


def test_logits_are_resized_as_interpolate_does_and_left_alone_at_the_same_size() -> None:
    logits = torch.randn((2, 3, 5, 7), generator=generator("inference"))
    assert resize_logits(logits, (5, 7)) is logits
    expected = F.interpolate(logits, (11, 17), mode="bilinear", align_corners=False)
    assert torch.equal(resize_logits(logits, (11, 17)), expected)
    assert torch.equal(F.interpolate(logits, (5, 7), mode="bilinear", align_corners=False), logits)


def test_frames_reach_the_model_as_floats_from_0_to_1() -> None:
    frame = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None].expand(3, 4, 6)
    logits = frame_logits(nn.Identity().double(), frame, (4, 6))
    assert logits.dtype == torch.float32
    assert logits[0, :, 0, 0].tolist() == pytest.approx([0, 0.2, 1])


def test_labels_are_resized_to_ids_that_were_there() -> None:
    image = torch.randint(0, 256, (3, 17, 11), generator=generator("pair"), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 255], dtype=torch.uint8)[torch.randint(3, (17, 11), generator=generator("ids"))]
    small, small_labels = resize_pair(image, labels, (6, 5))
    assert small.shape == (3, 6, 5)
    assert small.dtype == torch.uint8
    assert set(small_labels.unique().tolist()) <= {0, 1, 255}
    assert all(kept is given for kept, given in zip(resize_pair(image, labels, None), (image, labels), strict=True))
    assert all(kept is given for kept, given in zip(resize_pair(image, labels, (17, 11)), (image, labels), strict=True))


def test_missing_torchmetrics_is_named_for_the_closed_set_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.classification", None)
    with pytest.raises(MissingDependencyError, match=r"poc_aug\[metrics\]"):
        evaluate_classes(Brightness(), Streets(), ("road", "sky", "car"))
