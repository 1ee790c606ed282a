"""`benchmarks/cache_scale.py` on small caches."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.helpers.quick_start import run_script


def test_both_caches_are_measured_with_and_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    script = importlib.import_module("cache_scale")

    def in_quick_process(path: Path, samples: int, reads: int, index: bool) -> dict[str, float]:
        if index or path.name != "1200.cache":  # one process is enough to see that it prints what is measured
            here: dict[str, float] = script.measure(path, samples, reads, index=index)
            return here
        done = run_script("benchmarks/cache_scale.py", "--one", path, str(samples), str(reads), "listing")
        assert done.returncode == 0, done.stderr
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures

    monkeypatch.setattr(script, "in_fresh_process", in_quick_process)
    out = tmp_path / "result.json"
    monkeypatch.setattr(sys, "argv", ["cache_scale.py", "--smoke", "--folder", str(tmp_path), "--out", str(out)])
    script.main()
    written = json.loads(out.read_text())
    assert written["environment"]["cpu"]
    arms = [(row["shards"], row["records"], row["index"]) for row in written["results"]]
    assert arms == [(1, 1200, True), (1, 1200, False), (10, 3000, True), (10, 3000, False)]
    assert all(row["first_ms"] > row["open_ms"] > 0 and row["read_us"] > 0 for row in written["results"])
    assert set(written["ratios"]) == {"over_indexed", "over_listed"}
    assert list(tmp_path.iterdir()) == [out]
