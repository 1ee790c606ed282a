"""The review page in Chromium while the server is killed: no decision is lost, and none is made twice."""

from __future__ import annotations

import random
from typing import Any

from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from tests.helpers.killed_server import KilledServer
from tests.helpers.review_browser import CLASSES, OpenedPage, journal_of

COUNT = 300  # of the cache that `server` reviews
KILLS = 3


def names_of(opened: OpenedPage, server: KilledServer) -> dict[str, tuple[str, int]]:
    """Key and variant of all things, by their ids."""
    answer = opened.page.request.get(f"http://127.0.0.1:{server.port}/api/things?limit=1000").json()
    return {thing["id"]: (thing["key"], thing["variant"]) for thing in answer["things"]}


def test_300_decisions_by_hand_while_the_server_is_killed_three_times(browser: Any, server: KilledServer) -> None:
    rng = random.Random()
    # Far enough from one another, and from a change of mind, for the server to be there again in between.
    kills = [60 * part + rng.randrange(10, 50) for part in rng.sample(range(COUNT // 60), KILLS)]
    words: dict[str, tuple[str, str | None]] = {"a": ("accept", None), "r": ("drop", None), "s": ("skip", None)}
    words |= {str(number + 1): ("relabel", name) for number, name in enumerate(CLASSES[:3])}
    typed: list[tuple[str, str, str | None]] = []
    with OpenedPage(browser, server.address, fragment="&decision=undecided") as opened:
        opened.until_text("progress-text", f"0 of {COUNT} decided")
        names = names_of(opened, server)
        for number in range(COUNT):
            if number in kills:
                server.kill()  # while decisions are on their way
            shown, key = opened.shown, rng.choice("aaaarrs123")
            opened.press(key)
            typed.append((shown, *words[key]))
            if number - 3 in kills:
                opened.until("!document.querySelector('#banner').hidden")
                assert int(opened.ask("document.body.dataset.pending")) >= 3
                server.start()
            if number % 60 == 59:  # a hand that changes its mind
                opened.press("u")
                opened.until(f"document.body.dataset.id === '{shown}'")
                opened.press("a")
                typed[-1] = (shown, *words["a"])
        opened.all_stored()
        opened.until("document.querySelector('#banner').hidden")
        skipped = sum(op == "skip" for _, op, _ in typed)
        opened.until_text("progress-text", f"{COUNT - skipped} of {COUNT} decided, {skipped} skipped")
    written = journal_of(server.cache)
    assert [(op, key, variant, to) for op, key, variant, _, to in written] == [
        (op, *names[shown], to) for shown, op, to in typed
    ], f"killed at {sorted(kills)}"


def test_what_was_stored_before_the_server_died_is_not_stored_again(browser: Any, server: KilledServer) -> None:
    def lose_answer(route: Any) -> None:
        route.fetch()
        route.abort()

    with OpenedPage(browser, server.address) as opened:
        for key, left in (("a", 1), ("r", 2), ("u", 1)):
            call = "undo" if key == "u" else "decide"
            opened.page.route(f"**/api/{call}", lose_answer, times=1)
            opened.forget_told()
            opened.press(key)
            opened.until_told("The server is back")
            opened.all_stored()
            assert len(journal_of(server.cache)) == left


def test_what_is_not_stored_is_not_shown_as_stored(browser: Any, server: KilledServer) -> None:
    with OpenedPage(browser, server.address) as opened:
        first = opened.shown
        server.kill()
        opened.press("a", "r")
        opened.until("!document.querySelector('#banner').hidden")
        assert "2 decisions not stored yet" in opened.text("banner-text")
        opened.press("Home")
        assert (opened.shown, opened.text("thing-state")) == (first, "storing …")
        assert opened.text("progress-text") == f"0 of {COUNT} decided"
        opened.press("g")
        assert opened.ask("document.querySelector('#cell-0').dataset.decision") == "open"
        # What was not sent can be taken back without the server.
        opened.press("u")
        opened.until("document.body.dataset.pending === '1'")
        server.start()
        # Not a click of the mouse: the page may have asked by itself meanwhile, and the button is hidden then.
        opened.ask("document.querySelector('#banner-retry').click()")
        opened.all_stored()
        opened.until("document.querySelector('#cell-0').dataset.decision === 'accept'")
        assert [op for op, *_ in journal_of(server.cache)] == ["accept"]


def test_what_others_decided_while_the_server_was_down_is_shown(browser: Any, server: KilledServer) -> None:
    with OpenedPage(browser, server.address) as opened:
        opened.press("ArrowRight", "a", "ArrowLeft", "ArrowLeft")
        opened.all_stored()
        key, variant = names_of(opened, server)[opened.shown]
        server.kill()
        with JournalWriter(server.cache, by="bert") as writer:
            writer.append("drop", Selection(key=key, variant=variant, insertion=0))
        server.start()
        opened.until_text("thing-state", "rejected")
        assert "bert" in opened.text("thing-history")


def test_a_server_with_another_token_is_another_one(browser: Any, server: KilledServer) -> None:
    with OpenedPage(browser, server.address) as opened:
        server.kill()
        server.token = "another"
        server.start()
        opened.press("a")
        opened.until("document.querySelector('#banner-title').textContent.includes('does not know this page')")
        assert opened.ask("document.body.dataset.pending") == "1"
        assert journal_of(server.cache) == []
