"""Packing and unpacking: the same records, the same bytes, and nothing that tells of the machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest, same_variant
from poc_aug.cache.index_building import MIN_RECORDS
from poc_aug.cache.index_file import INDEX
from poc_aug.cache.lock import FileLock
from poc_aug.cache.members import member_paths
from poc_aug.cache.shard import shard_paths
from poc_aug.errors import CacheBusyError, CacheFormatError, OutputError, PocAugError, SettingError
from poc_aug.recipe import Recipe
from poc_aug.sharing.pack_redaction import KEPT_PROVENANCE, without_paths
from poc_aug.sharing.pack_unpacking import unpack_cache
from poc_aug.sharing.packing import pack_cache
from poc_aug.types import Variant
from tests.helpers.cache_cases import RECORDS, Records, in_child, make_variant
from tests.helpers.pack_cases import (
    HOME,
    SECRETS,
    lossy_cache,
    manifest_of,
    recipe_of,
    records_of,
    telling_cache,
    telling_variant,
)

FORMS = (".tar", ".zip", "")


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return telling_cache(tmp_path_factory.mktemp("telling") / "street.cache")


def all_bytes(place: Path) -> bytes:
    if place.is_file():
        return place.read_bytes()
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return b"".join(str(path.relative_to(place)).encode() + path.read_bytes() for path in files)


def assert_same(first: dict[tuple[str, int], Variant], second: dict[tuple[str, int], Variant]) -> None:
    assert first.keys() == second.keys()
    assert all(same_variant(first[item], second[item]) for item in first)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.name)
def test_round_trip(tmp_path: Path, kind: Records, form: str) -> None:
    cache = kind.cache(tmp_path / "a.cache", count=9, writers=2)
    packed, out = tmp_path / f"a{form}", tmp_path / "b.cache"
    report = pack_cache(cache, packed)
    unpacked = unpack_cache(packed, out)
    assert report.records == unpacked.records == 9
    assert_same(records_of(cache), records_of(out))
    with Cache.open(cache) as before, Cache.open(out) as after:
        assert before.manifest == after.manifest
        assert {item: before.raw(*item) for item in before} == {item: after.raw(*item) for item in after}
        assert after.verify().ok
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.cache", packed.name, "b.cache"}, "nothing temporary remains"


def test_a_packed_folder_is_a_cache(tmp_path: Path, telling: Path) -> None:
    pack_cache(telling, tmp_path / "packed")
    assert records_of(tmp_path / "packed").keys() == records_of(telling).keys()


def test_a_large_cache_is_indexed_when_it_is_unpacked(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "a.cache", manifest_of(recipe_of())) as writer:
        writer.put_many(Variant(f"{n}.png", 0, digest=b"", insertions=()) for n in range(MIN_RECORDS))
    pack_cache(tmp_path / "a.cache", tmp_path / "a.tar")
    assert unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache").records == MIN_RECORDS
    assert (tmp_path / "b.cache" / INDEX).is_file()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert INDEX not in tar.getnames()


def test_links_among_the_pictures_are_refused(tmp_path: Path, telling: Path) -> None:
    cache = tmp_path / "a.cache"
    shutil.copytree(telling, cache)
    member = member_paths(cache)[1]
    (member / "rejected" / "black").mkdir(parents=True)
    (tmp_path / "secret.png").write_text("secret")
    (member / "rejected" / "black" / "a-0-0-0-0.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(CacheFormatError, match=r"a-0-0-0-0.png.*a link"):
        pack_cache(cache, tmp_path / "a.tar", rejected=True)
    assert not (tmp_path / "a.tar").exists()


def test_an_unpacked_cache_can_be_continued(tmp_path: Path) -> None:
    cache = RECORDS[0].cache(tmp_path / "a.cache")
    pack_cache(cache, tmp_path / "a.tar")
    unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache")
    with CacheWriter(tmp_path / "b.cache", RECORDS[0].manifest()) as writer:
        assert len(writer.done()) == 7
        assert writer.put(make_variant(20))
    pack_cache(tmp_path / "b.cache", tmp_path / "b.tar")
    assert unpack_cache(tmp_path / "b.tar", tmp_path / "c.cache").records == 8


@pytest.mark.parametrize("form", [".tar", ".zip"])
def test_same_records_same_bytes(tmp_path: Path, form: str) -> None:
    digests = set()
    for number, (writers, order) in enumerate(((1, 1), (3, 1), (2, -1))):
        path = tmp_path / str(number) / "a.cache"
        variants = [telling_variant(n) for n in range(60)][::order]
        for writer_number in range(writers):
            with CacheWriter(path, manifest_of(recipe_of()), writer=f"host{number}-{writer_number}") as writer:
                for variant in variants[writer_number::writers]:
                    writer.put(variant)  # each a transaction of its own: pages are freed and used again
        out = tmp_path / f"{number}{form}"
        report = pack_cache(path, out, shard_nbytes=20_000)
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
        assert report.sha256 in digests
    assert len(digests) == 1


def test_many_shards(tmp_path: Path, telling: Path) -> None:
    pack_cache(telling, tmp_path / "one")
    pack_cache(telling, tmp_path / "many", shard_nbytes=1)
    assert len(shard_paths(tmp_path / "one")) == 1
    assert len(shard_paths(tmp_path / "many")) == 9
    assert_same(records_of(tmp_path / "one"), records_of(tmp_path / "many"))


def test_shards_of_two_packed_caches_have_different_names(tmp_path: Path) -> None:
    names = []
    for number in range(2):
        path = tmp_path / f"{number}.cache"
        with CacheWriter(path, manifest_of(recipe_of())) as writer:
            writer.put(make_variant(number))
        pack_cache(path, tmp_path / f"packed{number}")
        names += [shard.name for shard in shard_paths(tmp_path / f"packed{number}")]
    assert len(set(names)) == 2


@pytest.mark.parametrize("form", FORMS)
def test_nothing_tells_of_the_machine(
    tmp_path: Path, telling: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "ada.secretive")
    (telling / "shards" / "claims").write_text("claimed by ada.secretive")
    report = pack_cache(telling, tmp_path / f"packed{form}")
    assert report.records == 12
    assert report.recipes == 2
    data = all_bytes(report.out)
    unpacked = tmp_path / "out.cache"
    unpack_cache(report.out, unpacked)
    # Headers of records are compressed: what is in them is read.
    texts = [repr(variant) for path in member_paths(unpacked) for variant in records_of(path).values()]
    texts += [repr(Manifest.read(path)) for path in member_paths(unpacked)]
    host = os.uname().nodename
    for secret in (
        *SECRETS,
        *([host] if len(host) > 5 else []),
        str(telling),
        str(tmp_path),
    ):  # "vm" comes up by chance
        assert secret.encode() not in data, secret
        assert all(secret not in text for text in texts), secret
    assert not [name for name in unpacked.rglob("*") if name.suffix == ".lock" or name.name == "claims"]
    sources = {one.provenance["source"] for variant in records_of(unpacked).values() for one in variant.insertions}
    assert sources == {"gnu.png"}


def test_records_are_equal_but_for_the_paths(tmp_path: Path, telling: Path) -> None:
    pack_cache(telling, tmp_path / "packed")
    for item, stored in records_of(telling).items():
        packed = records_of(tmp_path / "packed")[item]
        provenances = [without_paths(dict(one.provenance)) for one in stored.insertions]
        rejections = tuple(replace(one, detail=without_paths(one.detail)) for one in stored.rejections)
        insertions = [replace(one, provenance=p) for one, p in zip(stored.insertions, provenances, strict=True)]
        assert same_variant(replace(stored, insertions=tuple(insertions), rejections=rejections), packed)


def test_keys_that_are_absolute_paths(tmp_path: Path) -> None:
    cache = tmp_path / "a.cache"
    with CacheWriter(cache, manifest_of(recipe_of())) as writer:
        writer.put(replace(make_variant(1), key=f"{HOME}/1.png"))
    with pytest.raises(SettingError, match=r"ada.secretive/data/1.png.*absolute path"):
        pack_cache(cache, tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()
    pack_cache(cache, tmp_path / "a.tar", absolute_keys=True)
    unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache")
    assert list(records_of(tmp_path / "b.cache")) == [(f"{HOME}/1.png", 1)]


def test_leaving_out_provenance(tmp_path: Path, telling: Path) -> None:
    pack_cache(telling, tmp_path / "packed", leave_out=("provenance",))
    before, after = records_of(telling), records_of(tmp_path / "packed")
    kept = {name for variant in after.values() for one in variant.insertions for name in one.provenance}
    assert kept == {"horizon_from", "licence", "attribution"} <= set(KEPT_PROVENANCE)
    assert {r.detail for variant in after.values() for r in variant.rejections} == {""}
    blank = {item: _without_provenance(variant) for item, variant in before.items()}
    assert_same(blank, {item: _without_provenance(variant) for item, variant in after.items()})
    with Cache.open(telling) as first, Cache.open(tmp_path / "packed") as second:
        assert first.manifest.recipe == second.manifest.recipe
        assert second.verify().ok


def _without_provenance(variant: Variant) -> Variant:
    insertions = tuple(replace(one, provenance={}) for one in variant.insertions)
    return replace(variant, insertions=insertions, rejections=tuple(replace(r, detail="") for r in variant.rejections))


def test_leaving_out_prompts(tmp_path: Path, telling: Path) -> None:
    pack_cache(telling, tmp_path / "packed.tar", leave_out=("prompts",))
    out = tmp_path / "b.cache"
    unpack_cache(tmp_path / "packed.tar", out)
    for path in member_paths(out):
        manifest = Manifest.read(path)
        assert manifest.has_own_fingerprint()
        recipe = Recipe.from_dict(dict(manifest.recipe))  # still one
        assert recipe.objects[0].prompts == ("(left out)",)
        assert recipe.objects[0].parts == ("part 0", "part 1", "part 2")
        assert path == out or path.name == manifest.fingerprint
        assert manifest.fingerprint not in {Manifest.read(one).fingerprint for one in member_paths(telling)}
        assert "gnu – größer" not in repr(records_of(path))
        assert {"seed", "score"} <= {
            name for variant in records_of(path).values() for one in variant.insertions for name in one.provenance
        }
    for secret in (b"hidden gnu", b"a photo of"):
        assert secret not in all_bytes(out)


def test_pixels_of_a_lossy_codec_are_not_encoded_again(tmp_path: Path) -> None:
    cache = lossy_cache(tmp_path / "a.cache")
    pack_cache(cache, tmp_path / "packed", leave_out=("prompts", "provenance"))
    (before,), (after,) = records_of(cache).values(), records_of(tmp_path / "packed").values()
    assert not same_variant(before, after)
    assert same_variant(_without_provenance(before), _without_provenance(after))


def test_a_cache_that_is_being_written_is_refused(tmp_path: Path) -> None:
    cache = RECORDS[0].cache(tmp_path / "a.cache")
    lock = FileLock(cache / "shards" / "local-0.lock")
    try:
        with pytest.raises(CacheBusyError, match=r"local-0.lmdb.*being written"):
            pack_cache(cache, tmp_path / "a.tar")
    finally:
        lock.release()
    assert pack_cache(cache, tmp_path / "a.tar").records == 7


def test_nothing_is_replaced(tmp_path: Path, telling: Path) -> None:
    (tmp_path / "a.tar").write_text("mine")
    (tmp_path / "b.cache").symlink_to("nowhere")
    with pytest.raises(OutputError, match="exists already"):
        pack_cache(telling, tmp_path / "a.tar")
    pack_cache(telling, tmp_path / "c.tar")
    with pytest.raises(OutputError, match="exists already"):
        unpack_cache(tmp_path / "c.tar", tmp_path / "b.cache")
    with pytest.raises(OutputError, match="is a cache"):
        pack_cache(telling, telling / "a.tar")
    assert (tmp_path / "a.tar").read_text() == "mine"


def test_two_at_once_into_one_archive(tmp_path: Path, telling: Path) -> None:
    def second(done: int, total: int) -> None:
        with pytest.raises(OutputError, match="being written by another process"):
            pack_cache(telling, tmp_path / "a.tar")

    assert pack_cache(telling, tmp_path / "a.tar", progress=second).records == 12
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path, telling: Path) -> None:
    def die(done: int, total: int) -> None:
        os._exit(9)

    child = os.fork()
    if child == 0:
        pack_cache(telling, tmp_path / "a.tar", progress=die)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert [path.name for path in tmp_path.iterdir()] == [".a.tar.partial"]
    pack_cache(telling, tmp_path / "a.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize(
    ("form", "limit"), [(".tar", 1), (".zip", 5_000), ("", 20_000), (".tar", 50_000), (".zip", 40_000)]
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_full_disk(tmp_path: Path, telling: Path, form: str, limit: int) -> None:
    import resource

    out = tmp_path / f"a{form}"

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises(PocAugError) as caught:
            pack_cache(telling, out)
        return f"{type(caught.value).__name__}: {caught.value}"

    text = in_child(work)
    assert text.startswith(("OutputError", "CacheDiskError"))
    assert "cannot write" in text
    assert list(tmp_path.iterdir()) == []
    assert pack_cache(telling, out).records == 12  # with room again


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_full_disk_while_unpacking(tmp_path: Path, telling: Path) -> None:
    import resource

    pack_cache(telling, tmp_path / "a.tar")

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises(OutputError) as caught:
            unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache")
        return str(caught.value)

    assert "packed-" in in_child(work)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_no_room_is_noticed_first(tmp_path: Path, telling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_cache(telling, tmp_path / "a.tar")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(PocAugError, match="5 are free"):
        unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache")
    assert not (tmp_path / "b.cache").exists()


def test_an_empty_cache(tmp_path: Path) -> None:
    CacheWriter.create(tmp_path / "a.cache", manifest_of(recipe_of()))
    assert pack_cache(tmp_path / "a.cache", tmp_path / "a.tar").records == 0
    assert unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache").records == 0
    pack_cache(tmp_path / "a.cache", tmp_path / "folder")
    with Cache.open(tmp_path / "folder") as cache:
        assert cache.verify().ok


def test_the_archive_has_neither_owners_nor_times(tmp_path: Path, telling: Path) -> None:
    pack_cache(telling, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        facts = {(info.uid, info.gid, info.uname, info.gname, info.mtime, info.mode) for info in tar}
    assert facts == {(0, 0, "", "", 0, 0o644)}


def test_the_hash_that_was_published(tmp_path: Path, telling: Path) -> None:
    report = pack_cache(telling, tmp_path / "a.tar")
    with pytest.raises(PocAugError, match=report.sha256):
        unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache", sha256="0" * 64)
    with pytest.raises(SettingError, match="sha256='abc'"):
        unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache", sha256="abc")
    assert unpack_cache(tmp_path / "a.tar", tmp_path / "b.cache", sha256=report.sha256.upper()).records == 12


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"leave_out": ("pixels",)}, "pixels"),
        ({"leave_out": "prompts"}, "prompts"),
        ({"licence": "Creative Commons!"}, "Creative Commons!"),
        ({"leave_out": ("prompts",), "rejected": True}, "rejected attempts"),
        ({"shard_nbytes": 0}, "shard_nbytes=0"),
    ],
)
def test_wrong_settings(tmp_path: Path, telling: Path, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        pack_cache(telling, tmp_path / "a.tar", **settings)
    with pytest.raises(SettingError, match=r"a\.tar\.gz"):
        pack_cache(telling, tmp_path / "a.tar.gz")
    assert list(tmp_path.iterdir()) == []
