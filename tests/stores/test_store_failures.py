"""What else goes wrong: packages that are missing, disks that are full, stores that answer oddly."""

from __future__ import annotations

import errno
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import CacheDiskError, CacheError, MissingDependencyError, SettingError, StoreError
from poc_aug.evaluation.shift_request import parse_shift
from poc_aug.stores import TransferSettings, local_copy, pull, push
from poc_aug.stores.store_address import StoreAddress
from poc_aug.stores.store_errors import failure_kind
from poc_aug.stores.store_files import StoreFiles
from tests.helpers.cache_cases import in_child
from tests.helpers.fakes import Frames
from tests.helpers.kinds import FRAMES, INSERTIONS
from tests.helpers.store_cases import QUICK, content, make_cache

URL = "memory://failures/a.cache"


@pytest.fixture(autouse=True)
def _pushed(shared_cache: Path) -> None:
    push(shared_cache, URL)


@pytest.mark.parametrize(
    ("url", "package"), [("s3", "s3fs"), ("hf", "huggingface_hub"), ("https", "aiohttp"), ("http", "aiohttp")]
)
def test_a_missing_package(url: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=f"{package}") as caught:
        pull(f"{url}://datasets/a/b.cache", tmp_path / "b.cache")
    assert caught.value.hint == "pip install 'poc_aug[stores]'"
    assert not (tmp_path / "b.cache").exists()


def test_a_missing_package_of_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingDependencyError) as caught:
        pull("gs://bucket/b.cache", tmp_path / "b.cache")
    assert caught.value.hint == "pip install gcsfs"


def test_a_full_disk_in_the_middle(shared_cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "b.cache"
    limit = 150_000

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises(CacheDiskError, match="cannot be written: File too large") as caught:
            pull(URL, copy, settings=TransferSettings(parallel=1, chunk_nbytes=1 << 16))
        return str(caught.value)

    assert "the same command continues" in in_child(work)
    assert max(path.stat().st_size for path in copy.glob(".transfer/*.part")) == limit
    pull(URL, copy)
    assert content(copy) == content(shared_cache)


def test_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 500_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(CacheDiskError, match=r"MB are to come, 0\.5 MB are free"):
        pull(URL, tmp_path / "b.cache")
    assert not list(tmp_path.rglob("*.part"))


def test_attempts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TransferSettings(attempts=3, first_wait_s=0)
    real = StoreFiles.read

    def install(failures: int, error: Exception) -> list[int]:
        calls: list[int] = []

        def read(self: StoreFiles, path: str, most: int) -> bytes:
            calls.append(1)
            if len(calls) <= failures:
                raise error
            return real(self, path, most)

        monkeypatch.setattr(StoreFiles, "read", read)
        return calls

    install(2, TimeoutError("slow"))
    assert pull(URL, tmp_path / "b.cache", settings=settings).files == 6
    calls = install(9, OSError(errno.EBUSY, "Slow Down"))
    with pytest.raises(StoreError, match=r"tried 3 times without getting further: OSError: .*Slow Down"):
        pull(URL, tmp_path / "b.cache", settings=settings)
    assert len(calls) == 3
    calls = install(9, OSError(errno.EINVAL, "no such algorithm"))
    with pytest.raises(StoreError, match=r"could not read .*no such algorithm"):
        pull(URL, tmp_path / "b.cache", settings=settings)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NoCredentialsError(), "rights"),
        (PermissionError("Access Denied"), "rights"),
        (EndpointConnectionError(endpoint_url="http://x"), "transient"),
        (ConnectionResetError(), "transient"),
        (TimeoutError(), "transient"),
        (OSError(errno.EREMOTEIO, "500"), "transient"),
        (FileNotFoundError("The specified bucket does not exist"), "missing"),
        (OSError(errno.EINVAL, "400"), "other"),
        (ValueError("x"), "other"),
    ],
)
def test_kinds_of_failures(error: Exception, kind: str) -> None:
    assert failure_kind(error) == kind


@pytest.mark.parametrize(
    "settings",
    [{"attempts": 0}, {"chunk_nbytes": 0}, {"parallel": -1}, {"first_wait_s": -1}, {"first_wait_s": float("nan")}],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        TransferSettings(**settings)


def test_a_store_that_refuses_to_connect(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"could not open ftp://127\.0\.0\.1:9/a\.cache, tried once") as caught:
        pull("ftp://anna:secret@127.0.0.1:9/a.cache", tmp_path / "b.cache")
    assert "secret" not in str(caught.value)


def test_storage_options_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unexpected keyword argument 'colour'") as caught:
        pull("s3://b/a.cache", tmp_path / "b.cache", settings=TransferSettings(storage_options={"colour": "s3cret"}))
    assert "s3cret" not in str(caught.value)


def test_where_an_address_does_not_fit(shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for read in (Cache.open, lambda url: CacheWriter(url, Manifest.create({}, {}, {})), lambda url: pull(URL, url)):
        for url in (URL, Path(URL)):
            with pytest.raises(CacheError, match=r"memory://\.\.\. is an address on a store, not a path"):
                read(url)
    with pytest.raises(SettingError, match="is an address"):
        push(URL, "memory://failures/b.cache")
    assert not list(tmp_path.iterdir())


def test_a_dataset_reads_an_address(tmp_path: Path) -> None:
    INSERTIONS.warm(tmp_path / "a.cache", 3)
    url = "memory://failures/frames.cache"
    push(tmp_path / "a.cache", url)
    local = POCAugmentedDataset(Frames(3), tmp_path / "a.cache", p=1.0)
    copied = POCAugmentedDataset(Frames(3), url, p=1.0)
    assert copied.cache.path == local_copy(url)
    assert all(copied[index][0] == local[index][0] for index in range(3))
    make_cache(tmp_path / "other.cache")
    assert len(POCAugmentedDataset(Frames(3), [url], p=1.0)) == 3


def test_an_evaluation_reads_an_address(tmp_path: Path) -> None:
    FRAMES.warm(tmp_path / "a.cache", 1)
    push(tmp_path / "a.cache", "memory://failures/shifted.cache")
    requests = parse_shift("memory://failures/shifted.cache")
    assert {request.cache for request in requests} == {local_copy("memory://failures/shifted.cache").resolve()}


def test_a_hostile_note_of_a_push_is_no_obstacle(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "c.cache", shards=1)
    store = StoreFiles(StoreAddress.parse(URL + "2"), {})
    store.write("push-in-work.json", b"<html>")
    assert len(push(cache, URL + "2", settings=QUICK).sent) == 2
