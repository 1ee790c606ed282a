"""What was decided about a cache: ``info``, the report, notebook views and the review page say the same of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache
from poc_aug.cache.journal_writing import JournalWriter
from poc_aug.cache.kept_summary import ReviewCounts, count_review, summarize_kept
from poc_aug.cache.selection import Selection
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.inspection import decision_facts as decision_facts_module
from poc_aug.inspection.cache_views import view_of_cache
from poc_aug.inspection.dataset_views import view_of_dataset
from poc_aug.inspection.decision_facts import decision_facts
from poc_aug.labels.policies import NewClassLabels
from poc_aug.reporting import write_report
from poc_aug.upkeep import decisions, drop, undo_decision
from tests.helpers.command_line import run
from tests.helpers.fakes import Frames
from tests.helpers.kinds import FRAMES, INSERTIONS, Kind

LENGTH = 5


@pytest.fixture(scope="module", params=[INSERTIONS, FRAMES], ids=["insertions", "frames"])
def decided(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache about which everything that can be decided was decided, some of it by two people."""
    kind: Kind = request.param
    path = tmp_path_factory.mktemp("decided") / "a.cache"
    kind.warm(path, LENGTH, num_variants=2)
    with Cache.open(path) as cache:
        names = [name for name in cache if (variant := cache.get(*name)) is not None and not variant.is_empty]
    chosen: list[dict[str, Any]] = [{"key": key, "variant": index} for key, index in names[:5]]
    first, second, third, fourth, fifth = chosen
    if kind is INSERTIONS:
        for key, index in names[5:]:
            drop(path, key=key, variant=index, insertion=0, relabel="horse", by="anna")
    drop(path, **first, accept=True, by="anna")
    drop(path, **second, by="bert")
    with JournalWriter(path, by="bert") as writer:
        writer.append("skip", Selection(**third))
    drop(path, **fourth, by="anna")
    drop(path, **fourth, restore=True, by="anna")
    drop(path, **fifth, by="anna")
    undo_decision(path, decisions(path)[-1][1].id)
    return path


def counted_in(text: str) -> dict[str, int]:
    """What a text says to be accepted, rejected, relabelled and skipped."""
    found = re.findall(r"([\d,]+) (accepted|rejected|relabelled|skipped)\b", text)
    return {word: int(number.replace(",", "")) for number, word in found}


def row_of(shown: str, name: str) -> str:
    """The value of a row of ``info``."""
    (value,) = re.findall(rf"^ {name} +(.*(?:\n {{5,}}.*)*)", shown, re.MULTILINE)
    return " ".join(value.split())


def test_all_of_them_count_the_same_in_the_same_words(decided: Path, tmp_path: Path) -> None:
    with Cache.open(decided) as cache:
        states = ReviewCounts()
        summarize_kept(cache, review=states)
        assert count_review(cache) == states
        facts = dict(decision_facts(cache))
        (report,) = write_report([cache], tmp_path / "report.html")
        shown_in_notebook = dict(view_of_cache(cache).facts)
        standing = len(cache.journal.counting)
        assert standing < len(cache.journal.entries)
    expected = counted_in(facts["decided"])
    assert set(expected) >= {"accepted", "rejected", "skipped"}
    shown = run("info", decided)
    assert facts["journal"] == f"{standing} decisions"
    assert row_of(shown, "journal") == f"{standing} decisions; what they reject is counted above as dropped"
    assert counted_in(row_of(shown, "decided")) == expected
    assert {name: shown_in_notebook[name] for name in facts} == facts
    assert (report.decisions, dict(report.decided)) == (standing, expected)
    review = run("review", decided, "--dry-run")
    assert counted_in(review) == expected


@pytest.mark.parametrize("decided", [INSERTIONS], indirect=True, ids=["insertions"])
def test_classes_are_those_that_are_read(decided: Path, tmp_path: Path) -> None:
    with Cache.open(decided) as cache:
        stored = [variant for name in cache if (variant := cache.get(*name)) is not None]
        names = [part.name for variant in stored for one in variant.insertions for part in one.parts]
        (report,) = write_report([cache], tmp_path / "report.html")
    assert "horse" in names
    shown = run("info", decided)
    listed = {name: int(count) for count, name in (each.split(" ") for each in row_of(shown, "objects").split(", "))}
    assert listed == dict(report.classes) == {name: names.count(name) for name in set(names)}
    changes = ", ".join(f"{count} {old} to {new}" for old, new, count in report.relabelled)
    assert row_of(shown, "relabelled") == changes
    assert {new for _, new, _ in report.relabelled} == {"horse"}
    assert sum(count for *_, count in report.relabelled) == names.count("horse")
    every = {*names, *(old for old, _, _ in report.relabelled)}
    policy = NewClassLabels({name: 30 + number for number, name in enumerate(sorted(every))})
    with POCAugmentedDataset(Frames(LENGTH), decided, policy, p=1.0) as dataset:
        facts = dict(view_of_dataset(dataset).facts)
    assert facts["relabelled"] == changes
    copied = shutil.copytree(decided, tmp_path / "copied.cache")
    with POCAugmentedDataset(Frames(LENGTH), [decided, copied], policy, p=1.0) as dataset:
        of_both = view_of_dataset(dataset).facts
    assert [text for name, text in of_both if name == "relabelled"] == [
        f"a.cache: {changes}",
        f"copied.cache: {changes}",
    ]


def undo_all(path: Path) -> None:
    with Cache.open(path) as cache:
        standing = cache.journal.counting
    for entry in standing:
        undo_decision(path, entry.id)


@pytest.mark.parametrize("change", [undo_all, lambda path: shutil.rmtree(path / "journal")])
def test_without_a_decision_that_stands_nothing_is_said(
    decided: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = Path(shutil.copytree(decided, tmp_path / "a.cache"))
    change(path)
    with Cache.open(path) as cache:
        assert decision_facts(cache) == []
    assert not re.search("^ (journal|decided|relabelled|conflicts) ", run("info", path), re.MULTILINE)


def test_of_many_variants_a_view_says_where_they_are_counted(decided: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_facts_module, "_MOST_READ", 2)
    with Cache.open(decided) as cache:
        facts = dict(decision_facts(cache))
        assert count_review(cache, most=2) is None
    assert "poc-aug info" in facts["decided"]
    assert "decision" in facts["journal"]
