"""``poc-aug evaluate --shift``: tables, report and plots; options without effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poc_aug.cli.shift_tables import shift_tables
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.shift_evaluation import evaluate_shifts
from poc_aug.generation.warming import warm_cache
from poc_aug.scene_dataset import SceneShiftDataset
from tests.helpers.command_line import cache_path, run  # noqa: F401
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA
from tests.helpers.kinds import NoiseShifter

HERE = __name__
NAMES = list(SCHEMA.ids)
assert Brightness is not None


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("channels") / "channels.yaml"
    path.write_text("ids: {" + ", ".join(f"{name}: {i}" for i, name in enumerate(NAMES)) + "}\n")
    return path


def test_clean_and_shifted_frames_stand_in_tables_report_and_plots(tmp_path: Path, channels: Path) -> None:
    out, streets = tmp_path / "out", f"{HERE}:Streets length=2"
    output = run(
        *("evaluate", "--model", f"{HERE}:Brightness", "--labelled", streets, "--classes", channels),
        *("--dataset", streets, "--score", "energy", "--shift", "fog:1,4", "--shift", "night:3", "--seed", 5),
        *("--camera", "cityscapes", "--out", out),
    )
    direct = evaluate_shifts(
        Brightness(), Streets(2), ["fog:1,4", "night:3"], NAMES, ("energy",), seed=5, camera="cityscapes"
    )
    report = json.loads((out / "report.json").read_text())
    assert report["settings"]["shifts"] == ["fog:1,4", "night:3"]
    assert (report["settings"]["seed"], report["settings"]["camera"]) == (5, "cityscapes")
    of_anomalies, labelled = report["shifts"]
    shown = [(result["domain"], result["severity"]) for result in labelled["results"]]
    assert shown == [("clean", 0), ("fog", 1), ("fog", 4), ("night", 3)]
    for place, result in enumerate(direct.results):
        assert labelled["results"][place]["classes"]["mIoU"] == pytest.approx(result.figures["mIoU"])
        scores = of_anomalies["results"][place]["anomalies"]["scores"]
        assert scores["energy"]["AuPRC"] == pytest.approx(result.figures["AuPRC, energy"])
        assert f"{100 * result.figures['mIoU']:.2f}" in output
        assert f"{100 * result.figures['AuPRC, energy']:.2f}" in output
    assert "anomalies in shifted frames by energy" in output
    for name in ("shifts-Streets.png", "shifts-Streets-labelled.png"):
        assert name in output
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300


def test_a_table_has_a_row_per_domain_and_severity_and_iou_by_class_at_the_highest() -> None:
    report = evaluate_shifts(Brightness(), Streets(2), ["fog:2,3", "low-sun:1"], NAMES, ())
    figures, by_class = shift_tables(report)
    assert list(figures.columns[0].cells) == ["clean", "fog", "fog", "low-sun"]
    assert list(figures.columns[1].cells) == ["–", "2", "3", "1"]
    assert list(figures.columns[2].cells) == [f"{100 * result.figures['mIoU']:.2f}" for result in report.results]
    assert [column.header for column in by_class.columns] == ["class", "clean", "fog 3", "low-sun 1"]
    known = report.at("fog", 3).classes
    assert known is not None
    assert list(by_class.columns[2].cells) == [
        f"{100 * known.iou[str(name)]:.2f}" for name in by_class.columns[0].cells
    ]


def test_frames_of_a_cache_are_a_shift(tmp_path: Path, channels: Path) -> None:
    cache = tmp_path / "dusk.cache"
    shifted = SceneShiftDataset(Streets(3), NoiseShifter("dusk", reject=0.85), severity=(2, 4))
    warm_cache(shifted, cache, workers=0)
    given = ("evaluate", "--model", f"{HERE}:Brightness", "--labelled", f"{HERE}:Streets length=3")
    output = run(*given, "--classes", channels, "--shift", cache, "--report", tmp_path / "run.json")
    results = json.loads((tmp_path / "run.json").read_text())["shifts"][0]["results"]
    assert [(result["domain"], result["severity"]) for result in results] == [
        ("clean", 0),
        ("dusk.cache/dusk", 2),
        ("dusk.cache/dusk", 4),
    ]
    assert sum(result["left_out"] for result in results) > 0
    assert "left out" in output
    failed = run(*given, "--classes", channels, "--shift", cache, "--seed", 1, fails=True)
    assert "--seed 1 for frames of a cache" in failed


def test_labelled_datasets_are_evaluated_without_any_with_anomalies(tmp_path: Path, channels: Path) -> None:
    given = ("evaluate", "--model", f"{HERE}:Brightness", "--labelled", f"{HERE}:Streets length=2")
    output = run(*given, "--classes", channels, "--out", tmp_path / "out")
    direct = evaluate_classes(Brightness(), Streets(2), NAMES)
    assert f"{100 * direct.mean_iou:.2f}" in output
    assert "anomaly segmentation" not in output
    assert "BRAVO index" not in output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.json"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["results"] == []
    assert "bravo" not in report


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (("--shift", "mist"), "one of: fog, night, rain, snow, low-sun, or corruption:NAME"),
        (("--shift", "fog:7"), "1 to 5"),
        (("--shift", "fog:1-3", "--shift", "fog:3"), "asked for twice"),
        (("--shift", "fog", "--maps", 2, "--out", "maps"), "--maps with --shift"),
        (("--camera", "kitti"), "--camera without --shift"),
        (("--seed", 0), "--seed without --shift"),
        (("--shift", "corruption:contrast", "--camera", "kitti"), "without weather"),
        (("--shift", "fog", "--camera", "webcam"), "webcam"),
    ],
)
def test_shifts_without_effect_or_unknown_are_errors(
    changes: tuple[Any, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = run("evaluate", "--model", f"{HERE}:Missing", "--dataset", f"{HERE}:Streets", *changes, fails=True)
    assert named in " ".join(failed.split())


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--score", "msp"), "--score"),
        (("--void-index", 0), "--void-index"),
        (("--components", "anomaly"), "--components"),
        (("--anomalous-only",), "--anomalous-only"),
        (("--schema", "fishyscapes"), "--schema"),
        (("--maps", 0, "--out", "out"), "--maps"),
    ],
)
def test_options_about_anomalies_need_a_dataset_with_some(
    option: tuple[Any, ...], named: str, channels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("evaluate", "--model", f"{HERE}:Brightness", "--labelled", f"{HERE}:Streets", "--classes", channels)
    assert f"{named} without --dataset" in run(*given, *option, fails=True)


def test_there_must_be_a_dataset() -> None:
    assert "neither --dataset nor --labelled" in run("evaluate", "--model", f"{HERE}:Brightness", fails=True)


def test_a_cache_of_insertions_is_no_shift_on_the_command_line(cache_path: Path) -> None:  # noqa: F811
    given = ("evaluate", "--model", f"{HERE}:Brightness", "--dataset", f"{HERE}:Streets")
    failed = run(*given, "--shift", cache_path, fails=True)
    assert "holds insertions" in failed
    assert "poc-aug warm-scenes" in failed
