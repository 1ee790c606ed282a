"""The journal: random decisions against a simple model, killed and competing writers, damage and strangers."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import time
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache, same_variant
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry, JournalOp
from poc_aug.cache.journal_files import JOURNAL, journal_paths
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.selection import Selection
from poc_aug.errors import CacheDiskError, CacheNotFoundError, SettingError
from poc_aug.inspection.empty_variants import count_without_object
from poc_aug.types import Variant
from tests.helpers.cache_cases import (
    PARTS,
    RECORDS,
    Records,
    contents,
    in_child,
    make_cache,
    stored_variant,
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
COUNT = 12


def wholes(records: Records) -> dict[tuple[str, int], Variant]:
    return {(variant.key, variant.index): variant for variant in map(records.make, range(COUNT))}


def names_in(variant: Variant) -> list[set[str]]:
    if variant.frame is not None:
        return [{variant.frame.domain}]
    return [{one.object_name, *(part.name for part in one.parts)} for one in variant.insertions]


def selects(where: Selection, variant: Variant, number: int) -> bool:
    """The rule as the documentation has it."""
    keys = {variant.key, variant.key.split("@")[0]}
    return (
        (where.class_name is None or where.class_name in names_in(variant)[number])
        and (where.key is None or where.key in keys)
        and (where.keys is None or any(fnmatchcase(key, where.keys) for key in keys))
        and where.variant in (None, variant.index)
        and where.insertion in (None, number)
        and where.recipe in (None, "that recipe")
    )


def random_selection(rng: random.Random, variant: Variant) -> Selection:
    def maybe(value: Any, share: float = 0.4) -> Any:
        return value if rng.random() < share else None

    sample = variant.key.split("@")[0]
    return Selection(
        recipe=maybe(rng.choice(["another recipe", "that recipe"]), 0.2),
        class_name=maybe(rng.choice(["gnu", "dusk", "fog", *PARTS])),
        key=maybe(rng.choice([variant.key, sample])),
        keys=maybe(rng.choice(["street/*", "*3", "street/000[12]*", "*@dusk-2"]), 0.3),
        variant=maybe(variant.index),
        insertion=maybe(rng.randrange(2), 0.2),
    )


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_random_decisions_leave_what_a_simple_model_leaves(tmp_path: Path, records: Records) -> None:
    path = records.cache(tmp_path / "a.cache", COUNT, 2)
    stored, before = wholes(records), contents(path)
    # The recipe of a selection is a fingerprint; the model's is called "that recipe".
    fingerprint = records.manifest().fingerprint
    dropped = {(name, number): False for name, one in stored.items() for number in range(len(names_in(one)))}
    rng = random.Random(5)
    seen = set()
    with Cache.open(path) as cache:
        for step in range(60):
            where = random_selection(rng, rng.choice(list(stored.values())))
            op: JournalOp = rng.choice(("drop", "drop", "restore"))
            own = (
                where
                if where.recipe != "that recipe"
                else Selection.from_dict(where.to_dict() | {"recipe": fingerprint})
            )
            with JournalWriter(path, by=rng.choice(["", "anna"])) as writer:
                writer.append(op, own)
            for (name, number), _ in dropped.items():
                if selects(where, stored[name], number):
                    dropped[name, number] = op == "drop"
            cache.refresh()
            for name, whole in stored.items():
                got = cache.get(*name)
                assert got is not None
                left = [n for n in range(len(names_in(whole))) if not dropped[name, n]]
                assert len(names_in(got)) == len(left), (step, name)
                assert same_variant(got, cache.kept(whole))
                assert got.is_empty == (not left)
                assert [one.box_yxhw for one in got.insertions] == [
                    whole.insertions[n].box_yxhw for n in left if whole.insertions
                ]
                assert got.digest == whole.digest
                reasons = [rejection.reason for rejection in got.rejections[len(whole.rejections) :]]
                assert reasons == ["dropped"] * (len(names_in(whole)) - len(left))
            seen.add(sum(dropped.values()))
        assert len(seen) > 4  # the decisions did something
        assert contents(path) == before
        assert count_without_object(cache) == sum(stored_variant(cache, *name).is_empty for name in stored)
        copy = pickle.loads(pickle.dumps(cache))
        assert all(same_variant(stored_variant(copy, *name), stored_variant(cache, *name)) for name in stored)
        copy.close()
    with Cache.open(path, journal=False) as cache:
        assert all(same_variant(stored_variant(cache, *name), one) for name, one in stored.items())
        cache.refresh()
        assert not cache.journal
        assert not pickle.loads(pickle.dumps(cache)).journal


def test_who_dropped_it_is_the_detail_of_the_rejection(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with JournalWriter(path, by="Anna Größe") as writer:
        writer.append("drop", Selection(key="street/0000", variant=1))
    with Cache.open(path) as cache:
        variant = cache.get("street/0000", 1)
        assert variant is not None
        assert [(one.reason, one.object_name, one.detail) for one in variant.rejections] == [
            ("dropped", "gnu", "by Anna Größe")
        ]


def test_decisions_hold_for_variants_that_are_stored_later(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 3)
    with JournalWriter(path) as writer:
        writer.append("drop", Selection(class_name="gnu"))
    make_cache(path, 7)
    with Cache.open(path) as cache:
        assert len(cache) == 7
        assert all(stored_variant(cache, *name).is_empty for name in cache)


def test_without_a_journal_opening_looks_once_and_reading_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_cache(tmp_path / "a.cache")
    looked = []

    def listdir(folder: Path) -> list[str]:
        looked.append(folder.name)
        raise FileNotFoundError(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    with Cache.open(path) as cache:
        assert [cache.get(*name) is not None for name in cache] == [True] * 7
    assert looked == [JOURNAL]


def test_a_decision_counts_after_all_known_ones_also_if_the_clock_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_cache(tmp_path / "a.cache")
    with JournalWriter(path) as writer:
        first = writer.append("drop", Selection(class_name="gnu"))
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    with JournalWriter(path) as writer:
        later = writer.append("restore", Selection(class_name="gnu"))
        last = writer.append("drop", Selection(key="street/0000"))
    assert [later.time_ms, last.time_ms] == [first.time_ms + 1, first.time_ms + 2]
    with Cache.open(path) as cache:
        assert [stored_variant(cache, key, 2).is_empty for key in ("street/0000", "street/0001")] == [True, False]


def decide(path: Path, count: int, by: str) -> None:
    with JournalWriter(path, by=by) as writer:
        for number in range(count):
            writer.append("drop", Selection(key=f"{by}-{number}"))


@pytest.mark.parametrize("torn", [False, True])
def test_a_writer_killed_after_any_line_loses_no_line(tmp_path: Path, torn: bool) -> None:
    path = make_cache(tmp_path / "a.cache")
    for lines in range(5):

        def work(lines: int = lines) -> None:
            writer = JournalWriter(path, by=f"killed-{lines}")
            for number in range(lines):
                writer.append("drop", Selection(key=f"{number}"))
            if torn and writer._fd is not None:
                rest = JournalEntry("drop", Selection(key="unfinished"), 0).line()
                os.write(writer._fd, rest[: len(rest) * lines // 5])
            os.kill(os.getpid(), signal.SIGKILL)

        process = get_context("fork").Process(target=work)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    decide(path, 1, "next")
    read = [(entry.by, entry.where.key) for entry in Journal.read(path).entries]
    assert sorted(read) == sorted(
        [(f"killed-{lines}", f"{number}") for lines in range(5) for number in range(lines)] + [("next", "next-0")]
    )


def test_processes_that_decide_at_once_lose_nothing(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    context = get_context("fork")
    start = context.Barrier(3)

    def work(name: str) -> None:
        start.wait()
        decide(path, 40, name)

    processes = [context.Process(target=work, args=(name,)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    entries = Journal.read(path).entries
    for name in "abc":
        assert [one.where.key for one in entries if one.by == name] == [f"{name}-{number}" for number in range(40)]
    assert len(journal_paths(path)) == 3


def test_a_forked_child_writes_a_file_of_its_own(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with JournalWriter(path, by="one") as writer:
        writer.append("drop", Selection(key="before"))
        in_child(lambda: writer.append("drop", Selection(key="child")).op)
        writer.append("drop", Selection(key="after"))
    assert len(journal_paths(path)) == 2
    assert {entry.where.key for entry in Journal.read(path).entries} == {"before", "child", "after"}


def test_journals_are_united_by_copying(tmp_path: Path) -> None:
    one, two = make_cache(tmp_path / "one.cache"), make_cache(tmp_path / "two.cache")
    decide(one, 3, "anna")
    in_child(lambda: decide(two, 3, "bert"))
    for _ in range(2):  # copying them again changes nothing
        shutil.copytree(two / JOURNAL, one / JOURNAL, dirs_exist_ok=True)
        times = [entry.time_ms for entry in Journal.read(one).entries]
        assert len(times) == 6
        assert times == sorted(times)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_cache(tmp_path / "a.cache")
    write = os.write
    with JournalWriter(path) as writer:
        writer.append("drop", Selection(key="a"))
        before = {file.name: file.read_bytes() for file in journal_paths(path)}
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
        with pytest.raises(CacheDiskError, match=r"bytes were written; [0-9]+ bytes are free"):
            writer.append("drop", Selection(key="b"))
        monkeypatch.undo()
        assert {file.name: file.read_bytes() for file in journal_paths(path)} == before
        writer.append("drop", Selection(key="c"))
    assert [entry.where.key for entry in Journal.read(path).entries] == ["a", "c"]


def test_a_cache_that_moved_while_somebody_decides(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    with JournalWriter(path) as writer:
        writer.append("drop", Selection(key="a"))
        path.rename(tmp_path / "b.cache")
        with pytest.raises(CacheNotFoundError, match="was moved, while it was written"):
            writer.append("drop", Selection(key="b"))
    with pytest.raises(CacheDiskError, match="nothing was decided"):
        JournalWriter(tmp_path / "none.cache").append("drop", Selection())


@pytest.mark.parametrize("by", ["two\nlines", "\x1b[31m", "x" * 201])
def test_names_of_reviewers_are_one_line(tmp_path: Path, by: str) -> None:
    with pytest.raises(SettingError, match="by="):
        JournalWriter(tmp_path, by=by)


@pytest.mark.parametrize(
    "where", [Selection(variant=-1), Selection(insertion=2**40), Selection(keys="*" * 21), Selection(key="x" * 70_000)]
)
def test_what_no_line_can_hold_is_not_written(tmp_path: Path, where: Selection) -> None:
    with pytest.raises(SettingError, match="a decision about"), JournalWriter(tmp_path) as writer:
        writer.append("drop", where)
    assert not (tmp_path / JOURNAL).exists()


def test_keys_of_any_characters_come_back(tmp_path: Path) -> None:
    keys = ["größe/日本.png", "a\nb", '"', "\udcff", "\0", "x" * 60_000]
    with JournalWriter(tmp_path) as writer:
        for key in keys:
            writer.append("drop", Selection(key=key))
    assert [entry.where.key for entry in Journal.read(tmp_path).entries] == keys
