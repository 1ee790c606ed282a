"""``repair``: what is damaged is set aside, what is sound stays, and warming fills the holes with equal records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.cache.lock import FileLock
from poc_aug.cache.members import member_paths
from poc_aug.cache.selection import Selection
from poc_aug.cache.shard import read_meta
from poc_aug.errors import CacheBusyError, CacheFormatError, CacheNotFoundError
from poc_aug.upkeep import drop, repair, verify_cache
from tests.helpers.cache_cases import RECORDS, Records, contents, make_cache, make_variant
from tests.helpers.command_line import run
from tests.helpers.kinds import KINDS, Kind
from tests.helpers.upkeep_cases import (
    all_contents,
    changed,
    damage_record,
    files_of,
    filled,
    folder_in_memory,
    killed_at_each_step,
    only_shard,
    with_two_recipes,
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
COUNT = 12


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def warmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Path]:
    path = tmp_path_factory.mktemp("warmed") / "a.cache"
    kind: Kind = request.param
    kind.warm(path, 3)
    return kind, path


def cut_off(shard: Path) -> None:
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) * 2 // 3])


def no_meta_page(shard: Path) -> None:
    data = bytearray(shard.read_bytes())
    data[:8192] = bytes(8192)
    shard.write_bytes(data)


def wrong_root(shard: Path) -> None:
    """The page that the tree begins with says nothing."""
    data, size = bytearray(shard.read_bytes()), read_meta(shard).page_nbytes
    for number in range(2, len(data) // size):
        if data[number * size + 10] & 0x03:  # branch or leaf
            data[number * size + 10] = 0x40
    shard.write_bytes(data)


def noise(shard: Path) -> None:
    shard.write_bytes(os.urandom(shard.stat().st_size))


def nothing_in_it(shard: Path) -> None:
    shard.write_bytes(b"x" * 100)


DAMAGE: dict[Callable[[Path], None], bool] = {
    cut_off: True,
    no_meta_page: True,
    wrong_root: False,
    noise: False,
    nothing_in_it: False,
}
"""What happens to a shard, and whether something of it can be kept."""


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_warming_fills_the_holes_of_a_damaged_shard(
    tmp_path: Path, warmed: tuple[Kind, Path], damage: Callable[[Path], None]
) -> None:
    kind, whole = warmed
    path = tmp_path / "a.cache"
    shutil.copytree(whole, path)
    shard = only_shard(path)
    damage(shard)
    damaged = shard.read_bytes()
    dry = repair(path, dry_run=True)
    assert shard.read_bytes() == damaged
    report = repair(path)
    assert [(one.path, one.reason, one.kept) for one in report.set_aside] == [
        (one.path, one.reason, one.kept) for one in dry.set_aside
    ]
    assert [one.path for one in report.set_aside] == [f"shards/{shard.name}"]
    assert (path / report.folder / "shards" / shard.name).read_bytes() == damaged
    verified = verify_cache(path)
    assert verified.ok
    assert verified.records == report.kept
    assert (report.kept > 0) == DAMAGE[damage]
    assert contents(path).items() <= contents(whole).items()
    made = kind.warm(path, 3)
    assert made.made == len(contents(whole)) - report.kept
    assert contents(path) == contents(whole)
    assert verify_cache(path).ok
    assert repair(path).set_aside == []


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_sound_records_of_a_shard_move_to_a_new_one(tmp_path: Path, records: Records) -> None:
    path = filled(tmp_path / "a.cache", records, range(COUNT))
    shard, before = only_shard(path), contents(path)
    bad = [list(before)[2], list(before)[7]]
    damage_record(path, *bad)
    problems = verify_cache(path).problems
    assert len(problems) == 2
    report = repair(path)
    (one,) = report.set_aside
    assert (one.path, one.kept, one.lost) == (f"shards/{shard.name}", COUNT - 2, 2)
    assert "variant 2 of 'street/0000" in one.reason
    assert "(and 1 more)" in one.reason
    assert verify_cache(path).ok
    assert contents(path) == {name: record for name, record in before.items() if name not in bad}
    # They are made again by the same writer as any that is missing.
    filled(path, records, range(COUNT))
    assert contents(path) == before


def test_a_record_of_another_content_is_set_aside(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.cache", RECORDS[0], range(3))
    other = Records("other", lambda n: changed(make_variant(n), rejections=()), RECORDS[0].manifest)
    filled(path, other, range(COUNT))
    first = contents(path)
    assert len(verify_cache(path).problems) == 1  # that of variant 0 has a rejection
    report = repair(path)
    assert "another shard holds other content" in report.set_aside[0].reason
    assert verify_cache(path).ok
    assert contents(path) == first


PLACES: dict[str, Callable[[Path], object]] = {
    "shards/notes.txt": Path.touch,
    "shards/a folder": Path.mkdir,
    "shards/link.lmdb": lambda path: path.symlink_to("/etc/passwd"),
    "shards/pipe.lmdb": lambda path: os.mkfifo(path),
    "shards/local-7.lmdb": Path.mkdir,
    "rejected": lambda path: path.symlink_to("/tmp"),
    "journal": Path.touch,
    "journal/notes": Path.touch,
    "recipes": lambda path: path.symlink_to("/tmp"),
    "recipes/abc": lambda path: shutil.copytree(path.parents[1] / "shards", path),
    "recipes/def": lambda path: path.symlink_to("/tmp"),
    "set-aside": lambda path: path.symlink_to("/tmp"),
    ".manifest.json.4711": Path.touch,
    "shards/.local-0.compact": Path.touch,
    "notes": lambda path: path.symlink_to("/etc/passwd"),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_does_not_belong_into_a_cache_is_moved(tmp_path: Path, name: str) -> None:
    path = make_cache(tmp_path / "a.cache")
    before = contents(path)
    (path / name).parent.mkdir(exist_ok=True)
    PLACES[name](path / name)
    entries = sorted(entry.as_posix() for entry in path.rglob("*"))
    assert [one.path for one in repair(path, dry_run=True).set_aside] == [name]
    assert sorted(entry.as_posix() for entry in path.rglob("*")) == entries
    report = repair(path)
    assert [one.path for one in report.set_aside] == [name]
    assert os.path.lexists(path / report.folder / name)
    assert verify_cache(path).ok
    assert contents(path) == before
    assert make_cache(path) == path  # and it can be written


def test_shards_that_are_a_link_or_missing(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    (path / "shards").rename(tmp_path / "elsewhere")
    assert not verify_cache(path).ok
    assert repair(path).set_aside == []
    assert verify_cache(path).ok
    (path / "shards").rmdir()
    (path / "shards").symlink_to(tmp_path / "elsewhere")
    kept = files_of(tmp_path / "elsewhere")
    for dry_run in (True, False):
        assert [one.path for one in repair(path, dry_run=dry_run).set_aside] == ["shards"]
    assert files_of(tmp_path / "elsewhere") == kept
    assert verify_cache(path).ok
    assert contents(path) == {}


def test_damaged_lines_of_the_journal(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    lines = [JournalEntry("drop", Selection(variant=number), 1000 + number).line() for number in range(3)]
    (path / JOURNAL).mkdir()
    (path / JOURNAL / "one.jsonl").write_bytes(b"\n".join([lines[0], b"damaged", lines[2], b'{"unfini']))
    (path / JOURNAL / "two.jsonl").write_bytes(lines[1] + b"\n")
    assert "line 2 is damaged" in str(verify_cache(path).problems[0])
    report = repair(path)
    assert [(one.path, one.kept, one.lost) for one in report.set_aside] == [("journal/one.jsonl", 2, 1)]
    assert verify_cache(path).ok
    assert [entry.where.variant for entry in Journal.read(path).entries] == [0, 1, 2]


def test_members_are_verified_and_repaired(tmp_path: Path) -> None:
    path = with_two_recipes(tmp_path / "a.cache", RECORDS[0])
    _, member = member_paths(path)
    assert verify_cache(path).records == 18
    damage_record(member, ("street/0000", 1))
    (problem,) = verify_cache(path).problems
    shard = only_shard(member).name
    assert problem.shard == f"recipes/{member.name}/shards/{shard}"
    assert "1 corrupt" in run("verify", path, fails=True)
    report = repair(path)
    assert [(one.path, one.kept) for one in report.set_aside] == [(problem.shard, 8)]
    assert (member / report.folder / "shards" / shard).exists()
    assert verify_cache(path).ok
    # A member that cannot be opened, or is another one, is a problem too.
    (member / "manifest.json").write_text("{")
    assert [one.shard for one in verify_cache(path).problems] == [f"recipes/{member.name}"]
    assert [one.path for one in repair(path).set_aside] == [f"recipes/{member.name}"]
    assert verify_cache(path).ok
    shutil.copytree(make_cache(tmp_path / "b.cache"), path / "recipes" / "another")
    assert "has the fingerprint" in verify_cache(path).problems[0].problem


def test_what_cannot_be_repaired(tmp_path: Path) -> None:
    with pytest.raises(CacheNotFoundError):
        repair(tmp_path / "none.cache")
    (tmp_path / "file").touch()
    with pytest.raises(CacheFormatError):
        repair(tmp_path / "file")
    path = make_cache(tmp_path / "a.cache")
    lock = FileLock(path / "shards" / "local-0.lock")
    for dry_run in (True, False):
        with pytest.raises(CacheBusyError, match="cannot be repaired: a process writes its shard"):
            repair(path, dry_run=dry_run)
    lock.release()
    with CacheWriter(path, Manifest.read(path)), pytest.raises(CacheBusyError):
        repair(path)
    (path / "manifest.json").write_text("{")
    with pytest.raises(CacheFormatError, match="half-written or not JSON"):
        repair(path)
    (path / "manifest.json").unlink()
    with pytest.raises(CacheFormatError, match=r"has no manifest\.json"):
        repair(path)


def test_killed_at_each_step_it_loses_nothing() -> None:
    records = RECORDS[0]
    with folder_in_memory() as memory:
        begin = memory / "begin" / "a.cache"
        filled(begin, records, range(4))
        filled(begin, records, range(3, 8))
        filled(begin, records, range(8, COUNT))
        before = contents(begin)
        shards = sorted((begin / "shards").glob("*.lmdb"))
        no_meta_page(shards[2])
        (begin / "shards" / "notes").touch()
        damaged_name = ("street/0001", 1)
        damaged = shards[1].read_bytes()
        record = before[damaged_name]
        assert record is not None
        shards[1].write_bytes(damaged.replace(record, record[:-1] + b"?"))
        wanted = {name: data for name, data in before.items() if name != damaged_name}
        left = killed_at_each_step(begin.parent, memory, lambda folder: repair(folder / "a.cache"))
        assert len(left) > 10
        for folder in left:
            path = folder / "a.cache"
            repair(path)
            assert verify_cache(path).ok
            assert contents(path) == wanted
            assert repair(path).set_aside == []
            aside = [file.read_bytes() for file in (path / "set-aside").rglob("*.lmdb")]
            assert {damaged.replace(record, record[:-1] + b"?"), shards[2].read_bytes()} <= set(aside)


def test_the_command(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    assert "nothing is damaged" in run("repair", path)
    drop(path, variant=1)
    damage_record(path, ("street/0000", 1))
    assert "poc-aug repair" in run("verify", path, fails=True)
    assert "would set aside: 'shards/local-0.lmdb'" in run("repair", path, "--dry-run")
    said = run("repair", path, "--report", tmp_path / "run.json")
    assert "6 sound ones kept" in said
    assert "run the same warm-cache command" in said
    assert '"kept": 6' in (tmp_path / "run.json").read_text()
    assert "0 corrupt" in run("verify", path)
    with Cache.open(path) as cache:
        assert len(cache) == 6
    assert all_contents(path)
