from __future__ import annotations

import gc
import json
import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest, Problem, encode_record, registry, same_variant, writer
from poc_aug.cache.shard import check_shard, is_blank
from poc_aug.errors import (
    CacheBusyError,
    CacheCorruptError,
    CacheDatasetMismatchError,
    CacheError,
    CacheFormatError,
    CacheMismatchError,
    CacheNotFoundError,
)
from poc_aug.types import Variant
from tests.cache_cases import contents, make_cache, make_insertion, make_manifest, make_variant

SHARD = "shards/local-0.lmdb"


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    yield
    gc.collect()
    assert registry.open_count() == 0


def flip(path: Path, record: bytes, at: int = -1) -> None:
    """Flip one byte of a record where it lies in the file (larger records are contiguous)."""
    data = bytearray(path.read_bytes())
    start = data.find(record)
    assert start > 0
    data[start + (at % len(record))] ^= 0xFF
    path.write_bytes(data)


# -- what is stored comes back


@pytest.mark.parametrize("writers", [1, 3])
def test_round_trip(tmp_path, writers):
    with Cache.open(make_cache(tmp_path / "a.cache", 20, writers)) as cache:
        assert len(cache) == 20
        assert cache.keys() == [f"street/{i:04d}" for i in range(7)]
        assert list(cache.items()) == list(cache) == [(f"street/{i // 3:04d}", i % 3) for i in range(20)]
        for i in range(20):
            variant = cache.get(f"street/{i // 3:04d}", i % 3)
            assert variant is not None
            assert same_variant(variant, make_variant(i))
        assert cache.variants("street/0000") == (0, 1, 2)
        assert cache.variants("street/0006") == (0, 1)
        assert ("street/0006", 1) in cache
        assert cache.manifest == make_manifest()


def test_what_is_not_stored(tmp_path):
    with Cache.open(make_cache(tmp_path / "a.cache")) as cache:
        assert cache.get("street/0000", 3) is None
        assert cache.get("x", 0) is None
        assert cache.raw("x", 0) is None
        assert cache.variants("x") == ()
        assert ("x", 0) not in cache
        assert "street/0000" not in cache


def test_raw_is_the_record(tmp_path):
    with Cache.open(make_cache(tmp_path / "a.cache")) as cache:
        assert cache.raw("street/0001", 1) == encode_record(make_variant(4), "webp")


def test_empty_cache(tmp_path):
    path = make_cache(tmp_path / "a.cache", 0)
    assert sorted(p.name for p in (path / "shards").iterdir()) == ["local-0.lock"]
    with Cache.open(path) as cache:
        assert len(cache) == 0
        assert cache
        assert cache.keys() == []
        assert cache.verify().ok


LONG = ["k" * 511, "k" * 512, "x" * 3000, "日本/" * 300 + "é.png", "日本/" * 300 + "e\u0301.png", "\udc80", ""]


def test_long_and_strange_keys(tmp_path):
    variants = [Variant(key, 1, b"", (make_insertion(i),)) for i, key in enumerate(LONG)]
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert writer.put_many(variants) == len(LONG)
        assert writer.done() == {(key, 1) for key in LONG}
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.keys() == sorted(LONG)
        for variant in variants:
            got = cache.get(variant.key, 1)
            assert got is not None
            assert same_variant(got, variant)
        assert cache.verify().ok


@pytest.mark.parametrize("codec", ["webp", "webp-lossy", "zstd", "raw"])
def test_codec_of_the_manifest(tmp_path, codec):
    manifest = replace(make_manifest(), codec=codec)
    with CacheWriter(tmp_path / "a.cache", manifest) as writer:
        writer.put(make_variant(5))
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.raw("street/0001", 2) == encode_record(make_variant(5), codec)


def test_more_names_than_one_transaction_lists(tmp_path):
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        writer.put_many(Variant(f"{i:05d}", 0, b"", ()) for i in range(2500))
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.keys() == [f"{i:05d}" for i in range(2500)]


def test_nbytes_is_what_is_used(tmp_path):
    path = make_cache(tmp_path / "a.cache", 20, 2)
    with Cache.open(path) as cache:
        files = [*(path / "shards").glob("*.lmdb"), path / "manifest.json"]
        assert cache.nbytes == sum(file.stat().st_size for file in files)
        assert cache.nbytes < 200_000 < registry.INITIAL_MAP_NBYTES


# -- writing


def test_put_again_does_nothing_and_other_content_is_refused(tmp_path):
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert writer.put(make_variant(5))
        assert not writer.put(make_variant(5))
        assert writer.put_many([make_variant(5), make_variant(6), make_variant(6)]) == 1
        assert writer.put_many([]) == 0
        other = replace(make_variant(5), digest=b"other")
        with pytest.raises(CacheError, match=r"'local-0\.lmdb'.* holds other content under variant 2 of 'street/0001'"):
            writer.put_many([make_variant(7), other])
        assert writer.done() == {("street/0001", 2), ("street/0002", 0)}  # 7 was in the refused batch
    with Cache.open(tmp_path / "a.cache") as cache:
        assert cache.raw("street/0001", 2) == encode_record(make_variant(5), "webp")


def test_same_content_in_other_bytes_is_the_same(tmp_path, monkeypatch):
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as cache_writer:
        cache_writer.put(make_variant(5))
        monkeypatch.setattr(writer, "encode_record", lambda variant, codec: encode_record(variant, "zstd"))
        assert not cache_writer.put(make_variant(5))


def test_invalid_variant_stores_nothing(tmp_path):
    wrong = replace(make_variant(5), insertions=(replace(make_insertion(1), box_yxhw=(0, 0, 3, 3)),))
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        with pytest.raises(CacheError, match="patch of 'object 1'"):
            writer.put_many([make_variant(4), wrong])
        assert writer.done() == set()


def test_resumed_equals_uninterrupted(tmp_path):
    for i in range(12):
        with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
            assert len(writer.done()) == i
            assert writer.put(make_variant(i))
    assert contents(tmp_path / "a.cache") == contents(make_cache(tmp_path / "b.cache", 12))


def test_done_is_over_all_shards(tmp_path):
    path = make_cache(tmp_path / "a.cache", 9, 3)
    with CacheWriter(path, make_manifest(), writer="ray-1") as writer:
        assert writer.done() == {(f"street/{i // 3:04d}", i % 3) for i in range(9)}


def test_nothing_to_do_leaves_every_file_as_it_is(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in path.rglob("*.[jl][sm]*")}
    with CacheWriter(path, make_manifest()) as writer:
        writer.done()
        writer.put_many([])
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in before} == before


def test_map_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "INITIAL_MAP_NBYTES", 64 << 10)
    path = tmp_path / "a.cache"
    with CacheWriter(path, replace(make_manifest(), codec="raw")) as writer, Cache.open(path) as reader:
        for i in range(60):  # about 500 kB, one by one
            writer.put(replace(make_variant(5), key=str(i), insertions=(make_insertion(i, (57, 51)),)))
            reader.refresh()
            assert len(reader) == i + 1
        writer.put_many([replace(make_variant(5), key=f"many {i}") for i in range(500)])
    with Cache.open(path) as cache:
        assert len(cache) == 560
        assert cache.verify().ok


@pytest.mark.parametrize("pin_s", [-1.0, 1e9])
def test_sealing_makes_it_compact_and_readers_go_on(tmp_path, monkeypatch, pin_s):
    monkeypatch.setattr(registry, "PIN_S", pin_s)
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as writer, Cache.open(path) as early:
        for i in range(40):
            writer.put(make_variant(i))
        assert len(early) == 40
        grown = early.nbytes
        writer.close()
        assert early.nbytes < grown
        assert len(early) == 40
        assert early.get("street/0001", 1) is not None
    assert sorted(p.name for p in (path / "shards").iterdir()) == ["local-0.lmdb", "local-0.lock"]
    assert contents(path) == contents(make_cache(tmp_path / "b.cache", 40))
    with Cache.open(path) as cache:
        assert cache.verify().ok


def test_sealing_without_space_leaves_the_shard(tmp_path, monkeypatch):
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as cache_writer:
        for i in range(40):
            cache_writer.put(make_variant(i))
        usage = writer.shutil.disk_usage(path)
        monkeypatch.setattr(writer.shutil, "disk_usage", lambda _: usage._replace(free=1000))
        before = (path / SHARD).read_bytes()
    assert (path / SHARD).read_bytes() == before


def test_left_over_of_a_killed_sealing_is_removed(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    (path / "shards/.local-0.compact").write_bytes(b"half")
    with CacheWriter(path, make_manifest()) as writer:
        writer.put(make_variant(8))
    assert not (path / "shards/.local-0.compact").exists()
    assert len(contents(path)) == 8


def test_writer_that_was_killed_while_creating_its_file(tmp_path):
    path = make_cache(tmp_path / "a.cache", 0)
    env = lmdb.open(str(tmp_path / "blank.lmdb"), subdir=False, lib_version=0)
    env.close()
    blank = (tmp_path / "blank.lmdb").read_bytes()
    for data in (b"", blank[:4096]):
        (path / SHARD).write_bytes(data)
        assert is_blank(path / SHARD)
        with CacheWriter(path, make_manifest()) as writer:
            writer.put(make_variant(4))
        assert len(contents(path)) == 1


def test_dropped_writer_lets_go(tmp_path):
    writer = CacheWriter(tmp_path / "a.cache", make_manifest())
    writer.put(make_variant(4))
    del writer
    gc.collect()
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert len(writer.done()) == 1


def test_closed_writer(tmp_path):
    writer = CacheWriter(tmp_path / "a.cache", make_manifest())
    writer.close()
    writer.close()
    with pytest.raises(CacheError, match="is closed"):
        writer.put(make_variant(4))
    with pytest.raises(CacheError, match="is closed"):
        writer.done()


def test_writer_cannot_be_pickled(tmp_path):
    with (
        CacheWriter(tmp_path / "a.cache", make_manifest()) as writer,
        pytest.raises(CacheError, match="cannot be pickled"),
    ):
        pickle.dumps(writer)


@pytest.mark.parametrize("name", ["", "../x", ".x", "a/b", "a b", "x" * 101])
def test_writer_names(tmp_path, name):
    with pytest.raises(CacheError, match="writer name"):
        CacheWriter(tmp_path / "a.cache", make_manifest(), writer=name)


def test_busy_shard_and_another_one(tmp_path):
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()):
        with pytest.raises(CacheBusyError, match=rf"'local-0' .* written by process {os.getpid()} on "):
            CacheWriter(path, make_manifest())
        with CacheWriter(path, make_manifest(), writer="local-1") as other:
            other.put(make_variant(4))
    assert len(contents(path)) == 1


# -- several users in one process


def test_two_instances_and_a_writer_in_one_process(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    first, second = Cache.open(path), Cache.open(os.path.relpath(path))
    assert len(first) == len(second) == 3
    writer = CacheWriter(path, make_manifest())
    writer.put(make_variant(4))
    assert registry.open_count() == 1
    third = Cache.open(path)
    assert (len(first), len(third)) == (3, 4)
    first.close()
    assert second.get("street/0000", 0) is not None
    second.refresh()
    assert len(second) == 4
    writer.close()
    assert second.get("street/0001", 1) is not None
    third.close()
    third.close()
    second.close()


def test_symlinked_cache_is_the_same_file(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    (tmp_path / "link.cache").symlink_to(path)
    with Cache.open(path) as a, Cache.open(tmp_path / "link.cache") as b:
        assert len(a) == len(b) == 3
        assert registry.open_count() == 1


def test_refresh_sees_new_shards(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        with CacheWriter(path, make_manifest(), writer="other") as writer:
            writer.put(make_variant(5))
        assert cache.get("street/0001", 2) is None
        cache.refresh()
        assert cache.get("street/0001", 2) is not None


def test_shard_replaced_by_another_process(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    more = make_cache(tmp_path / "b.cache", 6)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        (more / SHARD).replace(path / SHARD)
        assert cache.get("street/0000", 1) is not None  # the old file, still open
        cache.refresh()
        assert len(cache) == 6


def test_threads(tmp_path):
    path = make_cache(tmp_path / "a.cache", 12)
    got: list[bool] = []
    with Cache.open(path) as cache, CacheWriter(path, make_manifest()) as writer:

        def read() -> None:
            for i in range(12):
                variant = cache.get(f"street/{i // 3:04d}", i % 3)
                got.append(variant is not None and same_variant(variant, make_variant(i)))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        writer.put_many([make_variant(i) for i in range(12, 24)])
        for thread in threads:
            thread.join()
    assert got == [True] * 48


def test_pickle_is_small_and_opens_again(tmp_path):
    path = make_cache(tmp_path / "a.cache", 12)
    with Cache.open(path) as cache:
        small = len(pickle.dumps(cache))
        assert len(cache) == 12
        data = pickle.dumps(cache)
        assert len(data) == small < 2000
    with pickle.loads(data) as again:
        assert again.manifest == make_manifest()
        assert len(again) == 12


def test_dropped_caches_let_go(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    for _ in range(3):
        assert len(Cache.open(path)) == 3
    gc.collect()
    assert registry.open_count() == 0


def test_closed_cache(tmp_path):
    cache = Cache.open(make_cache(tmp_path / "a.cache"))
    cache.close()
    for use in (lambda: cache.get("x", 0), cache.keys, cache.verify, cache.refresh, lambda: len(cache)):
        with pytest.raises(CacheError, match="was closed"):
            use()


def test_repr(tmp_path):
    with Cache.open(make_cache(tmp_path / "a.cache")) as cache:
        assert repr(cache) == f"Cache({str(tmp_path / 'a.cache')!r}, fingerprint={make_manifest().fingerprint!r})"
    with CacheWriter(tmp_path / "a.cache", make_manifest()) as writer:
        assert repr(writer) == f"CacheWriter({str(tmp_path / 'a.cache')!r}, writer='local-0')"


# -- what cannot be opened


def test_nothing_there(tmp_path):
    with pytest.raises(CacheNotFoundError, match=r"no cache beside it either[\s\S]*warm-cache .* --out"):
        Cache.open(tmp_path / "a.cache")
    make_cache(tmp_path / "city.cache", 0)
    with pytest.raises(CacheNotFoundError, match=r"beside it are: city\.cache[\s\S]*did you mean .*/city\.cache'"):
        Cache.open(tmp_path / "cty.cache")
    with pytest.raises(CacheNotFoundError, match="there is no folder"):
        Cache.open(tmp_path / "x" / "a.cache")


def test_a_file(tmp_path):
    (tmp_path / "a.cache").write_text("x")
    with pytest.raises(CacheFormatError, match="is a file of 1 bytes"):
        Cache.open(tmp_path / "a.cache")
    with pytest.raises(CacheFormatError, match="is a file"):
        CacheWriter(tmp_path / "a.cache", make_manifest())


def test_another_directory(tmp_path):
    (tmp_path / "a.cache").mkdir()
    (tmp_path / "a.cache/frame.png").write_text("x")
    with pytest.raises(CacheFormatError, match=r"no manifest\.json; it holds: frame\.png"):
        Cache.open(tmp_path / "a.cache")
    with pytest.raises(CacheFormatError, match=r"not a cache and not empty; it holds: frame\.png"):
        CacheWriter(tmp_path / "a.cache", make_manifest())


def test_half_created_cache_is_created(tmp_path):
    (tmp_path / "a.cache/shards").mkdir(parents=True)
    (tmp_path / "a.cache/.manifest.json.123").write_text('{"form')
    assert len(contents(make_cache(tmp_path / "a.cache", 3))) == 3


def edit(path: Path, **changes: object) -> None:
    data = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(data | changes))


@pytest.mark.parametrize("nbytes", [0, 1, 100])
def test_half_written_manifest(tmp_path, nbytes):
    path = make_cache(tmp_path / "a.cache")
    (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes()[:nbytes])
    with pytest.raises(CacheFormatError, match=rf"half-written or not JSON \({nbytes} bytes\)"):
        Cache.open(path)
    with pytest.raises(CacheFormatError, match="half-written"):
        CacheWriter(path, make_manifest())


def test_manifest_that_is_not_text(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    (path / "manifest.json").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(CacheFormatError, match="not JSON"):
        Cache.open(path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version(tmp_path, version):
    path = make_cache(tmp_path / "a.cache")
    edit(path, schema_version=version)
    for use in (lambda: Cache.open(path), lambda: CacheWriter(path, make_manifest())):
        with pytest.raises(CacheFormatError, match=rf"schema version {version!r}[\s\S]*schema version 1"):
            use()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "other"}, "not a cache's manifest: 'other'"),
        ({"recipe": []}, r"recipe = \[\]\nExpected: a mapping"),
        ({"fingerprint": None}, "fingerprint = None\nExpected: a string"),
        ({"codec": "png"}, "codec 'png'\nExpected: one of: webp"),
    ],
)
def test_wrong_fields(tmp_path, changes, problem):
    path = make_cache(tmp_path / "a.cache")
    edit(path, **changes)
    with pytest.raises(CacheFormatError, match=problem):
        Cache.open(path)


def test_manifest_that_is_a_list():
    with pytest.raises(CacheFormatError, match="'list'"):
        Manifest.from_dict([])


def test_manifest_round_trip():
    manifest = make_manifest()
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest
    assert manifest.created_by.startswith("poc_aug ")
    assert manifest.max_sigma_px == 3.0
    assert Manifest("f", {}).max_sigma_px is None


def test_manifest_fields_added_later_are_no_error(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    edit(path, extra=1)
    assert len(contents(path)) == 7


# -- another recipe, another dataset


def test_wrong_recipe(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    wanted = make_manifest(seed=5, objects=[{"name": "gnu", "prompts": ["a big gnu"]}], attempts=3)
    with pytest.raises(CacheMismatchError) as caught:
        CacheWriter(path, wanted)
    text = str(caught.value)
    assert make_manifest().fingerprint in text
    assert wanted.fingerprint in text
    assert "recipe.seed: cache 0, this run 5" in text
    assert 'recipe.objects[0].prompts[0]: cache "a gnu", this run "a big gnu"' in text
    assert "recipe.attempts: cache null, this run 3" in text
    assert "Next step:" in text
    with pytest.raises(CacheMismatchError) as caught:
        Cache.open(path, fingerprint=wanted.fingerprint)
    assert wanted.fingerprint in str(caught.value)
    assert make_manifest().fingerprint in str(caught.value)
    Cache.open(path, fingerprint=make_manifest().fingerprint).close()


def test_many_and_long_differences_are_cut(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    wanted = make_manifest(**{f"field {i:02d}": "x" * 200 for i in range(30)})
    with pytest.raises(CacheMismatchError, match=r'field 00: cache null, this run "x{76}\.\.\.[\s\S]*and 18 more'):
        CacheWriter(path, wanted)


def test_wrong_backend_codec_and_fingerprint(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    right = make_manifest()
    backends = {"inserter": {"name": "noise", "version": 2}}
    wrong = Manifest.create(right.recipe, backends, right.dataset)
    with pytest.raises(CacheMismatchError, match=r"backends\.inserter\.version: cache null, this run 2"):
        CacheWriter(path, wrong)
    with pytest.raises(CacheMismatchError, match='codec: cache "webp", this run "raw"'):
        CacheWriter(path, replace(right, codec="raw"))
    with pytest.raises(CacheMismatchError, match="none that the manifest holds"):
        CacheWriter(path, replace(right, fingerprint="0" * 32))


def test_wrong_dataset(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match=r"dataset\.length: cache 7, this run 8"):
        CacheWriter(path, replace(make_manifest(), dataset={"length": 8}))


def test_refused_writer_holds_no_lock(tmp_path):
    path = make_cache(tmp_path / "a.cache")
    with pytest.raises(CacheMismatchError):
        CacheWriter(path, make_manifest(seed=1))
    CacheWriter(path, make_manifest()).close()


# -- damage


@pytest.mark.parametrize("at", [0, 4, 5, 30, -1])
def test_flipped_byte(tmp_path, at):
    path = tmp_path / "a.cache"
    big = Variant("big", 1, b"d", (make_insertion(3, (57, 51)),))  # larger than a page: contiguous in the file
    with CacheWriter(path, make_manifest()) as writer:
        writer.put_many([make_variant(i) for i in range(7)] + [big])
    flip(path / SHARD, encode_record(big, "webp"), at)
    with Cache.open(path) as cache:
        report = cache.verify()
        assert not report.ok
        assert [(p.shard, p.key, p.variant) for p in report.problems] == [("local-0.lmdb", "big", 1)]
        assert report.records == 8
        assert "shard 'local-0.lmdb', variant 1 of 'big': " in str(report.problems[0])
        for read in (cache.get, cache.raw):
            with pytest.raises(CacheCorruptError) as caught:
                read("big", 1)
            for part in ("variant 1 of 'big'", "'local-0.lmdb'", f"poc-aug verify {path}"):
                assert part in str(caught.value)
        assert cache.get("street/0001", 1) is not None


def test_verify_reports_progress(tmp_path):
    calls: list[tuple[int, int]] = []
    with Cache.open(make_cache(tmp_path / "a.cache", 5, 2)) as cache:
        report = cache.verify(lambda done, total: calls.append((done, total)))
        assert report.nbytes + (tmp_path / "a.cache/manifest.json").stat().st_size == cache.nbytes
    assert report.ok
    assert (report.shards, report.records, report.being_written) == (2, 5, ())
    assert calls == [(i, 5) for i in range(1, 6)]


def test_every_damage_that_matters_is_found(tmp_path):
    # Anywhere in the file: either verify finds it, or every record still reads the same.
    path = make_cache(tmp_path / "a.cache", 7)
    good = contents(path)
    data = (path / SHARD).read_bytes()
    found = 0
    for at in range(0, len(data), 97):
        (path / SHARD).write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        try:
            with Cache.open(path) as cache:
                sound = cache.verify().ok
        except CacheFormatError:
            sound = False
        if sound:
            assert contents(path) == good
        found += not sound
    assert found > 10


def test_wrong_key_in_a_branch_page(tmp_path):
    # lmdb's own check of the page tree does not see this; a search goes to the wrong leaf.
    path = make_cache(tmp_path / "a.cache", 7)  # two leaves, one key between them
    data = bytearray((path / SHARD).read_bytes())
    pages = [data[i : i + 4096] for i in range(0, len(data), 4096)]
    (branch,) = [i for i in range(2, len(pages)) if pages[i][10] & 1]
    data[branch * 4096 + pages[branch].find(b"tstreet/") + 11] = ord("p")
    (path / SHARD).write_bytes(data)
    with Cache.open(path) as cache:
        found = "\n".join(map(str, cache.verify().problems))
        assert "listed but not found: a damaged page tree" in found
        assert "its names are not in order" in found  # else listing would go in a circle for ever
        with pytest.raises(CacheCorruptError, match="not in order"):
            len(cache)


def test_record_under_another_name_and_in_two_versions(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    name = lambda i: b"tstreet/0000" + i.to_bytes(4, "big")  # noqa: E731
    env = lmdb.open(str(path / SHARD), subdir=False, lib_version=0)
    with env.begin(write=True) as transaction:
        transaction.put(name(7), transaction.get(name(0)))
        transaction.put(b"?", b"")
    env.close()
    with Cache.open(path) as cache:
        problems = cache.verify().problems
        assert [problem.key for problem in problems] == [None, "street/0000"]
        assert "not a record's name" in str(problems[0])
        assert "the record is that of variant 0" in str(problems[1])
        with pytest.raises(CacheCorruptError, match="cannot be listed: not a record's name"):
            len(cache)


def test_two_shards_that_disagree(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    other = replace(make_variant(1), digest=b"another")
    with CacheWriter(path, make_manifest(), writer="z") as writer:
        writer.put_many([make_variant(0), other])
    with Cache.open(path) as cache:
        assert cache.verify().problems == (
            Problem("z.lmdb", "street/0000", 1, "shard 'local-0.lmdb' holds other content under this name"),
        )
        assert cache.raw("street/0000", 1) == encode_record(make_variant(1), "webp")
        assert len(cache) == 3


def test_record_that_vanished(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    with Cache.open(path) as cache:
        assert len(cache) == 3
        make_cache(tmp_path / "b.cache", 1)
        (tmp_path / "b.cache" / SHARD).replace(path / SHARD)
        cache._shards[0].reopen_if_replaced()
        with pytest.raises(CacheCorruptError, match="the record is gone"):
            cache.get("street/0000", 2)


def test_verify_beside_a_writer(tmp_path):
    path = make_cache(tmp_path / "a.cache", 7, 2)
    with CacheWriter(path, make_manifest()) as writer, Cache.open(path) as cache:
        writer.put(make_variant(9))
        report = cache.verify()
        assert report.ok
        assert report.being_written == ("local-0.lmdb",)
        assert report.records == 8


@pytest.mark.parametrize("nbytes", [1, 100, 4096, 8191, 8192, -4096, -1])
def test_truncated_shard(tmp_path, nbytes):
    path = make_cache(tmp_path / "a.cache", 20)
    data = (path / SHARD).read_bytes()
    (path / SHARD).write_bytes(data[:nbytes])
    with pytest.raises(CacheFormatError, match=r"local-0\.lmdb' is (truncated|cut off|not a shard)"):
        Cache.open(path)
    if not is_blank(path / SHARD):  # else nothing is left in it: the writer begins it again
        with CacheWriter(path, make_manifest()) as writer:
            with pytest.raises(CacheFormatError, match="delete it"):
                writer.done()
            with pytest.raises(CacheFormatError, match=r"local-0\.lmdb"):
                writer.put(make_variant(30))
        assert (path / SHARD).read_bytes() == data[:nbytes]
        (path / SHARD).unlink()
    assert contents(make_cache(path, 20)) == contents(make_cache(tmp_path / "b.cache", 20))


def test_truncated_after_opening(tmp_path):
    path = make_cache(tmp_path / "a.cache", 20)
    with Cache.open(path) as cache:
        os.truncate(path / SHARD, 12288)
        with pytest.raises(CacheFormatError, match="truncated"):
            len(cache)


def test_last_pages_that_were_never_written_are_no_damage(tmp_path):
    # LMDB may count pages at the end that a transaction took and gave back; nothing refers to them.
    path = make_cache(tmp_path / "a.cache", 7)
    env = lmdb.open(str(path / SHARD), subdir=False, lib_version=0)
    with env.begin(write=True) as transaction:
        transaction.put(b"filler", b"x" * 20000)
    with env.begin(write=True) as transaction:
        transaction.delete(b"filler")
    for _ in range(4):  # the list of free pages moves off the end
        with env.begin(write=True) as transaction:
            transaction.put(b"filler", b"x")
            transaction.delete(b"filler")
    env.close()
    meta = check_shard(path / SHARD)
    os.truncate(path / SHARD, meta.nbytes - 4096)
    assert len(contents(path)) == 7


def test_other_files_as_shards(tmp_path):
    path = make_cache(tmp_path / "a.cache", 3)
    (path / "shards/x.lmdb").write_bytes(os.urandom(10000))
    with pytest.raises(CacheFormatError, match=r"x\.lmdb' is not a shard"):
        Cache.open(path)
    (path / "shards/x.lmdb").unlink()
    env = lmdb.open(str(path / "shards/x.lmdb"), subdir=False, lib_version=1)  # LMDB 1.0's format
    env.close()
    with pytest.raises(CacheFormatError, match=r"x\.lmdb' is not a shard: no LMDB 0\.9"):
        Cache.open(path)
    (path / "shards/x.lmdb").write_bytes(b"")  # a writer in another process has only just created it
    assert len(contents(path)) == 3
