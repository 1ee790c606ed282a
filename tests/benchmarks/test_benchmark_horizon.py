"""`benchmarks/horizon.py` on small frames, and the table in the documentation against its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.quick_start import run_script

ROOT = Path(__file__).resolve().parents[2]


def test_every_kind_of_evidence_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_script("benchmarks/horizon.py", "--smoke", "--out", str(out))
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    errors = {each["kind"]: each for each in told["errors"]}
    assert set(errors) == {"objects", "ground"}  # synthetic streets have no nominal pose
    assert errors["objects"]["mean_px"] < errors["ground"]["mean_px"]
    assert all(frame["recorded_as"] in ("objects", "ground") for frame in told["frames"])


@pytest.mark.parametrize(
    ("group", "frames", "mean_px", "max_px"),
    [
        ("Cityscapes, annotated", 4, 20, 45),
        ("Cityscapes, predicted", 30, 20, 45),
        ("KITTI, annotated", 5, 8, 15),
    ],
)
def test_the_documented_table_holds_what_was_asked(group: str, frames: int, mean_px: float, max_px: float) -> None:
    told = json.loads((ROOT / "benchmarks" / "results" / "horizon.json").read_text())
    (found,) = [each for each in told["errors"] if each["group"] == group and each["kind"] == "preset and objects"]
    assert found["frames"] == frames
    assert found["mean_px"] <= mean_px
    assert found["max_px"] <= max_px
    page = (ROOT / "docs" / "camera.md").read_text()
    for frame in told["frames"]:
        assert f"| {frame['frame']} | {frame['reference']:.0f} |" in page
