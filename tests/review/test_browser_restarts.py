"""The review page in Chromium after its server has got another address: what was typed before is stored, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from tests.helpers.killed_server import KilledServer
from tests.helpers.review_browser import NO_PICTURES, OpenedPage, copied, journal_of, ops_of
from tests.helpers.waiting import wait_until

KEPT = "Object.entries(localStorage).filter(([key]) => key.startsWith('poc-aug-review'))"
LATE = "Typed earlier, and stored now"
DENIED = """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {
  get() { throw new DOMException("denied", "SecurityError"); } })"""
FULL = """Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); }"""
NO_LOCKS = """Object.defineProperty(Navigator.prototype, "locks", { get: () => undefined })"""


def window_of(browser: Any, server: KilledServer, script: str = "") -> OpenedPage:
    """A window that shows no pictures."""
    return OpenedPage(browser, server.address, script=f"{NO_PICTURES}\n{script}")


@contextmanager
def tab_of(opened: OpenedPage, address: str) -> Iterator[OpenedPage]:
    """Another tab of the same browser."""
    tab = OpenedPage(opened.context, address)
    yield tab
    assert tab.problems == []


def open_again(opened: OpenedPage, server: KilledServer, fragment: str = "") -> None:
    """Open the server's new address in the same tab, whose page is gone by then.

    A page that is still there while the new one is on its way gets its cookie, and may send what it holds itself.
    """
    opened.page.goto("about:blank")
    opened.page.goto(server.address + fragment)
    opened.until("document.body.dataset.id")


def test_decisions_outlive_the_address_in_the_same_tab(browser: Any, server: KilledServer) -> None:
    def lose_answer(route: Any) -> None:
        route.fetch()
        server.kill()
        route.abort()

    def ops() -> list[str]:
        return [op for op, *_ in journal_of(server.cache)]

    with window_of(browser, server) as opened:
        opened.press("s")
        opened.all_stored()
        assert opened.ask(KEPT) == []
        server.kill()
        # The second decision about the first one, and what is undone again, count in their order.
        opened.press("a", "ArrowLeft", "r", "2", "a", "u")
        opened.until("document.querySelector('#banner-text').textContent.startsWith('3 decisions not stored yet')")
        ((_, kept),) = opened.ask(KEPT)
        assert len(json.loads(kept)["jobs"]) == 3
        assert server.token not in kept
        server.restart("another")
        opened.until("document.querySelector('#banner-text').textContent.includes('here or in another tab')")
        open_again(opened, server)
        opened.until_told(LATE)
        assert opened.told(LATE) == f"{LATE}: 3 decisions"
        opened.all_stored()
        assert opened.ask(KEPT) == []
        assert ops() == ["skip", "accept", "drop", "relabel"]
        # They can be taken back as if they had been typed here: now, or once the server is back.
        opened.press("u")
        opened.until_told("Undone")
        opened.all_stored()
        assert ops() == ["skip", "accept", "drop"]
        server.kill()
        opened.press("u", "s")
        server.restart("a-third-one")
        open_again(opened, server)
        opened.until_told(LATE)
        assert opened.told(LATE) == f"{LATE}: 1 decision, 1 taken back"
        assert ops() == ["skip", "accept", "skip"]
        # A decision whose answer was lost is not made a second time; nothing is sent once more.
        opened.page.route("**/api/decide", lose_answer, times=1)
        opened.press("a", "ArrowLeft", "r")
        opened.until("!document.querySelector('#banner').hidden")
        server.restart("a-fourth-one")
        open_again(opened, server)
        opened.until_told(LATE)
        assert ops() == ["skip", "accept", "skip", "accept", "drop"]
        opened.all_stored()
        assert opened.ask(KEPT) == []


def test_another_cache_at_the_same_address_gets_nothing(browser: Any, server: KilledServer, tmp_path: Path) -> None:
    own, other = server.cache, copied(server.cache, tmp_path / "elsewhere")
    with window_of(browser, server) as opened:
        server.kill()
        opened.press("a", "r")
        server.restart("another", other)  # a copy: its insertions have the same ids
        with tab_of(opened, server.address) as tab:
            tab.until_told("2 decisions about other caches (gnus.cache)")
            # The tab of before has the new cookie, too; what it holds is not sent there.
            opened.until("document.querySelector('#banner-title').textContent.startsWith('Other caches')")
            tab.page.close()
        assert opened.ask("document.body.dataset.pending") == "2"
        open_again(opened, server)
        opened.press("s")
        opened.all_stored()
        assert [op for op, *_ in journal_of(other)] == ["skip"]
        server.restart("a-third-one", own)
        open_again(opened, server)
        opened.until_told(LATE)
        assert [op for op, *_ in journal_of(own)] == ["accept", "drop"]
        assert ops_of(other) == {"skip": 1}
        assert opened.ask(KEPT) == []


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
def test_of_two_tabs_each_decision_is_stored_once(browser: Any, server: KilledServer, locks: bool) -> None:
    with window_of(browser, server, script="" if locks else NO_LOCKS) as opened:
        with tab_of(opened, server.address) as tab:
            server.kill()
            opened.press("a")
            tab.press("ArrowRight", "r", "1")
            server.restart("another")
            tab.page.close()
        # The tab of before is still open; one of both stores what the closed one left.
        with tab_of(opened, server.address) as tab:
            for each in (opened, tab):
                each.all_stored()
                each.until("document.querySelector('#banner').hidden")
            assert wait_until(lambda: ops_of(server.cache) == {"accept": 1, "drop": 1, "relabel": 1})
            tab.until(f"{KEPT}.length === 0")  # what another tab removed is known here a moment later
            # What a tab leaves behind later is stored by the one that is still there.
            server.kill()
            opened.press("End", "s")
            opened.until("document.body.dataset.pending === '1'")
            opened.page.close()
            server.start()
            if not locks:  # it is not known when a tab is closed, only that another one is opened
                open_again(tab, server)
            tab.until_told(f"{LATE}: 1 decision")
        assert ops_of(server.cache) == {"accept": 1, "drop": 1, "relabel": 1, "skip": 1}


def test_without_storage_the_page_says_so(browser: Any, server: KilledServer) -> None:
    with window_of(browser, server, script=DENIED) as denied, window_of(browser, server, script=FULL) as full:
        denied.press("a")
        denied.all_stored()
        server.kill()
        denied.press("r", "s")
        full.press("End", "r", "s")
        for opened in (denied, full):
            opened.until("document.querySelector('#banner-text').textContent.includes('leave this tab open')")
        server.start()
        for opened in (denied, full):
            opened.all_stored()
        assert ops_of(server.cache) == {"accept": 1, "drop": 2, "skip": 2}


def test_a_later_decision_is_not_overruled_by_an_earlier_one(browser: Any, server: KilledServer) -> None:
    with window_of(browser, server) as opened:
        shown = opened.shown
        answer = opened.page.request.get(f"http://127.0.0.1:{server.port}/api/things?limit=1").json()
        thing = next(each for each in answer["things"] if each["id"] == shown)
        server.kill()
        opened.press("a", "s")
        with JournalWriter(server.cache, by="anna") as writer:  # the same person, elsewhere
            writer.append("drop", Selection(key=thing["key"], variant=thing["variant"], insertion=0))
        server.restart("another")
        open_again(opened, server, "&decision=undecided")  # which leaves out what the dialog is about
        opened.until("document.querySelector('#conflict-dialog').open")
        assert "anna rejected" in opened.text("conflict-list")
        assert "you accepted, not stored" in opened.text("conflict-list")
        opened.all_stored()
        assert [op for op, *_ in journal_of(server.cache)] == ["drop", "skip"]
        opened.press("m")
        opened.until("!document.querySelector('#conflict-dialog').open")
        opened.all_stored()
        assert [op for op, *_ in journal_of(server.cache)] == ["drop", "skip", "accept"]


def test_a_name_is_that_of_all_tabs_and_what_was_typed_before_keeps_its_own(browser: Any, server: KilledServer) -> None:
    with window_of(browser, server) as opened, tab_of(opened, server.address) as tab:
        # The other tab hears of the name without asking the server.
        tab.page.route("**/api/changes*", lambda route: route.abort())
        opened.page.click("#reviewer")
        opened.page.fill("#name-input", "cleo")
        opened.press("Enter")
        tab.until_text("reviewer", "cleo")
        tab.until_told("now carry the name cleo")
        tab.page.unroute("**/api/changes*")
        tab.press("a")
        tab.all_stored()
        assert [by for *_, by, _ in journal_of(server.cache)] == ["cleo"]
        server.kill()
        opened.press("End", "r")
        opened.until("document.body.dataset.pending === '1'")
        server.restart("another")
        tab.page.close()
        open_again(opened, server)
        assert opened.text("reviewer") == "anna"
        opened.until_told(LATE)
        assert opened.told(LATE) == f"{LATE}: 1 decision (as cleo)"
        assert [(op, by) for op, *_, by, _ in journal_of(server.cache)] == [("accept", "cleo"), ("drop", "cleo")]


def test_a_tab_that_did_not_hear_of_a_name_asks_the_server(browser: Any, server: KilledServer) -> None:
    deaf = "window.BroadcastChannel = class { postMessage() {} }"
    with window_of(browser, server, script=deaf) as opened, tab_of(opened, server.address) as tab:
        # Until it knows, its decisions carry the name that it shows.
        held: list[Any] = []
        tab.page.route("**/api/changes*", lambda route: held.append(route))
        opened.page.click("#reviewer")
        opened.page.fill("#name-input", "cleo")
        opened.press("Enter")
        opened.until_text("reviewer", "cleo")
        assert tab.text("reviewer") == "anna"
        tab.press("a")
        tab.all_stored()
        assert [by for *_, by, _ in journal_of(server.cache)] == ["anna"]
        tab.page.unroute("**/api/changes*")
        for route in held:
            route.continue_()
        tab.until_text("reviewer", "cleo")
