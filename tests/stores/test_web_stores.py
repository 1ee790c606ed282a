"""Caches on web servers, which list nothing, with and without requests for a part of a file; addresses with secrets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from poc_aug.errors import StoreError
from poc_aug.stores import TransferSettings, local_copy, pull, push
from poc_aug.stores.copy_folder import CopyFolder
from poc_aug.stores.store_contents import CONTENTS, StoreContents
from tests.helpers.store_cases import QUICK, content
from tests.helpers.store_servers import CuttingProxy, web_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """What the servers show: a cache, and other things."""
    folder = tmp_path_factory.mktemp("web")
    push(shared_cache, f"file://{folder}/street.cache")
    (folder / "login.cache").mkdir()
    (folder / "login.cache" / "contents.json").write_text("<html><body>Log in first</body></html>")
    return folder


@pytest.fixture(params=[True, False], ids=["ranges", "whole files"])
def proxy(request: pytest.FixtureRequest, folder: Path) -> Iterator[CuttingProxy]:
    with web_server(folder, ranges=request.param) as endpoint:
        proxy = CuttingProxy(endpoint)
        yield proxy
        proxy.close()


def test_round_trip_with_cut_connections(proxy: CuttingProxy, shared_cache: Path, tmp_path: Path) -> None:
    proxy.cuts = [600, 50_000, 70_000]
    url = f"{proxy.endpoint}/street.cache"
    report = pull(url, tmp_path / "copy.cache", settings=QUICK)
    assert proxy.cut == 3
    assert len(report.sent) == 6
    assert content(tmp_path / "copy.cache") == content(shared_cache)
    before = proxy.answered
    assert pull(url, tmp_path / "copy.cache", settings=QUICK).sent == ()
    assert proxy.answered - before < 5_000  # its list


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole files"])
@pytest.mark.parametrize("is_right", [True, False], ids=["right", "wrong"])
def test_a_part_that_is_there(ranges: bool, is_right: bool, folder: Path, shared_cache: Path, tmp_path: Path) -> None:
    """It is continued, or begun again if a server cannot; a wrong one, as after a power cut, is fetched again."""
    copy = tmp_path / "copy.cache"
    contents = StoreContents.parse((folder / "street.cache" / CONTENTS).read_bytes(), "")
    file = contents.files["shards/node0-0of2-4711.lmdb"]
    data = (shared_cache / file.name).read_bytes()
    CopyFolder(copy).part(file).write_bytes(data[:100_000] if is_right else bytes(100_000))
    with web_server(folder, ranges=ranges) as endpoint:
        proxy = CuttingProxy(endpoint)
        pull(f"{proxy.endpoint}/street.cache", copy, settings=QUICK)
        proxy.close()
    assert content(copy) == content(shared_cache)
    expected = contents.nbytes
    if ranges:
        expected += -100_000 if is_right else len(data) - 100_000
    assert expected < proxy.answered < expected + 10_000


def test_what_is_no_cache(folder: Path, tmp_path: Path) -> None:
    with web_server(folder, ranges=True) as endpoint:
        with pytest.raises(StoreError, match=r"no cache at .*; a web server does not say what is there"):
            pull(f"{endpoint}/other.cache", tmp_path / "a.cache")
        with pytest.raises(StoreError, match=r"contents\.json of .* is not JSON .*begins with b'<html>"):
            pull(f"{endpoint}/login.cache", tmp_path / "a.cache")
        with pytest.raises(StoreError, match="nothing can be pushed to http://"):
            push(folder / "street.cache", f"{endpoint}/new.cache")


def test_a_store_that_cannot_be_reached(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = TransferSettings(attempts=2, first_wait_s=0)
    with web_server(folder, ranges=True) as endpoint:
        url = f"{endpoint}/street.cache"
        copy = local_copy(url)
    with pytest.raises(StoreError, match="tried 2 times without getting further"):
        pull(url, tmp_path / "b.cache", settings=settings)
    assert local_copy(url, settings=settings) == copy  # complete: training goes on
    assert f"the copy in {copy}, which was complete, is used" in caplog.text
    next(copy.glob("shards/*.lmdb")).unlink()
    with pytest.raises(StoreError, match="tried 2 times"):
        local_copy(url, settings=settings)


def test_a_stopped_pull_ends_every_transfer(folder: Path, tmp_path: Path) -> None:
    with web_server(folder, ranges=True) as endpoint:

        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pull(f"{endpoint}/street.cache", tmp_path / "a.cache", progress=stop)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("transfer")]


@pytest.mark.parametrize("is_refused", [True, False])
def test_no_secret_is_shown(is_refused: bool, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with web_server(folder, ranges=True) as endpoint:
        host = endpoint.removeprefix("http://") if not is_refused else "127.0.0.1:9"
        url = f"http://anna:pass-word@{host}/nothing.cache?X-Amz-Signature=1b2c3d&token=hidden"
        with pytest.raises(StoreError) as caught:
            pull(url, tmp_path / "a.cache", settings=TransferSettings(attempts=1))
        error: BaseException | None = caught.value
        text = caplog.text
        while error is not None:
            text += f"{error} {error!r}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert f"http://{host}/nothing.cache" in text
    assert not [secret for secret in ("pass-word", "1b2c3d", "hidden", "anna") if secret in text]


def test_a_signed_address_reads_every_file(folder: Path, shared_cache: Path) -> None:
    with web_server(folder, ranges=True) as endpoint:
        first = local_copy(f"{endpoint}/street.cache?signature=1")
        assert content(first) == content(shared_cache)
        assert local_copy(f"{endpoint}/street.cache?signature=2") == first  # one copy, however it was signed
