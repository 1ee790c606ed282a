"""A notebook view in a browser, wide and narrow: pictures that are compared stay in one line, each under its title."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from poc_aug.inspection.html_page import html_of
from poc_aug.inspection.notebook_view import LegendEntry, NotebookView, Panel, PanelRow
from tests.helpers.review_browser import browser_of_tests

_PLACES = """() => [...document.querySelectorAll("img")].map((image) => {
  const title = image.previousElementSibling, [a, b] = [image, title].map((each) => each.getBoundingClientRect());
  const lines = b.height / parseFloat(getComputedStyle(title).lineHeight);
  return { left: a.left, top: a.top, right: a.right, width: a.width, height: a.height, gap: a.top - b.bottom,
    shift: b.left - a.left, lines };
})"""
"""Where pictures and their titles are."""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with browser_of_tests() as browser:
        page = browser.new_page()
        page.set_default_timeout(240_000)
        yield page


def view(size: tuple[int, int], titles: tuple[str, ...] = ("before", "after", "labels")) -> NotebookView:
    picture = Image.new("RGB", size, "teal")
    row = PanelRow([Panel(title, picture) for title in titles], "item 0; a.png; a cup", 4)
    legend = [LegendEntry((number, 0, 0), f"class {number}") for number in range(30)]
    return NotebookView("a dataset", [("base", "Frames")], [row, row], legend)


def content(shown: NotebookView) -> str:
    return f"<body style='margin: 8px'>{html_of(lambda: shown)}</body>"


def places(page: Any, width: int) -> list[dict[str, float]]:
    page.set_viewport_size({"width": width, "height": 600})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found: list[dict[str, float]] = page.evaluate(_PLACES)
    for place in found:
        assert 0 <= place["gap"] <= 4
        assert abs(place["shift"]) <= 1
    return found


@pytest.mark.parametrize("size", [(2048, 1024), (128, 64), (60, 30)])
def test_compared_pictures_share_a_line(page: Any, size: tuple[int, int]) -> None:
    page.set_content(content(view(size)))
    widths = [400, 560, 700, 1200]
    for row in [found[at : at + 3] for found in (places(page, width) for width in widths) for at in (0, 3)]:
        assert [place["top"] for place in row] == pytest.approx([row[0]["top"]] * 3, abs=1)
        assert row[0]["left"] < row[0]["right"] < row[1]["left"] < row[1]["right"] < row[2]["left"]
        for place in row:
            assert place["width"] == pytest.approx(row[0]["width"], abs=1)
            assert place["width"] / place["height"] == pytest.approx(2, rel=0.05)
            assert place["width"] >= 110


def test_in_a_line_that_is_too_narrow_they_are_one_below_the_other(page: Any) -> None:
    page.set_content(content(view((2048, 1024))))
    found = places(page, 280)
    assert [place["left"] for place in found] == pytest.approx([8] * 6, abs=1)
    assert [place["top"] for place in found] == sorted(place["top"] for place in found)
    assert all(place["width"] >= 250 for place in found)


def test_no_word_of_a_title_is_broken_above_a_slim_picture(page: Any) -> None:
    pole = Image.new("RGB", (8, 40), "teal")
    row = PanelRow([Panel("lamp post 1.00", pole), Panel("wheelbarrow", Image.new("RGB", (90, 40)))], largest=1)
    page.set_content(content(NotebookView("a cache", rows=[row])))
    found = places(page, 400)
    assert all(place["lines"] <= 2.1 for place in found)
