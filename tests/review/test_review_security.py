"""Who gets an answer of the review's server, and what no answer holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import CacheWriter
from poc_aug.errors import SettingError
from poc_aug.review import ReviewAccess
from poc_aug.review.review_access import is_loopback
from poc_aug.review.shown_text import cut_paths, shown_key, shown_line
from poc_aug.types import Json, Rejection, Variant
from tests.helpers.cache_cases import PARTS, RECORDS, make_insertion, make_manifest
from tests.helpers.review_cases import Client, Streets, key_digest, opened_review, street_cache
from tests.helpers.stranger_cache import write_cache
from tests.helpers.upkeep_cases import damage_record

HOSTILE = (
    "<script>alert(1)</script>",
    "/home/somebody/private frames/aachen/a.png",
    "\\\\server\\share\\b.png",
    "C:\\Users\\somebody\\frames\\c.png",
    "~/private/d.png",
    "file:///home/somebody/frames/e.png",
    "../../home/somebody/frames/f.png",
    "two\nlines\r\n\x00\x1b[31m",
    "\u202egnp.evil \ud800 größe 🙂",
    "'\";&${{7*7}}{% raw %}",
    "x" * 3000,
)

GNU = [{"name": "gnu", "prompts": ["a gnu"], "parts": PARTS}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with opened_review([street_cache(tmp_path_factory.mktemp("private folder") / "a.cache")], Streets()) as client:
        yield client


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A cache whose keys, classes, reasons and details are hostile."""
    path = tmp_path_factory.mktemp("somebody") / "<b>&.cache"
    manifest = make_manifest(objects=[{"name": name, "prompts": [name], "parts": [name]} for name in HOSTILE[:8]] + GNU)
    with CacheWriter(path, manifest) as writer:
        for number, key in enumerate(HOSTILE):
            made = make_insertion(number)
            named = replace(made, object_name=key[:1000], provenance={"prompt": key[:1000]})
            rejection = Rejection("no room", key[:1000], 0, f"cannot read {key}")
            writer.put(Variant(key, 0, key_digest(512, 512), (named,), (rejection,)))
    with opened_review([path]) as client:
        yield client


def everything(client: Client) -> Iterator[bytes]:
    """All that a server says: bodies and headers."""
    pages = ["/", "/api/state", "/api/things?limit=1000", "/api/things?kind=rejected+attempts", "/api/changes"]
    pages += [f"/picture/{thing['id']}/{view}" for thing in client.things() for view in ("after", "close")]
    pages += ["/api/things?sort=<b>", "/picture/a/after", "/static/x", "/%2e%2e/etc/passwd", "/api/things?kind=%00"]
    for page in pages:
        answered = client.get(page)
        assert answered.status != 500, page
        yield repr(sorted(answered.headers.items())).encode()
        if answered.headers["content-type"].startswith(("application/json", "text/html")):
            yield answered.body
    answered = client.post("/api/decide", {"ids": ["/home"], "op": "/home/somebody"})
    yield answered.body


def test_without_token_or_cookie_nothing_is_answered(client: Client) -> None:
    stranger = Client(client.address)
    for page in ("/", "/api/state", "/api/things", "/static/review.js", "/picture/a/after", "/?token=", "/?token=x"):
        answered = stranger.get(page)
        assert answered.status == 403
        assert "set-cookie" not in answered.headers
        assert b"street" not in answered.body
    assert stranger.post("/api/decide", {"ids": ["a"], "op": "accept"}).status == 403
    stranger.cookie = client.cookie[:-1] + ("a" if client.cookie[-1] != "a" else "b")
    assert stranger.get("/api/state").status == 403
    stranger.cookie = ""
    assert stranger.get("/api/state", token=client.token).status == 200
    assert stranger.get("/api/state", token=client.token + "x").status == 403
    assert stranger.get("/api/state", token="ä\ud800".encode("utf-8", "surrogatepass")).status == 403


def test_the_cookie_is_for_this_page_alone(client: Client) -> None:
    answered = Client(client.address).get("/", token=client.token)
    assert client.token not in answered.headers["set-cookie"]
    flags = {part.strip().lower() for part in answered.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    # A reload keeps the session, and with it what can be undone.
    assert "set-cookie" not in client.get("/", token=client.token).headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:1", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.168.1.7", 403),
        ("evil.example@127.0.0.1", 403),
        ("127.0.0.1, evil.example", 403),
        ("[", 403),
        ("\xff", 403),
    ],
)
def test_a_name_of_another_site_is_refused(client: Client, host: str, status: int) -> None:
    assert client.send("GET", "/api/state", headers={"Host": host}).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),  # an id that does not exist: the request itself is fine
        ({"Content-Type": "application/json; charset=utf-8"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
    ],
)
def test_decisions_come_from_the_page_itself(client: Client, headers: dict[str, str], status: int) -> None:
    assert client.post("/api/decide", {"ids": ["a"], "op": "accept"}, **headers).status == status


def test_long_bodies_are_refused(client: Client) -> None:
    assert client.post("/api/decide", {"ids": ["a" * (2 << 20)], "op": "accept"}).status == 413
    assert client.post("/api/decide", {"ids": ["a"] * 10_001, "op": "accept"}).status == 400
    origin = {"Origin": f"http://{client.host}", "Content-Type": "application/json"}
    for body in (b"{", b"\xff", b"[" * 100_000, b'{"ids": [NaN], "op": 1e999}', b"5"):
        assert client.send("POST", "/api/decide", body, origin).status in (400, 404)


def test_headers_of_every_answer(client: Client) -> None:
    for page in ("/", "/api/state", "/static/review.js", "/nothing", f"/picture/{client.things()[0]['id']}/after"):
        headers = client.get(page).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize("name", ["client", "hostile"])
def test_no_path_of_the_machine_is_told(name: str, request: pytest.FixtureRequest) -> None:
    asked = request.getfixturevalue(name)
    for told in everything(asked):
        assert not re.search(rb"somebody|private folder|/home|/tmp|/root|[A-Z]:\\\\|site-packages", told), told


def test_hostile_names_are_escaped(hostile: Client) -> None:
    page = hostile.get("/")
    assert b"<b>" not in page.body
    things = hostile.things() + hostile.things(kind="rejected attempts")
    assert len(things) == 2 * len(HOSTILE)
    assert all(char.isprintable() for thing in things for char in thing["key"] + thing["detail"] + thing["prompt"])
    assert hostile.get("/api/things").headers["content-type"] == "application/json"
    for thing in hostile.things():  # what can be seen can be decided about
        assert hostile.get(f"/picture/{thing['id']}/close").status == 200
        assert hostile.decide([thing], "reject")["things"][0]["decision"] == "reject"


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_damaged_records_are_counted_and_refused(records: Any, tmp_path: Path) -> None:
    path = records.cache(tmp_path / "a.cache", 7)
    damage_record(path, ("street/0000", 1), ("street/0001", 0)) if records.name == "insertions" else damage_record(
        path, ("street/0000@dusk-2", 0)
    )
    with opened_review([path]) as client:
        statuses = {client.get(f"/picture/{thing['id']}/close").status for thing in client.things()}
        broken = [t for t in client.things() if client.get(f"/picture/{t['id']}/close").status == 422]
        assert statuses == {200, 422}
        answered = client.get(f"/picture/{broken[0]['id']}/close").json
        assert "damaged" in answered["error"]
        assert str(tmp_path) not in str(answered)


def test_bytes_of_a_stranger_are_no_error(tmp_path: Path) -> None:
    write_cache(tmp_path / "a.cache", {"a": b"", "b": b"PAUG" + bytes(40), "c": b"\xff" * 5000})
    with opened_review([tmp_path / "a.cache"]) as client:
        state = client.get("/api/state").json
    assert (state["damaged"], state["counts"]["all"]) == (3, 0)


def test_odd_numbers_of_a_stranger_are_no_error(tmp_path: Path) -> None:
    odd: tuple[Json, ...] = (10**400, True, "x", -5, [], 0.25)
    rejections = tuple(Rejection("black", "dusk", number) for number in range(700))
    with CacheWriter(tmp_path / "a.cache", RECORDS[1].manifest()) as writer:
        for number, agreement in enumerate(odd):
            made = RECORDS[1].make(0)
            assert made.frame is not None
            frame = replace(made.frame, provenance={"agreement": agreement, "prompt": agreement})
            writer.put(replace(made, index=number, frame=frame, rejections=rejections))
        writer.put(Variant("no shift", 0, key_digest(17, 11), (), rejections[:1]))
    with opened_review([tmp_path / "a.cache"], Streets()) as client:
        assert [thing["score"] for thing in client.things()] == [None] * 5 + [0.25]
        attempts = [each for each in client.things(kind="rejected attempts", key="@dusk") if each["variant"] == 0]
        assert len(attempts) == 500
        assert attempts[-1]["detail"].strip() == "(and 200 further attempts)"
        assert client.get("/api/state").json["failure"] is None


def test_a_listing_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/home/somebody")

    monkeypatch.setattr("poc_aug.review.review_things.ThingScan._in_header", fail)
    with opened_review([street_cache(tmp_path / "a.cache")]) as client:
        state = client.get("/api/state").json
    assert state["failure"]["error"] == "listing the caches ended with an unexpected RuntimeError"
    assert state["indexing"] is False


def test_an_error_that_nobody_foresaw_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("/home/somebody")

    with opened_review([street_cache(tmp_path / "a.cache")]) as client:
        monkeypatch.setattr("poc_aug.review.review_pictures.ReviewPictures._draw", fail)
        answered = client.get(f"/picture/{client.things()[0]['id']}/close")
    assert (answered.status, answered.json["error"]) == (500, "unexpected RuntimeError")


class Unreadable(Streets):
    def __getitem__(self, number: int) -> Any:
        raise OSError(2, "No such file or directory", "/home/somebody/private/a.png")


class Other(Streets):
    def __getitem__(self, number: int) -> Any:
        image, labels = super().__getitem__(number)
        return image.flip(1), labels


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (Unreadable(), "could not be read"),
        (Other(), "another picture"),
        (Streets(["street/0000", "x"]), "no sample 'street/0001'"),
    ],
)
def test_frames_that_cannot_be_shown_are_explained(dataset: Streets, told: str, tmp_path: Path) -> None:
    with opened_review([street_cache(tmp_path / "a.cache")], dataset) as client:
        thing = client.things(key="0001")[0]
        answered = client.get(f"/picture/{thing['id']}/after")
        assert answered.status == 422
        assert told in answered.json["error"]
        assert "somebody" not in str(answered.json)
        assert client.decide([thing], "skip")["things"][0]["decision"] == "skip"  # it can still be decided about


def test_a_review_writes_nothing_but_the_journal(tmp_path: Path) -> None:
    path = street_cache(tmp_path / "a.cache")
    before = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    with opened_review([path], Streets()) as client:
        for thing in client.things()[:3]:
            client.get(f"/picture/{thing['id']}/after")
            client.decide([thing], "accept")
    after = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    assert {each.parent.name for each in after.keys() - before.keys()} == {"journal"}
    assert {each: after[each] for each in before} == before
    assert sorted(tmp_path.iterdir()) == [path]


def test_an_address_for_others_takes_numeric_names() -> None:
    for host, name, allowed in (
        ("0.0.0.0", "192.168.1.7:8000", True),
        ("0.0.0.0", "evil.example", False),
        ("review.example", "review.example:80", True),
        ("127.0.0.1", "192.168.1.7", False),
    ):
        assert ReviewAccess("", host=host).allows_host(name) is allowed
    assert is_loopback("::1")
    assert not is_loopback("192.168.1.7")
    with pytest.raises(SettingError, match="reviewer's name"):
        ReviewAccess("a\nb")


def test_shown_texts() -> None:
    assert shown_key("a/b/c.png") == "a/b/c.png"
    assert shown_key("/x/y/a b/c.png@fog-3") == "a b/c.png@fog-3"
    assert shown_line("at ../../x/y.png, './a b/c.png' or ~anna/d/e.png") == "at y.png, 'c.png' or e.png"
    assert shown_line("half 1/2 of x/y/z.png") == "half 1/2 of x/y/z.png"
    assert cut_paths("no '/a b/c d/e.cache' there", [Path("/a b/c d/e.cache")]) == "no 'e.cache' there"
    assert len(shown_line("a" * 100_000)) == 2003
