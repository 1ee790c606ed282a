"""``merge``: what is united, what is refused, and what a killed merge leaves; and shards that are united by `cp`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest, same_variant
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.cache.members import member_path
from poc_aug.cache.shard_names import unique_name
from poc_aug.errors import (
    CacheCorruptError,
    CacheDatasetMismatchError,
    CacheFormatError,
    CacheMismatchError,
    CacheNotFoundError,
    PocAugError,
    SettingError,
)
from poc_aug.types import Variant
from poc_aug.upkeep import compact_cache, drop, merge_caches, verify_cache
from tests.helpers.cache_cases import RECORDS, Records, contents, make_cache, make_manifest, make_variant
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
    other_recipe,
    read_all,
    with_two_recipes,
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
BOTH = pytest.mark.parametrize("records", RECORDS, ids=lambda records: records.name)


def everything(records: Records, count: int, folder: Path) -> dict[tuple[str, int], bytes | None]:
    return contents(filled(folder / "everything.cache", records, range(count)))


@BOTH
def test_caches_of_one_recipe_become_one(tmp_path: Path, records: Records) -> None:
    one = filled(tmp_path / "one.cache", records, range(6))
    two = filled(filled(tmp_path / "two.cache", records, range(4, 9)), records, range(9, 12))
    three = filled(tmp_path / "three.cache", records, range(6))
    out, wanted = tmp_path / "out.cache", everything(records, 12, tmp_path)
    before = [files_of(path) for path in (one, two, three)]
    dry = merge_caches([one, two, three], out, dry_run=True)
    assert not out.exists()
    report = merge_caches([one, two, three], out)
    assert report == dry
    assert (report.recipes, report.shards, report.records, report.doubles) == (1, 3, 12, 8)
    assert contents(out) == wanted
    assert verify_cache(out).ok
    assert [files_of(path) for path in (one, two, three)] == before
    # A shard without doubles is copied as it is, under its name.
    whole = {path.name: path.read_bytes() for path in (one / "shards").glob("*.lmdb")}
    assert whole.items() <= {path.name: path.read_bytes() for path in (out / "shards").glob("*")}.items()
    files = files_of(out)
    again = merge_caches([one, two, three], out)
    assert (again.shards, again.records, again.doubles) == (0, 0, 20)
    assert files_of(out) == files


@BOTH
def test_a_cache_is_continued_and_may_be_one_of_the_sources(tmp_path: Path, records: Records) -> None:
    one = filled(tmp_path / "one.cache", records, range(6))
    two = filled(tmp_path / "two.cache", records, range(3, 12))
    assert merge_caches([one, two, two], one).records == 6
    assert contents(one) == everything(records, 12, tmp_path)


@BOTH
def test_other_recipes_become_members(tmp_path: Path, records: Records) -> None:
    first = filled(tmp_path / "first.cache", records, range(6))
    second = filled(tmp_path / "second.cache", records, range(9), other_recipe(records))
    both = with_two_recipes(tmp_path / "both.cache", records, 12)
    out = tmp_path / "out.cache"
    assert merge_caches([first, second], out).recipes == 2
    assert Manifest.read(out).fingerprint == records.manifest().fingerprint
    assert contents(member_path(out, other_recipe(records).fingerprint)) == contents(second)
    merge_caches([both], out)
    assert all_contents(out) == all_contents(both)
    assert verify_cache(out).ok
    # The first cache's recipe is the one that the new cache begins with.
    merge_caches([second, both], tmp_path / "turned.cache")
    assert Manifest.read(tmp_path / "turned.cache").fingerprint == other_recipe(records).fingerprint
    assert all_contents(tmp_path / "turned.cache") == all_contents(both)


@BOTH
def test_a_cache_and_its_compacted_copy(tmp_path: Path, records: Records) -> None:
    path, copy, out = tmp_path / "a.cache", tmp_path / "b.cache", tmp_path / "out.cache"
    filled(path, records, range(6))
    compact_cache(path, copy)
    assert merge_caches([path, copy], out).doubles == 6  # nothing is missing in it yet
    drop(path, variant=1)
    shutil.rmtree(copy)
    compact_cache(path, copy)
    before = files_of(tmp_path)
    for sources, target in (
        ([path, copy], tmp_path / "new.cache"),
        ([copy, path], tmp_path / "new.cache"),
        ([path], copy),
        ([copy], path),
    ):
        with pytest.raises(
            CacheMismatchError, match=r"b\.cache' lacks what was dropped of .*a\.cache' holds"
        ) as caught:
            merge_caches(sources, target)
        assert f"leave out '{copy}'" in caught.value.hint
        assert files_of(tmp_path) == before
    # As the hint says: two copies without it unite, with what was made in one of them since.
    filled(path, records, range(6, 9))
    compact_cache(path, tmp_path / "c.cache")
    assert merge_caches([copy, tmp_path / "c.cache"], tmp_path / "new.cache").records == 9
    assert read_all(tmp_path / "new.cache").keys() == read_all(path).keys()
    assert all(
        same_variant(variant, read_all(path)[name])  # type: ignore[arg-type]
        for name, variant in read_all(tmp_path / "new.cache").items()
    )


def with_licences(number: int, **licences: str) -> Variant:
    """A variant whose pictures' origin is recorded."""
    variant = make_variant(number)
    insertions = (replace(one, provenance={**one.provenance, **licences}) for one in variant.insertions)
    return changed(variant, insertions=tuple(insertions))


def test_records_of_before_licences_were_recorded(tmp_path: Path) -> None:
    manifest = RECORDS[0].manifest
    stated = Records("stated", lambda n: with_licences(n, licence="CC-BY-2.0", attribution="anna"), manifest)
    older, newer = filled(tmp_path / "a.cache", RECORDS[0], range(9)), filled(tmp_path / "b.cache", stated, range(12))
    out = tmp_path / "out.cache"
    report = merge_caches([newer, older], out)
    assert (report.records, report.doubles) == (12, 9)
    assert contents(out) == contents(newer)
    assert verify_cache(out).ok
    # The first of equal records is kept: not the one that says less.
    for sources, target in (([older, newer], tmp_path / "no.cache"), ([newer], older)):
        with pytest.raises(CacheMismatchError, match=r"a\.cache' does not say under which licence") as caught:
            merge_caches(sources, target)
        assert f"name '{newer}' before '{older}'" in caught.value.hint
    # Of shards that were copied into one folder, too.
    for path in newer.glob("shards/*.lmdb"):
        shutil.copy(path, older / "shards")
    assert compact_cache(older, tmp_path / "c.cache").doubles == 9
    assert contents(tmp_path / "c.cache") == contents(newer)

    # Different ones that both state, and anything else, are different content.
    for number, other in enumerate(({"licence": "CC-BY-NC-2.0", "attribution": "anna"}, {"source": "elsewhere"})):
        records = Records("other", lambda n, other=other: with_licences(n, **other), manifest)  # type: ignore[misc]
        path = filled(tmp_path / f"{number}.cache", records, range(9))
        with pytest.raises(CacheMismatchError, match="different content"):
            merge_caches([newer, path], tmp_path / "none.cache")


@BOTH
def test_journals_are_united(tmp_path: Path, records: Records) -> None:
    one = with_two_recipes(tmp_path / "one.cache", records)
    two = with_two_recipes(tmp_path / "two.cache", records)
    drop(one, variant=1, by="anna")
    drop(two, key="street/0001*", by="bert")
    drop(two, key="street/0001*", variant=2, restore=True, by="bert")
    out = tmp_path / "out.cache"
    # Each cache has two recipes, and each of these a journal; a command writes one file.
    assert merge_caches([one, two], out).decisions == 6
    assert merge_caches([one, two], out).decisions == 0
    member = member_path(out, other_recipe(records).fingerprint)
    for path in (out, member):
        made = [(entry.op, entry.by) for entry in Journal.read(path).entries]
        assert made == [("drop", "anna"), ("drop", "bert"), ("restore", "bert")]
    in_one = tmp_path / "in_one.cache"
    with_two_recipes(in_one, records)
    drop(in_one, variant=1, by="anna")
    drop(in_one, key="street/0001*", by="bert")
    drop(in_one, key="street/0001*", variant=2, restore=True, by="bert")
    read, wanted = read_all(out), read_all(in_one)
    assert read.keys() == wanted.keys()
    assert all(same_variant(read[name], wanted[name]) for name in read)  # type: ignore[arg-type]


def test_a_journal_that_has_grown_and_two_files_of_one_name(tmp_path: Path) -> None:
    one, two = make_cache(tmp_path / "one.cache"), make_cache(tmp_path / "two.cache")
    drop(one, variant=1, by="anna")
    drop(one, variant=2, by="anna")
    drop(two, key="street/0000", by="bert")
    first, second = sorted((one / JOURNAL).iterdir())
    lines = [first.read_bytes(), second.read_bytes()]
    second.unlink()
    (theirs,) = (two / JOURNAL).iterdir()
    theirs.rename(theirs.with_name(first.name))
    out = tmp_path / "out.cache"
    assert merge_caches([one, two], out).decisions == 2
    first.write_bytes(b"".join(lines))
    for added in (1, 0):
        assert merge_caches([one, two], out).decisions == added
        assert [entry.by for entry in Journal.read(out).entries] == ["anna", "anna", "bert"]


def test_the_number_of_samples_is_the_largest(tmp_path: Path) -> None:
    def of(name: str, samples: int | None, numbers: range) -> Path:
        return filled(tmp_path / name, RECORDS[0], numbers, replace(make_manifest(), samples=samples))

    one, two, three = of("a", 3, range(6)), of("b", 2, range(6, 9)), of("c", None, range(3))
    for caches, samples in (([one, two], 3), ([two, three], 2), ([two, one, three], 3), ([three], None)):
        out = tmp_path / f"{len(caches)}-{samples}.cache"
        merge_caches(caches, out)
        assert Manifest.read(out).samples == samples
    merge_caches([of("d", 2, range(9, 15)), two], tmp_path / "more.cache")
    assert Manifest.read(tmp_path / "more.cache").samples == 3  # as many as it holds


REFUSED: dict[str, tuple[Callable[[Variant], Variant], dict[str, object], type[PocAugError], str]] = {
    "a codec": (lambda one: one, {"codec": "webp"}, CacheMismatchError, "stores pictures as 'webp'.*'delta-zstd'"),
    "a dataset": (lambda one: one, {"dataset": {"length": 8}}, CacheDatasetMismatchError, "was made from .*8"),
    "a forged recipe": (lambda one: one, {"recipe": {"seed": 5}}, CacheMismatchError, "name one fingerprint"),
    "other images": (
        lambda one: changed(one, key=one.key, index=one.index + 3, digest=one.digest[:8] + bytes([99] * 768)),
        {},
        CacheDatasetMismatchError,
        r"sample 'street/00\d\d(@dusk-2)?' is .* in .*one\.cache.*, and .* in .*two\.cache",
    ),
    "other content": (
        lambda one: changed(one, rejections=()),
        {},
        CacheMismatchError,
        r"one\.cache/shards/.*two\.cache/shards/.* hold different content under variant \d of 'street",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@BOTH
def test_caches_that_do_not_fit(tmp_path: Path, records: Records, case: str) -> None:
    change, manifest, kind, text = REFUSED[case]
    numbers = range(3) if case != "other images" else range(40, 43)
    one = filled(tmp_path / "one.cache", records, numbers)
    forms = Records("changed", lambda number: change(records.make(number)), records.manifest)
    other = replace(records.manifest(), **manifest)  # type: ignore[arg-type]
    two = tmp_path / "two.cache"
    if case == "a forged recipe" and records.name == "frames":
        other = replace(other, recipe=dict(records.manifest().recipe) | {"seed": 5})
    filled(two, forms, numbers, other)
    for dry_run in (True, False):
        with pytest.raises(kind, match=text):
            merge_caches([one, two], tmp_path / "out.cache", dry_run=dry_run)
    assert not (tmp_path / "out.cache").exists()
    before = files_of(one)
    with pytest.raises(kind, match=text):
        merge_caches([two], one)
    assert files_of(one) == before


def test_kinds_are_not_mixed(tmp_path: Path) -> None:
    one, two = (filled(tmp_path / records.name, records, range(3)) for records in RECORDS)
    with pytest.raises(CacheMismatchError, match=r"holds frames, and .* holds insertions"):
        merge_caches([one, two], tmp_path / "out.cache")


def test_digests_of_another_jpeg_decoder_are_the_same_image(tmp_path: Path) -> None:
    one = make_cache(tmp_path / "one.cache", 3)
    other = make_variant(5)
    near = other.digest[:8] + bytes([2] * 768)
    with CacheWriter(tmp_path / "two.cache", make_manifest(), writer=unique_name(tmp_path)) as writer:
        writer.put(replace(other, key="street/0000", index=7, digest=near))
    merge_caches([one, tmp_path / "two.cache"], tmp_path / "out.cache")
    assert len(contents(tmp_path / "out.cache")) == 4


def test_what_cannot_be_merged(tmp_path: Path) -> None:
    one = make_cache(tmp_path / "one.cache")
    with pytest.raises(SettingError):
        merge_caches([], one)
    with pytest.raises(CacheNotFoundError):
        merge_caches([one, tmp_path / "none.cache"], tmp_path / "out.cache")
    (tmp_path / "file").touch()
    with pytest.raises(CacheFormatError):
        merge_caches([one], tmp_path / "file")
    two = make_cache(tmp_path / "two.cache")
    damage_record(two, ("street/0000", 1))
    with pytest.raises(CacheCorruptError, match="holds a damaged record") as caught:
        merge_caches([one, two], tmp_path / "out.cache")
    assert "poc-aug repair" in caught.value.hint
    assert not (tmp_path / "out.cache").exists()


def test_shards_that_are_being_written_are_left_out(tmp_path: Path) -> None:
    one = filled(tmp_path / "one.cache", RECORDS[0], range(4))
    out = tmp_path / "out.cache"
    name = unique_name(one, "1of2")
    with CacheWriter(one, make_manifest(), writer=name) as writer:
        writer.put_many([make_variant(number) for number in range(4, 8)])
        report = merge_caches([one], out)
        assert report.records == 4
        assert report.being_written == (str(one / "shards" / f"{name}.lmdb"),)
        assert f"{name}.lmdb; merge again" in run("merge", one, "--out", out)
    assert merge_caches([one], out).records == 4
    assert contents(out) == contents(one)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("how", ["merge", "cp"])
def test_halves_that_were_made_apart_are_the_whole(tmp_path: Path, kind: Kind, how: str) -> None:
    one, two, out = tmp_path / "one.cache", tmp_path / "two.cache", tmp_path / "out.cache"
    kind.warm(one, 3, shard=(0, 2))
    kind.warm(two, 3, shard=(1, 2))
    kind.warm(tmp_path / "whole.cache", 3)
    if how == "merge":
        merge_caches([one, two], out)
    else:
        shutil.copytree(one, out)
        for shard in (two / "shards").glob("*.lmdb"):
            assert not (out / "shards" / shard.name).exists()
            shutil.copy(shard, out / "shards")
    assert contents(out) == contents(tmp_path / "whole.cache")
    assert len(contents(one)) < len(contents(out)) > len(contents(two))
    assert verify_cache(out).ok
    assert kind.warm(out, 3).made == 0
    with kind.read(out, 3) as dataset:
        assert len([dataset[index] for index in range(len(dataset))]) == len(dataset)


def test_killed_at_each_step_it_continues() -> None:
    records = RECORDS[0]
    with folder_in_memory() as memory:
        begin = memory / "begin"
        with_two_recipes(begin / "one.cache", records, 4)
        filled(begin / "two.cache", records, range(2, 6))
        filled(begin / "two.cache", records, range(6, 8))
        drop(begin / "two.cache", variant=2)

        def merged(folder: Path) -> None:
            merge_caches([folder / "one.cache", folder / "two.cache"], folder / "out.cache")

        shutil.copytree(begin, memory / "whole")
        merged(memory / "whole")
        wanted = all_contents(memory / "whole" / "out.cache")
        left = killed_at_each_step(begin, memory, merged)
        assert len(left) > 15
        for folder in left:
            out = folder / "out.cache"
            if (out / "manifest.json").exists():
                with Cache.open(out) as cache:  # a part of the whole, which can be read
                    held = {name: cache.raw(*name) for name in cache}
                assert held.items() <= wanted[records.manifest().fingerprint].items()
            merged(folder)
            assert all_contents(out) == wanted
            assert verify_cache(out).ok
            assert files_of(out / JOURNAL) == files_of(folder / "two.cache" / JOURNAL)
            assert not list((out / "shards").glob(".*"))


def test_the_command(tmp_path: Path) -> None:
    one, two = make_cache(tmp_path / "one.cache", 5), make_cache(tmp_path / "two.cache", 9)
    out = tmp_path / "out.cache"
    assert "9 records of 2 shards would be added, 5 were there already" in run(
        "merge", one, two, "--out", out, "--dry-run"
    )
    assert not out.exists()
    said = run("merge", one, two, "--out", out, "--report", tmp_path / "run.json")
    assert "9 records of 2 shards added, 5 were there already; 1 recipe" in said
    assert '"records": 9' in (tmp_path / "run.json").read_text()
    assert contents(out) == contents(two)
    assert "no cache at" in run("merge", one, tmp_path / "none", "--out", out, fails=True)
