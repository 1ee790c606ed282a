"""docs/evaluation.md lists the keys of every metric and of the report, and the sizes of components."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug import metrics
from poc_aug.evaluation.anomalies import evaluate
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
SCORES, LABELS, LOGITS = torch.rand(1, 4, 6), torch.zeros(1, 4, 6, dtype=torch.int64), torch.rand(1, 3, 4, 6)
LABELS[0, 0], LABELS[0, 1] = 1, 255
INPUTS: dict[str, tuple[dict[str, Any], tuple[torch.Tensor, ...]]] = {
    "AnomalySegmentation": ({}, (SCORES, LABELS)),
    "ComponentSegmentation": ({"threshold": 0.5}, (SCORES, LABELS)),
    "AnomalyInstanceSegmentation": ({}, (LABELS == 1, torch.rand(1), LABELS[0])),
    "OpenSetSegmentation": ({"num_classes": 3}, (SCORES, LOGITS.argmax(dim=1), LABELS)),
    "SegmentationCalibration": ({}, (LOGITS, LABELS)),
    "MisclassificationDetection": ({}, (LOGITS, LABELS)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_all_keys_of_a_metric_are_listed(name: str) -> None:
    section = PAGE.partition("### All keys")[2]
    listed = re.search(rf"^\| `{name}` \| (.*) \|$", section, re.MULTILINE)
    assert listed is not None
    settings, inputs = INPUTS[name]
    metric = getattr(metrics, name)(**settings)
    metric.update(*inputs)
    assert re.findall(r"`([^`]+)`", listed[1]) == list(metric.compute())


def test_all_figures_of_the_report_are_listed() -> None:
    names = list(SCHEMA.ids)[:3]
    result = evaluate(Brightness(), Streets(2), components="obstacle", classes=names).scores["msp"]
    section = PAGE.partition("### All keys")[2].partition("### ")[0]
    assert {*result.pixels, *result.components, *result.open_set} <= set(re.findall(r"`([^`]+)`", section))


def test_the_sizes_of_components_are_those_of_the_tracks() -> None:
    section = PAGE.partition("### Sizes of components")[2].partition("## ")[0]
    for track in ("anomaly", "obstacle"):
        metric = metrics.ComponentSegmentation(0.5, track=track)
        sizes = (str(metric.min_predicted_px), str(metric.min_true_px))
        assert re.search(r"\b" + r"\b[^.]*?\b".join([*sizes, track] if track == "anomaly" else sizes) + r"\b", section)
