"""The cache on full, limited and read-only disks."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter
from poc_aug.errors import CacheDiskError
from tests.helpers.cache_cases import contents, in_child, make_cache, make_insertion, make_manifest, make_variant

# Forking is what these tests are about; Python 3.12 warns of it wherever a library has threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SHARD = "shards/local-0.lmdb"


def _write_until_full(path: Path) -> tuple[str, int]:
    """Put noise until it fails; the error's text, and how many puts had returned before."""
    with CacheWriter(path, replace(make_manifest(), codec="raw")) as writer:
        for i in range(10_000):
            try:
                writer.put(replace(make_variant(5), key=f"{i:05d}", insertions=(make_insertion(i, (33, 31)),)))
            except CacheDiskError as error:
                return str(error), i
    raise AssertionError("the disk did not fill")


def _check_full(path: Path, text: str, stored: int) -> None:
    assert stored > 3
    for part in (str(path / SHARD), "bytes are free there", "remains", "same command continues"):
        assert part in text
    with Cache.open(path) as cache:
        assert len(cache) == stored
        assert cache.verify().ok


def test_file_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"

    def work() -> tuple[str, int]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return _write_until_full(path)

    text, stored = in_child(work)
    _check_full(path, text, stored)
    with CacheWriter(path, replace(make_manifest(), codec="raw")) as writer:  # with room again
        writer.put(make_variant(0))
    with Cache.open(path) as cache:
        assert len(cache) == stored + 1


@pytest.mark.parametrize("limit", [0, 100, 5000])
def test_no_room_to_begin(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "a.cache"

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises(CacheDiskError) as caught, CacheWriter(path, make_manifest()) as writer:
            writer.put(make_variant(1))
        return str(caught.value)

    assert "bytes are free there" in in_child(work)
    assert len(contents(make_cache(path, 3))) == 3


def test_full_tmpfs(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    try:
        path = disk / "a.cache"
        text, stored = _write_until_full(path)
        _check_full(path, text, stored)
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        with CacheWriter(path, replace(make_manifest(), codec="raw")) as writer:
            writer.put(make_variant(0))
        with Cache.open(path) as cache:
            assert len(cache) == stored + 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    if os.getuid() == 0:
        blocked = Path("/proc/no-folder-can-be-made-here")
        if sys.platform != "linux":
            pytest.skip("root may write everywhere")
    else:
        blocked = tmp_path / "locked" / "a.cache"
        blocked.parent.mkdir(mode=0o500)
    with pytest.raises(CacheDiskError, match=r"cannot be written[\s\S]*permissions"):
        CacheWriter(blocked, make_manifest())


def test_read_only_cache(tmp_path: Path) -> None:
    # Copied without write permission, and with no lock files: readers need neither.
    path = make_cache(tmp_path / "a.cache", 5)
    (path / "shards/local-0.lock").unlink()
    (path / SHARD).chmod(0o400)
    for folder in (path / "shards", path):
        folder.chmod(0o500)
    try:
        with Cache.open(path) as cache:
            assert len(cache) == 5
            assert cache.verify().ok
        assert sorted(p.name for p in (path / "shards").iterdir()) == ["local-0.lmdb"]
    finally:
        for folder in (path, path / "shards"):
            folder.chmod(0o700)
