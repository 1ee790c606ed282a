"""Full disks, two commands at once, and caches of strangers: nothing is lost, and the same command continues."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from poc_aug.cache import Cache
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.errors import CacheBusyError, CacheCorruptError, CacheDiskError, CacheFormatError, OutputError
from poc_aug.upkeep import compact_cache, decisions, drop, merge_caches, repair, verify_cache
from tests.helpers.cache_cases import RECORDS, contents, in_child, make_cache
from tests.helpers.upkeep_cases import damage_record, files_of, filled, with_two_recipes

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def on_a_full_disk(command: Callable[[], object], most_nbytes: int) -> str:
    """The message of a command that may write no file larger than this; "" if it needs none."""

    def work() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_nbytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            command()
        except CacheDiskError as error:
            return str(error)
        return ""

    said = in_child(work)
    assert isinstance(said, str)
    return said


@pytest.mark.parametrize("most_nbytes", [0, 1000, 10_000])
def test_a_merge_on_a_full_disk_is_continued(tmp_path: Path, most_nbytes: int) -> None:
    one = filled(tmp_path / "one.cache", RECORDS[0], range(30))
    two = filled(tmp_path / "two.cache", RECORDS[0], range(20, 60))
    sources = files_of(one), files_of(two)
    out = tmp_path / "out.cache"
    said = on_a_full_disk(lambda: merge_caches([one, two], out), most_nbytes)
    assert "cannot be written" in said
    assert (files_of(one), files_of(two)) == sources
    assert not list(out.rglob("*.compact*"))
    merge_caches([one, two], out)
    assert contents(out) == contents(one) | contents(two)
    assert verify_cache(out).ok


@pytest.mark.parametrize("most_nbytes", [0, 10_000])
def test_a_repair_on_a_full_disk_is_continued(tmp_path: Path, most_nbytes: int) -> None:
    path = filled(tmp_path / "a.cache", RECORDS[0], range(60))
    before = contents(path)
    damage_record(path, ("street/0003", 2))
    files = files_of(path)
    assert "cannot be written" in on_a_full_disk(lambda: repair(path), most_nbytes)
    assert files_of(path) == files
    assert repair(path).kept == 59
    assert contents(path) == {name: data for name, data in before.items() if name != ("street/0003", 2)}


def test_a_decision_on_a_full_disk_is_none(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    for most_nbytes in (0, 50):
        assert "nothing was decided" in on_a_full_disk(lambda: drop(path, variant=1), most_nbytes)
        assert decisions(path) == []
    drop(path, variant=1)
    assert len(decisions(path)) == 1


def test_of_two_commands_that_write_one_cache_one_does(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 30)
    out = tmp_path / "b.cache"
    context = get_context("fork")
    start = context.Barrier(3)

    def work() -> None:
        start.wait()
        try:
            compact_cache(path, out)
        except (CacheBusyError, OutputError) as error:
            # It was begun by another process, or complete by then.
            os._exit(7 if re.search("another process writes|it exists|is a cache", str(error)) else 8)
        os._exit(0)

    processes = [context.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(process.exitcode or 0 for process in processes) == [0, 7, 7]
    assert contents(out) == contents(path)
    assert sorted(os.listdir(tmp_path)) == ["a.cache", "b.cache"]


def test_merges_into_one_cache_at_once(tmp_path: Path) -> None:
    caches = [filled(tmp_path / f"{n}.cache", RECORDS[0], range(6 * n, 6 * n + 9)) for n in range(3)]
    for number, cache in enumerate(caches):
        drop(cache, variant=number % 3, by=f"person {number}")
    out = filled(tmp_path / "out.cache", RECORDS[0], range(1))
    context = get_context("fork")
    start = context.Barrier(3)

    def work(cache: Path) -> None:
        start.wait()
        merge_caches([cache], out)

    processes = [context.Process(target=work, args=(cache,)) for cache in caches]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert contents(out) == contents(caches[0]) | contents(caches[1]) | contents(caches[2])
    assert verify_cache(out).ok
    assert {entry.by for entry in Journal.read(out).entries} == {"person 0", "person 1", "person 2"}


def test_a_reader_that_is_open_stays_usable(tmp_path: Path) -> None:
    one, two = filled(tmp_path / "one.cache", RECORDS[0], range(6)), make_cache(tmp_path / "two.cache", 12)
    with Cache.open(one) as cache:
        assert len(cache) == 6
        merge_caches([two], one)
        assert cache.get("street/0000", 1) is not None
        cache.refresh()
        assert len(cache) == 12
        drop(one, variant=1)
        cache.refresh()
        variant = cache.get("street/0000", 1)
        assert variant is not None
        assert variant.is_empty


HOSTILE: dict[str, Callable[[Path], None]] = {
    "a link in shards": lambda cache: (cache / "shards" / "x.lmdb").symlink_to("/etc/passwd"),
    "a pipe in the journal": lambda cache: os.mkfifo(cache / JOURNAL / "x.jsonl"),
    "a link in the journal": lambda cache: (cache / JOURNAL / "x.jsonl").symlink_to("/etc/passwd"),
    "a link for a member": lambda cache: (cache / "recipes" / "x").symlink_to("/tmp"),
    "a link for recipes": lambda cache: (shutil.rmtree(cache / "recipes"), (cache / "recipes").symlink_to("/tmp"))[1],  # type: ignore[func-returns-value]
    "a link in a member": lambda cache: (next((cache / "recipes").iterdir()) / "shards" / "x").symlink_to("/etc"),
    "a pipe in a member": lambda cache: os.mkfifo(next((cache / "recipes").iterdir()) / "x"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_links_and_pipes_of_strangers_are_not_followed(tmp_path: Path, case: str) -> None:
    path, own = with_two_recipes(tmp_path / "a.cache", RECORDS[0], 3), make_cache(tmp_path / "own.cache", 3)
    (path / JOURNAL).mkdir()
    HOSTILE[case](path)
    commands: list[Callable[[], object]] = [
        lambda: drop(path, variant=1),
        lambda: decisions(path),
        lambda: compact_cache(path, tmp_path / "out.cache"),
        lambda: merge_caches([path], tmp_path / "out.cache"),
        lambda: merge_caches([own], path),
    ]
    for number, command in enumerate(commands):
        if "a member" in case and "for" not in case and number == 4:
            continue  # that recipe is not touched
        with pytest.raises((CacheFormatError, CacheCorruptError)):
            command()
    assert not (tmp_path / "out.cache").exists()
    repair(path)
    assert verify_cache(path).ok
    merge_caches([path], tmp_path / "out.cache")
