"""What the review's server answers to a page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.cache import Cache, CacheWriter
from poc_aug.cache.journal import Journal
from poc_aug.masks import bounds
from poc_aug.reading.compose import compose
from poc_aug.types import Rejection, Sample
from tests.helpers.cache_cases import RECORDS, make_manifest, make_variant
from tests.helpers.review_cases import SIZE_HW, Client, Streets, opened_review, street_cache

VIEWS = ("before", "after", "mask", "close", "close-before", "close-mask", "thumb")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_cache(tmp_path_factory.mktemp("review") / "a.cache")


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[Client]:
    """Read only: what decides makes a cache of its own."""
    with opened_review([path], Streets()) as client:
        yield client


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Client, Path]]:
    path = street_cache(tmp_path / "own.cache")
    with opened_review([path]) as client:
        yield client, path


def decoded(body: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)


def test_state(client: Client) -> None:
    state = client.get("/api/state").json
    assert (state["cache"], state["kind"], state["reviewer"]) == ("a.cache", "insertions", "anna")
    assert state["recipes"] == [{"fingerprint": make_manifest().fingerprint, "objects": ["gnu"], "count": 32}]
    assert state["classes"] == [{"name": "gnu", "count": 32}]
    assert state["relabel_classes"] == ["gnu"]
    assert (state["kinds"], state["has_dataset"], state["indexing"]) == (["insertions"], True, False)
    assert state["counts"]["all"] == state["counts"]["undecided"] == 32
    assert state["damaged"] == 0
    assert state["failure"] is None


def test_a_thing(client: Client, path: Path) -> None:
    thing = client.things()[1]
    with Cache.open(path) as cache:
        stored = cache.get("street/0000", 0)
    assert stored is not None
    insertion = stored.insertions[1]
    assert (thing["key"], thing["variant"], thing["insertion"]) == ("street/0000", 0, 1)
    assert (thing["class"], thing["label"], thing["kind"]) == ("gnu", "gnu", "insertions")
    assert [(part["name"], part["label"], part["area"]) for part in thing["parts"]] == [
        (part.name, part.name, int(part.mask.sum())) for part in insertion.parts
    ]
    assert thing["area"] == int(insertion.mask.sum())
    assert thing["score"] == min(part.score for part in insertion.parts)
    # The size is that of the object, without the feather around it; the box is that of the patch.
    assert thing["box"] == list(insertion.box_yxhw)
    assert (thing["height"], thing["width"]) == bounds(insertion.mask)[2:] == (15, 9)
    assert insertion.box_yxhw[2:] == (17, 11)
    assert thing["prompt"] == "a gnu – größer"
    assert (thing["decision"], thing["decisions"], thing["seen"], thing["conflict"]) == (None, [], "", False)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"class": "gnu"}, 32),
        ({"class": "cow"}, 0),
        ({"recipe": "0000"}, 0),
        ({"kind": "frames"}, 0),
        ({"key": "0003"}, 4),
        ({"key": "STREET"}, 32),
        ({"decision": "undecided"}, 32),
        ({"decision": "accept"}, 0),
        ({"min_size": 15}, 32),
        ({"min_size": 16}, 0),
        ({"max_size": 14.5}, 0),
        ({"min_score": 0.6}, 16),  # of one part: 0.75; of two: 0.5
        ({"max_score": 0.6}, 16),
    ],
)
def test_filters(client: Client, query: dict[str, Any], count: int) -> None:
    assert len(client.things(**query)) == count


def test_sorting_and_pages(client: Client) -> None:
    every = client.things()
    places = [(thing["key"], thing["variant"], thing["insertion"]) for thing in every]
    assert places == sorted(places)
    assert [thing["id"] for thing in client.things(reverse=1)] == [thing["id"] for thing in reversed(every)]
    by_score = [thing["score"] for thing in client.things(sort="score")]
    assert by_score == sorted(by_score)
    drawn = [[thing["id"] for thing in client.things(sort="random", seed=seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    part = client.get("/api/things", offset=30, limit=5).json
    assert (part["total"], [thing["id"] for thing in part["things"]]) == (32, [thing["id"] for thing in every[30:]])


@pytest.mark.parametrize(
    ("page", "query", "status"),
    [
        ("/api/things", {"limit": "x"}, 400),
        ("/api/things", {"offset": -1}, 400),
        ("/api/things", {"sort": "<b>"}, 400),
        ("/api/things", {"kind": "cows"}, 400),
        ("/api/things", {"min_size": "nan"}, 400),
        ("/api/things", {"offset": "9" * 5000}, 400),
        ("/api/changes", {"since": "x"}, 400),
        ("/picture/nothing/after", {}, 404),
        ("/picture/..%2f..%2fetc/after", {}, 404),
        ("/static/..%2freview_app.py", {}, 404),
        ("/static/nothing.js", {}, 404),
        ("/api/decide", {}, 405),
        ("/nothing", {}, 404),
    ],
)
def test_wrong_requests(client: Client, page: str, query: dict[str, Any], status: int) -> None:
    answered = client.get(page, **query)
    assert answered.status == status
    assert answered.json["error"]


def test_pictures_show_what_reading_gives(client: Client, path: Path) -> None:
    thing = client.things()[2]  # variant 1: its second insertion is elsewhere
    drawn = {view: client.get(f"/picture/{thing['id']}/{view}") for view in VIEWS}
    assert {answer.status for answer in drawn.values()} == {200}
    image, labels = Streets()[0]
    with Cache.open(path) as cache:
        stored = cache.get("street/0000", 1)
    assert stored is not None
    ids = dict.fromkeys(("part 0", "part 1"), 0)
    after = compose(Sample(image, labels, "a"), stored.insertions, ids).image.permute(1, 2, 0).numpy().astype(int)
    before = image.permute(1, 2, 0).numpy().astype(int)
    # JPEG of noise: closer to what it shows than to anything else.
    shown_before, shown_after = decoded(drawn["before"].body), decoded(drawn["after"].body)
    y, x, h, w = stored.insertions[1].box_yxhw
    inside = np.s_[y : y + h, x : x + w]
    assert np.abs(shown_after - after)[inside].mean() < np.abs(shown_after - before)[inside].mean()
    assert np.abs(shown_before - before)[inside].mean() < np.abs(shown_before - after)[inside].mean()
    # Close-ups have the frame's own pixels: here the whole frame, which is smaller than a close-up.
    assert decoded(drawn["close"].body).shape == (*SIZE_HW, 3)
    assert np.abs(decoded(drawn["close"].body) - after).mean() < 12
    assert np.abs(decoded(drawn["close-before"].body) - before).mean() < 12
    # Around the object the mask's picture is darker than the frame.
    assert decoded(drawn["mask"].body)[:5].std() < 0.7 * after[:5].std()


def test_the_width_of_a_picture(client: Client) -> None:
    thing = client.things()[0]
    widths = {
        asked: decoded(client.get(f"/picture/{thing['id']}/after", width=asked).body).shape[1]
        for asked in (1, 40, 128, 5000)
    }
    assert widths == {1: 16, 40: 40, 128: 128, 5000: 128}  # never larger than the frame


def test_a_picture_that_a_page_has_is_not_sent_again(client: Client) -> None:
    path = f"/picture/{client.things()[0]['id']}/after"
    first = client.get(path)
    # Not used without being asked for: another cache may be reviewed at this address within minutes.
    assert first.headers["cache-control"] == "private, no-cache"
    again = client.send("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = client.send("GET", path.replace("after", "before"), headers={"If-None-Match": first.headers["etag"]})
    assert other.status == 200


def test_without_a_dataset_patches_are_on_grey(own: tuple[Client, Path]) -> None:
    client, _ = own
    thing = client.things()[0]
    for view in ("close", "thumb", "mask", "close-mask"):
        answered = client.get(f"/picture/{thing['id']}/{view}")
        assert answered.status == 200
    assert np.abs(decoded(client.get(f"/picture/{thing['id']}/close").body)[0] - 128).max() <= 12
    refused = client.get(f"/picture/{thing['id']}/after")
    assert refused.status == 422
    assert "--dataset" in refused.json["hint"]
    assert not client.get("/api/state").json["has_dataset"]


def test_a_decision_is_in_the_journal_before_the_answer(own: tuple[Client, Path]) -> None:
    client, path = own
    first, second, third = client.things()[:3]
    report = client.decide([first], "accept")
    assert report["things"][0]["decision"] == "accept"
    assert report["counts"]["accepted"] == 1
    (entry,) = Journal.read(path).entries
    assert (entry.op, entry.by, entry.where.key, entry.where.variant) == ("accept", "anna", "street/0000", 0)
    assert entry.where.insertion == 0
    assert entry.where.recipe == make_manifest().fingerprint
    client.decide([second], "reject")
    client.decide([third], "relabel", to="cow")
    with Cache.open(path) as cache:
        variants = [cache.get("street/0000", 0), cache.get("street/0000", 1)]
    assert [[part.name for each in v.insertions for part in each.parts] for v in variants if v is not None] == [
        ["part 0"],
        ["cow", "part 0", "part 1"],
    ]
    counts = client.get("/api/state").json["counts"]
    assert (counts["accepted"], counts["rejected"], counts["relabelled"], counts["undecided"]) == (1, 1, 1, 29)
    assert {thing["label"] for thing in client.things(decision="relabel")} == {"cow"}
    assert [thing["id"] for thing in client.things(**{"class": "cow"})] == [third["id"]]


def test_undo_takes_back_one_call_after_the_other(own: tuple[Client, Path]) -> None:
    client, path = own
    things = client.things()
    client.decide(things[:5], "accept")
    client.decide(things[3:8], "reject")
    assert {t["decision"] for t in client.things()[3:8]} == {"reject"}
    undone = client.post("/api/undo").json
    assert {thing["id"] for thing in undone["things"]} == {thing["id"] for thing in things[3:8]}
    assert [thing["decision"] for thing in client.things()[:8]] == ["accept"] * 5 + [None] * 3
    client.post("/api/undo")
    assert client.get("/api/state").json["counts"]["undecided"] == 32
    refused = client.post("/api/undo")
    assert refused.status == 409
    assert refused.json["error"] == "there is nothing to undo"
    assert not Journal.read(path).counting


def test_undo_is_that_of_one_browser(own: tuple[Client, Path]) -> None:
    client, _ = own
    other = Client(client.address).open()
    client.decide(client.things()[:1], "accept")
    assert other.post("/api/undo").status == 409
    assert client.post("/api/undo").status == 200


def test_a_new_class_for_what_was_rejected_takes_it_in_again(own: tuple[Client, Path]) -> None:
    client, path = own
    thing = client.decide(client.things()[:1], "reject")["things"][0]
    again = client.decide([thing], "relabel", to="cow")["things"][0]
    assert (again["decision"], again["label"]) == ("relabel", "cow")
    with Cache.open(path) as cache:
        variant = cache.get("street/0000", 0)
    assert variant is not None
    assert len(variant.insertions) == 2
    undone = client.post("/api/undo", {"seen": {again["id"]: again["seen"]}}).json["things"][0]
    assert (undone["decision"], undone["label"]) == ("reject", "gnu")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"ids": [], "op": "accept"}, 400),
        ({"ids": "a", "op": "accept"}, 400),
        ({"ids": [5], "op": "accept"}, 404),
        ({"ids": ["nothing"], "op": "accept"}, 404),
        ({"ids": [0], "op": "drop"}, 422),
        ({"ids": [0], "op": 5}, 400),
        ({"ids": [0], "op": "relabel"}, 422),
        ({"ids": [0], "op": "accept", "to": "cow"}, 422),
        ({"ids": [0], "op": "relabel", "to": ""}, 400),
        ({"ids": [0], "op": "relabel", "to": "a\nb"}, 422),
        ({"ids": [0], "op": "relabel", "to": " "}, 422),
        ({"ids": [0], "op": "relabel", "to": "cow", "part": "no such part"}, 422),
        ({"ids": [1], "op": "relabel", "to": "cow"}, 422),  # of two parts
        ({"ids": [0], "op": "accept", "seen": [1]}, 400),
        ({"ids": [0], "op": "accept", "more": 1}, 400),
        ([1], 400),
    ],
)
def test_decisions_that_cannot_be(client: Client, asked: Any, expected: int) -> None:
    ids = [thing["id"] for thing in client.things()[:2]]
    if isinstance(asked, dict) and isinstance(asked["ids"], list) and asked["ids"] in ([0], [1]):
        asked = asked | {"ids": [ids[asked["ids"][0]]]}
    answered = client.post("/api/decide", asked)
    assert answered.status == expected, answered.body
    assert answered.json["error"]
    assert client.get("/api/state").json["counts"]["undecided"] == 32


def test_one_part_of_several_gets_a_new_class(own: tuple[Client, Path]) -> None:
    client, _ = own
    thing = client.decide([client.things()[1]], "relabel", to="cow", part="part 1")["things"][0]
    assert [part["label"] for part in thing["parts"]] == ["part 0", "cow"]
    assert thing["label"] == "part 0, cow"


def test_the_reviewers_name_of_a_browser(own: tuple[Client, Path]) -> None:
    client, _ = own
    assert client.post("/api/reviewer", {"reviewer": " bob "}).json == {"reviewer": "bob"}
    assert client.decide(client.things()[:1], "accept")["things"][0]["by"] == "bob"
    assert client.get("/api/state").json["reviewer"] == "bob"
    assert Client(client.address).open().get("/api/state").json["reviewer"] == "anna"
    for wrong in ("", "a\nb", 5, "x" * 201):
        assert client.post("/api/reviewer", {"reviewer": wrong}).status in (400, 422)


def test_changes_are_told_once(own: tuple[Client, Path]) -> None:
    client, _ = own
    other = Client(client.address).open()
    version = other.get("/api/state").json["version"]
    assert other.get("/api/changes", since=version).json["things"] == []
    thing = client.things()[7]
    client.decide([thing], "reject")
    changes = other.get("/api/changes", since=version).json
    assert [(each["id"], each["decision"]) for each in changes["things"]] == [(thing["id"], "reject")]
    assert other.get("/api/changes", since=changes["version"]).json["things"] == []


def test_frames_and_rejected_attempts(tmp_path: Path) -> None:
    path = RECORDS[1].cache(tmp_path / "frames.cache", 9)
    with opened_review([path]) as client:
        state = client.get("/api/state").json
        assert (state["kind"], state["kinds"]) == ("frames", ["frames", "rejected attempts"])
        frames = client.things()
        assert {(thing["kind"], thing["class"]) for thing in frames} == {("frames", "dusk")}
        assert state["counts"]["all"] == len(frames) == 7
        attempts = client.things(kind="rejected attempts")
        assert {(each["reason"], each["detail"]) for each in attempts} == {("labels do not hold", "agreement 0.1")}
        assert [each["picture"] for each in attempts] == [False, False]
        for view in ("before", "after", "close", "thumb"):
            assert client.get(f"/picture/{frames[0]['id']}/{view}").status == (422 if view == "before" else 200)
        assert client.get(f"/picture/{attempts[0]['id']}/after").status == 422
        answered = client.post("/api/decide", {"ids": [attempts[0]["id"]], "op": "accept"})
        assert (answered.status, "rejected attempt" in answered.json["error"]) == (422, True)
        assert client.post("/api/decide", {"ids": [frames[0]["id"]], "op": "relabel", "to": "fog"}).status == 422
        client.decide(frames[:1], "reject")
    with Cache.open(path) as cache:
        variant = cache.get(frames[0]["key"], frames[0]["variant"])
    assert variant is not None
    assert variant.is_empty


def test_details_are_shown_in_proper_grammar(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    rejection = Rejection("no room", "gnu", 0, "no place on any of 1 rungs")
    with CacheWriter(path, make_manifest()) as writer:
        writer.put_many([replace(make_variant(number), rejections=(rejection,)) for number in range(3)])
    with opened_review([path]) as client:
        details = {each["detail"] for each in client.things(kind="rejected attempts")}
    assert details == {"no place on the ladder's only rung"}
