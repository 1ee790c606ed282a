"""Lists and files that a stranger put on a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from poc_aug.cache.members import member_paths
from poc_aug.errors import CacheError, CacheFormatError, PocAugError, StoreError
from poc_aug.stores import pull, push
from poc_aug.stores.store_address import StoreAddress
from poc_aug.stores.store_contents import CONTENTS, StoreContents
from tests.helpers.store_cases import content

URL = "memory://hostile/a.cache"


@pytest.fixture(autouse=True)
def _pushed(shared_cache: Path) -> None:
    if (memory := fsspec.filesystem("memory")).exists("memory://hostile"):
        memory.rm("memory://hostile", recursive=True)
    push(shared_cache, URL)


def entries() -> list[dict[str, Any]]:
    return list(json.loads(fsspec.filesystem("memory").cat_file(f"{URL}/{CONTENTS}"))["files"])


def write(name: str, data: bytes) -> None:
    fsspec.filesystem("memory").pipe_file(f"{URL}/{name}", data)


def listed(files: object, **changes: Any) -> bytes:
    return json.dumps({"format": "poc_aug-contents", "version": 1, "files": files, **changes}).encode()


def one_more(**changes: Any) -> bytes:
    entry = {"name": "shards/new.lmdb", "nbytes": 5, "sha256": "0" * 64, **changes}
    return listed([*entries(), {name: value for name, value in entry.items() if value is not None}])


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "no JSON": lambda: b"{",
    "deep": lambda: b"[" * 100_000,
    "a list": lambda: b"[]",
    "other format": lambda: listed([], format="zip"),
    "newer version": lambda: listed([], version=2),
    "no files": lambda: listed([]),
    "files are a number": lambda: listed(5),
    "entries are numbers": lambda: listed([5]),
    "too many": lambda: listed([0] * 300_000),
    "huge size": lambda: one_more(nbytes=10**30),
    "negative size": lambda: one_more(nbytes=-1),
    "size is a text": lambda: one_more(nbytes="5"),
    "size is true": lambda: one_more(nbytes=True),
    "no size": lambda: one_more(nbytes=None),
    "no hash": lambda: one_more(sha256=None),
    "short hash": lambda: one_more(sha256="0" * 63),
    "hash in capitals": lambda: one_more(sha256="A" * 64),
    "no manifest": lambda: listed([entry for entry in entries() if entry["name"] != "manifest.json"]),
    "recipe without manifest": lambda: one_more(name="recipes/new/shards/a.lmdb"),
    "huge manifest": lambda: one_more(name="recipes/new/manifest.json", nbytes=1 << 30),
    "twice": lambda: listed([*entries(), entries()[0]]),
    "twice but for case": lambda: one_more(name="shards/NODE0-0of2-4711.lmdb"),
    "stored elsewhere": lambda: one_more(path="../../secret"),
    "stored under another hash": lambda: one_more(path=f"versions/{'1' * 64}"),
    "a name twice in one object": lambda: b'{"format": "poc_aug-contents", "format": "poc_aug-contents"}',
}
NAMES = (
    "../a.lmdb", "shards/../../a.lmdb", "/etc/passwd", "shards//a.lmdb", "shards/a.lmdb/", "shards/.a.lmdb", "a.lmdb",
    "shards/a.lock", "shards/a.lmdb-lock", "shards/a b.lmdb", "shards/a\n.lmdb", "shards/a\0.lmdb", "shards/ä.lmdb",
    "shards/-a.lmdb", "shards\\a.lmdb", "C:/a.lmdb", ".transfer/lock", "contents.json", "index.bin", "shards/claims",
    "recipes/../manifest.json", "recipes/a/b/manifest.json", "rejected/a/b/c.png", "rejected/a.exe", "journal/a/b", "",
    f"shards/{'a' * 300}.lmdb", "versions/" + "0" * 64, "shards/\u202ea.lmdb", "~/a.lmdb", "shards/a.lmdb\n",
)  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_lists(case: str, tmp_path: Path) -> None:
    refused(HOSTILE[case](), tmp_path)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names(name: str, tmp_path: Path) -> None:
    refused(one_more(name=name), tmp_path)


def refused(text: bytes, tmp_path: Path) -> None:
    write(CONTENTS, text)
    with pytest.raises(StoreError, match=r"contents\.json of memory://hostile/a\.cache ") as caught:
        pull(URL, tmp_path / "b.cache")
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 600
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_a_manifest_that_is_not_its_own(shared_cache: Path, tmp_path: Path) -> None:
    write("manifest.json", b"{}")
    with pytest.raises(StoreError, match=r"'manifest\.json' of memory://hostile/a\.cache is not what its list says"):
        pull(URL, tmp_path / "b.cache")
    files = [entry for entry in entries() if entry["name"] != "manifest.json"]
    digest = hashlib.sha256(b"{}").hexdigest()
    write(CONTENTS, listed([*files, {"name": "manifest.json", "nbytes": 2, "sha256": digest}]))
    with pytest.raises(CacheFormatError, match="is not a cache's manifest"):
        pull(URL, tmp_path / "b.cache")
    assert not (tmp_path / "b.cache" / "manifest.json").exists()


def test_a_shard_that_is_none(tmp_path: Path) -> None:
    data = b"no shard" * 100
    write("shards/new.lmdb", data)
    write(CONTENTS, one_more(nbytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(CacheFormatError, match=r"new\.lmdb' is not a shard"):
        pull(URL, tmp_path / "b.cache")


def test_links_in_the_local_folder_are_not_followed(shared_cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("shards", ".transfer", "recipes"):
        copy = tmp_path / f"{name}.cache"
        pull(URL, copy)
        folder = copy / name
        folder.rename(tmp_path / f"was-{name}")
        folder.symlink_to(other)
        with pytest.raises(CacheFormatError, match=f"{name}.*a link to"):
            pull(URL, copy)
    assert not list(other.iterdir())


def test_what_was_changed_here_is_set_aside(shared_cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "b.cache"
    pull(URL, copy)
    shard = copy / "shards" / "node0-0of2-4711.lmdb"
    shard.write_bytes(shard.read_bytes()[:5000])
    assert pull(URL, copy).sent == ("shards/node0-0of2-4711.lmdb",)
    assert [path.stat().st_size for path in copy.glob(".transfer/refused/*")] == [5000]
    assert content(copy) == content(shared_cache)


def test_folders_that_hold_something_else(shared_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CacheFormatError, match=r"is not a cache and not empty; it holds: thesis\.tex"):
        pull(URL, tmp_path)
    with pytest.raises(PocAugError, match=r"cannot pull to .*thesis\.tex. is a file"):
        pull(URL, tmp_path / "thesis.tex")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///", "https://", "s3://b/../c", "s3://b/%2e%2e/c", "s3://b/a b", "s3://b/a\n", "s3://b/*", "runs/a",
     "zip://a::s3://b/c", "s3://b/" + "a" * 3000, "https://user:pw@/a", "s3://b/ä", "s3://b/{x}", "memory://"],
    ids=ascii,
)  # fmt: skip
def test_hostile_addresses(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        StoreAddress.parse(url)
    assert "address" in caught.value.problem
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("url", ["nothing://b/a.cache", "c++://b/a.cache"])
def test_unknown_protocols(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Protocol not known"):
        pull(url, tmp_path / "b.cache")


def test_a_shard_of_another_name_cannot_be_pushed(shared_cache: Path, tmp_path: Path) -> None:
    pull(URL, tmp_path / "b.cache")
    shard = tmp_path / "b.cache" / "shards" / "node0-0of2-4711.lmdb"
    shard.rename(shard.with_name("my shard.lmdb"))
    with pytest.raises(StoreError, match=r"cannot be pushed: .*'shards/my shard\.lmdb'"):
        push(tmp_path / "b.cache", "memory://hostile/c.cache")


def test_names_that_are_pushed_are_names_that_are_pulled(shared_cache: Path) -> None:
    text = fsspec.filesystem("memory").cat_file(f"{URL}/{CONTENTS}")
    contents = StoreContents.parse(text, URL)
    assert len(contents.members()) == len(member_paths(shared_cache)) == 2
    assert issubclass(CacheFormatError, CacheError)
