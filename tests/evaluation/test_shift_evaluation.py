"""A model over domains and severities: the same figures as of each shifted dataset alone, and the clean frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from poc_aug import Cache, SceneShiftDataset, SyntheticStreet, warm_cache
from poc_aug.errors import CacheMissError, DatasetError, PocAugError, SchemaError, SettingError
from poc_aug.evaluation.anomalies import evaluate
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.shift_evaluation import evaluate_shifts, shifted_datasets
from poc_aug.evaluation.shift_report import ShiftReport
from poc_aug.evaluation.shift_request import ShiftRequest
from poc_aug.labels.schema import SCHEMAS
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from poc_aug.types import Rejection
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.kinds import NoiseShifter

CLASSES = ("road", "sidewalk", "building")


class Darker(NoiseShifter):
    """Runs where frames are read."""

    holds_model = False


class Colours(nn.Module):
    """Logits of three classes from colours; what it saw is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        return 6 * images - images.mean()


@pytest.fixture(scope="module")
def street() -> SyntheticStreet:
    return SyntheticStreet(size=(64, 128), length=2)


@pytest.fixture(scope="module")
def report(street: SyntheticStreet) -> ShiftReport:
    return evaluate_shifts(Colours(), street, ["fog:2,5", "night:3"], CLASSES, name="street", seed=4)


def test_each_result_is_that_of_the_shifted_dataset_alone(report: ShiftReport, street: SyntheticStreet) -> None:
    shifts = [(result.domain, result.severity) for result in report.results]
    assert shifts == [("clean", 0), ("fog", 2), ("fog", 5), ("night", 3)]
    for result in report.results:
        frames: Any = street
        if result.severity:
            frames = SceneShiftDataset(street, result.domain, severity=result.severity, seed=4)
        alone = evaluate_classes(Colours(), frames, CLASSES)
        assert result.classes is not None
        assert result.classes.iou == alone.iou
        assert result.classes.confidence == alone.confidence
        assert result.figures == {
            "mIoU": alone.mean_iou,
            "ECE": alone.confidence["ECE"],
            "AUROC of confidence": alone.confidence["AUROC"],
        }
    assert len({result.figures["ECE"] for result in report.results}) == 4
    assert report.domains == ("fog", "night")
    assert report.at("fog", 5) is report.results[2]
    with pytest.raises(KeyError):
        report.at("fog", 4)


def test_the_report_is_json_with_the_clean_frames_first(report: ShiftReport) -> None:
    values = report.to_dict()
    assert values["dataset"] == "street"
    assert values["results"][0]["domain"] == "clean"
    assert values["results"][2]["classes"]["mIoU"] == report.at("fog", 5).figures["mIoU"]
    assert set(values["results"][2]["classes"]["IoU"]) == set(CLASSES)
    assert "anomalies" not in values["results"][0]


def test_anomalies_are_evaluated_where_the_schema_calls_some_so() -> None:
    report = evaluate_shifts(Brightness(), Streets(3), [ShiftRequest(Darker("dusk"), (1, 4))], scores=("msp", "energy"))
    for result in report.results[1:]:
        frames = SceneShiftDataset(Streets(3), Darker("dusk"), severity=result.severity)
        alone = evaluate(Brightness(), frames, ("msp", "energy"))
        assert result.classes is None
        for score in ("msp", "energy"):
            for figure in ("AuPRC", "FPR95", "AUROC"):
                assert result.figures[f"{figure}, {score}"] == alone.scores[score].pixels[figure]
    assert report.clean.figures["AuPRC, msp"] == pytest.approx(1)


def test_known_classes_and_anomalies_of_one_dataset() -> None:
    shifts = [ShiftRequest(Darker("dusk"), (2,))]
    report = evaluate_shifts(Brightness(), Streets(3), shifts, ("road", "sky"), components="obstacle")
    names = set(report.at("dusk", 2).figures)
    assert {"mIoU", "ECE", "AuPRC, msp", "sIoU, msp", "component F1, msp", "open-IoU TPR95, msp"} <= names
    assert set(report.to_dict()["results"][1]) == {"domain", "severity", "left_out", "classes", "anomalies"}


def test_frames_are_shifted_before_they_are_resized() -> None:
    model = Colours()
    evaluate_shifts(model, Frames(1), [ShiftRequest(_Points(), (1,))], ("road", "sky"), size_hw=(24, 32))
    clean, shifted = model.seen
    assert clean.shape == shifted.shape == (1, 3, 24, 32)
    assert 0.02 < float((shifted - clean).abs().max()) < 0.6  # a single white pixel, smoothed by the resizing


class _Points(Darker):
    """One pixel turns white."""

    def __init__(self) -> None:
        super().__init__("points")

    def _one(self, frame: SceneFrame) -> Shifted | Rejection:
        assert frame.size_hw == (48, 65)
        image = frame.image.clone()
        image[:, 20, 20] = 255
        return Shifted(image)


def test_progress_counts_all_frames_of_all_shifts(street: SyntheticStreet) -> None:
    steps: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        steps.append((done, total))

    evaluate_shifts(Colours(), street, ["fog:1,2"], CLASSES, limit=1, on_progress=note)
    assert steps == [(0, 3), (1, 3), (2, 3)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of which some were rejected at each attempt."""
    path = tmp_path_factory.mktemp("shifts") / "dusk.cache"
    warm_cache(SceneShiftDataset(Frames(6), NoiseShifter("dusk", reject=0.75), severity=(2, 4)), path, workers=0)
    return path


def test_frames_of_a_cache_are_read_and_rejected_ones_left_out(stored: Path) -> None:
    report = evaluate_shifts(Brightness(), Frames(6), [str(stored)], ("road", "sky"))
    assert report.domains == ("dusk.cache/dusk",)
    with Cache.open(stored) as cache:
        for severity in (2, 4):
            keys = [f"frame-{index:03d}@dusk-{severity}" for index in range(6)]
            variants = [cache.get(key, 0) for key in keys]
            rejected = sum(variant is not None and variant.frame is None for variant in variants)
            result = report.at("dusk.cache/dusk", severity)
            assert 0 < rejected < 6
            assert result.left_out == rejected
            assert result.classes is not None
            assert result.classes.frames == 6 - rejected
    limited = evaluate_shifts(Brightness(), Frames(6), [str(stored)], ("road", "sky"), limit=4)
    assert [r.left_out + r.classes.frames for r in limited.results if r.classes is not None] == [4, 4, 4]


def test_a_frame_that_the_cache_does_not_hold_is_an_error(stored: Path) -> None:
    with pytest.raises(CacheMissError, match="frame-006"):
        evaluate_shifts(Brightness(), Frames(7), [str(stored)], ("road", "sky"))


def test_frames_that_were_rejected_do_not_count_as_clean_ones() -> None:
    shifts = [ShiftRequest(Darker("dusk", reject=1.0), (3,))]
    with pytest.raises(DatasetError, match="2 of 2 frames of Frames in dusk at severity 3 were rejected"):
        evaluate_shifts(Brightness(), Frames(2), shifts, ("road", "sky"))


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        ({"classes": (), "scores": None}, SettingError, "neither classes nor anomalies"),
        ({"classes": ("road",), "scores": ("msp",)}, SchemaError, "no class out of distribution"),
        ({"classes": ("road",), "shifts": []}, SettingError, "one shift or more"),
        ({"classes": ("road",), "shifts": ["mist:2"]}, SettingError, "unknown domain 'mist'"),
        ({"classes": ("road",), "camera": "webcam"}, PocAugError, "webcam"),
    ],
)
def test_bad_settings_are_named(arguments: dict[str, Any], kind: type[PocAugError], named: str) -> None:
    model = Colours()
    with pytest.raises(kind, match=named):
        evaluate_shifts(model, Frames(1), **{"shifts": ["fog:1"], **arguments})
    assert not model.seen


def test_weather_without_classes_of_the_ground_is_an_error_before_the_first_frame() -> None:
    model = Colours()
    with pytest.raises(SchemaError):
        evaluate_shifts(model, Streets(2), ["fog:1"], schema=SCHEMAS["fishyscapes"])
    assert not model.seen


def test_shifted_datasets_have_keys_of_their_own() -> None:
    found = shifted_datasets(Frames(2), ["fog:1,5"], seed=2)
    assert [(request.name, severity) for request, severity, _ in found] == [("fog", 1), ("fog", 5)]
    assert [frames.keys[1] for _, _, frames in found] == ["frame-001@fog-1", "frame-001@fog-5"]
    assert all(frames.schema == SCHEMA for _, _, frames in found)


def _falls(values: Sequence[float]) -> bool:
    return all(later < earlier for earlier, later in pairwise(values))


def test_a_real_frame_in_fog_is_recognised_less_and_less(real_data: Path) -> None:
    from poc_aug.datasets import camvid

    model = _Sky()
    frames = camvid(real_data / "scenes" / "camvid", split="val")
    report = evaluate_shifts(model, frames, ["fog:1,3,5"], ("sky", "building"), limit=1)
    values = [result.figures["mIoU"] for result in report.results]
    assert _falls(values)
    assert not any(math.isnan(value) for value in values)


class _Sky(nn.Module):
    """Calls bright pixels sky, and all others building."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.mean(dim=1, keepdim=True)
        return torch.cat([10 * (grey - 0.7), torch.zeros_like(grey)], dim=1)
