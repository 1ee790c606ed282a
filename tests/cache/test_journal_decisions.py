"""Accepted, relabelled and undone: random decisions of several people against a simple model, batches, following."""

from __future__ import annotations

import os
import pickle
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry, JournalOp
from poc_aug.cache.journal_files import JOURNAL, journal_paths
from poc_aug.cache.journal_following import JournalFollower
from poc_aug.cache.journal_remaining import RemainingDecisions
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.review_state import review_state
from poc_aug.cache.selection import Selection, things_of
from poc_aug.errors import CacheCorruptError, CacheDiskError, SettingError
from poc_aug.types import Variant
from poc_aug.upkeep.journal_union import unite_journals
from tests.helpers.cache_cases import PARTS, RECORDS, Records, make_cache, stored_variant

COUNT = 9
OPS: tuple[JournalOp, ...] = ("drop", "drop", "restore", "accept", "relabel", "relabel", "skip")
PEOPLE = ("anna", "bert", "cleo")


def random_where(rng: random.Random, variant: Variant) -> Selection:
    exact = Selection(key=variant.key, variant=variant.index, insertion=rng.randrange(2))
    wide = Selection(class_name=rng.choice(["gnu", "dusk", *PARTS]))
    return rng.choice([exact, exact, exact, wide, Selection(key=variant.key), Selection(keys="street/000[01]*")])


def parts_of(variant: Variant) -> list[list[str]]:
    """Names of the parts of each insertion; a frame is one without parts."""
    if variant.frame is not None:
        return [[]]
    return [[part.name for part in one.parts] for one in variant.insertions]


def expected(made: list[JournalEntry], variant: Variant) -> list[tuple[bool, list[str]]]:
    """For each insertion, whether it is left out, and names of its parts: looked for from the last decision back."""
    undone = {entry.of for entry in made if entry.op == "undo"}
    found = []
    for number, parts in enumerate(parts_of(variant)):
        fitting = [
            entry
            for entry in reversed(made)
            if entry.op != "undo" and entry.id not in undone and number in entry.where.of(things_of(variant))
        ]
        keeping = [entry.op for entry in fitting if entry.op in ("drop", "restore", "accept")]
        names = []
        for part in parts:
            given = [
                one
                for one in fitting
                if one.op == "relabel" and (one.part or (part if len(parts) == 1 else "")) == part
            ]
            names.append(str(given[0].to) if given else part)
        found.append((keeping[:1] == ["drop"], names))
    return found


def shown(whole: Variant, got: Variant) -> list[tuple[bool, list[str]]]:
    """The same of what was read."""
    if whole.frame is not None:
        return [(got.frame is None, [])]
    boxes = {one.box_yxhw: [part.name for part in one.parts] for one in got.insertions}
    return [(one.box_yxhw not in boxes, boxes.get(one.box_yxhw, [])) for one in whole.insertions]


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_random_decisions_of_several_people_on_copies(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(11)
    path = records.cache(tmp_path / "a.cache", COUNT)
    copies = [path, records.cache(tmp_path / "b.cache", COUNT)]
    wholes = [whole for whole in map(records.make, range(COUNT)) if not whole.is_empty]
    now = 10**18

    def tick() -> int:
        nonlocal now
        now += rng.randrange(0, 3_000_000)
        return now

    monkeypatch.setattr(time, "time_ns", tick)
    writers = [(copy, JournalWriter(copy, by=f"{name} of {copy.name}")) for copy in copies for name in PEOPLE]
    made: list[JournalEntry] = []
    for _ in range(120):
        _, writer = rng.choice(writers)
        if made and rng.random() < 0.25:
            writer.undo(rng.sample(made, k=min(len(made), rng.randrange(1, 4))))
            continue
        batch = []
        for _ in range(rng.randrange(1, 4)):
            op = rng.choice(OPS)
            names: dict[str, Any] = {"to": rng.choice(["horse", "zebra", *PARTS]), "part": rng.choice([None, *PARTS])}
            where = random_where(rng, rng.choice(wholes))
            batch.append(JournalEntry(op, where, 0, **(names if op == "relabel" else {})))
        made += writer.append_all(batch)
    for _, writer in writers:
        writer.close()
    for source, target in (copies, copies[::-1]):  # each gets what the other has
        unite_journals(source, target)
    outcomes: set[Any] = set()
    assert Journal.read(copies[0]).entries == Journal.read(copies[1]).entries
    for copy in copies:
        entries = list(Journal.read(copy).entries)
        assert sorted(entry.id for entry in entries if entry.op != "undo") == sorted({entry.id for entry in made})
        with Cache.open(copy) as cache:
            for whole in wholes:
                model = expected(entries, whole)
                got = stored_variant(cache, whole.key, whole.index)
                assert shown(whole, got) == [(gone, [] if gone else names) for gone, names in model]
                states = cache.journal.states(things_of(whole))
                assert [state.is_dropped for state in states] == [gone for gone, _ in model]
                outcomes.update(state.outcome for state in states)
                assert [list(state.decisions) for state in states] == cache.journal.decisions(things_of(whole))
    assert {"drop", "accept"} <= outcomes


def test_undo_brings_back_exactly_what_was_before_whatever_others_decided_meanwhile(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 6)
    where = Selection(key="street/0000", variant=1, insertion=0)
    with Cache.open(path) as cache:
        things = things_of(stored_variant(cache, "street/0000", 1))
    with JournalWriter(path, by="anna") as anna, JournalWriter(path, by="bert") as bert:
        anna.append("accept", where)
        before = Journal.read(path).states(things)
        relabel = bert.append("relabel", where, to="horse", part=things.parts[0][0])
        drop = bert.append("drop", where)
        anna.follow(Journal.read(path))
        skip = anna.append("skip", where)
        bert.undo([drop])
        assert [state.outcome for state in Journal.read(path).states(things)] == ["relabel"]
        bert.undo([relabel])
        (state,) = Journal.read(path).states(things)
        assert (state.outcome, state.entry) == (before[0].outcome, before[0].entry)
        assert [entry.id for entry in state.decisions] == [before[0].seen, skip.id]
        anna.undo([skip])
        assert Journal.read(path).states(things) == before


def test_restore_takes_back_what_was_dropped_and_nothing_else() -> None:
    where = Selection(key="a", variant=0, insertion=0)
    ops: list[JournalOp] = ["accept", "drop", "restore"]
    entries = [JournalEntry(op, where, number) for number, op in enumerate(ops)]
    assert [review_state(entries[:count], ["cow"]).outcome for count in range(4)] == [None, "accept", "drop", "accept"]


def test_conflicts_are_what_reviewers_said_last_about_one_insertion() -> None:
    where = Selection(key="a", variant=0, insertion=0)

    def conflict(*made: tuple[str, JournalOp, str | None], about: Selection = where) -> bool:
        entries = [JournalEntry(op, about, number, by, to) for number, (by, op, to) in enumerate(made)]
        return review_state(entries, ["cow"]).is_conflict

    assert conflict(("anna", "accept", None), ("bert", "drop", None))
    assert conflict(("anna", "relabel", "horse"), ("bert", "relabel", "bull"))
    assert not conflict(("anna", "accept", None), ("bert", "accept", None))
    assert not conflict(("anna", "relabel", "horse"), ("bert", "accept", None))
    assert not conflict(("anna", "drop", None), ("anna", "accept", None))
    assert not conflict(("anna", "accept", None), ("bert", "skip", None))
    assert not conflict(("anna", "accept", None), ("bert", "drop", None), about=Selection(class_name="cow"))
    assert not conflict(("anna", "accept", None), ("bert", "drop", None), ("anna", "drop", None))


def test_objects_of_several_parts_are_relabelled_part_by_part() -> None:
    where = Selection(key="a", variant=0, insertion=0)
    parts = ["rider", "bicycle"]
    assert not review_state([JournalEntry("relabel", where, 0, to="horse")], parts).names
    assert not review_state([JournalEntry("relabel", where, 0, to="horse", part="wheel")], parts).names
    entries = [
        JournalEntry("relabel", where, 0, to="moped", part="bicycle"),
        JournalEntry("relabel", where, 1, to="person", part="rider"),
        JournalEntry("relabel", where, 2, to="bicycle", part="bicycle"),
    ]
    assert review_state(entries, parts).names == {"rider": "person"}
    assert review_state(entries[:2], parts).names == {"rider": "person", "bicycle": "moped"}


def test_a_batch_is_written_with_one_sync_and_cut_off_anywhere_keeps_its_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def count(fd: int) -> None:
        synced.append(fd)
        sync(fd)

    batch = [JournalEntry("accept", Selection(key=f"{number}"), 0) for number in range(40)]
    with JournalWriter(tmp_path, by="anna") as writer:
        writer.append("skip", Selection(key="first"))
        monkeypatch.setattr(os, "fsync", count)
        made = writer.append_all(batch)
        monkeypatch.undo()
        assert writer.append_all([]) == []
    assert len(synced) == 1
    (file,) = journal_paths(tmp_path)
    data = file.read_bytes()
    assert list(Journal.read(tmp_path).entries[1:]) == made
    for cut in random.Random(3).sample(range(len(data)), 60):
        file.write_bytes(data[:cut])
        entries = Journal.read(tmp_path).entries
        assert len(entries) == data[:cut].count(b"\n")
        assert [one.where.key for one in entries] == ["first", *(f"{n}" for n in range(40))][: len(entries)]


def test_a_batch_that_does_not_fit_on_the_disk_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with JournalWriter(tmp_path) as writer:
        writer.append("accept", Selection(key="a"))
        (file,) = journal_paths(tmp_path)
        before = file.read_bytes()
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) * 2 // 3]))
        with pytest.raises(CacheDiskError, match="bytes were written"):
            writer.append_all([JournalEntry("drop", Selection(key=f"{number}"), 0) for number in range(9)])
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("op", "names"),
    [
        ("relabel", {}),
        ("relabel", {"to": ""}),
        ("relabel", {"to": "two\nlines"}),
        ("relabel", {"to": "(ignored)"}),
        ("relabel", {"to": "x" * 2000}),
        ("relabel", {"to": "horse", "part": ""}),
        ("drop", {"to": "horse"}),
        ("accept", {"part": "rider"}),
        ("undo", {}),
    ],
)
def test_names_that_no_line_can_hold(tmp_path: Path, op: JournalOp, names: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="a decision about"), JournalWriter(tmp_path) as writer:
        writer.append(op, Selection(key="a"), **names)
    assert not (tmp_path / JOURNAL).exists()


def test_following_reads_what_was_added_and_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    parse = JournalEntry.parse

    def counted(line: bytes) -> JournalEntry:
        parsed.append(line)
        return parse(line)

    rng = random.Random(2)
    writers = [JournalWriter(tmp_path, by=name) for name in PEOPLE]
    follower = JournalFollower(tmp_path)
    assert not follower.read()
    for step in range(30):
        made = rng.choice(writers).append_all(
            [JournalEntry("drop", Selection(key=f"{step}-{n}"), 0) for n in range(rng.randrange(3))]
        )
        if step == 10:  # what a killed writer left, and another one's file that is copied here
            other = tmp_path / JOURNAL / "other.jsonl"
            other.write_bytes(replace(JournalEntry("skip", Selection(key="x"), 5)).line() + b'\n{"by":')
        if step == 20:
            with other.open("ab") as file:
                file.write(b'"x"}')
        monkeypatch.setattr(JournalEntry, "parse", counted)
        parsed.clear()
        journal = follower.read()
        assert len(parsed) == len(made) + (step == 10)
        assert follower.read() is journal
        monkeypatch.undo()
        assert journal.entries == Journal.read(tmp_path).entries
    (tmp_path / JOURNAL / "other.jsonl").unlink()
    assert follower.read().entries == Journal.read(tmp_path).entries
    with open(journal_paths(tmp_path)[0], "ab") as file:
        file.write(b"no decision\n")
    for _ in range(2):
        with pytest.raises(CacheCorruptError, match="is damaged"):
            follower.read()


def test_a_pickled_cache_has_the_journal_that_it_had(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with Cache.open(path) as cache, JournalWriter(path) as writer:
        writer.append("drop", Selection(key="street/0000"))
        copy = pickle.loads(pickle.dumps(cache))
        assert not stored_variant(copy, "street/0000", 1).is_empty
        for one in (cache, copy):
            one.refresh()
            assert stored_variant(one, "street/0000", 1).is_empty
        again = pickle.loads(pickle.dumps(copy))
        assert again.journal.entries == copy.journal.entries
        assert again.journal.fingerprint == cache.manifest.fingerprint
        copy.close()
        again.close()


def test_what_remains_in_a_copy_has_the_numbers_there() -> None:
    whole = next(one for one in map(RECORDS[0].make, range(9)) if len(one.insertions) == 2)
    places = [Selection(key=whole.key, variant=whole.index, insertion=number) for number in range(2)]
    entries = [
        JournalEntry("drop", places[0], 0),
        JournalEntry("accept", places[1], 1, by="anna"),
        JournalEntry("accept", places[0], 2, by="anna"),
        JournalEntry("drop", places[0], 3),
        JournalEntry("relabel", Selection(insertion=1), 4, to="horse", part="part 0"),
        JournalEntry("skip", Selection(class_name="gnu"), 5),
        JournalEntry("accept", Selection(key="elsewhere"), 6),
    ]
    journal = Journal(entries)
    remaining = RemainingDecisions(journal)
    remaining.add(things_of(whole), journal.dropped(things_of(whole)))
    found = [(entry.op, str(entry.where), entry.by) for entry in remaining.entries("f", only_found=True)]
    exact = f"recipe 'f', key {whole.key!r}, variant {whole.index}, insertion 0"
    assert found == [("accept", exact, "anna"), ("relabel", exact, ""), ("skip", "recipe 'f', class 'gnu'", "")]
    assert len(remaining.entries("f")) == 4
