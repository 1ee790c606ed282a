"""Archives that somebody who means harm, or a broken disk, has made: refused by name, and nothing is written."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from poc_aug.cache.shard import shard_paths
from poc_aug.errors import CacheCorruptError, CacheFormatError, CacheNotFoundError, PocAugError
from poc_aug.sharing import pack_reading
from poc_aug.sharing.pack_members import SUMS, read_sums, sums_text
from poc_aug.sharing.pack_unpacking import unpack_cache
from poc_aug.sharing.packing import pack_cache
from tests.helpers.cache_cases import make_cache

SHARD = "shards/packed-"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One cache, packed in each form."""
    folder = tmp_path_factory.mktemp("packed")
    cache = make_cache(folder / "a.cache")
    paths = {form: folder / f"a{suffix}" for form, suffix in (("tar", ".tar"), ("zip", ".zip"), ("folder", ""))}
    for path in paths.values():
        pack_cache(cache, path)
    return paths


def files_of(packed: dict[str, Path]) -> dict[str, bytes]:
    with tarfile.open(packed["tar"]) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def with_sums(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with a list of hashes that fits them, as an attacker would make it."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != SUMS}
    return {**files, SUMS: sums_text(sums).encode()}


def make_tar(path: Path, files: dict[str, bytes], *extra: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info, data in extra:
            tar.addfile(info, io.BytesIO(data))
    return path


def make_zip(path: Path, files: dict[str, bytes], *extra: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
        for info, data in extra:
            packed.writestr(info, data)
    return path


def make_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def assert_refused(archive: Path, kind: type[PocAugError], *named: str) -> None:
    """The archive is refused with these words, and nothing appears next to it."""
    before = sorted(archive.parent.iterdir())
    with pytest.raises(kind) as caught:
        unpack_cache(archive, archive.parent / "out.cache")
    for name in named:
        assert name in str(caught.value)
    assert sorted(archive.parent.iterdir()) == before
    assert not (archive.parent.parent / "escaped").exists()


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "shards/../../escaped",
        "/tmp/escaped",
        "shards/../manifest.json",
        "shards\\packed-0.lmdb",
        "shards/.hidden.lmdb",
        "shards/local-0.lock",
        "shards/deep/packed-0.lmdb",
        "recipes/../shards/a-0.lmdb",
        "journal/a.jsonl",
        "shards/a\nb.lmdb",
        "run.sh",
        "CON",
    ],
)
def test_names_that_no_packed_cache_has(
    tmp_path: Path, packed: dict[str, Path], make: Callable[..., Path], name: str
) -> None:
    files = with_sums(files_of(packed))
    assert_refused(make(tmp_path / "a.tar", {**files, name: b"x"}), CacheFormatError, repr(name))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_regular_file_in_a_tar(tmp_path: Path, packed: dict[str, Path], kind: bytes) -> None:
    info = tarfile.TarInfo("shards/z-0.lmdb")
    info.type, info.linkname = kind, "/etc/passwd"
    assert_refused(make_tar(tmp_path / "a.tar", files_of(packed), (info, b"")), CacheFormatError, "shards/z-0.lmdb")


def test_a_link_in_a_zip(tmp_path: Path, packed: dict[str, Path]) -> None:
    info = zipfile.ZipInfo("shards/z-0.lmdb")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", files_of(packed), (info, b"/etc/passwd"))
    assert_refused(archive, CacheFormatError, "shards/z-0.lmdb", "a link")


def test_links_in_a_folder(tmp_path: Path, packed: dict[str, Path]) -> None:
    for number, (name, target) in enumerate((("manifest.json", "/etc/passwd"), ("shards", "/tmp"), ("._a", "x"))):
        folder = tmp_path / str(number) / "packed"
        shutil.copytree(packed["folder"], folder)
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
        assert_refused(folder, CacheFormatError, name, "a link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["manifest.json", "shards/Z-0.lmdb"])
def test_names_that_come_twice(tmp_path: Path, packed: dict[str, Path], name: str) -> None:
    files = {**files_of(packed), "shards/z-0.lmdb": b""}
    twice = tarfile.TarInfo(name)
    assert_refused(make_tar(tmp_path / "a.tar", files, (twice, b"")), CacheFormatError, name, "twice")
    assert_refused(make_zip(tmp_path / "b.zip", files, (zipfile.ZipInfo(name), b"")), CacheFormatError, name, "twice")


def test_a_compressed_file_in_a_zip(tmp_path: Path, packed: dict[str, Path]) -> None:
    info = zipfile.ZipInfo("shards/z-0.lmdb")
    info.compress_type = zipfile.ZIP_DEFLATED
    archive = make_zip(tmp_path / "a.zip", files_of(packed), (info, bytes(50 << 20)))
    assert archive.stat().st_size < 1 << 20
    assert_refused(archive, CacheFormatError, "shards/z-0.lmdb", "compressed")


def test_files_that_overlap_in_a_zip(tmp_path: Path, packed: dict[str, Path]) -> None:
    """Many names for the same bytes: a small archive that would fill a disk."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        for name, data in files_of(packed).items():
            made.writestr(name, data)
        made.writestr("shards/z-0.lmdb", bytes(100_000))
        first = made.getinfo("shards/z-0.lmdb")
        for number in range(1, 50):
            other = zipfile.ZipInfo(f"shards/z-{number}.lmdb")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(other, field, getattr(first, field))
            made.filelist.append(other)
            made.NameToInfo[other.filename] = other
    assert_refused(tmp_path / "a.zip", CacheFormatError, "says that its files have")


def _header(name: bytes, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name.decode())
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
def test_sizes_that_are_not_there(tmp_path: Path, kind: bytes) -> None:
    """A header that says 8 TiB, of a file, of the names that follow, or of a sparse file."""
    archive = tmp_path / "a.tar"
    archive.write_bytes(_header(b"manifest.json", 8 << 40, kind) + bytes(4096))
    assert_refused(archive, CacheFormatError, "a.tar")


def test_too_many_files(tmp_path: Path, packed: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_reading, "MOST_FILES", 3)
    for form in ("tar", "zip", "folder"):
        with pytest.raises(CacheFormatError, match="more than 3 files"):
            unpack_cache(packed[form], tmp_path / "out.cache")
    folders = [tarfile.TarInfo("shards") for _ in range(8)]
    for info in folders:
        info.type = tarfile.DIRTYPE
    archive = make_tar(tmp_path / "a.tar", {}, *((info, b"") for info in folders))
    assert_refused(archive, CacheFormatError, "more than 3 files")


@pytest.mark.parametrize("make", [make_tar, make_zip, make_folder])
def test_every_tampered_file_is_named(tmp_path: Path, packed: dict[str, Path], make: Callable[..., Path]) -> None:
    files = files_of(packed)
    for number, name in enumerate(sorted(set(files) - {SUMS})):
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        place = tmp_path / str(number)
        place.mkdir()
        assert_refused(make(place / "a", {**files, name: bytes(changed)}), CacheCorruptError, repr(name), "SHA-256")


def test_lists_that_do_not_fit(tmp_path: Path, packed: dict[str, Path]) -> None:
    files = files_of(packed)
    sums = read_sums(files[SUMS].decode())
    cases: list[tuple[dict[str, bytes], type[PocAugError], str]] = [
        ({name: data for name, data in files.items() if name != SUMS}, CacheFormatError, SUMS),
        ({name: data for name, data in files.items() if name != "pack.json"}, CacheCorruptError, "pack.json"),
        ({**files, "shards/z-0.lmdb": b"x"}, CacheCorruptError, "shards/z-0.lmdb"),
        ({**files, SUMS: files[SUMS] * 2}, CacheFormatError, "holds the line"),
        ({**files, SUMS: sums_text({**sums, "../escaped": "0" * 64}).encode()}, CacheFormatError, "../escaped"),
        ({**files, SUMS: b"\xff\0"}, CacheFormatError, "holds the line"),
        (
            with_sums({name: data for name, data in files.items() if name != "manifest.json"}),
            CacheFormatError,
            "manifest",
        ),
        ({}, CacheFormatError, SUMS),
    ]
    for number, (changed, kind, named) in enumerate(cases):
        assert_refused(make_tar(tmp_path / f"{number}.tar", changed), kind, named)


def test_hostile_content_with_hashes_that_fit(tmp_path: Path, packed: dict[str, Path]) -> None:
    """Whoever packs can write any hash: then the cache in it is verified like any other."""
    files = files_of(packed)
    (shard,) = (name for name in files if name.startswith(SHARD))
    damaged = bytearray(files[shard])
    damaged[-200:] = bytes(200)
    cases = {
        shard: bytes(damaged),
        "shards/a-0.lmdb": b"not LMDB",
        "manifest.json": b'{"format": "poc_aug-cache"}',
        "recipes/abc/manifest.json": b"[" * 100_000,
    }
    for number, (name, data) in enumerate(cases.items()):
        archive = make_tar(tmp_path / f"{number}.tar", with_sums({**files, name: data}))
        assert_refused(archive, PocAugError)
    cut = files[shard][:4096]
    assert_refused(make_tar(tmp_path / "cut.tar", with_sums({**files, shard: cut})), PocAugError, "cut off")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_archives_that_are_cut_off(tmp_path: Path, packed: dict[str, Path], form: str) -> None:
    data = packed[form].read_bytes()
    for length in (0, 1, 100, 511, 513, len(data) // 3, len(data) // 2):
        archive = tmp_path / f"a{length}.{form}"
        archive.write_bytes(data[:length])
        assert_refused(archive, PocAugError)


def test_what_is_no_archive(tmp_path: Path, packed: dict[str, Path]) -> None:
    import gzip

    (tmp_path / "noise").write_bytes(os.urandom(5000))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(packed["tar"].read_bytes()))
    assert_refused(tmp_path / "noise", CacheFormatError, "not a whole tar or zip archive")
    assert_refused(tmp_path / "a.tar.gz", CacheFormatError, "decompress it")
    assert_refused(make_cache(tmp_path / "a.cache"), CacheFormatError)
    assert_refused(tmp_path / "nothing", CacheNotFoundError, "nothing")
    os.mkfifo(tmp_path / "pipe")
    assert_refused(tmp_path / "pipe", PocAugError, "pipe")


def test_an_archive_that_was_packed_again(tmp_path: Path, packed: dict[str, Path]) -> None:
    """`tar cf` of an unpacked folder has ``./`` before names, and folders; stray files of systems are skipped."""
    folder = tmp_path / "packed"
    shutil.copytree(packed["folder"], folder)
    (folder / ".DS_Store").write_text("stray")
    with tarfile.open(tmp_path / "again.tar", "w") as tar:
        tar.add(folder, arcname=".", filter=lambda info: None if "DS_Store" in info.name else info)
    for number, archive in enumerate((tmp_path / "again.tar", folder)):
        out = tmp_path / f"{number}.cache"
        assert unpack_cache(archive, out).records == 7
        assert len(shard_paths(out)) == 1
        assert not (out / ".DS_Store").exists()
