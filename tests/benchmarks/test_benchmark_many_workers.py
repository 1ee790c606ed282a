"""`benchmarks/many_workers.py` in short, and its figure that the documentation names."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.quick_start import run_script

ROOT = Path(__file__).resolve().parents[2]


def test_both_actors_work(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_script("benchmarks/many_workers.py", "--smoke", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert [run["crops_per_s"] > 0 for run in result["runs"]["one process"]] == [True]
    assert result["ratio"] > 0


def test_two_actors_are_1_9_times_one_process() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "many_workers.json").read_text())
    assert all(run["processes"] == 2 for run in result["runs"]["two Ray actors"])
    assert result["ratio"] >= 1.9
    assert f"{result['ratio']:.2f} times" in (ROOT / "docs" / "many_machines.md").read_text()
