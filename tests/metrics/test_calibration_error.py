"""Calibration errors equal their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poc_aug.errors import ItemFormatError
from poc_aug.metrics import SegmentationCalibration
from poc_aug.seeding import generator


def calibration_by_hand(probabilities: torch.Tensor, labels: torch.Tensor, bins: int = 15) -> dict[str, float]:
    confidence, predicted = probabilities.double().max(dim=1)
    kept = labels != 255
    values, right = confidence[kept].numpy(), (predicted == labels)[kept].double().numpy()
    order = np.argsort(values, kind="stable")
    values, right = values[order], right[order]
    places = np.clip(np.ceil(values * bins) - 1, 0, bins - 1)
    ece = sum(abs((values - right)[places == k].sum()) for k in range(bins)) / len(values)
    even = sum(
        abs((v - r).sum()) for v, r in zip(np.array_split(values, bins), np.array_split(right, bins), strict=True)
    )
    return {"ECE": ece, "AdaptiveECE": even / len(values), "KS": np.abs((values - right).cumsum()).max() / len(values)}


def test_calibration_equals_its_definition() -> None:
    rng = generator("metrics", "calibration")
    logits = 3 * torch.randn(3, 7, 60, 61, generator=rng)
    labels = torch.where(
        torch.rand(3, 60, 61, generator=rng) < 0.6, logits.argmax(1), torch.randint(0, 7, (3, 60, 61), generator=rng)
    )
    labels[torch.rand(3, 60, 61, generator=rng) < 0.2] = 255
    whole, parts, given_probabilities = (
        SegmentationCalibration(), SegmentationCalibration(), SegmentationCalibration(from_logits=False)
    )  # fmt: skip
    whole.update(logits, labels)
    for i in range(3):
        parts.update(logits[i : i + 1], labels[i : i + 1])
    given_probabilities.update(logits.softmax(1), labels)
    expected = calibration_by_hand(logits.float().softmax(1), labels)
    for metric in (whole, parts, given_probabilities):
        figures = metric.compute()
        assert float(figures["ECE"]) == pytest.approx(expected["ECE"], abs=1e-6)
        assert float(figures["KS"]) == pytest.approx(expected["KS"], abs=1e-5)
        assert float(figures["AdaptiveECE"]) == pytest.approx(expected["AdaptiveECE"], abs=1e-3)


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_its_gap() -> None:
    rng = generator("metrics", "calibrated")
    share = 0.5 + 0.5 * torch.rand(1, 400, 400, generator=rng)
    labels = (torch.rand(1, 400, 400, generator=rng) > share).long()
    calibrated = SegmentationCalibration(from_logits=False)
    calibrated.update(torch.stack([share, 1 - share], dim=1), labels)
    assert all(float(calibrated.compute()[name]) < 0.01 for name in ("ECE", "AdaptiveECE", "KS"))
    sure = SegmentationCalibration(from_logits=False)
    certain = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 400, 400)
    sure.update(certain, labels)
    wrong = float(labels.double().mean())
    for name in ("ECE", "AdaptiveECE", "KS"):
        assert float(sure.compute()[name]) == pytest.approx(wrong, abs=1e-9)


@pytest.mark.parametrize(
    ("predictions", "labels", "named"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 5, dtype=torch.long), r"\[1, 4, 5\]"),
        (torch.zeros(1, 3, 4, 4), torch.full((1, 4, 4), 3), r"\[3\](?s:.*)0 to 2"),
        (torch.full((1, 3, 2, 2), float("nan")), torch.zeros(1, 2, 2, dtype=torch.long), "NaN"),
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), "float32"),
    ],
)
def test_bad_predictions_are_named(predictions: torch.Tensor, labels: torch.Tensor, named: str) -> None:
    with pytest.raises(ItemFormatError, match=named):
        SegmentationCalibration().update(predictions, labels)
    with pytest.raises(ItemFormatError, match="from_logits=True"):
        SegmentationCalibration(from_logits=False).update(torch.full((1, 2, 1, 1), 2.0), torch.zeros(1, 1, 1).long())
