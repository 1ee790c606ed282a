"""Component metrics, by hand and against the public kit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from poc_aug.metrics import AnomalySegmentation, ComponentSegmentation

# Components, by hand: each letter is a predicted component on its own.
TRUE = """
11.......
11..22...
....22...
.......3.
"""
PREDICTED = """
aa.......
.a..bbbb.
....bbbb.
dd.......
"""


def picture(text: str) -> torch.Tensor:
    return torch.tensor([[sign != "." for sign in line] for line in text.split()])


def test_components_by_hand() -> None:
    labels, scores = picture(TRUE).long()[None], picture(PREDICTED).float()[None]
    metric = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0)
    frame = metric.frame(scores[0], labels[0])
    # 1: 3 of 4 pixels covered by a, nothing around it. 2: all 4, and 4 more of b next to them. 3: not covered.
    assert frame.siou.tolist() == [3 / 4, 4 / 8, 0.0]
    assert frame.ppv.tolist() == [1.0, 0.5, 0.0]
    metric.update(scores, labels)
    figures = {name: float(value) for name, value in metric.compute().items()}
    assert figures["sIoU"] == pytest.approx((0.75 + 0.5) / 3)
    # At 0.25: 2 hits, 1 miss, 1 false alarm. At 0.50: sIoU has to exceed it. At 0.75: none is above.
    assert figures["F1_25"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert figures["F1_50"] == pytest.approx(2 / (2 + 2 + 2))
    assert figures["F1_75"] == 0


def test_one_prediction_over_two_objects_is_adjusted() -> None:
    # The union leaves out what belongs to the other object: both are half of a 10-pixel prediction.
    labels = picture("1111..1111")[None].long()
    scores = torch.ones(1, 1, 10)
    frame = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0).frame(scores[0], labels[0])
    assert frame.siou.tolist() == [4 / 6, 4 / 6]
    assert frame.ppv.tolist() == [8 / 10]


def test_sizes_and_ignored_pixels_of_components() -> None:
    labels = picture("1111..1").long()[None]
    scores = picture("aaaa.ab").float()[None]
    small = ComponentSegmentation(0.5, min_predicted_px=3, min_true_px=2)
    frame = small.frame(scores[0], labels[0])
    assert frame.siou.tolist() == [1.0]  # the object of one pixel is ignored, the prediction of two dropped
    assert frame.ppv.tolist() == [1.0]
    labels[0, 0, 5] = 255
    frame = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0).frame(scores[0], labels[0])
    assert frame.siou.tolist() == [1.0, 1.0]
    assert frame.ppv.tolist() == [1.0, 1.0]
    empty = ComponentSegmentation(0.5)
    empty.update(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))
    assert all(np.isnan(float(value)) for value in empty.compute().values())


@pytest.mark.real_data
def test_real_score_maps_equal_scikit_learn_and_the_public_kit(real_data: Path) -> None:
    references = json.loads((real_data / "metric_refs" / "smiyc_kit_reference.json").read_text())
    assert len(references) == 4
    for reference in references.values():
        kit, exactly = reference["official_kit"], reference["exact"]
        pixels = AnomalySegmentation()
        track: Literal["anomaly", "obstacle"] = "anomaly" if reference["track"].startswith("Anomaly") else "obstacle"
        components = ComponentSegmentation(kit["best_f1_threshold"], track=track)
        for name, expected in zip(reference["frames"], reference["per_frame"], strict=True):
            with np.load(real_data / "metric_refs" / "scores" / name) as data:
                scores, labels = torch.from_numpy(data["score"]), torch.from_numpy(data["label"])
            pixels.update(scores[None], labels[None])
            components.update(scores[None], labels[None])
            frame = components.frame(scores, labels)
            for key, values in (("sIoU_gt", frame.siou), ("prec_pred", frame.ppv), ("sIoU_pred", frame.predicted_siou)):
                assert sorted(values.tolist()) == pytest.approx(sorted(expected[key]), abs=1e-12)
        found_pixels = {name: float(value) for name, value in pixels.compute().items()}
        assert found_pixels["AuPRC"] == pytest.approx(exactly["AP_sklearn"], abs=1e-9)
        assert found_pixels["AUROC"] == pytest.approx(exactly["AUROC_sklearn"], abs=1e-9)
        assert found_pixels["FPR95"] == pytest.approx(exactly["FPR95_first_tpr_ge_095"], abs=1e-9)
        assert found_pixels["F1"] == pytest.approx(exactly["best_f1_exact"], abs=1e-9)
        assert found_pixels["F1_threshold"] == pytest.approx(exactly["best_f1_exact_threshold"], abs=1e-6)
        figures = {name: float(value) for name, value in components.compute().items()}
        for name, key in (("sIoU", "sIoU_gt"), ("PPV", "prec_pred"), ("F1", "f1_mean"), ("F1_50", "f1_50")):
            assert figures[name] == pytest.approx(kit[key], abs=1e-12)
