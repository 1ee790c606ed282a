"""`benchmarks/blending.py` on small frames, and the table in the documentation against its figures."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.quick_start import run_script

ROOT = Path(__file__).resolve().parents[2]


def test_both_ways_are_measured_and_give_the_same(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_script("benchmarks/blending.py", "--smoke", "--repeats", "2", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["environment"]["kornia"]
    assert len(result["results"]["cpu"]) == 8
    for items in result["results"].values():
        for item in items:
            assert item["largest_difference_levels"] <= 1
            assert item["ours_s"]["median"] > 0
            assert item["kornia_s"]["median"] > 0


def test_the_documented_table_holds_what_was_measured() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "blending.json").read_text())
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for item in result["results"]["cpu"]:
        assert f"| {item['case']} | {1e3 * item['ours_s']['median']:.2f} ms |" in page
        assert item["largest_difference_levels"] <= 1
