"""The review page in Chromium: filters, the grid with many chosen at once, several people, narrow screens, contrast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poc_aug.review import served
from tests.helpers.review_browser import (
    CONTRASTS,
    OpenedPage,
    base_of_reviews,
    journal_of,
    opened_review,
    ops_of,
    review_cache,
)

CELLS = "document.querySelectorAll('#grid-space .cell').length"
CHOSEN = "document.querySelectorAll('#grid-space [aria-selected=true]').length"


@pytest.fixture
def grid(browser: Any, cache: Path) -> Iterator[OpenedPage]:
    tall = {"viewport": {"width": 1190, "height": 1000}}
    with opened_review(browser, cache, dataset=base_of_reviews(), fragment="#view=grid", **tall) as opened:
        opened.until(f"{CELLS} === 24")
        yield opened


def cell(opened: OpenedPage, number: int, *modifiers: str) -> None:
    opened.page.click(f"#cell-{number}", modifiers=list(modifiers))


def test_filters_are_in_the_address_and_come_back(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache, dataset=base_of_reviews()) as opened:
        opened.press("a", "f")
        opened.all_stored()
        opened.page.select_option("[name=decision]", "undecided")
        opened.until_text("progress-text", "0 of 23 decided")
        opened.page.select_option("[name=class]", "deer")
        opened.until_text("progress-text", "0 of 3 decided")
        opened.page.fill("[name=min_size]", "26")
        opened.until("new URLSearchParams(location.hash.slice(1)).get('min_size') === '26'")
        opened.until("document.querySelector('#filter-count').textContent === '3'")
        sizes = opened.text("thing-facts")
        total = opened.text("progress-text")
        thing = opened.ask("fetch(`api/things?${location.hash.slice(1)}`).then((answer) => answer.json())")["things"][0]
        height, width = thing["box"][2:]
        assert f"{height} × {width} px (height × width), {thing['area']} px in the mask" in sizes
        opened.page.reload()
        opened.until("document.body.dataset.id")
        assert opened.page.input_value("[name=class]") == "deer"
        opened.until_text("progress-text", total)
        opened.press("f")
        opened.page.fill("[name=max_score]", "0.01")
        opened.until("!document.querySelector('#empty').hidden")
        assert opened.text("empty-title") == "Nothing matches this filter"
        opened.page.click("#empty-actions button")
        opened.until_text("progress-text", "1 of 24 decided")
        assert opened.page.url.partition("#")[2].startswith("at=")


def test_a_filter_by_decision_stays_as_it_was_until_it_is_applied_again(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache, dataset=base_of_reviews(), fragment="#decision=undecided") as opened:
        opened.press("a", "a")
        opened.all_stored()
        opened.until_text("progress-text", "2 of 24 decided")
        opened.press("ArrowLeft")
        assert opened.text("thing-state") == "accepted"
        opened.press("f")
        opened.page.click("#filters-reload")
        opened.until_text("progress-text", "0 of 22 decided")


def test_the_address_of_the_server_may_hold_a_first_filter(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache, fragment="&class=deer&decision=undecided") as opened:
        opened.until_text("progress-text", "0 of 3 decided")
        assert opened.page.input_value("[name=decision]") == "undecided"


def test_rejected_attempts_are_looked_at_alone(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache, fragment="#kind=rejected attempts") as opened:
        assert opened.text("thing-where") == "1 of 3"
        assert "not detected: score 0.1 is below 0.3" in opened.text("thing-facts")
        opened.press("a", "1")
        assert "can only be looked at" in opened.text("notes")
        assert journal_of(cache) == []


def test_many_are_chosen_and_decided_at_once(grid: OpenedPage, cache: Path) -> None:
    cell(grid, 2)
    cell(grid, 6, "Shift")
    assert grid.ask(CHOSEN) == 5
    cell(grid, 4, "Control")
    cell(grid, 9, "Control")
    assert grid.text("grid-text") == "5 of 24 insertions chosen"
    grid.press("r")
    grid.all_stored()
    assert ops_of(cache) == {"drop": 5}
    assert grid.ask("document.querySelectorAll('.cell[data-decision=reject]').length") == 5
    assert grid.ask("document.querySelector('#cell-4').dataset.decision") == "undecided"
    grid.press("u")
    grid.until("document.querySelectorAll('.cell[data-decision=reject]').length === 0")
    grid.all_stored()
    assert journal_of(cache) == []


def test_the_grid_takes_keys_alone(grid: OpenedPage, cache: Path) -> None:
    grid.press("ArrowRight", "ArrowRight", "Space", "ArrowRight", "Space", "2")
    grid.all_stored()
    assert ops_of(cache) == {"relabel": 2}
    grid.press("Home", "Shift+ArrowRight", "Shift+ArrowRight", "s")
    grid.all_stored()
    assert ops_of(cache) == {"relabel": 2, "skip": 3}
    grid.press("Shift+A")
    assert grid.text("grid-text") == "24 of 24 insertions chosen"
    grid.press("Escape")
    assert grid.ask(CHOSEN) == 0
    grid.press("End", "Enter")
    assert grid.text("thing-where") == "24 of 24"
    grid.press("g")
    assert grid.ask("document.querySelector('.cell.is-focus').id") == "cell-23"


def test_ten_thousand_are_in_the_page_only_where_they_are_seen(browser: Any, tmp_path: Path) -> None:
    cache = review_cache(tmp_path / "many.cache", 10_000)
    with opened_review(browser, cache, dataset=base_of_reviews(), fragment="#view=grid") as opened:
        opened.until_text("progress-text", "0 of 10,000 decided")
        opened.until("document.querySelector('.cell')?.getAttribute('aria-setsize') === '10000'")
        opened.press("End")
        opened.until("document.querySelector('.cell.is-focus')?.id === 'cell-9999'")
        assert opened.ask(CELLS) < 200
        opened.until("document.querySelector('#cell-9999 img').naturalWidth > 0")
        opened.ask("location.hash = 'view=grid&min_score=0.7449'")
        opened.until_text("progress-text", "0 of 2,490 decided")
        opened.until("document.querySelector('.cell')?.getAttribute('aria-setsize') === '2490'")
        opened.press("Shift+A", "a")
        opened.until_text("progress-text", "2,490 of 2,490 decided")
        opened.all_stored()
        assert len(set(journal_of(cache))) == len(journal_of(cache)) == 2490
        # One key made two calls to the server; one key takes both back.
        opened.press("u")
        opened.until_text("progress-text", "0 of 2,490 decided")
        opened.all_stored()
        assert journal_of(cache) == []


def test_two_people_and_a_conflict(browser: Any, cache: Path) -> None:
    with (
        served([cache], base_of_reviews(), reviewer="anna") as (of_anna, review),
        served([cache], base_of_reviews(), reviewer="bert") as (of_bert, other),
    ):
        review.wait()
        other.wait()
        with OpenedPage(browser, of_anna) as anna, OpenedPage(browser, of_bert) as bert:
            # Nothing is read of others until the keys are pressed: the same thing is decided by both.
            for opened in (anna, bert):
                opened.page.route("**/api/changes*", lambda route: route.abort())
            first = anna.shown
            anna.press("a")
            anna.all_stored()
            bert.press("r")
            bert.until("document.querySelector('#conflict-dialog').open")
            assert "anna accepted" in bert.text("conflict-list")
            assert "you rejected, not stored" in bert.text("conflict-list")
            assert [(op, by) for op, *_, by, _ in journal_of(cache)] == [("accept", "anna")]
            bert.press("t")
            bert.all_stored()
            assert ops_of(cache) == {"accept": 1}
            assert bert.ask("document.querySelector('#conflict-dialog').open") is False
            anna.press("a")
            anna.all_stored()
            bert.press("r")
            bert.until("document.querySelector('#conflict-dialog').open")
            bert.press("m")
            assert bert.page.get_attribute("#tool-outline", "aria-pressed") == "false"
            bert.until("!document.querySelector('#conflict-dialog').open")
            bert.until(
                "document.querySelector('#progress-bar').title.startsWith('1 accepted, 0 relabelled, 1 rejected')"
            )
            assert [(op, by) for op, *_, by, _ in journal_of(cache)][2:] == [("drop", "bert")]
            # What bert decided comes to anna by itself, and the disagreement is shown with both names.
            anna.page.unroute("**/api/changes*")
            anna.press("ArrowLeft")
            assert anna.shown != first
            anna.until_text("thing-state", "rejected")
            assert "anna: acceptedbert: rejected" in anna.text("thing-conflict")
            anna.page.click("#thing-conflict button:has-text('anna')")
            anna.all_stored()
            assert [(op, by) for op, *_, by, _ in journal_of(cache)][-1] == ("accept", "anna")
            assert anna.text("thing-state") == "accepted"


def test_a_browser_gives_its_own_name(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache) as opened:
        opened.page.click("#reviewer")
        opened.page.fill("#name-input", "cleo")
        opened.press("Enter")
        opened.until_text("reviewer", "cleo")
        opened.press("a")
        opened.all_stored()
        assert [by for *_, by, _ in journal_of(cache)] == ["cleo"]


def test_a_narrow_screen_with_touch(browser: Any, cache: Path) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with opened_review(browser, cache, dataset=base_of_reviews(), **phone) as opened:
        width = "document.documentElement.scrollWidth"
        assert opened.ask(width) == 390
        buttons = opened.page.locator("#actions button")
        boxes = [buttons.nth(number).bounding_box() for number in range(buttons.count())]
        assert all(box is not None and box["height"] >= 44 and box["y"] + box["height"] <= 844 for box in boxes)
        opened.page.tap("[data-op=accept]")
        opened.all_stored()
        assert ops_of(cache) == {"accept": 1}
        opened.page.tap("#show-grid")
        opened.until(f"{CELLS} > 0")
        assert opened.ask(width) == 390
        opened.page.tap("#cell-2")
        opened.page.tap("#cell-3")
        assert opened.ask(CHOSEN) == 2
        opened.page.tap("#filters-button")
        assert opened.ask(width) == 390


def test_what_waits_to_be_stored_covers_nothing_on_a_narrow_screen(browser: Any, cache: Path) -> None:
    box = """(name) => (({ top, bottom, left, right }) => ({ top, bottom, left, right }))(
      document.querySelector(name).getBoundingClientRect())"""
    with opened_review(browser, cache, viewport={"width": 390, "height": 844}) as opened:
        before = opened.page.evaluate(box, ".bar")
        opened.page.route("**/api/decide", lambda route: None)  # no answer, and no failure either
        opened.press("a", "r")
        opened.until("!document.querySelector('#pending').hidden")
        assert opened.page.evaluate(box, ".bar") == before
        pending = opened.page.evaluate(box, "#pending")
        assert pending["top"] >= before["bottom"] - 1
        assert 0 <= pending["left"] < pending["right"] <= 390


def test_a_picture_fits_a_low_screen_and_the_name_a_narrow_one(browser: Any, cache: Path) -> None:
    bottom = "document.querySelector('.pane[data-shown]').getBoundingClientRect().bottom"
    with opened_review(browser, cache, dataset=base_of_reviews(), viewport={"width": 720, "height": 450}) as opened:
        assert opened.ask(bottom) <= opened.ask("document.querySelector('#actions').getBoundingClientRect().top")
    with opened_review(browser, cache, viewport={"width": 900, "height": 700}) as opened:
        assert opened.page.is_visible("#reviewer")
        assert opened.ask("document.documentElement.scrollWidth") == 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(browser: Any, cache: Path, scheme: str) -> None:
    with opened_review(browser, cache, dataset=base_of_reviews(), color_scheme=scheme) as opened:
        opened.press("a", "r", "1", "s", "f")
        opened.all_stored()
        found = opened.ask(CONTRASTS)
        opened.press("Escape", "g")
        found += opened.ask(CONTRASTS)
        assert len(found) > 60
        assert [each for each in found if each[0] < 4.5] == []


def test_every_control_has_a_name(grid: OpenedPage) -> None:
    grid.press("f")
    nameless = """[...document.querySelectorAll('button, input, select, [role]')].filter((element) => !(
      element.textContent.trim() || element.getAttribute('aria-label') || element.getAttribute('aria-labelledby')
      || element.labels?.length || element.id === 'notes' || element.getAttribute('role') === 'alert'))
      .map((element) => element.outerHTML)"""
    assert grid.ask(nameless) == []
