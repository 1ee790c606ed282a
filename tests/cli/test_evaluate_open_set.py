"""``poc-aug evaluate`` with instances and open-set figures: report, tables, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poc_aug.evaluation.anomalies import evaluate
from poc_aug.labels.schema import SCHEMAS
from tests.helpers.command_line import run
from tests.helpers.evaluation_cases import Brightness, Streets
from tests.helpers.fakes import SCHEMA

HERE = __name__


class Unlabelled(Streets):
    """The streets' frames, whose labels only have anomalies."""

    schema = SCHEMAS["fishyscapes"]

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image, labels.point(lambda label_id: int(label_id == 3))


@pytest.fixture
def channels(tmp_path: Path) -> Path:
    """A schema of the channels of `Brightness`."""
    path = tmp_path / "channels.yaml"
    names = [name for name, label_id in sorted(SCHEMA.ids.items(), key=lambda item: item[1]) if label_id < 3]
    path.write_text("ids: {" + ", ".join(f"{name}: {i}" for i, name in enumerate(names)) + "}\n")
    return path


def test_the_report_and_the_tables_hold_them(tmp_path: Path, channels: Path) -> None:
    out = tmp_path / "out"
    output = run(
        *("evaluate", "--model", f"{HERE}:Brightness", "--dataset", f"{HERE}:Streets", "--maps", "0"),
        *("--dataset", f"{HERE}:Unlabelled", "--components", "obstacle", "--classes", str(channels)),
        *("--out", str(out)),
    )
    both, anomalies = (result["scores"]["msp"] for result in json.loads((out / "report.json").read_text())["results"])
    names = list(SCHEMA.ids)[:3]
    direct = evaluate(Brightness(), Streets(), components="obstacle", classes=names).scores["msp"]
    for figures in (direct.pixels, direct.components, direct.open_set):
        assert {name: both[name] for name in figures} == pytest.approx(dict(figures), nan_ok=True)
    assert {"TPR5", "instance AP", "instance AP50", "open-IoU TPR95", "open-IoU FPR5", "closed-set mIoU"} <= set(both)
    assert "open-IoU FPR5" not in anomalies  # its labels have no known classes
    assert anomalies["instance AP"] == pytest.approx(1)
    line = next(
        line for line in output.splitlines() if "Streets" in line and f"{100 * both['open-IoU FPR5']:.2f}" in line
    )
    assert f"{100 * both['open-IoU TPR95']:.2f}" in line
    assert next(line for line in output.splitlines()[::-1] if "Unlabelled" in line).split().count("–") == 3
    assert "TPR5" in output
    assert "…" not in output  # no figure is cut off


def test_classes_need_something_to_compare_them_with(channels: Path) -> None:
    command = ("evaluate", "--model", f"{HERE}:Brightness", "--dataset", f"{HERE}:Unlabelled")
    output = " ".join(run(*command, "--classes", str(channels), fails=True).split())
    assert "without --labelled" in output
    assert "--dataset that has them" in output
