"""Round trips over a real S3 server, with connections that are cut in the middle."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from poc_aug.errors import StoreError
from poc_aug.stores import TransferSettings, pull, push
from tests.helpers.store_cases import QUICK, content, pull_in_child
from tests.helpers.store_servers import CuttingProxy, s3_files
from tests.helpers.waiting import wait_until


@pytest.fixture
def url(s3_proxy: CuttingProxy, request: pytest.FixtureRequest) -> str:
    """An address of the test's own."""
    return f"s3://caches/{request.node.name.replace('[', '-').replace(']', '')}.cache"


def test_round_trip_with_cut_connections(s3_proxy: CuttingProxy, url: str, shared_cache: Path, tmp_path: Path) -> None:
    s3_proxy.cuts = [900, 30_000, 90_000]
    report = push(shared_cache, url, settings=QUICK)
    assert s3_proxy.cut == 3
    assert len(report.sent) == report.files == 6
    s3_proxy.cuts = [700, 20_000, 50_000, 5_000]
    done: list[tuple[int, int]] = []
    pulled = pull(url, tmp_path / "copy.cache", settings=QUICK, progress=lambda *step: done.append(step))
    assert s3_proxy.cut == 7
    assert pulled.sent_nbytes == pulled.nbytes == report.nbytes
    assert done[-1] == (pulled.nbytes, pulled.nbytes)
    assert content(tmp_path / "copy.cache") == content(shared_cache)


def test_an_interrupted_push_continues(
    s3_proxy: CuttingProxy,
    url: str,
    shared_cache: Path,
    tmp_path: Path,
    s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = TransferSettings(attempts=1, first_wait_s=0, parallel=1)
    s3 = s3_files(s3_endpoint)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    s3_proxy.down_after = 300_000
    with pytest.raises(StoreError, match=r"could not send shard '.*' to s3://caches/"):
        push(shared_cache, url, settings=settings)
    s3_proxy.down_after = None
    there = {path.rpartition(".cache/")[2] for path in s3.find(url)}
    assert "contents.json" not in there
    assert "push-in-work.json" in there
    with pytest.raises(StoreError, match=r"no contents\.json: a push was interrupted"):
        pull(url, tmp_path / "b.cache")
    report = push(shared_cache, url, settings=settings)
    assert 0 < len(report.sent) < report.files
    pull(url, tmp_path / "b.cache")
    assert content(tmp_path / "b.cache") == content(shared_cache)
    assert not s3.exists(f"{url}/push-in-work.json")


def test_kill_in_the_middle_continues(s3_proxy: CuttingProxy, url: str, shared_cache: Path, tmp_path: Path) -> None:
    push(shared_cache, url)
    copy = tmp_path / "copy.cache"
    s3_proxy.holds_after = s3_proxy.answered + 150_000
    child = _child(url, copy)
    assert wait_until(lambda: s3_proxy.holds_after is None and _fetched(copy) > 50_000)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    s3_proxy.go_on.set()
    parts = _fetched(copy)
    assert not (copy / "manifest.json").exists()
    before = s3_proxy.answered
    pull(url, copy, settings=QUICK)
    assert content(copy) == content(shared_cache)
    assert not list(copy.glob(".transfer/*.part"))
    total = sum(path.stat().st_size for path in copy.rglob("*.lmdb"))
    assert s3_proxy.answered - before < total - parts + 30_000  # with headers and lists, but without what was there


def _fetched(copy: Path) -> int:
    """Bytes of shards that have come."""
    sizes = []
    for path in [*copy.glob(".transfer/*.part"), *copy.rglob("*.lmdb")]:
        with contextlib.suppress(FileNotFoundError):  # put in its place at this moment
            sizes.append(path.stat().st_size)
    return sum(sizes)


def test_two_processes_at_once(s3_proxy: CuttingProxy, url: str, shared_cache: Path, tmp_path: Path) -> None:
    push(shared_cache, url)
    copy = tmp_path / "copy.cache"
    s3_proxy.holds_after = s3_proxy.answered + 100_000
    child = _child(url, copy)
    assert wait_until(lambda: s3_proxy.holds_after is None)
    lines: list[str] = []

    def on_wait(line: str) -> None:
        lines.append(line)
        s3_proxy.go_on.set()

    report = pull(url, copy, settings=QUICK, on_wait=on_wait)
    child.join()
    assert child.exitcode == 0
    assert lines == [lines[0]]
    assert lines[0].startswith(f"waiting for process {child.pid} on ")
    assert str(copy) in lines[0]
    assert report.sent == ()
    assert content(copy) == content(shared_cache)


def _child(url: str, path: Path) -> multiprocessing.process.BaseProcess:
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    child = multiprocessing.get_context("forkserver").Process(target=pull_in_child, args=(url, path, environment))
    child.start()
    return child


def test_a_bad_shard_is_refused_by_its_name(url: str, s3_endpoint: str, shared_cache: Path, tmp_path: Path) -> None:
    push(shared_cache, url)
    s3, place = s3_files(s3_endpoint), f"{url}/shards/node1-0of2-4712.lmdb"
    good = s3.cat_file(place)
    copy = tmp_path / "b.cache"
    for bad, problem in (
        (good[:60_000] + bytes([good[60_000] ^ 1]) + good[60_001:], "is not what its list says: SHA-256 "),
        (good[: len(good) // 2], f"is truncated: {len(good) // 2} of its {len(good)} bytes"),
        (None, "is not there"),
    ):
        s3.rm_file(place) if bad is None else s3.pipe_file(place, bad)
        with pytest.raises(StoreError, match=rf"shard 'node1-0of2-4712\.lmdb' of s3://.* {problem}"):
            pull(url, copy, settings=QUICK)
        assert not (copy / "manifest.json").exists()  # it is no cache yet
        assert not list(copy.glob("shards/*node1*"))
        assert len(list(copy.glob("shards/*.lmdb"))) == 1  # the others are there
    s3.pipe_file(place, good)
    assert "shards/node0-0of2-4711.lmdb" not in pull(url, copy, settings=QUICK).sent
    assert content(copy) == content(shared_cache)


def test_a_store_without_rights(s3_endpoint: str, url: str, shared_cache: Path, tmp_path: Path) -> None:
    push(shared_cache, url)
    _allow(s3_endpoint, "0")
    try:
        for action in (lambda: pull(url, tmp_path / "b.cache"), lambda: push(shared_cache, url)):
            with pytest.raises(StoreError, match=r"no rights to read 'contents\.json' of s3://caches/") as caught:
                action()
            assert "AWS_PROFILE" in caught.value.hint
            assert "secret" not in str(caught.value)
    finally:
        _allow(s3_endpoint, "inf")


def _allow(endpoint: str, requests: str) -> None:
    """After so many requests, the server checks who asks."""
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", requests.encode(), headers, method="POST")
    urllib.request.urlopen(request).close()


def test_no_bucket_and_no_cache(url: str, shared_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no s3://nowhere") as caught:
        push(shared_cache, "s3://nowhere/a.cache")
    assert "aws s3 mb s3://nowhere" in caught.value.hint
    with pytest.raises(StoreError, match=r"s3://nowhere: there is no such bucket"):
        pull("s3://nowhere/a.cache", tmp_path / "b.cache")
    push(shared_cache, url)
    with pytest.raises(StoreError, match=rf"no cache at .*; next to it are: .*{url.rpartition('/')[2]}"):
        pull("s3://caches/other.cache", tmp_path / "b.cache")
