"""The review page in Chromium: each key of the view of one insertion, and what it leaves in the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.review_browser import (
    CLASSES,
    HOSTILE,
    OpenedPage,
    base_of_reviews,
    journal_of,
    opened_review,
    ops_of,
    review_cache,
)


def test_each_key_decides_and_goes_on(opened: OpenedPage, cache: Path) -> None:
    seen = [opened.shown]
    for key in "ar3s":
        opened.press(key)
        assert opened.shown not in seen
        seen.append(opened.shown)
    opened.all_stored()
    decided = journal_of(cache)
    assert [(op, to) for op, *_, to in decided] == [
        ("accept", None),
        ("drop", None),
        ("relabel", CLASSES[2]),
        ("skip", None),
    ]
    assert len({(key, variant) for _, key, variant, *_ in decided}) == 4
    assert {by for *_, by, _ in decided} == {"anna"}
    assert opened.text("progress-text") == "3 of 24 decided, 1 skipped"


def test_a_page_is_there_once_its_keys_do_something(browser: Any, cache: Path) -> None:
    late = """const ask = window.fetch, pause = new Promise((resolve) => setTimeout(resolve, 400));
    window.fetch = async (path, ...rest) => {
      if (path === "api/state") await pause;
      return ask(path, ...rest);
    };"""
    with opened_review(browser, cache, script=late) as opened:  # whose classes come after its insertions
        opened.press("1")
        opened.all_stored()
        assert ops_of(cache) == {"relabel": 1}


def test_undo_takes_back_the_last_key_and_shows_it(opened: OpenedPage, cache: Path) -> None:
    first = opened.shown
    opened.press("a")
    second = opened.shown
    opened.press("r")
    opened.all_stored()
    opened.press("u")
    opened.until(f"document.body.dataset.id === '{second}'")
    opened.all_stored()
    assert opened.text("thing-state") == "undecided"
    assert ops_of(cache) == {"accept": 1}
    opened.press("u")
    opened.until(f"document.body.dataset.id === '{first}'")
    opened.all_stored()
    assert journal_of(cache) == []
    opened.press("u")
    opened.until("document.querySelector('.note.bad')")
    assert "Nothing undone" in opened.text("notes")


def test_undo_of_what_another_window_of_this_browser_decided(browser: Any, opened: OpenedPage, cache: Path) -> None:
    opened.press("a")
    opened.all_stored()
    opened.page.reload()  # this page knows nothing of what was decided before
    opened.until("document.body.dataset.id")
    opened.press("u")
    opened.until("document.body.dataset.pending === '0' && document.querySelector('.note')")
    assert journal_of(cache) == []


def test_relabel_with_type_ahead(opened: OpenedPage, cache: Path) -> None:
    opened.press("l")
    opened.page.keyboard.type("user")
    assert opened.page.locator("#relabel-list [aria-selected=true]").text_content() == "wheelchair user"
    opened.press("Enter")
    opened.all_stored()
    assert [to for *_, to in journal_of(cache)] == ["wheelchair user"]
    # Escape leaves; what was typed decides nothing.
    shown = opened.shown
    opened.press("/")
    opened.page.keyboard.type("ar")
    opened.press("Escape")
    assert opened.shown == shown
    opened.press("l", "ArrowDown", "Enter")
    opened.all_stored()
    assert [to for *_, to in journal_of(cache)] == ["wheelchair user", CLASSES[1]]


def test_a_part_of_several_is_asked_for(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache, dataset=base_of_reviews(), fragment="&class=horse cart") as opened:
        opened.press("1")
        assert opened.text("relabel-title") == "Which part becomes gnu?"
        opened.press("ArrowDown", "Enter")
        opened.all_stored()
        assert ops_of(cache) == {"relabel": 1}
        opened.press("ArrowLeft")
        assert "gnu" in opened.text("thing-label")
        assert "horse" in opened.text("thing-label")


def test_arrows_look_without_deciding(opened: OpenedPage, cache: Path) -> None:
    first = opened.shown
    opened.press("ArrowRight", "ArrowRight", "ArrowLeft", "End")
    assert opened.text("thing-where") == "24 of 24"
    opened.press("Home")
    assert opened.shown == first
    opened.press("a", "ArrowLeft")
    opened.all_stored()
    assert (opened.shown, opened.text("thing-state")) == (first, "accepted")
    # Deciding again counts, and goes on to the next undecided one, not to the next one.
    opened.press("ArrowRight", "a", "Home", "r")
    opened.all_stored()
    assert opened.text("thing-where") == "3 of 24"
    assert ops_of(cache) == {"accept": 2, "drop": 1}


def test_keys_mean_nothing_in_fields_and_with_control(opened: OpenedPage, cache: Path) -> None:
    opened.press("f")
    opened.page.keyboard.type("frame-001")
    opened.until_text("progress-text", "0 of 4 decided")
    opened.press("Control+a", "Escape")
    opened.press("Alt+a")
    opened.press("r")
    opened.all_stored()
    assert [(op, key) for op, key, *_ in journal_of(cache)] == [("drop", "frame-001")]


def test_blink_outline_zoom_and_layouts(opened: OpenedPage) -> None:
    face = "document.querySelector('#pane-scene').dataset.face"
    shown = "document.querySelector('#pane-scene').dataset.shown"
    scale = "Number(document.querySelector('#pane-scene').dataset.scale)"
    opened.until(f"{shown}.endsWith('/after')")
    opened.press("b")
    opened.until(f"{shown}.endsWith('/before')")
    opened.press("b")
    assert opened.ask(face) == "after"
    # Held down, it is back when it is let go.
    opened.page.keyboard.down("b")
    opened.page.wait_for_timeout(400)
    assert opened.ask(face) == "before"
    opened.page.keyboard.up("b")
    assert opened.ask(face) == "after"
    opened.press("m")
    opened.until("document.querySelectorAll('.outline.is-on').length === 2")
    path = opened.page.get_attribute("#pane-scene .outline .over", "d")
    assert path is not None
    assert path.count("M") > 10
    whole = opened.ask(scale)
    opened.press("z")
    assert opened.ask(scale) > 1.5 * whole
    opened.press("0", "+", "+")
    assert opened.ask(scale) == pytest.approx(whole * 2.25, rel=1e-3)
    assert opened.ask("document.querySelector('#pane-scene .layer').classList.contains('is-sharp')")
    assert opened.ask("getComputedStyle(document.querySelector('#pane-scene img')).imageRendering") == "pixelated"
    before = opened.ask("document.querySelector('#pane-scene .layer').style.transform")
    opened.press("Shift+ArrowRight")
    assert opened.ask("document.querySelector('#pane-scene .layer').style.transform") != before
    opened.press("v")
    assert opened.ask("document.querySelector('#pane-close').clientWidth > 500")
    opened.press("v")
    panes = "[...document.querySelectorAll('.pane')].filter((pane) => pane.dataset.shown && pane.offsetParent)"
    opened.until(f"{panes}.length === 4")


def test_blink_changes_pixels_only_in_the_mask(opened: OpenedPage) -> None:
    opened.until("document.querySelector('#pane-close').dataset.shown.endsWith('/close')")
    found = opened.ask(
        """(async () => {
          const pixels = async (view) => {
            const image = new Image();
            image.src = `picture/${document.body.dataset.id}/${view}`;
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return context.getImageData(0, 0, canvas.width, canvas.height).data;
          };
          const [after, before, shape] = await Promise.all(["close", "close-before", "close-shape"].map(pixels));
          let inside = 0, insideCount = 0, outside = 0, outsideCount = 0;
          for (let at = 0; at < after.length; at += 4) {
            const change = Math.abs(after[at] - before[at]) + Math.abs(after[at + 1] - before[at + 1]);
            if (shape[at] > 127) { inside += change; insideCount += 1; } else { outside += change; outsideCount += 1; }
          }
          return [inside / insideCount, outside / outsideCount];
        })()"""
    )
    assert found[0] > 60
    assert found[1] < 2  # JPEG, and the feather


def test_the_next_ones_are_read_ahead(opened: OpenedPage) -> None:
    opened.until("document.querySelector('#pane-scene').dataset.shown.endsWith('/after')")
    read = "performance.getEntriesByType('resource').map((entry) => entry.name)"
    opened.until(f"new Set({read}.filter((name) => name.endsWith('/after')).map((name) => name)).size >= 3")
    shown = opened.ask("document.querySelector('#pane-scene').dataset.shown")
    opened.press("a")
    # No new picture is waited for: it is shown in the same turn.
    assert opened.ask("document.querySelector('#pane-scene').dataset.shown") not in ("", shown)


def test_help_lists_the_keys(opened: OpenedPage, cache: Path) -> None:
    opened.press("?")
    assert "undo the last decision" in opened.text("help-keys")
    opened.press("a", "Escape")
    assert journal_of(cache) == []


def test_hostile_names_stay_text(browser: Any, tmp_path: Path) -> None:
    cache = review_cache(tmp_path / "hostile.cache", 3, names=[HOSTILE])
    with opened_review(browser, cache) as opened:
        assert opened.text("thing-label") == HOSTILE
        opened.press("l")
        assert HOSTILE in opened.text("relabel-list")
        opened.press("Escape", "1", "g")
        opened.all_stored()
        assert opened.ask("document.body.dataset.hurt") is None
        assert opened.ask("document.querySelectorAll('img[src=x]').length") == 0


def test_without_the_dataset_there_are_close_ups(browser: Any, cache: Path) -> None:
    with opened_review(browser, cache) as opened:
        opened.until("document.querySelector('#pane-close').dataset.shown.endsWith('/close')")
        opened.press("b", "v")
        assert opened.ask("document.querySelector('#pane-scene').offsetParent") is None
        opened.press("m")
        opened.until("document.querySelectorAll('.outline.is-on').length === 1")


def test_the_token_leaves_the_address(opened: OpenedPage) -> None:
    assert "token" not in opened.page.url
    assert opened.shown in opened.page.url
    opened.page.reload()
    opened.until("document.body.dataset.id")
