"""The files of a cache that may be pushed: its manifests, sealed shards, journal, and on request rejected pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poc_aug.cache.entries import REJECTED, check_entries
from poc_aug.cache.lock import is_locked
from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.members import member_paths
from poc_aug.cache.shard import check_shard, read_error, shard_paths
from poc_aug.errors import StoreError
from poc_aug.files.stray_files import is_stray
from poc_aug.stores.copy_folder import file_sha256
from poc_aug.stores.store_contents import StoreContents, StoredFile

_JOURNAL = "journal"


@dataclass(frozen=True)
class PushedFiles:
    """Files of a cache that may be pushed.

    Attributes:
        paths: where they are, by their names in the cache.
        being_written: names of shards that a writer has open; they are not among them.
    """

    paths: dict[str, Path]
    being_written: tuple[str, ...]


def pushed_files(cache: Path, *, rejected: bool) -> PushedFiles:
    """The files of a cache that may be pushed.

    Args:
        cache: the ``NAME.cache`` directory.
        rejected: with the pictures of rejected attempts.

    Raises:
        CacheFormatError: it holds links, or a truncated shard.
        StoreError: a file whose name a cache on a store cannot have.
    """
    paths: list[Path] = []
    being_written: list[str] = []
    try:
        for member in member_paths(cache):
            check_entries(member, rejected=rejected)
            paths.append(member / MANIFEST)
            for shard in shard_paths(member):
                if is_locked(shard.with_suffix(".lock")):
                    being_written.append(shard.relative_to(cache).as_posix())
                elif check_shard(shard).transaction:  # a killed writer leaves one that holds nothing
                    paths.append(shard)
            paths += _files_in(member / _JOURNAL, "*")
            paths += _files_in(member / REJECTED, "*/*.png") if rejected else []
    except OSError as error:
        raise read_error(cache, error) from error
    names = {path.relative_to(cache).as_posix(): path for path in paths}
    _check_names(names, cache)
    return PushedFiles(names, tuple(being_written))


@dataclass(frozen=True)
class HashedFile:
    """Size and hash of a file of a cache, and what shows whether it was changed since.

    Attributes:
        file: name, size and hash.
        path: where it is.
        state: size, time and inode.
    """

    file: StoredFile
    path: Path
    state: tuple[int, ...]

    @classmethod
    def of(cls, name: str, path: Path) -> HashedFile | None:
        """Read a file; ``None`` if it was changed or removed meanwhile.

        Raises:
            CacheError: it cannot be read.
        """
        try:
            state = _state(path)
            hashed = cls(StoredFile(name, state[0], file_sha256(path)), path, state)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise read_error(path, error) from error
        return hashed if hashed.is_unchanged() else None

    def is_unchanged(self) -> bool:
        """Whether the file is still what was read."""
        try:
            return _state(self.path) == self.state
        except FileNotFoundError:
            return False


def _state(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return (state.st_size, state.st_mtime_ns, state.st_ino)


def _files_in(folder: Path, pattern: str) -> list[Path]:
    found = [path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink()]
    return sorted(path for path in found if not is_stray(path.name) and path.suffix not in (".lock", ".tmp"))


def _check_names(names: dict[str, Path], cache: Path) -> None:
    """Check names as whoever pulls does: what is refused there should not be sent."""
    try:
        StoreContents.parse(StoreContents(StoredFile(name, 0, "0" * 64) for name in names).to_bytes(), str(cache))
    except StoreError as error:
        raise StoreError(
            f"cache {str(cache)!r} cannot be pushed: {error.problem}",
            expected="files with the names that a writer gives them",
            hint="rename or remove that file",
        ) from error
