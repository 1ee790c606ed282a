"""``poc-aug evaluate``: report, pictures, options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from poc_aug.evaluation.closed_set import evaluate_classes
from tests.helpers.command_line import run
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA

HERE = __name__


def test_the_command_writes_a_report_and_pictures(tmp_path: Path) -> None:
    out = tmp_path / "report"
    output = run(
        *("evaluate", "--model", f"{HERE}:Brightness stride=1"),
        *("--dataset", f"{HERE}:Streets", "--dataset", f"{HERE}:Streets length=2"),
        *("--score", "msp", "--score", "entropy", "--components", "obstacle", "--maps", "2", "--out", str(out)),
    )
    for part in ("AuPRC", "FPR95", "Streets-1", "Streets-2", "entropy", "100.00"):
        assert part in output
    report = json.loads((out / "report.json").read_text())
    assert [result["dataset"] for result in report["results"]] == ["Streets-1", "Streets-2"]
    assert report["results"][0]["scores"]["msp"]["AuPRC"] == pytest.approx(1)
    assert report["environment"]["torch"]
    for picture in ("precision_recall.png", "scores.png", "maps/Streets-1/frame-0.png"):
        with Image.open(out / picture) as image:
            assert min(image.size) > 100
    assert len(list((out / "maps" / "Streets-1").iterdir())) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (("--model", f"{HERE}:Missing"), "Missing"),
        (("--model", f"{HERE}:Brightness depth=3"), "depth"),
        (("--model", f"{HERE}:Streets"), "torch.nn.Module"),
        (("--score", "margin"), "margin"),
        (("--size", "512"), "--size 512"),
        (("--components", "road"), "road"),
    ],
)
def test_bad_options_are_named(changes: tuple[str, ...], named: str) -> None:
    defaults = ("--model", f"{HERE}:Brightness", "--dataset", f"{HERE}:Streets")
    assert named in run("evaluate", *defaults, *changes, fails=True)


def test_known_classes_are_evaluated_too(tmp_path: Path) -> None:
    names = list(SCHEMA.ids)
    classes = tmp_path / "channels.yaml"
    classes.write_text("ids: {" + ", ".join(f"{name}: {i}" for i, name in enumerate(names[:3])) + "}\n")
    streets = f"{HERE}:Streets length=2"
    model = ("--model", f"{HERE}:Brightness", "--dataset", streets, "--out", str(tmp_path / "out"))
    output = run("evaluate", *model, "--labelled", streets, "--classes", str(classes))
    assert "mIoU" in output
    classes_report = json.loads((tmp_path / "out" / "report.json").read_text())["classes"]
    direct = evaluate_classes(Brightness(), Streets(2), names[:3])
    assert classes_report[0]["mIoU"] == pytest.approx(direct.mean_iou)
    assert f"{100 * direct.mean_iou:.2f}" in output
    assert "--labelled without --classes" in run("evaluate", *model, "--labelled", streets, fails=True)
    classes.write_text("ids: {road: 3}\n")
    assert "without a gap" in run("evaluate", *model, "--labelled", streets, "--classes", str(classes), fails=True)
