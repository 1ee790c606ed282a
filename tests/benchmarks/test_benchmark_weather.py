"""`benchmarks/weather.py` on a small frame."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.quick_start import run_script


def test_each_domain_is_measured_alongside_what_others_have(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = run_script("benchmarks/weather.py", "--smoke", "--repeats", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["versions"]["albumentations"]
    arms = {item["domain"]: set(item["seconds"]) for item in result["results"]}
    assert arms == {
        "fog": {"ours", "albumentations"},
        "night": {"ours"},
        "rain": {"ours", "albumentations", "kornia"},
        "snow": {"ours", "albumentations", "kornia"},
        "low-sun": {"ours", "albumentations"},
    }
    for item in result["results"]:
        assert all(spread["median"] > 0 for spread in item["seconds"].values())
        assert set(item["over_ours"]) == arms[item["domain"]] - {"ours"}
