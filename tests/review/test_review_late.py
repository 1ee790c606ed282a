"""Decisions that reach the server some time after they were made: by whom, about what, and whether they still count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import CacheWriter
from poc_aug.cache.journal import Journal
from poc_aug.errors import SettingError
from poc_aug.review import Review, served
from poc_aug.review.first_filters import check_filters
from poc_aug.review.review_things import ThingScan
from tests.helpers.cache_cases import make_manifest
from tests.helpers.review_cases import Client, Streets, opened_review, street_cache
from tests.helpers.waiting import WATCHDOG_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return street_cache(tmp_path / "a.cache")


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    with opened_review([path]) as client:
        yield client


def identity(client: Client) -> str:
    page = client.get("/").body.decode()
    return page.partition('data-review="')[2].partition('"')[0]


def test_a_decision_carries_the_name_that_it_was_made_under(client: Client) -> None:
    thing = client.things()[0]
    client.post("/api/reviewer", {"reviewer": "cleo"})
    decided = client.decide([thing], "accept", by="bert")["things"][0]
    assert (decided["by"], client.get("/api/changes", since=0).json["reviewer"]) == ("bert", "cleo")
    # Only who made it takes it back.
    seen = {decided["id"]: decided["seen"]}
    assert client.post("/api/undo", {"seen": seen}).json["things"][0]["decision"] == "accept"
    assert client.post("/api/undo", {"seen": seen, "by": "bert"}).json["things"][0]["decision"] is None
    for wrong, status in ((5, 400), ("a\nb", 422), ("x" * 201, 422)):
        assert client.post("/api/decide", {"ids": [thing["id"]], "op": "accept", "by": wrong}).status == status


def test_a_reviewer_without_a_name_decides(path: Path) -> None:
    with opened_review([path], reviewer="") as client:
        assert client.decide(client.things()[:1], "accept", by="")["things"][0]["decision"] == "accept"


def test_a_late_decision_does_not_overrule_a_later_one(client: Client, path: Path) -> None:
    before = client.things()[:3]
    client.decide(before[:1], "reject")
    for more in ({}, {"force": True}):
        report = client.decide(before, "accept", late=True, **more)
        assert report["conflicts"] == [before[0]["id"]]
    assert [entry.op for entry in Journal.read(path).counting] == ["drop", "accept", "accept"]
    # The decision itself, sent again, is none.
    assert client.decide(before[:1], "reject", late=True)["conflicts"] == []
    assert len(Journal.read(path).entries) == 3
    # What was seen may be decided otherwise.
    assert client.decide(client.things()[:1], "accept", late=True)["things"][0]["decision"] == "accept"


def test_nothing_is_decided_about_a_record_that_is_another_one_now(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    with opened_review([path]) as client:
        things = client.things()
    streets = Streets()
    streets.keys = streets.keys[:1] + streets.keys[2:]
    other = street_cache(tmp_path / "b.cache", streets)  # what was of street/0001 is gone, and all after it differ
    with opened_review([other]) as client:
        kept = [thing for thing in things if thing["key"] in ("street/0000", "street/0001", "street/0002")]
        marks = {thing["id"]: thing["mark"] for thing in kept}
        report = client.decide(kept, "accept", marks=marks)
        by_id = {thing["id"]: thing["key"] for thing in kept}
        assert {by_id[name] for name in report["gone"]} == {"street/0001", "street/0002"}
        assert {thing["key"] for thing in report["things"] if thing["decision"]} == {"street/0000"}
        # All of them gone is an answer, too.
        gone = [thing for thing in kept if thing["key"] == "street/0001"]
        assert client.decide(gone, "accept", marks=marks)["things"] == []
        assert client.post("/api/decide", {"ids": [kept[0]["id"]], "op": "accept", "marks": [1]}).status == 400


def test_a_page_of_other_caches_is_refused(client: Client, path: Path, tmp_path: Path) -> None:
    own = identity(client)
    copy = street_cache(tmp_path / "copy" / "a.cache")
    with opened_review([copy]) as elsewhere:
        other = identity(elsewhere)
        assert elsewhere.things()[0]["id"] == client.things()[0]["id"]
    assert own != other
    asked = {"ids": [client.things()[0]["id"]], "op": "accept"}
    for page in ("/api/decide", "/api/undo", "/api/reviewer"):
        refused = client.post(page, asked, **{"X-Poc-Aug-Review": other})
        assert (refused.status, "reviews a.cache" in refused.json["error"]) == (412, True)
    assert client.send("GET", "/api/changes", headers={"X-Poc-Aug-Review": other}).status == 412
    assert client.post("/api/decide", asked, **{"X-Poc-Aug-Review": own}).status == 200
    # The same caches are known again, whatever the address is; the path is in no answer.
    with opened_review([path.parent / "." / path.name]) as again:
        assert identity(again) == own
    assert str(path) not in own


def test_a_server_that_still_lists_the_cache_loses_no_decision(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, go_on = ThingScan.__iter__, threading.Event()

    def slowly(scan: ThingScan) -> Iterator[Any]:
        assert go_on.wait(WATCHDOG_S)
        yield from listed(scan)

    with opened_review([path]) as client:
        thing = client.things()[0]
    monkeypatch.setattr(ThingScan, "__iter__", slowly)
    monkeypatch.setattr("poc_aug.review.review_requests._LISTING_S", 0.01)
    with served([path], reviewer="anna") as (address, review):
        client = Client(address).open()
        asked = {"ids": [thing["id"]], "op": "accept", "marks": {thing["id"]: thing["mark"]}}
        assert client.post("/api/decide", asked).status == 503  # a page sends it again
        assert client.post("/api/undo", {"seen": {thing["id"]: "x"}}).status == 503
        go_on.set()
        assert review.wait(WATCHDOG_S)
        assert client.post("/api/decide", asked).json["things"][0]["decision"] == "accept"


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"clas": "gnu"}, "a filter 'clas'"),
        ({"class": "cow"}, "a.cache has no class 'cow'"),
        ({"kind": "cows"}, "kind 'cows'"),
        ({"decision": "maybe"}, "decision 'maybe'"),
        ({"recipe": "0000"}, "a.cache holds no recipe '0000'"),
        ({"sort": "age"}, "sort 'age'"),
        ({"min_size": "big"}, "min_size 'big'"),
    ],
)
def test_what_is_shown_first_is_checked(path: Path, filters: dict[str, str], told: str) -> None:
    with Review([path]) as review, pytest.raises(SettingError, match="Expected: ") as caught:
        check_filters(review, filters)
    assert caught.value.problem == told


def test_an_empty_cache_has_no_class(tmp_path: Path) -> None:
    CacheWriter(tmp_path / "a.cache", make_manifest()).close()
    with Review([tmp_path / "a.cache"]) as review:
        check_filters(review, {"class": "gnu", "kind": "insertions"})  # its recipe has it
        with pytest.raises(SettingError, match="has no class 'cow'"):
            check_filters(review, {"class": "cow"})
