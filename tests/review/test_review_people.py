"""Several people review one cache: in one server, in several, and while servers are killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import journal_paths
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.upkeep import compact_cache, drop
from tests.helpers.cache_cases import RECORDS, make_manifest
from tests.helpers.review_cases import Client, kill, opened_review, review_process, street_cache
from tests.helpers.upkeep_cases import with_two_recipes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return street_cache(tmp_path / "a.cache")


@pytest.fixture
def anna_and_bob(path: Path) -> Iterator[tuple[Client, Client]]:
    """Two servers on one cache."""
    with opened_review([path], reviewer="anna") as anna, opened_review([path], reviewer="bob") as bob:
        yield anna, bob


def test_what_another_server_writes_is_read(anna_and_bob: tuple[Client, Client]) -> None:
    anna, bob = anna_and_bob
    version = bob.get("/api/state").json["version"]
    first, second = anna.things()[:2]
    anna.decide([first], "accept")
    anna.decide([second], "reject")
    changes = bob.get("/api/changes", since=version).json
    assert {(t["id"], t["decision"], t["by"]) for t in changes["things"]} == {
        (first["id"], "accept", "anna"),
        (second["id"], "reject", "anna"),
    }
    assert bob.get("/api/state").json["counts"]["accepted"] == 1
    anna.post("/api/undo")
    (undone,) = bob.get("/api/changes", since=changes["version"]).json["things"]
    assert (undone["id"], undone["decision"]) == (second["id"], None)


def test_a_conflict_is_shown_and_nothing_is_written(path: Path, anna_and_bob: tuple[Client, Client]) -> None:
    anna, bob = anna_and_bob
    seen_by_bob = bob.things()[:3]
    anna.decide(anna.things()[:1], "accept")
    report = bob.decide(seen_by_bob, "reject")
    assert report["conflicts"] == [seen_by_bob[0]["id"]]
    assert [thing["decision"] for thing in report["things"][:3]] == ["accept", "reject", "reject"]
    assert len(Journal.read(path).entries) == 3
    # Having seen it, bob may decide otherwise; both see that they disagree.
    settled = bob.decide(report["things"][:1], "reject")
    assert settled["conflicts"] == []
    assert (settled["things"][0]["decision"], settled["things"][0]["conflict"]) == ("reject", True)
    assert settled["counts"]["conflicts"] == 1
    assert [(made["by"], made["op"]) for made in settled["things"][0]["decisions"]] == [
        ("anna", "accept"),
        ("bob", "reject"),
    ]
    anna.get("/api/changes", since=0)
    (shown,) = anna.things(decision="conflict")
    agreed = anna.decide([shown], "reject")
    assert agreed["things"][0]["conflict"] is False
    assert anna.get("/api/state").json["counts"]["conflicts"] == 0


def test_force_decides_in_spite_of_a_conflict(anna_and_bob: tuple[Client, Client]) -> None:
    anna, bob = anna_and_bob
    seen_by_bob = bob.things()[:1]
    anna.decide(anna.things()[:1], "accept")
    report = bob.decide(seen_by_bob, "reject", force=True)
    assert (report["conflicts"], report["things"][0]["decision"]) == ([], "reject")


def test_one_person_in_two_tabs_has_no_conflict(path: Path) -> None:
    with opened_review([path]) as client:
        tab = Client(client.address, client.cookie)
        seen = tab.things()[:1]
        client.decide(client.things()[:1], "accept")
        assert tab.decide(seen, "reject")["conflicts"] == []
        # What one tab decided the other one can take back.
        assert client.post("/api/undo").json["things"][0]["decision"] == "accept"


def test_undo_leaves_what_others_decided(anna_and_bob: tuple[Client, Client]) -> None:
    anna, bob = anna_and_bob
    thing = anna.decide(anna.things()[:1], "accept")["things"][0]
    bob.decide([thing], "reject")
    undone = anna.post("/api/undo").json["things"][0]
    assert (undone["decision"], undone["by"], undone["conflict"]) == ("reject", "bob", False)


def test_many_at_once_lose_nothing(path: Path) -> None:
    with opened_review([path]) as first, opened_review([path], reviewer="bob") as second:
        things = first.things()
        clients = [Client(each.address).open() for each in (first, second) for _ in range(4)]

        def decide(number: int) -> None:
            for thing in things[number::8]:
                clients[number].decide([thing], "accept" if number % 2 else "reject")

        threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in (first, second):
            counts = client.get("/api/state").json["counts"]
            assert (counts["accepted"], counts["rejected"], counts["conflicts"]) == (16, 16, 0)
    assert len(Journal.read(path).entries) == 32
    assert len(journal_paths(path)) == 2


def test_decisions_of_the_command_line_are_shown(path: Path) -> None:
    with opened_review([path]) as client:
        drop(path, class_name="part 1", by="carl")
        client.get("/api/changes", since=0)
        dropped = client.things(decision="reject")
        assert {(thing["insertion"], thing["by"]) for thing in dropped} == {(1, "carl")}
        assert len(dropped) == 16
        # One of them is taken in again.
        client.decide(dropped[:1], "accept")
        assert client.get("/api/state").json["counts"]["rejected"] == 15


def test_several_caches_and_recipes(tmp_path: Path) -> None:
    mixed = with_two_recipes(tmp_path / "mixed.cache", RECORDS[0])
    other = street_cache(tmp_path / "other.cache", manifest=make_manifest(seed=7))
    with opened_review([mixed, other]) as client:
        state = client.get("/api/state").json
        assert state["cache"] == "mixed.cache, other.cache"
        assert len(state["recipes"]) == 3
        assert sum(recipe["count"] for recipe in state["recipes"]) == state["counts"]["all"] == len(client.things())
        for recipe in state["recipes"]:
            things = client.things(recipe=recipe["fingerprint"][:8])
            assert len(things) == recipe["count"] > 0
            client.decide(things[:1], "reject")
    journals = [Journal.read(each.parent) for each in (*mixed.rglob("manifest.json"), *other.rglob("manifest.json"))]
    assert [len(journal.entries) for journal in journals] == [1, 1, 1]
    with opened_review([mixed], recipes=[state["recipes"][1]["fingerprint"][:6]]) as client:
        assert [each["count"] for each in client.get("/api/state").json["recipes"]] == [state["recipes"][1]["count"]]


def test_a_clock_that_is_behind_does_not_hide_a_decision(path: Path) -> None:
    with opened_review([path]) as client:
        thing = client.things()[0]
        where = Selection(key=thing["key"], variant=thing["variant"], insertion=thing["insertion"])
        with pytest.MonkeyPatch.context() as patch, JournalWriter(path, by="bob") as writer:
            patch.setattr("poc_aug.cache.journal_writing.time.time_ns", lambda: 4_000_000_000_000_000_000)
            writer.append("drop", where)
        client.get("/api/changes", since=0)
        assert client.things()[0]["decision"] == "reject"
        assert client.decide(client.things()[:1], "accept")["things"][0]["decision"] == "accept"
        assert client.things()[0]["decision"] == "accept"


def test_older_decisions_that_are_copied_in_later_are_shown(path: Path) -> None:
    with opened_review([path]) as client:
        first, second = client.things()[:2]
        client.decide([first], "accept")
        lines = [
            JournalEntry(
                "drop", Selection(key=each["key"], variant=0, insertion=each["insertion"]), 1000 + n, "bob"
            ).line()
            for n, each in enumerate((first, second))
        ]
        (path / "journal" / "copied.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        changed = client.get("/api/changes", since=0).json["things"]
        assert {(each["id"], each["decision"], each["conflict"]) for each in changed} == {
            (first["id"], "accept", True),  # bob's was earlier
            (second["id"], "reject", False),
        }
        (path / "journal" / "copied.jsonl").unlink()
        client.get("/api/changes", since=0)
        assert [each["decision"] for each in client.things()[:2]] == ["accept", None]


def test_a_journal_that_is_damaged_meanwhile_is_reported(path: Path) -> None:
    with opened_review([path]) as client:
        client.decide(client.things()[:1], "accept")
        (file,) = journal_paths(path)
        file.with_name("other.jsonl").write_text("{}\n")
        answered = client.get("/api/changes", since=0)
        assert (answered.status, "damaged" in answered.json["error"]) == (422, True)
        assert client.post("/api/decide", {"ids": [client.things()[1]["id"]], "op": "accept"}).status == 422
        file.with_name("other.jsonl").unlink()
        assert client.get("/api/changes", since=0).status == 200


@pytest.mark.parametrize("decided_before", [False, True])
def test_nothing_is_decided_about_a_cache_that_was_put_in_its_place(path: Path, decided_before: bool) -> None:
    with opened_review([path]) as client:
        first, second = client.things()[:2]
        if decided_before:
            client.decide([first], "skip")
        drop(path, key=first["key"], variant=first["variant"], insertion=first["insertion"])
        compact_cache(path, path.with_name("small.cache"))  # what comes after it has another number there
        path.rename(path.with_name("old.cache"))
        path.with_name("small.cache").rename(path)
        before = Journal.read(path).entries
        for _ in range(2):
            answered = client.post("/api/decide", {"ids": [second["id"]], "op": "reject", "force": True})
            assert (answered.status, "replaced" in answered.json["error"]) == (422, True)
        if decided_before:
            assert client.post("/api/undo").status == 422
        assert Journal.read(path).entries == before


def test_a_disk_that_is_full_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened_review([path]) as client:
        thing = client.things()[0]
        with monkeypatch.context() as patch:

            def full(fd: int, data: bytes) -> int:
                raise OSError(28, "No space left on device")

            patch.setattr("poc_aug.cache.journal_writing.os.write", full)
            answered = client.post("/api/decide", {"ids": [thing["id"]], "op": "accept"})
        assert (answered.status, "No space left" in answered.json["error"]) == (422, True)
        assert str(path.parent) not in str(answered.json)
        assert client.things()[0]["decision"] is None
        assert client.post("/api/undo").status == 409
        assert client.decide([thing], "accept")["things"][0]["decision"] == "accept"


def test_kills_after_decisions_lose_none(path: Path) -> None:
    ops = ("accept", "reject", "skip", "relabel")
    expected: dict[str, str] = {}
    for start in (0, 7, 20):  # three servers, one after the other, each killed after some keys
        with review_process(path) as (process, client):
            things = client.things()
            if start == 20:
                kill(process)  # right at the beginning
                continue
            for number, thing in enumerate(things[start : start + 12]):
                op = ops[number % 4] if len(thing["parts"]) == 1 else ops[number % 3]
                client.decide([thing], op, **({"to": f"class {number}"} if op == "relabel" else {}))
                expected[thing["id"]] = op
            kill(process)  # before anything else can happen
    with opened_review([path], reviewer="bob") as client:
        shown = {thing["id"]: thing for thing in client.things() if thing["decisions"]}
    assert {name: thing["decisions"][-1]["op"] for name, thing in shown.items()} == expected
    assert {made["by"] for thing in shown.values() for made in thing["decisions"]} == {"anna"}
    assert len(Journal.read(path).entries) >= 24
