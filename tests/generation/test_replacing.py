"""``replace_dropped``: variants of which something was dropped are replaced, in both kinds of caches."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterable
from multiprocessing import get_context
from pathlib import Path

import pytest

from poc_aug.cache import Cache
from poc_aug.cache.record import header_of_record
from poc_aug.cache.selection import things_in_header
from poc_aug.generation import replacing
from poc_aug.generation.replacing import MOST_IN_VAIN, replacements
from poc_aug.sharing.packing import pack_cache
from poc_aug.upkeep import compact_cache, drop
from tests.helpers.cache_cases import stored_variant
from tests.helpers.command_line import FRAMES as DATASET
from tests.helpers.command_line import run
from tests.helpers.kinds import FRAMES, INSERTIONS, KINDS, Kind
from tests.helpers.warming_cases import content, pipeline

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* was dropped in recipe"),
]
VARIANTS = 2


def untouched(path: Path) -> dict[str, int]:
    """How many variants of each sample there are of which nothing was dropped."""
    with Cache.open(path) as cache:
        found = dict.fromkeys(cache.keys(), 0)
        for key, index in cache:
            data = cache.raw(key, index)
            assert data is not None
            found[key] += not cache.journal.dropped(things_in_header(header_of_record(data)))
        return found


def with_something(path: Path, index: int) -> list[str]:
    """Keys whose variant of this number holds something."""
    with Cache.open(path) as cache:
        held = [key for key in cache.keys() if index in cache.variants(key)]
        return [key for key in held if not stored_variant(cache, key, index).is_empty]


def reject(path: Path, names: Iterable[tuple[str, int]]) -> None:
    for key, index in names:
        assert drop(path, key=key, variant=index, by="anna").changed


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_sample_has_as_many_untouched_variants_as_were_asked_for(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a.cache"
    kind.warm(path, 3, num_variants=VARIANTS)
    before = content(path)
    chosen = [(key, index) for index in range(VARIANTS) for key in with_something(path, index)[index::2]]
    assert len({key for key, _ in chosen}) > 2
    reject(path, chosen)
    assert kind.warm(path, 3, num_variants=VARIANTS).made == 0  # only on wish
    report = kind.warm(path, 3, num_variants=VARIANTS, replace_dropped=True)
    assert report.replacements == report.made == len(chosen)
    assert (report.unreplaced, report.total) == (0, report.present + report.made)
    assert report.stored == report.total
    assert set(untouched(path).values()) == {VARIANTS}
    after = content(path)
    assert before.items() <= after.items()
    again = kind.warm(path, 3, num_variants=VARIANTS, replace_dropped=True)
    assert (again.made, again.replacements, again.unreplaced) == (0, 0, 0)

    # What was made is what a run for more variants makes.
    whole = tmp_path / "whole.cache"
    kind.warm(whole, 3, num_variants=1 + max(index for _, index in after))
    assert after.items() <= content(whole).items()

    # Replacements that are rejected, too, are replaced by the next ones.
    reject(path, [(key, VARIANTS) for key in with_something(path, VARIANTS)[:1]])
    assert kind.warm(path, 3, num_variants=VARIANTS, replace_dropped=True).made == 1
    assert set(untouched(path).values()) == {VARIANTS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_interrupted_run_is_continued_to_the_same_cache(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a.cache"
    kind.warm(path, 3, num_variants=VARIANTS)
    for index in range(VARIANTS):
        reject(path, [(key, index) for key in with_something(path, index)])
    undisturbed = tmp_path / "b.cache"
    shutil.copytree(path, undisturbed)
    kind.warm(undisturbed, 3, num_variants=VARIANTS, replace_dropped=True)
    stops = 0
    while True:
        left = 3 + 4 * stops

        def stop() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        try:
            kind.warm(path, 3, num_variants=VARIANTS, replace_dropped=True, pipeline=kind.pipeline(on_each=stop))
        except KeyboardInterrupt:
            stops += 1
            assert stops < 100
            continue
        break
    assert stops > 0
    assert content(path) == content(undisturbed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_numbered_jobs_replace_what_one_run_would(tmp_path: Path, kind: Kind) -> None:
    path, parts = tmp_path / "a.cache", tmp_path / "parts.cache"
    kind.warm(path, 4, num_variants=VARIANTS)
    reject(path, [(key, 0) for key in with_something(path, 0)])
    shutil.copytree(path, parts)
    whole = kind.warm(path, 4, num_variants=VARIANTS, replace_dropped=True)
    reports = [kind.warm(parts, 4, num_variants=VARIANTS, replace_dropped=True, shard=(job, 3)) for job in range(3)]
    assert sum(report.replacements for report in reports) == whole.replacements > 0
    assert content(parts) == content(path)


def test_runs_that_are_killed_are_continued_to_the_same_cache(tmp_path: Path) -> None:
    path, undisturbed = tmp_path / "a.cache", tmp_path / "b.cache"
    INSERTIONS.warm(path, 4, num_variants=VARIANTS)
    drop(path, class_name="dog")
    shutil.copytree(path, undisturbed)
    INSERTIONS.warm(undisturbed, 4, num_variants=VARIANTS, replace_dropped=True)
    kills, exitcode = 0, None
    while exitcode != 0:
        process = get_context("fork").Process(target=_run_and_be_killed, args=(path, 4 + 3 * kills))
        process.start()
        process.join()
        exitcode = process.exitcode
        assert exitcode in (0, -signal.SIGKILL)
        kills += exitcode != 0
        assert kills < 50
    assert kills > 1
    assert content(path) == content(undisturbed)


def _run_and_be_killed(path: Path, attempts: int) -> None:
    left = attempts

    def kill() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    pipeline = INSERTIONS.pipeline(on_each=kill)
    INSERTIONS.warm(path, 4, num_variants=VARIANTS, replace_dropped=True, pipeline=pipeline)
    os._exit(0)


def test_the_command_counts_and_makes_what_replaces_others(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    command = [
        "warm-cache",
        *DATASET,
        "--objects",
        "rendered",
        "--num-variants",
        VARIANTS,
        "--workers",
        0,
        "--out",
        path,
    ]
    assert "none: no cache of this recipe" in run(*command, "--replace-dropped", "--dry-run")
    run(*command)
    names = [(key, 0) for key in with_something(path, 0)]
    reject(path, names)
    assert f"{len(names)} variants in place of dropped ones" in run(*command, "--replace-dropped", "--dry-run")
    shown = run(*command, "--replace-dropped", "--report", tmp_path / "run.json")
    assert f"{len(names)} variants were asked for in place of dropped ones" in shown
    reported = json.loads((tmp_path / "run.json").read_text())
    assert (reported["replacements"], reported["unreplaced"]) == (len(names), 0)
    assert "in place of" not in run(*command, "--replace-dropped")
    drop(path, key=names[0][0])
    shown = run(*command, "--replace-dropped")
    assert "were not replaced: what is made is dropped by the same decisions" in " ".join(shown.split())


def test_the_command_for_scenes(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    command = ["warm-scenes", *DATASET, "--shift", "night", "--severity", 2, "--workers", 0, "--out", path]
    run(*command)
    names = [(key, 0) for key in with_something(path, 0)]
    reject(path, names[:2])
    shown = run(*command, "--replace-dropped")
    assert "2 frames were asked for in place of dropped ones" in shown
    assert set(untouched(path).values()) == {1}


def test_a_class_that_was_dropped_is_not_made_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    INSERTIONS.warm(path, 3, num_variants=VARIANTS)
    drop(path, class_name="cat")
    report = INSERTIONS.warm(path, 3, num_variants=VARIANTS, replace_dropped=True)
    assert report.made > 0
    assert report.made <= 3 * VARIANTS * (1 + MOST_IN_VAIN)
    counts = untouched(path)
    assert report.unreplaced == sum(VARIANTS - min(VARIANTS, count) for count in counts.values())
    again = INSERTIONS.warm(path, 3, num_variants=VARIANTS, replace_dropped=True)
    assert (again.made, again.unreplaced) == (0, report.unreplaced)


def test_nothing_is_made_if_it_is_dropped_in_any_case(tmp_path: Path) -> None:
    one_class = pipeline(objects=["dog"])
    path = tmp_path / "a.cache"
    INSERTIONS.warm(path, 2, num_variants=VARIANTS, pipeline=one_class)
    lost = sum(len(with_something(path, index)) for index in range(VARIANTS))
    drop(path, class_name="dog")
    report = INSERTIONS.warm(path, 2, num_variants=VARIANTS, pipeline=one_class, replace_dropped=True)
    assert (report.made, report.replacements, report.unreplaced) == (0, 0, lost)


def test_frames_of_a_dropped_domain_are_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    FRAMES.warm(path, 2, num_variants=VARIANTS)
    keys = [key for key in with_something(path, 0) if "@haze" in key]
    reject(path, [(keys[0], 0)])
    lost = drop(path, class_name="dusk").changed
    report = FRAMES.warm(path, 2, num_variants=VARIANTS, replace_dropped=True)
    assert (report.made, report.replacements, report.unreplaced) == (1, 1, lost)


def test_numbers_that_a_decision_names_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    INSERTIONS.warm(path, 1, num_variants=VARIANTS + 2)
    drop(path, variant=VARIANTS)
    drop(path, variant=VARIANTS + 1)
    with Cache.open(path) as cache:
        (key,) = cache.keys()
    fresh = tmp_path / "b.cache"
    INSERTIONS.warm(fresh, 1, num_variants=VARIANTS)
    shutil.copytree(path / "journal", fresh / "journal")
    reject(fresh, [(key, index) for index in range(VARIANTS) if key in with_something(fresh, index)])
    with Cache.open(fresh) as cache:
        found = replacements(cache, [key], VARIANTS)
    assert found.missing[key][0] == VARIANTS + 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("copied", ["compacted", "packed"])
def test_a_copy_without_what_was_dropped_gets_as_many_as_its_original(tmp_path: Path, kind: Kind, copied: str) -> None:
    path, copy = tmp_path / "a.cache", tmp_path / "copy"
    kind.warm(path, 3, num_variants=VARIANTS)
    reject(path, [(key, index) for index in range(VARIANTS) for key in with_something(path, index)[index::2]])
    compact_cache(path, copy) if copied == "compacted" else pack_cache(path, copy)
    wanted = kind.warm(path, 3, num_variants=VARIANTS, replace_dropped=True)
    made = kind.warm(copy, 3, num_variants=VARIANTS, replace_dropped=True)
    assert (made.made, made.replacements, made.unreplaced) == (wanted.made, wanted.replacements, 0)
    assert made.made > 2
    new = {name: data for name, data in content(path).items() if name[1] >= VARIANTS}
    assert {name: data for name, data in content(copy).items() if name[1] >= VARIANTS} == new
    again = kind.warm(copy, 3, num_variants=VARIANTS, replace_dropped=True)
    assert (again.made, again.replacements, again.unreplaced) == (0, 0, 0)


@pytest.mark.parametrize(("kind", "name"), [(INSERTIONS, "cat"), (FRAMES, "dusk")], ids=lambda value: str(value)[:4])
def test_a_compacted_cache_replaces_no_class_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str
) -> None:
    monkeypatch.setattr(replacing, "MOST_IN_VAIN", 1)
    path, copy, again = tmp_path / "a.cache", tmp_path / "b.cache", tmp_path / "c.cache"
    kind.warm(path, 8, num_variants=1)
    drop(path, class_name=name)
    reject(path, [(key, 0) for key in with_something(path, 0)][:2])
    compact_cache(path, copy)
    wanted = kind.warm(path, 8, num_variants=1, replace_dropped=True)
    made = kind.warm(copy, 8, num_variants=1, replace_dropped=True)
    assert (made.made, made.replacements, made.unreplaced) == (wanted.made, wanted.replacements, wanted.unreplaced)
    assert made.made > 0
    assert made.unreplaced > 0
    # What was made in vain is counted as such after it was compacted, too.
    compact_cache(copy, again)
    last = kind.warm(again, 8, num_variants=1, replace_dropped=True)
    assert (last.made, last.unreplaced) == (0, made.unreplaced)


def test_what_cannot_be_made_is_not_tried_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    INSERTIONS.warm(path, 2, num_variants=VARIANTS)
    reject(path, [(key, 0) for key in with_something(path, 0)])

    def fail() -> None:
        raise RuntimeError("out of paint")

    broken = INSERTIONS.pipeline(on_each=fail)
    report = INSERTIONS.warm(path, 2, num_variants=VARIANTS, replace_dropped=True, pipeline=broken, on_error="skip")
    assert report.made == 0
    assert len(report.failed) == report.replacements > 0
