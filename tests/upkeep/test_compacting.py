"""``compact``: what it leaves out, what it copies byte for byte, and what remains if it is killed."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from poc_aug.cache import Cache, Manifest, same_variant
from poc_aug.cache.codec import Codec
from poc_aug.cache.journal import Journal
from poc_aug.cache.lock import FileLock
from poc_aug.cache.members import RECIPES, member_path
from poc_aug.cache.record import encode_record
from poc_aug.cache.selection import Selection
from poc_aug.errors import CacheBusyError, CacheCorruptError, CacheDiskError, CacheMissError, OutputError
from poc_aug.types import Variant
from poc_aug.upkeep import compact_cache, drop, verify_cache
from poc_aug.upkeep import compacting as compacting_module
from poc_aug.upkeep.unfinished import unfinished_folder
from tests.helpers.cache_cases import RECORDS, Records, contents, in_child, make_cache, make_variant, stored_variant
from tests.helpers.command_line import run
from tests.helpers.kinds import FRAMES, INSERTIONS, KINDS, Kind
from tests.helpers.upkeep_cases import (
    all_contents,
    changed,
    damage_record,
    files_of,
    filled,
    folder_in_memory,
    killed_at_each_step,
    other_recipe,
    read_all,
    with_two_recipes,
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
COUNT = 18


@pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)
def test_it_reads_as_before_and_copies_what_is_whole(tmp_path: Path, records: Records) -> None:
    path, out = filled(tmp_path / "a.cache", records, range(10)), tmp_path / "b.cache"
    filled(path, records, range(6, COUNT))  # four records twice
    drop(path, key="street/000[13]*", variant=1, by="anna")
    drop(path, key="street/0004", by="anna")
    if records.name == "insertions":
        drop(path, variant=2, insertion=0)
    before, files, read = contents(path), files_of(path), read_all(path)
    report = compact_cache(path, out)
    assert files_of(path) == files
    after = contents(out)
    assert after.keys() == before.keys()
    read_now = read_all(out)
    for name, variant in read.items():
        now = read_now[name]
        assert variant is not None
        assert now is not None
        assert same_variant(now, variant)
        whole = "dropped" not in {one.reason for one in variant.rejections}
        assert (after[name] == before[name]) == whole
        # What was cut is what a writer would have stored.
        assert after[name] == encode_record(variant, records.manifest().codec)
    cut = [name for name in after if after[name] != before[name]]
    assert len(cut) >= 3
    assert (report.cut, report.doubles, report.records, report.shards) == (len(cut), 4, COUNT, 1)
    # Only what holds for records that are stored later goes along.
    fingerprint = records.manifest().fingerprint
    standing = [
        Selection(recipe=fingerprint, keys="street/000[13]*", variant=1),
        Selection(recipe=fingerprint, key="street/0004"),
    ]
    assert [(one.op, one.where, one.by) for one in Journal.read(out).entries] == [
        ("drop", where, "anna") for where in standing
    ]
    assert verify_cache(out).ok
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("codec", ["webp-lossy", "webp", "raw", "zstd"])
def test_lossy_patches_lose_nothing_more(tmp_path: Path, codec: Codec) -> None:
    manifest = replace(RECORDS[0].manifest(), codec=codec)
    path = filled(tmp_path / "a.cache", RECORDS[0], range(COUNT), manifest)
    assert drop(path, insertion=0).kept_after == 0
    read = read_all(path)
    assert any(variant is not None and variant.insertions for variant in read.values())
    compact_cache(path, tmp_path / "b.cache")
    now = read_all(tmp_path / "b.cache")
    assert all(same_variant(now[name], read[name]) for name in read)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_command_makes_nothing_of_it_again(tmp_path: Path, kind: Kind) -> None:
    path, out = tmp_path / "a.cache", tmp_path / "b.cache"
    kind.warm(path, 3)
    assert drop(path, variant=1).changed
    compact_cache(path, out)
    assert kind.warm(out, 3).made == 0
    assert kind.warm(out, 4).made == 3 * kind.per_sample
    with kind.read(out, 3) as dataset:
        assert len([dataset[index] for index in range(len(dataset))]) == len(dataset)


@pytest.mark.parametrize(("kind", "name"), [(INSERTIONS, "cat"), (FRAMES, "dusk")], ids=lambda value: str(value)[:4])
def test_a_dropped_class_stays_left_out_of_what_is_stored_later(tmp_path: Path, kind: Kind, name: str) -> None:
    path, out = tmp_path / "a.cache", tmp_path / "b.cache"
    kind.warm(path, 3)
    first = next(names for names, variant in read_all(path).items() if name in _held(variant))
    drop(path, class_name=name, by="anna")
    drop(path, class_name=name, key=first[0], variant=first[1], restore=True)
    compact_cache(path, out)
    assert [names for names, variant in read_all(out).items() if name in _held(variant)] == [first]
    for cache in (path, out):
        with pytest.warns(UserWarning, match=f"'{name}' was dropped in recipe"):
            kind.warm(cache, 8)
    later, wanted = read_all(out), read_all(path)
    assert later.keys() == wanted.keys()
    assert all(same_variant(later[names], wanted[names]) for names in wanted)  # type: ignore[arg-type]
    assert [names for names, variant in later.items() if name in _held(variant)] == [first]
    assert drop(out, class_name=name, restore=True).changed
    assert len([variant for variant in read_all(out).values() if name in _held(variant)]) > 1


def test_a_class_of_which_nothing_is_left_can_be_taken_in_again(tmp_path: Path) -> None:
    path, out = tmp_path / "a.cache", tmp_path / "b.cache"
    INSERTIONS.warm(path, 3)
    drop(path, class_name="cat")
    drop(path, key="frame-000")
    compact_cache(path, out)
    for selected in ({"class_name": "cat"}, {"key": "frame-000"}):
        drop(out, **selected, restore=True)  # type: ignore[arg-type]
        with pytest.raises(CacheMissError, match="fits"):  # once is enough
            drop(out, **selected, restore=True)  # type: ignore[arg-type]
    INSERTIONS.warm(out, 8)
    assert any("cat" in _held(variant) for variant in read_all(out).values())


def _held(variant: Variant | None) -> list[str]:
    assert variant is not None
    return [one.object_name for one in variant.insertions] + ([variant.frame.domain] if variant.frame else [])


def test_recipes_that_were_dropped_are_left_out(tmp_path: Path) -> None:
    path = with_two_recipes(tmp_path / "a.cache", RECORDS[0])
    first, second = RECORDS[0].manifest(), other_recipe(RECORDS[0])
    whole = all_contents(path)
    assert compact_cache(path, tmp_path / "both.cache").recipes == 2
    assert all_contents(tmp_path / "both.cache") == whole
    drop(path, recipe=second.fingerprint)
    report = compact_cache(path, tmp_path / "one.cache")
    assert report.dropped_recipes == (second.fingerprint,)
    assert all_contents(tmp_path / "one.cache") == {first.fingerprint: whole[first.fingerprint]}
    assert not (tmp_path / "one.cache" / RECIPES).exists()
    drop(path, recipe=first.fingerprint)
    with pytest.raises(CacheMissError, match="every recipe") as caught:
        compact_cache(path, tmp_path / "none.cache")
    assert "--restore" in caught.value.hint
    # The member takes the place of the recipe that the cache was begun with.
    drop(path, recipe=second.fingerprint, restore=True)
    compact_cache(path, tmp_path / "other.cache")
    assert Manifest.read(tmp_path / "other.cache").fingerprint == second.fingerprint
    assert all_contents(tmp_path / "other.cache") == {second.fingerprint: whole[second.fingerprint]}
    # One insertion that was taken in again is enough to keep a recipe.
    drop(path, recipe=first.fingerprint, key="street/0000", variant=1, restore=True)
    assert compact_cache(path, tmp_path / "again.cache").recipes == 2
    with Cache.open(member_path(tmp_path / "again.cache", second.fingerprint)) as cache:
        assert len(cache) == 9
    with Cache.open(tmp_path / "again.cache") as cache:
        assert [name for name in cache if not stored_variant(cache, *name).is_empty] == [("street/0000", 1)]


def test_shards_of_many_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting_module, "_RECORDS_PER_SHARD", 7)
    path = make_cache(tmp_path / "a.cache", COUNT, 3)
    shown: list[tuple[int, int]] = []
    report = compact_cache(path, tmp_path / "b.cache", on_progress=lambda done, total: shown.append((done, total)))
    assert report.shards == 3
    assert shown == [(done, COUNT) for done in range(1, COUNT + 1)]
    assert contents(tmp_path / "b.cache") == contents(path)


def test_pictures_of_rejected_attempts_stay(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    (path / "rejected" / "black").mkdir(parents=True)
    (path / "rejected" / "black" / "a.png").write_bytes(b"picture")
    compact_cache(path, tmp_path / "b.cache")
    assert (tmp_path / "b.cache" / "rejected" / "black" / "a.png").read_bytes() == b"picture"


def test_what_cannot_be_compacted(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for out in ("file", "full", "link", "a.cache"):
        with pytest.raises(OutputError, match="cannot write"):
            compact_cache(path, tmp_path / out)
    with pytest.raises(OutputError, match="is a cache"):
        compact_cache(path, path / "b.cache")
    lock = FileLock(path / "shards" / "local-0.lock")
    with pytest.raises(CacheBusyError, match="cannot be compacted: a process writes its shard 'local-0'"):
        compact_cache(path, tmp_path / "b.cache")
    lock.release()
    with unfinished_folder(tmp_path / "b.cache"), pytest.raises(CacheBusyError, match="another process writes"):
        compact_cache(path, tmp_path / "b.cache")
    (tmp_path / "empty").mkdir()
    assert compact_cache(path, tmp_path / "empty").records == 7
    damage_record(path, ("street/0000", 1))
    with pytest.raises(CacheCorruptError, match="holds a damaged record") as caught:
        compact_cache(path, tmp_path / "c.cache")
    assert "poc-aug repair" in caught.value.hint
    assert not (tmp_path / "c.cache").exists()


def test_different_content_of_one_name(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.cache", RECORDS[0], range(3))
    other = Records("other", lambda n: changed(make_variant(n), rejections=()), RECORDS[0].manifest)
    filled(path, other, range(3))
    with pytest.raises(CacheCorruptError, match="holds other content than"):
        compact_cache(path, tmp_path / "b.cache")


def test_killed_at_each_step_it_leaves_no_half_cache() -> None:
    with folder_in_memory() as memory:
        begin = memory / "begin"
        with_two_recipes(begin / "a.cache", RECORDS[0], 4)
        drop(begin / "a.cache", variant=1)
        compact_cache(begin / "a.cache", memory / "whole.cache")
        wanted = all_contents(memory / "whole.cache")
        left = killed_at_each_step(begin, memory, lambda folder: compact_cache(folder / "a.cache", folder / "b.cache"))
        assert len(left) > 10
        complete = 0
        for folder in left:
            if (folder / "b.cache").exists():
                complete += 1
            else:
                compact_cache(folder / "a.cache", folder / "b.cache")
            assert all_contents(folder / "b.cache") == wanted
            assert verify_cache(folder / "b.cache").ok
            assert {path.name for path in folder.iterdir()} == {"a.cache", "b.cache"}
            assert all_contents(folder / "a.cache") == all_contents(begin / "a.cache")
        assert complete < 3


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache", 60)
    drop(path, variant=1)
    files = files_of(path)

    def work() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            compact_cache(path, tmp_path / "b.cache")
        except CacheDiskError as error:
            return str(error)
        return ""

    assert "cannot be written" in in_child(work)
    assert files_of(path) == files
    assert os.listdir(tmp_path) == ["a.cache"]


def test_the_command(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "a.cache")
    drop(path, variant=1)
    said = run("compact", path, "--out", tmp_path / "b.cache", "--report", tmp_path / "run.json")
    assert "7 records in 1 shard," in said
    assert "left out: 1 insertion or frame, of 1 variant;" in said
    assert '"dropped": 1' in (tmp_path / "run.json").read_text()
    assert "it exists" in run("compact", path, "--out", tmp_path / "run.json", fails=True)
