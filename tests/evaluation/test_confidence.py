"""Confidence against correctness in `evaluate`: equal to its definition, null with a reason, in table and report."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torchvision.datasets import Cityscapes

from poc_aug.cli.arguments import load_callable
from poc_aug.evaluation.anomalies import EvaluationResult, ScoreResult, evaluate
from poc_aug.evaluation.bravo_report import bravo_values
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.inference import frame_logits
from poc_aug.labels.schema import LabelSchema
from poc_aug.metrics import bravo_index
from poc_aug.seeding import generator
from tests.helpers.command_line import run
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA

HERE = __name__
CHANNELS = ("road", "grass", "car", "truck")
FRAMES = LabelSchema("views", {"road": 4, "car": 7, "bus": 9}, ignore=(255,))


class Colours(nn.Module):
    """Four channels from the colours: red, green, blue and their mean."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 4 * torch.cat([images, images.mean(dim=1, keepdim=True)], dim=1)


def frames(count: int = 3) -> Any:
    rng = generator("confidence")
    images = torch.randint(256, (count, 3, 20, 30), generator=rng, dtype=torch.uint8)
    ids = torch.tensor([4, 7, 9, 255])[torch.randint(4, (count, 20, 30), generator=rng)].to(torch.uint8)
    return list(zip(images, ids, strict=True))


def by_definition(confidence: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> dict[str, float]:
    edges = np.linspace(0, 1, 16)
    bins = [(confidence > low) & (confidence <= high) for low, high in pairwise(edges)]
    thresholds = np.sort(confidence[right])[::-1]
    enough = thresholds[int(np.ceil(0.95 * len(thresholds))) - 1]
    return {
        "ECE": sum(abs((confidence[inside] - right[inside]).sum()) for inside in bins) / len(confidence),
        "AUROC": roc_auc_score(right, confidence),
        "FPR95": (confidence[~right] >= enough).mean(),
        "AUPR-Success": average_precision_score(right, confidence),
        "AUPR-Error": average_precision_score(~right, -confidence),
    }


def test_figures_equal_their_definition_where_classes_are_merged() -> None:
    # The dataset calls trucks cars, has no grass, and its buses are unknown to the model.
    result = evaluate_classes(Colours(), frames(), CHANNELS, merge={"truck": "car"}, schema=FRAMES)
    confidence, right = [], []
    for image, ids in frames():
        probabilities = frame_logits(Colours(), image, (20, 30)).softmax(1)[0].double().numpy()
        chosen = probabilities.argmax(0)
        counted = np.isin(ids.numpy(), (4, 7))
        truth = np.select([ids.numpy() == 4, ids.numpy() == 7], [0, 1], -1)
        place = np.array([0, -2, 1, 1])[chosen]
        confidence.append(probabilities.max(0)[counted])
        right.append((place == truth)[counted])
    expected = by_definition(np.concatenate(confidence), np.concatenate(right))
    assert result.confidence == pytest.approx(expected, abs=1e-6)
    assert result.to_dict()["confidence"] == result.confidence


def test_what_is_undefined_is_null_with_its_reason() -> None:
    image = torch.zeros(3, 2, 4, dtype=torch.uint8)
    image[0] = 255
    for label_id, absent, reason in (
        (4, "AUPR-Error", "no labelled pixel is wrong"),
        (7, "AUPR-Success", "no labelled pixel is right"),
    ):
        labels = torch.full((2, 4), label_id, dtype=torch.uint8)
        one_frame: Any = [(image, labels)]
        result = evaluate_classes(Colours(), one_frame, CHANNELS, schema=FRAMES)
        values = json.loads(json.dumps(result.to_dict(), allow_nan=False))["confidence"]
        assert values[absent] is values["AUROC"] is values["FPR95"] is None
        assert values["undefined"][absent] == reason
        assert set(values["undefined"]) == {absent, "AUROC", "FPR95"}
        assert values["ECE"] >= 0
        anomalies = EvaluationResult("a", 1, 0, {"msp": ScoreResult({"AuPRC": 0.4, "AUROC": 0.9, "FPR95": 0.4})}, 0.0)
        index = bravo_values([anomalies], [result])["msp"]
        assert index["semantic"] is index["index"] is None
        assert index["undefined"]["index"] == "one of its figures is undefined"
        assert index["ood"] == pytest.approx(0.568421, abs=1e-6)


def test_anomalies_without_an_anomaly_are_null_with_the_reason() -> None:
    result = evaluate(Brightness(), Streets(1), components="obstacle")  # its one frame has no anomaly
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))["scores"]["msp"]
    assert values["AuPRC"] is None
    assert values["undefined"]["AuPRC"] == "no evaluated pixel is anomalous"


def test_the_command_reports_the_index_of_all_datasets(tmp_path: Path) -> None:
    names = list(SCHEMA.ids)[:3]
    classes = tmp_path / "channels.yaml"
    classes.write_text("ids: {" + ", ".join(f"{name}: {i}" for i, name in enumerate(names)) + "}\n")
    labelled = [part for length in (2, 3) for part in ("--labelled", f"{HERE}:Streets length={length}")]
    output = run(
        *("evaluate", "--model", f"{HERE}:Brightness", "--dataset", f"{HERE}:Streets", "--score", "msp"),
        *("--score", "energy", *labelled, "--classes", str(classes), "--maps", "0", "--out", str(tmp_path / "out")),
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    closed = [evaluate_classes(Brightness(), Streets(length), names) for length in (2, 3)]
    assert [entry["confidence"]["AUPR-Error"] for entry in report["classes"]] == pytest.approx(
        [result.confidence["AUPR-Error"] for result in closed]
    )
    semantic = [{"mIoU": result.mean_iou, **result.confidence} for result in closed]
    for score in ("msp", "energy"):
        expected = asdict(bravo_index(semantic, [report["results"][0]["scores"][score]]))
        assert report["bravo"][score] == pytest.approx(expected)
        assert f"{100 * expected['index']:.2f}" in output
    for part in ("AUPR-Success", "AUPR-Error", f"{100 * closed[0].confidence['ECE']:.2f}", "BRAVO index"):
        assert part in output


def test_a_trained_network_on_a_real_frame_equals_the_definition(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    load = load_callable("examples.finetune_ood:load_model")
    model = load(real_data / "weights" / "erfnet_cityscapes_fp16.pth")
    dataset = Cityscapes(real_data / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")
    schema, size_hw = LabelSchema.load("cityscapes-trainIds"), (256, 512)
    names = [name for name, label_id in sorted(schema.ids.items(), key=lambda pair: pair[1]) if label_id < 19]
    seen: list[torch.Tensor] = []

    class Watched(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = nn.functional.interpolate(model(images), size_hw, mode="bilinear")
            seen.append(logits)
            return logits

    result = evaluate_classes(Watched(), dataset, names, size_hw=size_hw, limit=1)
    ids = np.array(dataset[0][1].resize(size_hw[::-1], 0))
    original = [LabelSchema.load("cityscapes-labelIds").ids[name] for name in names]
    probabilities = seen[0].softmax(1)[0].numpy().astype(np.float64)
    counted = np.isin(ids, original)
    right = np.array(original)[probabilities.argmax(0)] == ids
    expected = by_definition(probabilities.max(0)[counted], right[counted])
    assert result.confidence == pytest.approx(expected, abs=2e-3)
    assert result.confidence["AUROC"] > 0.8
