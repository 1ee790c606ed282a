"""The pages of the clients: at most three changed lines each, counted in the overview, and an example that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "integrations"
MOST_LINES = 3
_ROW = re.compile(
    r"^\| \[[^\]]+\]\((\w+\.md)\)[^|]* \| .+ \| (\d+) \| (.*\(\.\./\.\./(examples/\w+\.py)\).*) \|$", re.MULTILINE
)
ROWS = {
    page: (int(lines), example) for page, lines, _, example in _ROW.findall((FOLDER / "index.md").read_text("utf-8"))
}


def diffs(page: str) -> list[list[str]]:
    text = (FOLDER / page).read_text(encoding="utf-8")
    return [block.splitlines() for block in re.findall(r"^```diff\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def added(diff: list[str]) -> int:
    return sum(line.startswith("+") for line in diff)


def test_every_page_is_in_the_overview() -> None:
    assert set(ROWS) == {path.name for path in FOLDER.glob("*.md")} - {"index.md"}


@pytest.mark.parametrize("page", ROWS)
def test_changes_are_as_few_as_counted(page: str) -> None:
    counts = [added(diff) for diff in diffs(page)]
    assert counts
    assert max(counts) == ROWS[page][0] <= MOST_LINES
    assert all(len(line) <= 125 for diff in diffs(page) for line in diff)


@pytest.mark.parametrize("page", ROWS)
def test_its_example_runs_in_a_moment(page: str) -> None:
    example = ROWS[page][1]
    assert "--smoke" in (ROOT / example).read_text(encoding="utf-8")
    assert f"({'../../' + example})" in (FOLDER / page).read_text(encoding="utf-8")
