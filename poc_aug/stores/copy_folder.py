"""The folder that a cache is pulled into: who pulls, what is on its way, what is there and right.

::

    NAME.cache/
      contents.json        what was pulled and checked, as the store's list had it
      manifest.json, shards/, ...
      .transfer/
        lock               held while a process pulls
        <hash>.part        a file on its way, continued by the next pull
        refused/           files that were changed here, or are no longer on the store's list
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from poc_aug.cache.entries import check_entries
from poc_aug.cache.manifest import MANIFEST, fsync_directory
from poc_aug.cache.regular_files import kind_of, open_regular
from poc_aug.errors import CacheFormatError, StoreError
from poc_aug.files.outputs import check_outside_cache, obstacle
from poc_aug.stores.store_contents import CONTENTS, MAX_CONTENTS_NBYTES, StoreContents, StoredFile
from poc_aug.stores.store_errors import transfer_disk_error

TRANSFER = ".transfer"
"""Folder of a pulled cache with its lock and what is on its way."""

HOME_VARIABLE = "POC_AUG_CACHE_HOME"


def default_copies_folder() -> Path:
    """The folder of local copies: ``$POC_AUG_CACHE_HOME/caches``, or ``~/.cache/poc_aug/caches``."""
    home = os.environ.get(HOME_VARIABLE) or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "poc_aug"
    )
    return Path(home).expanduser().absolute() / "caches"


class CopyFolder:
    """The folder that a cache is pulled into.

    Args:
        path: the ``NAME.cache`` directory, absolute; it need not exist yet.

    Raises:
        CacheFormatError: something else is there, or it holds links.
        CacheDiskError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.transfer = path / TRANSFER
        if in_the_way := obstacle(path):
            raise CacheFormatError(
                f"cannot pull to {str(path)!r}: {in_the_way}",
                expected="a path for a new copy, or an earlier one",
                hint="pull to another path",
                command="pull to another path: --out",
            )
        try:
            check_outside_cache(path.parent)
            path.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in path.iterdir()}
            if names and not names & {MANIFEST, TRANSFER}:
                raise CacheFormatError(
                    f"{str(path)!r} is not a cache and not empty; it holds: {', '.join(sorted(names)[:10])}",
                    expected="a path for a new copy, or an earlier one",
                    hint="pull to another path",
                    command="pull to another path: --out",
                )
            self._make(self.transfer)
            check_entries(path)
        except OSError as error:
            raise transfer_disk_error(path, error) from error

    @contextlib.contextmanager
    def locked(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the folder; while another process does, ``on_wait`` is called once with who that is."""
        try:
            fd = open_regular(self.transfer / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise transfer_disk_error(self.path, error) from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
                on_wait(f"waiting for {holder}, which pulls to {self.path}")
                fcntl.flock(fd, fcntl.LOCK_EX)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # closing is not enough if a child was forked meanwhile
            os.close(fd)

    def former(self) -> StoreContents | None:
        """The list of what was pulled before; ``None`` if nothing was, or the list is damaged."""
        try:
            with open(open_regular(self.path / CONTENTS, os.O_RDONLY), "rb") as file:
                return StoreContents.parse(file.read(MAX_CONTENTS_NBYTES), str(self.path))
        except FileNotFoundError:
            return None
        except StoreError:  # every file is compared with the store's list instead
            return None

    def has_all(self, contents: StoreContents) -> bool:
        """Whether every file of a list is there, with its size; a manifest may be another one of the same recipe."""
        sizes = ((file, self._size(file.name)) for file in contents)
        return all(size == file.nbytes or (file.is_manifest and size is not None) for file, size in sizes)

    def missing(self, contents: StoreContents, former: StoreContents | None) -> list[StoredFile]:
        """The files of a list that are not there, or no longer right; those are set aside.

        Raises:
            StoreError: a file of that name is there that was never pulled.
        """
        found = []
        for file in contents:
            before = None if former is None else former.get(file.name)
            size = self._size(file.name)
            if size is None:
                found.append(file)
            elif file.is_manifest:  # of the same recipe: the caller has compared them
                continue
            elif file.is_same(before) and size == file.nbytes:
                continue
            elif size == file.nbytes and file_sha256(self.path / file.name) == file.sha256:
                continue
            elif before is None:
                raise StoreError(
                    f"{str(self.path / file.name)!r} is another file than {file.what} of the store",
                    expected="a new path, or an earlier copy of the same cache",
                    hint="pull to another path; `poc-aug merge` unites the two; or delete that file, if it is damaged",
                )
            else:
                if file.is_same(before):  # changed here, or damaged
                    self._set_aside(file)
                found.append(file)
        return found

    def part(self, file: StoredFile) -> Path:
        """Where a file is while it is on its way."""
        return self.transfer / f"{hashlib.sha256(f'{file.sha256} {file.name}'.encode()).hexdigest()[:32]}.part"

    def check_room(self, files: list[StoredFile]) -> None:
        """Check that the disk has room for files.

        Raises:
            CacheDiskError: it has not.
        """
        there = sum(self.part(file).stat().st_size for file in files if self.part(file).is_file())
        needed = sum(file.nbytes for file in files) - there
        if needed > (free := shutil.disk_usage(self.path).free):
            error = OSError(None, f"{needed / 1e6:.1f} MB are to come, {free / 1e6:.1f} MB are free")
            error.strerror = str(error.args[1])
            raise transfer_disk_error(self.path, error)

    def place(self, file: StoredFile) -> None:
        """Put a file that has come whole, and was checked, in its place."""
        target = self.path / file.name
        try:
            self._make(target.parent)
            self.part(file).replace(target)
            fsync_directory(target.parent)
        except OSError as error:
            raise transfer_disk_error(target, error) from error

    def retire(self, contents: StoreContents, former: StoreContents | None) -> None:
        """Set aside what was pulled before and is no longer listed: a cache that replaced the one there lacks it."""
        try:
            for file in former or ():
                if contents.get(file.name) is None and self._size(file.name) is not None:
                    self._set_aside(file)
        except OSError as error:
            raise transfer_disk_error(self.path, error) from error

    def finish(self, contents: StoreContents) -> None:
        """Note what is there, and remove parts that no list names any longer."""
        temporary = self.transfer / f"{CONTENTS}.new"
        try:
            with open(open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
                file.write(contents.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / CONTENTS)
            for part in self.transfer.glob("*.part"):
                part.unlink()
        except OSError as error:
            raise transfer_disk_error(self.path, error) from error

    def _set_aside(self, file: StoredFile) -> None:
        folder = self.transfer / "refused"
        self._make(folder)
        flat = file.name.replace("/", "~")
        number = sum(entry.name.startswith(f"{flat}.") for entry in folder.iterdir())
        (self.path / file.name).replace(folder / f"{flat}.{number}")

    def _size(self, name: str) -> int | None:
        try:
            fd = open_regular(self.path / name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise transfer_disk_error(self.path / name, error) from error
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _make(self, folder: Path) -> None:
        """Make a folder below the cache, none of whose parts is a link."""
        place = self.path
        for part in folder.relative_to(self.path).parts:
            place /= part
            place.mkdir(exist_ok=True)
            if place.is_symlink() or not place.is_dir():
                raise CacheFormatError(
                    f"{str(place)!r} is {kind_of(place, place.lstat().st_mode)}",
                    expected="a folder",
                    hint="delete it, and pull again",
                )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        CacheFormatError: it is no regular file.
        OSError: it cannot be read.

    Example:
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile() as file:
        ...     file_sha256(Path(file.name))[:8]
        'e3b0c442'
    """
    with open(open_regular(path, os.O_RDONLY), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
