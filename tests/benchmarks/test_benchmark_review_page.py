"""`benchmarks/review_page.py` on a small cache: a browser opens the page, and every key is answered."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.quick_start import run_script
from tests.helpers.review_browser import browser_of_tests


def test_every_key_shows_the_next_picture_and_is_stored(tmp_path: Path) -> None:
    with browser_of_tests():  # skipped, or failed, where there is none
        pass
    out = tmp_path / "result.json"
    done = run_script("benchmarks/review_page.py", "--smoke", "--out", str(out))
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    assert written["benchmark"] == "review_page"
    (run,) = written["runs"]
    assert len(run["next_ms"]) == len(run["stored_ms"]) == written["decisions"]
    assert 0 < written["summary"]["next_ms"] <= written["summary"]["next_95_ms"]
    assert written["summary"]["first_ms"] > 0
