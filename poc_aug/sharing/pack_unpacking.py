"""Unpacking an archive into a cache: every byte compared with the list of hashes, every record verified."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from poc_aug.cache import Cache
from poc_aug.cache.cache_path import absolute_path
from poc_aug.cache.index_building import update_index
from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.members import member_paths
from poc_aug.cache.shard import SHARDS
from poc_aug.errors import CacheCorruptError, CacheDiskError, CacheFormatError, SettingError
from poc_aug.files.outputs import writing
from poc_aug.sharing.pack_members import SUMS, read_sums, sums_text
from poc_aug.sharing.pack_reading import PackedFile, PackedFiles, opened_archive
from poc_aug.sharing.pack_work import put_in_place, work_folder

_CHUNK = 1 << 20
_LARGEST_LIST = 32 << 20
_AGAIN = "download the archive again from its source, and compare its SHA-256 with the published one"


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """What was unpacked: files and their bytes, and the records of all recipes, each of them verified."""

    files: int
    nbytes: int
    records: int
    recipes: int


def unpack_cache(
    archive: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> UnpackReport:
    """Unpack what `pack_cache` made: ``out`` is a verified cache, or does not exist.

    Args:
        archive: a tar or zip file, or a folder. It may come from anyone: only the files of a cache are taken, to where
            they belong.
        out: the ``NAME.cache`` directory, which may not exist yet.
        sha256: the SHA-256 of the archive that its source published; ``None``: only its own list of hashes counts,
            which whoever changes the archive can change, too.
        progress: called with the number of bytes unpacked and their total.

    Raises:
        CacheNotFoundError: no such archive.
        CacheFormatError: not a packed cache, or it holds what none does.
        CacheCorruptError: a file's hash is not the listed one, with its name; or a record is damaged.
        CacheDiskError: it does not fit on the disk.
        OutputError: ``out`` exists, or cannot be written.
        SettingError: ``sha256`` is none, or is given for a folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from poc_aug.cache import CacheWriter, Manifest
        >>> from poc_aug.sharing.packing import pack_cache
        >>> from poc_aug.types import Variant
        >>> with TemporaryDirectory() as folder:
        ...     with CacheWriter(f"{folder}/a.cache", Manifest.create({}, {}, {})) as writer:
        ...         _ = writer.put(Variant("a.png", 0, digest=b"", insertions=()))
        ...     _ = pack_cache(f"{folder}/a.cache", f"{folder}/a.tar")
        ...     unpack_cache(f"{folder}/a.tar", f"{folder}/b.cache").records
        1
    """
    source, target = absolute_path(archive), absolute_path(out)
    if sha256 is not None:
        _check_archive(source, sha256)
    with opened_archive(source) as packed, work_folder(target, "a cache") as work:
        sums = _listed_hashes(packed, source)
        files = [file for file in packed.files if file.name != SUMS]
        _check_room(files, work)
        content = work / "content"
        (content / SHARDS).mkdir(parents=True)
        total, done = sum(file.nbytes for file in files), 0
        for file in files:
            _extract(packed, file, content / file.name, sums[file.name], source)
            done += file.nbytes
            if progress is not None:
                progress(done, total)
        with writing(target):
            (content / SUMS).write_text(sums_text(sums), encoding="utf-8")
        records, recipes = _verify(content, source)
        put_in_place(content, target)
    return UnpackReport(len(files), total, records, recipes)


def _check_archive(archive: Path, sha256: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", wanted := sha256.strip().lower()):
        raise SettingError(
            f"sha256={sha256[:100]!r}",
            expected="64 hexadecimal digits",
            hint="`sha256sum` prints them",
            command="`sha256sum` prints them: --checksum",
        )
    if archive.is_dir():
        raise SettingError(
            f"sha256 with {str(archive)!r}, which is a folder",
            expected="an archive, a single file",
            hint="leave it out: the files of a folder are compared with its SHA256SUMS",
            command="leave --checksum out: the files of a folder are compared with its SHA256SUMS",
        )
    with writing(archive), archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise CacheCorruptError(
            f"{str(archive)!r} has the SHA-256 {found}, not {wanted}",
            expected="the archive that was published",
            hint="download it again from its source",
        )


def _listed_hashes(packed: PackedFiles, archive: Path) -> dict[str, str]:
    """The list of hashes; it names every file of the archive, and no other."""
    listed = next((file for file in packed.files if file.name == SUMS), None)
    names = {file.name for file in packed.files} - {SUMS}
    if listed is None or MANIFEST not in names:
        missing = SUMS if listed is None else MANIFEST
        raise CacheFormatError(
            f"{str(archive)!r} holds no {missing}",
            expected="a packed cache, as `poc-aug pack` makes it",
            hint="check that it is one; a cache that was only copied needs no unpacking",
        )
    if listed.nbytes > _LARGEST_LIST:
        raise CacheFormatError(f"{SUMS} has {listed.nbytes} bytes", expected="a list of hashes", hint=_AGAIN)
    with packed.open(listed) as file:
        sums = read_sums(file.read(listed.nbytes).decode("utf-8", "replace"))
    for name in sorted(names ^ sums.keys()):
        what = "has no hash in the list" if name in names else "is in the list of hashes, but not there"
        raise CacheCorruptError(f"{name!r} of {str(archive)!r} {what}", expected="a hash for each file", hint=_AGAIN)
    return sums


def _check_room(files: list[PackedFile], work: Path) -> None:
    needed, free = sum(file.nbytes for file in files), shutil.disk_usage(work).free
    if needed > free:
        raise CacheDiskError(
            f"the unpacked cache takes {needed} bytes, and {free} are free in {str(work.parent)!r}",
            expected="a disk with room for it",
            hint="make room, or choose another disk",
        )


def _extract(packed: PackedFiles, file: PackedFile, target: Path, wanted: str, archive: Path) -> None:
    digest = hashlib.sha256()
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = target.open("xb")
    with copy, packed.open(file) as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
            with writing(target):
                copy.write(chunk)
        with writing(target):
            copy.flush()
            os.fsync(copy.fileno())
    if digest.hexdigest() != wanted:
        raise CacheCorruptError(
            f"{file.name!r} of {str(archive)!r} has the SHA-256 {digest.hexdigest()}, its list of hashes says {wanted}",
            expected="the bytes that were packed",
            hint=_AGAIN,
        )


def _verify(content: Path, archive: Path) -> tuple[int, int]:
    """Verify the cache and its members; how many records and recipes they have."""
    paths, records = member_paths(content), 0
    for path in paths:
        (path / SHARDS).mkdir(exist_ok=True)
        with Cache.open(path) as cache:
            report = cache.verify()
        records += report.records
        if report.problems:
            more = f", and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
            raise CacheCorruptError(
                f"{str(archive)!r} holds a damaged cache: {report.problems[0]}{more}",
                expected="a cache that passes `poc-aug verify`",
                hint="ask its source for another archive: its list of hashes fits, so this is what was packed",
            )
        update_index(path)
    return records, len(paths)
