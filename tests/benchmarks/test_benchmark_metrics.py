"""`benchmarks/metrics.py` on a few small frames: every arm runs, and ours agrees."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.quick_start import run_script

ROOT = Path(__file__).resolve().parents[2]


def test_every_arm_runs_and_ours_agrees(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_script("benchmarks/metrics.py", "--smoke", "--out", str(out))
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    assert told["benchmark"] == "metrics"
    assert told["environment"]["torch"]
    arms = told["results"]
    assert set(arms) == {"ours", "scikit-learn", "torchmetrics, 100 bins"}
    assert set(arms["ours"]["errors"]) == {"AuPRC", "AUROC", "FPR95", "F1"}
    assert max(abs(value) for value in arms["ours"]["errors"].values()) < 1e-6
    assert all(arm["seconds"] > 0 and arm["peak_mb"] >= 0 for arm in arms.values())
    assert arms["scikit-learn"]["share_of_scikit_learn_time"] == 1
