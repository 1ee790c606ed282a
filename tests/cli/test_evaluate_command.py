"""``poc-aug evaluate``: report, pictures, options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from poc_aug.cli.former_maps import remove_former_maps
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


def test_the_report_says_what_was_evaluated(tmp_path: Path) -> None:
    classes = tmp_path / "channels.yaml"
    classes.write_text("ids: {" + ", ".join(f"{name}: {i}" for i, name in enumerate(list(SCHEMA.ids)[:2])) + "}\n")
    datasets, labelled = [f"{HERE}:Streets length={count}" for count in (3, 4)], f"{HERE}:Streets length=2"
    out, run_report = tmp_path / "out", tmp_path / "run.json"
    run(
        *("evaluate", "--model", f"{HERE}:Brightness", "--dataset", datasets[0], "--dataset", datasets[1]),
        *("--labelled", labelled, "--classes", classes, "--score", "void", "--void-index", 2, "--size", "40,60"),
        *("--components", "obstacle", "--limit", 2, "--anomalous-only", "--out", out, "--report", run_report),
    )
    for path in (out / "report.json", run_report):
        report = json.loads(path.read_text())
        assert report["datasets"] == {"Streets-1": datasets[0], "Streets-2": datasets[1]}
        assert list(report["datasets"]) == [result["dataset"] for result in report["results"]]
        assert report["labelled"] == {"Streets": labelled}
        assert report["settings"] == {
            **{"scores": ["void"], "size": [40, 60], "limit": 2, "anomalous_only": True, "components": "obstacle"},
            **{"void_index": 2, "schema": None, "labelled_schema": None, "classes": str(classes)},
            "device": "cpu",
        }


def test_maps_of_a_former_run_go_and_no_other_file_does(tmp_path: Path) -> None:
    def evaluate(*datasets: str) -> str:
        named = [part for dataset in datasets for part in ("--dataset", f"{HERE}:{dataset}")]
        return run("evaluate", "--model", f"{HERE}:Brightness", *named, "--out", tmp_path / "out")

    def maps() -> set[str]:
        return {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out" / "maps").rglob("*.png")}

    report = tmp_path / "out" / "report.json"
    evaluate("Streets", "Streets length=2")
    assert maps() == {*(f"maps/Streets-1/frame-{i}.png" for i in range(3)), "maps/Streets-2/frame-0.png"}
    (tmp_path / "out" / "maps" / "Streets-2" / "mine.png").touch()
    output = evaluate("Streets length=3")
    own = {"maps/Streets/frame-0.png", "maps/Streets/frame-1.png"}
    assert maps() == {*own, "maps/Streets-2/mine.png"}
    assert not (tmp_path / "out" / "maps" / "Streets-1").exists()
    assert "warning: not of this run" in output
    assert "maps/Streets-2" in output
    assert set(json.loads(report.read_text())["maps"]) == own


@pytest.mark.parametrize(
    "text", ["", "[]", '{"maps": 3}', '{"maps": [3, null, "a\\u0000b", "\\udcff", "' + "a" * 999 + '"]}']
)
def test_a_file_that_is_no_report_removes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "maps" / "town").mkdir(parents=True)
    (tmp_path / "maps" / "town" / "a.png").touch()
    (tmp_path / "report.json").write_text(text)
    remove_former_maps(tmp_path)
    assert (tmp_path / "maps" / "town" / "a.png").exists()


def test_a_report_removes_nothing_outside_its_maps(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    (out / "maps" / "town" / "deep").mkdir(parents=True)
    elsewhere.mkdir()
    kept = [elsewhere / "a.png", out / "a.png", out / "maps" / "a.png", out / "maps/town/deep/a.png"]
    for path in [*kept, out / "maps/town/a.txt", out / "maps/town/a.png"]:
        path.touch()
    (out / "maps" / "link").symlink_to(elsewhere)
    listed = [str(kept[0]), "../elsewhere/a.png", "maps/link/a.png", "a.png", "maps/a.png", "maps/town/deep/a.png"]
    listed += ["maps/town/a.txt", "maps/town", "maps/gone/a.png", "maps/town/a.png"]
    (out / "report.json").write_text(json.dumps({"maps": listed}))
    remove_former_maps(out)
    assert all(path.exists() for path in [*kept, out / "maps/town/a.txt"])
    assert not (out / "maps/town/a.png").exists()
