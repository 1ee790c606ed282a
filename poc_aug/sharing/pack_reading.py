"""Reading a packed cache that a stranger may have made: which files it holds, and their bytes, never where they go.

Accepted are regular files with the names that a packed cache has, each once, stored without compression. So nothing is
written elsewhere, and no more than the archive holds.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from poc_aug.cache.regular_files import kind_of, open_regular
from poc_aug.errors import CacheFormatError, CacheNotFoundError
from poc_aug.files.stray_files import is_stray
from poc_aug.sharing.pack_members import is_member, is_member_folder

MOST_FILES = 100_000
"""Files in an archive: 100 TiB of shards."""

_LARGEST_HEADER = 1 << 20
_MOST_SHOWN = 200
_ENCRYPTED = 1
_FROM_SOURCE = "download the archive again from its source, and compare its SHA-256 with the published one"


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file of an archive: its name, its bytes, and where they are."""

    name: str
    nbytes: int
    place: object


class PackedFiles(Protocol):
    """An opened archive."""

    @property
    def files(self) -> tuple[PackedFile, ...]:
        """All files, in their order."""
        ...

    def open(self, file: PackedFile) -> IO[bytes]:
        """Open one of them for reading."""
        ...


@contextmanager
def opened_archive(path: Path) -> Iterator[PackedFiles]:
    """Open an archive or a folder, and check what it holds before anything is read.

    Raises:
        CacheNotFoundError: there is none.
        CacheFormatError: neither tar nor zip nor a folder; or it holds what no packed cache does, with its name.
        OSError: it cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise CacheNotFoundError(
            f"no archive {str(path)!r}",
            expected="a packed cache: a .tar or .zip file, or a folder",
            hint="check the path",
        ) from None
    if stat.S_ISDIR(mode):
        yield _OfFolder(path)
        return
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        if zipfile.is_zipfile(file):
            file.seek(0)
            with _reading(path), zipfile.ZipFile(file) as packed:
                yield _OfZip(packed, path)
        else:
            file.seek(0)
            with _reading(path), tarfile.open(fileobj=_Bounded(file), mode="r:") as tar:  # type: ignore[call-overload]
                yield _OfTar(tar, path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeError) as error:
        raise CacheFormatError(
            f"{str(path)!r} is not a whole tar or zip archive: {error}",
            expected="an archive as `poc-aug pack` makes it, not compressed",
            hint="decompress it if it was compressed afterwards, or download it again",
        ) from error


class _OfFolder:
    def __init__(self, root: Path) -> None:
        found: list[PackedFile] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
                name = f"{folder}/{entry.name}" if folder else entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode) and is_member_folder(name):
                    folders.append(name)
                elif stat.S_ISREG(mode) and is_member(name):
                    found.append(PackedFile(name, entry.stat().st_size, entry.path))
                elif stat.S_ISLNK(mode) or not is_stray(entry.name):
                    raise _foreign(root, name, kind_of(entry.path, mode) or "a file")
        self.files = _checked(found, root, None)

    def open(self, file: PackedFile) -> IO[bytes]:
        return os.fdopen(open_regular(Path(str(file.place)), os.O_RDONLY), "rb")


class _OfTar:
    def __init__(self, tar: tarfile.TarFile, path: Path) -> None:
        self._tar = tar
        found: list[PackedFile] = []
        for number, info in enumerate(tar):
            if number > 2 * MOST_FILES:  # folders, too
                raise _too_many(path)
            name = _plain(info.name)
            if info.isdir() and (not name or is_member_folder(name)):
                continue
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
                raise _foreign(path, info.name, _tar_kind(info))
            found.append(PackedFile(name, info.size, info))
        self.files = _checked(found, path, path.stat().st_size)

    def open(self, file: PackedFile) -> IO[bytes]:
        assert isinstance(file.place, tarfile.TarInfo)
        opened = self._tar.extractfile(file.place)
        assert opened is not None  # a regular file
        return opened


class _OfZip:
    def __init__(self, packed: zipfile.ZipFile, path: Path) -> None:
        self._zip = packed
        found: list[PackedFile] = []
        for info in packed.infolist():
            name = _plain(info.filename)
            if info.is_dir() and (not name or is_member_folder(name)):
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise _foreign(path, info.filename, "a link" if kind == stat.S_IFLNK else "a special file")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise _foreign(path, info.filename, "compressed")
            if info.flag_bits & _ENCRYPTED:
                raise _foreign(path, info.filename, "encrypted")
            found.append(PackedFile(name, info.file_size, info))
        self.files = _checked(found, path, path.stat().st_size)

    def open(self, file: PackedFile) -> IO[bytes]:
        assert isinstance(file.place, zipfile.ZipInfo)
        return self._zip.open(file.place)


class _Bounded:
    """A file of which nothing large is read at once: a header may say that it is as large as memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, nbytes: int = -1) -> bytes:
        if not 0 <= nbytes <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {nbytes} bytes")
        return self._file.read(nbytes)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


def _plain(name: str) -> str:
    """A name without the ``./`` and ``/`` that tar and zip put around names."""
    return name.removeprefix("./").removesuffix("/") if name != "." else ""


def _checked(files: list[PackedFile], path: Path, most_nbytes: int | None) -> tuple[PackedFile, ...]:
    if len(files) > MOST_FILES:
        raise _too_many(path)
    seen: set[str] = set()
    for file in files:
        if not is_member(file.name):
            raise _foreign(path, file.name, "a file")
        # Some file systems do not tell upper from lower case.
        if (folded := file.name.casefold()) in seen:
            raise _foreign(path, file.name, "twice")
        seen.add(folded)
    total = sum(file.nbytes for file in files)
    if most_nbytes is not None and total > most_nbytes:
        raise CacheFormatError(
            f"{str(path)!r} has {most_nbytes} bytes and says that its files have {total}",
            expected="files that do not overlap, none larger than the archive",
            hint=_FROM_SOURCE,
        )
    return tuple(files)


def _too_many(path: Path) -> CacheFormatError:
    return CacheFormatError(
        f"{str(path)!r} holds more than {MOST_FILES} files", expected="a packed cache", hint=_FROM_SOURCE
    )


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"a link to {info.linkname[:_MOST_SHOWN]!r}"
    return "a folder" if info.isdir() else "no regular file"


def _foreign(path: Path, name: str, what: str) -> CacheFormatError:
    return CacheFormatError(
        f"{str(path)!r} holds {name[:_MOST_SHOWN]!r}, {what}: nothing was unpacked",
        expected="only the files of a packed cache, each once, stored as they are",
        hint=_FROM_SOURCE,
    )
