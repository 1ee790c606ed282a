"""The beginning of a cache: a manifest with which nothing was stored, and what killed runs leave next to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache import writer as writer_module
from poc_aug.cache.beginning import remove_left_overs
from poc_aug.cache.lock import FileLock, is_locked
from poc_aug.errors import CacheDatasetMismatchError, CacheFormatError, CacheMismatchError
from tests.helpers.cache_cases import make_manifest, make_variant

OTHERS: dict[str, Callable[[], Manifest]] = {
    "recipe": lambda: make_manifest(seed=9),
    "codec": lambda: replace(make_manifest(), codec="raw"),
    "dataset": lambda: replace(make_manifest(), dataset={"type": "another"}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_manifest_of_a_run_that_stored_nothing_refuses_nobody(tmp_path: Path, other: str) -> None:
    path = tmp_path / "a.cache"
    CacheWriter(path, make_manifest()).close()
    (path / "rejected").mkdir()
    (path / "rejected" / "old.png").touch()
    with CacheWriter(path, OTHERS[other]()) as writer:
        assert writer.put(make_variant(0))
        assert not (path / "rejected").exists()  # pictures of another recipe's attempts
    with Cache.open(path) as cache:
        assert cache.manifest == OTHERS[other]()
        assert cache.verify().ok
    with pytest.raises((CacheMismatchError, CacheDatasetMismatchError)):  # now there is something to lose
        CacheWriter(path, make_manifest())


def test_the_same_manifest_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    CacheWriter.create(path, make_manifest())
    before = (path / "manifest.json").stat().st_mtime_ns
    CacheWriter(path, make_manifest()).close()
    assert (path / "manifest.json").stat().st_mtime_ns == before


def test_a_manifest_is_not_replaced_under_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest(), writer="live-3") as first:
        for create in (CacheWriter.create, CacheWriter):
            with pytest.raises(CacheMismatchError, match="seed"):
                create(path, make_manifest(seed=9))
        first.put(make_variant(0))
    with Cache.open(path) as cache:
        assert cache.manifest == make_manifest()
        assert len(cache) == 1


def test_a_shard_is_locked_before_another_run_can_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, locked = tmp_path / "a.cache", []

    class Lock(FileLock):
        def __init__(self, file: Path) -> None:
            locked.append(is_locked(path))  # the folder
            super().__init__(file)

    monkeypatch.setattr(writer_module, "FileLock", Lock)
    CacheWriter(path, make_manifest()).close()
    assert locked == [True]
    assert not is_locked(path)


def test_a_damaged_shard_is_no_empty_cache(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as writer:
        writer.put_many([make_variant(number) for number in range(6)])
    shard = path / "shards" / "local-0.lmdb"
    shard.write_bytes(shard.read_bytes()[:9000])
    with pytest.raises(CacheMismatchError):
        CacheWriter(path, make_manifest(seed=9))


def test_temporary_manifests_of_killed_runs_go_and_are_never_foreign(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    path.mkdir()
    stray = path / ".manifest.json.4711"
    stray.write_text('{"form')
    with pytest.raises(CacheFormatError, match="it holds: nothing"):
        Cache.open(path)
    CacheWriter.create(path, make_manifest())
    assert not stray.exists()
    stray.write_text('{"form')
    CacheWriter(path, make_manifest()).close()
    assert sorted(file.name for file in path.iterdir()) == ["manifest.json", "shards"]


def test_a_stray_that_cannot_be_removed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.cache"
    CacheWriter.create(path, make_manifest())
    (path / ".manifest.json.4711").touch()

    def refuse(file: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system", str(file))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert CacheWriter.create(path, make_manifest()) == make_manifest()


def test_a_compact_copy_of_a_killed_run_goes_unless_its_writer_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    with CacheWriter(path, make_manifest()) as writer:
        writer.put(make_variant(0))
    copy = path / "shards" / f".{writer.writer}.compact"
    copy.touch()
    lock = FileLock(copy.with_name(f"{writer.writer}.lock"))
    remove_left_overs(path)
    assert copy.exists()
    lock.release()
    remove_left_overs(path)
    assert not copy.exists()
    assert not is_locked(copy.with_name(f"{writer.writer}.lock"))
    assert Cache.open(path).verify().ok
