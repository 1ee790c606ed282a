"""Writing a packed cache: as a tar or zip archive of which every byte is decided by its files, or as a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from poc_aug.cache.shard import SHARDS
from poc_aug.errors import SettingError
from poc_aug.sharing.pack_members import SUMS, sums_text

ArchiveForm: TypeAlias = Literal["tar", "zip", "folder"]

_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_CHUNK = 1 << 20
_MODE = 0o644
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_ON_UNIX = 3


def archive_form(out: Path) -> ArchiveForm:
    """What kind of archive a path names.

    Raises:
        SettingError: a compressed archive: records are compressed already.

    Example:
        >>> archive_form(Path("street.tar")), archive_form(Path("street"))
        ('tar', 'folder')
    """
    suffix = out.suffix.lower()
    if suffix in _COMPRESSED:
        raise SettingError(
            f"out={str(out)!r}",
            expected="a name that ends in .tar or .zip, or a folder; records are compressed already",
            hint="leave the suffix of the compression out",
            command="leave the suffix of the compression out: --out NAME.tar",
        )
    return "tar" if suffix == ".tar" else "zip" if suffix == ".zip" else "folder"


class _Container(Protocol):
    def add(self, name: str, path: Path) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class PackWriter:
    """Takes the files of a packed cache one by one, and ends with the list of their hashes.

    Args:
        place: the archive to make, or the folder.
        form: which of them.
        scratch: an existing folder for `add_text`.

    Attributes:
        sums: the SHA-256 of each file so far.
        sizes: its bytes.
    """

    def __init__(self, place: Path, form: ArchiveForm, scratch: Path) -> None:
        self._container: _Container = _Tar(place) if form == "tar" else _Zip(place) if form == "zip" else _Folder(place)
        self._scratch = scratch
        self.sums: dict[str, str] = {}
        self.sizes: dict[str, int] = {}

    def move(self, name: str, path: Path) -> None:
        """Add a file under a name, and remove it where it was."""
        self.add(name, path)
        path.unlink(missing_ok=True)

    def add(self, name: str, path: Path) -> None:
        """Add a copy of a file under a name."""
        with path.open("rb") as file:
            self.sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
            self.sizes[name] = os.fstat(file.fileno()).st_size
        self._container.add(name, path)

    def add_text(self, name: str, text: str) -> None:
        """Add a text file."""
        path = self._scratch / "text"
        path.write_bytes(text.encode("utf-8"))
        self.move(name, path)

    def finish(self) -> None:
        """Add the list of hashes, and close the archive: all of it is on disk."""
        self.add_text(SUMS, sums_text(self.sums))
        self._container.close()

    def abandon(self) -> None:
        """Close the archive as it is: it is about to be removed. After `finish`, this does nothing."""
        with suppress(OSError):  # the disk may be full, also for what is still buffered
            self._container.abandon()


class _Tar:
    def __init__(self, place: Path) -> None:
        self._file = place.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, path: Path) -> None:
        info = tarfile.TarInfo(name)  # no owner, no time
        info.size, info.mode = path.stat().st_size, _MODE
        with path.open("rb") as file:
            self._tar.addfile(info, file)

    def close(self) -> None:
        with self._file:
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())

    def abandon(self) -> None:
        self._file.close()


class _Zip:
    def __init__(self, place: Path) -> None:
        self._file = place.open("wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def add(self, name: str, path: Path) -> None:
        info = zipfile.ZipInfo(name, _ZIP_EPOCH)
        info.create_system, info.external_attr = _ON_UNIX, (0o100000 | _MODE) << 16
        info.file_size = path.stat().st_size
        with path.open("rb") as file, self._zip.open(info, "w") as packed:
            shutil.copyfileobj(file, packed, _CHUNK)

    def close(self) -> None:
        with self._file:
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())

    def abandon(self) -> None:
        self._zip.fp = None  # else its list of files is written when it is collected
        self._file.close()


class _Folder:
    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir()

    def add(self, name: str, path: Path) -> None:
        target = self._place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
            copy.flush()
            os.fsync(copy.fileno())
        target.chmod(_MODE)

    def close(self) -> None:
        (self._place / SHARDS).mkdir(exist_ok=True)

    def abandon(self) -> None:
        pass
