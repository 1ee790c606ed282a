"""Links, pipes and other foreign entries in a cache that a stranger made: nothing outside of it is read or written."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.beginning import remove_left_overs
from poc_aug.cache.entries import check_entries, unknown_entries
from poc_aug.cache.lock import FileLock, is_locked
from poc_aug.cache.regular_files import open_regular
from poc_aug.cache.variant_locks import VariantLocks
from poc_aug.errors import CacheFormatError
from poc_aug.inspection.rejected_sheet import rejected_of
from tests.helpers.cache_cases import make_cache, make_manifest, make_variant

PLACES = (
    "manifest.json",
    "shards",
    "shards/local-0.lmdb",
    "shards/local-0.lock",
    "shards/local-0.lmdb-lock",
    "shards/claims",
    "shards/.local-0.compact",
    "shards/other.lmdb",
    ".manifest.json.4711",
    "rejected",
    "notes.txt",
)
IN_REJECTED = ("rejected/no-room", "rejected/no-room/a.png", "rejected/no-room/.a.png.tmp")
"""Read and written for pictures only: opening a cache for reading does not list them."""


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # By a relative name: the paths of sockets are short.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "dangling link": (_link_to("/nowhere/at/all"), "a link to '/nowhere/at/all'"),
    "link to a device": (_link_to("/dev/zero"), "a link to '/dev/zero'"),
    "pipe": (_pipe, "a pipe"),
    "socket": (_socket, "a socket"),
}


@pytest.fixture(scope="module")
def _sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("sound") / "a.cache", 4)


@pytest.fixture
def path(_sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_sound, tmp_path / "a.cache"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Files of whoever opens the cache; `_untouched` compares them."""
    folder = tmp_path / "home"
    (folder / "sub").mkdir(parents=True)
    for name in ("victim.txt", "sub/.a.tmp", "sub/a.png", ".b.compact"):
        (folder / name).write_text("precious")
    return folder


def _untouched(home: Path) -> bool:
    found = {str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()}
    return found == dict.fromkeys(("victim.txt", "sub/.a.tmp", "sub/a.png", ".b.compact"), "precious")


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)


def _read(path: Path) -> None:
    Cache.open(path)


def _write(path: Path) -> None:
    CacheWriter(path, make_manifest())


def _create(path: Path) -> None:
    CacheWriter.create(path, make_manifest())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_an_entry_that_is_no_file_is_refused(path: Path, place: str, kind: str) -> None:
    make, named = KINDS[kind]
    _replace(path / place, make)
    for use in (_read, _write, _create, remove_left_overs):
        with pytest.raises(CacheFormatError) as caught:
            use(path)
        assert f"{place!r}, {named}" in str(caught.value)
        assert "delete it" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", IN_REJECTED)
def test_pictures_of_rejected_attempts_are_files_in_folders(path: Path, place: str, kind: str) -> None:
    make, named = KINDS[kind]
    _replace(path / place, make)
    with Cache.open(path) as cache, pytest.raises(CacheFormatError, match="rejected"):
        rejected_of(cache, 1)
    with pytest.raises(CacheFormatError) as caught:
        _write(path)
    assert f"{place!r}, {named}" in str(caught.value)


@pytest.mark.parametrize("place", [*PLACES, *IN_REJECTED])
@pytest.mark.parametrize("target", ["victim.txt", "sub", "created", "."])
def test_writing_follows_no_link(path: Path, home: Path, place: str, target: str) -> None:
    _replace(path / place, _link_to(str(home / target)))
    for use in (_write, _create, lambda path: CacheWriter(path, make_manifest(seed=9))):
        with pytest.raises(CacheFormatError, match="a link to"):
            use(path)
    assert _untouched(home)


@pytest.mark.parametrize("place", ["shards", ".manifest.json.1"])
def test_a_folder_without_a_manifest_may_hold_no_links_either(tmp_path: Path, home: Path, place: str) -> None:
    path = tmp_path / "begun.cache"
    path.mkdir()
    (path / place).symlink_to(home)
    with pytest.raises(CacheFormatError, match="a link to"):
        _write(path)
    assert _untouched(home)
    assert sorted(entry.name for entry in path.iterdir()) == [place]


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_opened_without_following_or_waiting(tmp_path: Path, home: Path, kind: str) -> None:
    lock = tmp_path / "a.cache" / "shards" / "local-0.lock"
    for make in (KINDS[kind][0], _link_to(str(home / "victim.txt")), _link_to(str(home / "created"))):
        _replace(lock, make)
        for use in (FileLock, is_locked, lambda path: open_regular(path, os.O_RDONLY)):
            with pytest.raises(CacheFormatError, match=r"local-0\.lock' is a (link|pipe|socket)"):
                use(lock)
    claims = lock.with_name("claims")
    _replace(claims, KINDS[kind][0])
    with pytest.raises(CacheFormatError, match="claims"):
        VariantLocks(tmp_path / "a.cache")
    temporary = tmp_path / "a.cache" / f".manifest.json.{os.getpid()}"
    _replace(temporary, _link_to(str(home / "victim.txt")))
    with pytest.raises(CacheFormatError, match="manifest"):
        make_manifest().write(tmp_path / "a.cache")
    manifest = tmp_path / "a.cache" / "manifest.json"
    _replace(manifest, KINDS[kind][0])
    with pytest.raises(CacheFormatError, match=r"manifest\.json' is a"):
        Manifest.read(tmp_path / "a.cache")
    assert _untouched(home)


@pytest.mark.parametrize("place", ["shards/local-0.lmdb", "shards/local-0.lock", "shards/claims", "manifest.json"])
def test_a_folder_in_the_place_of_a_file_is_named(path: Path, place: str) -> None:
    _replace(path / place, Path.mkdir)
    for use in (_read, _write):
        with pytest.raises(CacheFormatError, match=f"'{place}', a folder, not a file"):
            use(path)


@pytest.mark.parametrize("place", ["shards", "rejected"])
def test_a_file_in_the_place_of_a_folder_is_named(path: Path, place: str) -> None:
    _replace(path / place, Path.touch)
    for use in (_read, _write):
        with pytest.raises(CacheFormatError, match=f"'{place}', a file, not a folder"):
            use(path)


def test_all_wrong_entries_are_in_one_error(path: Path) -> None:
    for number in range(12):
        (path / "shards" / f"{number:02}.lock").symlink_to("/dev/zero")
    with pytest.raises(CacheFormatError, match=r"00\.lock.*09\.lock.*and 2 more"):
        check_entries(path)


def test_an_entry_that_goes_meanwhile_is_no_problem(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    @contextmanager
    def scandir_and_remove(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(folder) as scanned:
            entries = list(scanned)
        (path / "shards" / "local-0.pipe").unlink(missing_ok=True)
        yield entries

    for use in (check_entries, unknown_entries):
        os.mkfifo(path / "shards" / "local-0.pipe")
        assert unknown_entries(path) == [("shards/local-0.pipe", "a pipe, which is no shard of a cache")]
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", scandir_and_remove)
            assert not use(path)


def test_a_pipe_is_no_place_for_a_cache(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.cache")
    with pytest.raises(CacheFormatError, match="is a pipe"):
        _write(tmp_path / "a.cache")


def test_a_cache_that_is_reached_by_a_link_is_read_and_written(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.cache"
    link.symlink_to(path)
    with CacheWriter(link, make_manifest()) as writer:
        assert writer.put(make_variant(9))
    with Cache.open(link) as cache:
        assert len(cache) == 5
        assert cache.verify().ok


def _problems(path: Path) -> list[str]:
    with Cache.open(path) as cache:
        return list(map(str, cache.verify().problems))


def test_verify_names_what_is_no_file_of_a_cache(path: Path) -> None:
    (path / "shards" / "report.json").write_text("{}")
    (path / "shards" / "more").mkdir()
    assert _problems(path) == [
        "'shards/more': a folder, which is no shard of a cache",
        "'shards/report.json': a file, which is no shard of a cache",
    ]


def test_verify_takes_what_writers_and_tools_leave(path: Path) -> None:
    for name in ("claims", "b.lock", "b.lmdb-lock", ".b.compact", "._a.lmdb", ".DS_Store", "Thumbs.db", "b.lmdb"):
        (path / "shards" / name).touch()  # b.lmdb: its writer was killed before it held anything
    (path / "shards" / ".ipynb_checkpoints").mkdir()
    (path / "rejected" / "no-room").mkdir(parents=True)
    (path / "rejected" / "no-room" / "a.png").touch()
    assert _problems(path) == []


def test_verify_misses_the_folder_of_the_shards(path: Path, tmp_path: Path) -> None:
    shutil.rmtree(path / "shards")
    assert _problems(path) == ["'shards': the folder is missing, and with it every record"]
    CacheWriter.create(tmp_path / "begun.cache", make_manifest())  # holds nothing, and has lost nothing
    assert _problems(tmp_path / "begun.cache") == []


@pytest.mark.parametrize(
    "change", [{"fingerprint": "0" * 32}, {"recipe": {"seed": 123}}, {"backends": {"inserter": {"name": "\ud800"}}}]
)
def test_verify_computes_the_fingerprint(path: Path, change: dict[str, object]) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with Cache.open(path) as cache:
        problems = cache.verify().problems
    assert "is not the hash of the recipe and backends in it" in str(problems[0])
    assert problems[0].shard == "manifest.json"
