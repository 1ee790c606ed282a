"""Files and folders of results; if they cannot be written, an error names them and the obstacle."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TypeVar

from poc_aug.errors import OutputError, PocAugError

_Error = TypeVar("_Error", bound=PocAugError)
_ANOTHER = "give another path"


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents, if they do not exist.

    Raises:
        OutputError: it cannot be made.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     make_folder(Path(folder) / "runs" / "first").is_dir()
        True
    """
    folder = Path(path)
    _make(folder, folder)
    return folder


def _make(folder: Path, for_what: Path) -> None:
    """Make a folder; the error names what it is for."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _error(for_what, folder, error) from error


def check_outputs(folder: str | Path, *names: str, inside_cache: bool = False) -> Path:
    """Make a folder, and check that these files can be written into it, and that it is in no cache.

    Args:
        folder: the folder.
        names: the files.
        inside_cache: the folder is one that a cache keeps itself.

    Raises:
        OutputError: names what is in the way.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "report.json").mkdir()
        ...     check_outputs(folder, "report.json")
        Traceback (most recent call last):
        poc_aug.errors.OutputError: cannot write '...report.json': it is a folder
        Expected: the path of a file
        Next step: give another path, or remove what is in its way
    """
    made = Path(folder)
    for path in [] if inside_cache else [made / name for name in names] or [made]:
        check_outside_cache(path)
    _make(made, made / names[0] if names else made)
    for path in (made / name for name in names):
        with writing(path):
            try:
                mode = path.stat().st_mode
            except FileNotFoundError:
                with NamedTemporaryFile(dir=made, prefix=".poc-aug-"):  # whether there is room, and a permission
                    continue
            if stat.S_ISREG(mode) or stat.S_ISCHR(mode):  # /dev/null is fine; opening a FIFO waits for its reader
                with path.open("ab"):
                    continue
        what = "a folder" if stat.S_ISDIR(mode) else "a FIFO or another special file"
        raise OutputError(
            f"cannot write {str(path)!r}: it is {what}",
            expected="the path of a file",
            hint=f"{_ANOTHER}, or remove what is in its way",
        )
    return made


def check_outside_cache(path: str | Path, cache: str | Path | None = None) -> None:
    """Check that a file of results is not written into a cache, where it would replace or join the records.

    Args:
        path: the file or folder to be written.
        cache: the path of a cache that may not exist yet; others are noticed by what is in their folder.

    Raises:
        OutputError: the path is a cache, or inside one.

    Example:
        >>> check_outside_cache("street.cache/report.json", "street.cache")
        Traceback (most recent call last):
        poc_aug.errors.OutputError: cannot write 'street.cache/report.json': 'street.cache' is a cache
        Expected: a path outside of caches, which hold only what warm_cache writes
        Next step: give another path
    """
    place = Path(os.path.realpath(path))  # a link leads where it leads
    own = None if cache is None else Path(os.path.realpath(cache))
    for folder in (place, *place.parents):
        if folder == own or _is_cache(folder):
            raise OutputError(
                f"cannot write {str(path)!r}: {str(cache if folder == own else folder)!r} is a cache",
                expected="a path outside of caches, which hold only what warm_cache writes",
                hint=_ANOTHER,
            )


def _is_cache(folder: Path) -> bool:
    """Whether a folder has the files of a cache, whole or half-written."""
    try:
        inside = set(os.listdir(folder / "shards"))
        return os.path.lexists(folder / "manifest.json") or any(name.endswith(".lmdb") for name in inside)
    except OSError:  # no such folder, or one that nothing can be written into either
        return False


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Context of code that writes one file.

    Raises:
        OutputError: instead of any ``OSError``, naming the path.
    """
    try:
        yield
    except OSError as error:
        raise _error(Path(path), Path(path).parent, error) from error


@contextmanager
def writing_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write one of results to: it replaces the one at ``path`` at the end, whole, or not at all.

    Raises:
        OutputError: instead of any ``OSError``, naming the path.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with writing_whole(Path(folder) / "report.html") as file:
        ...         _ = file.write(b"<p>")
        ...     os.listdir(folder)
        ['report.html']
    """
    target = Path(os.path.realpath(path))  # of a link, what it leads to
    with writing(path):
        if target.exists() and not target.is_file():  # /dev/null
            with target.open("wb") as file:
                yield file
            return
        temporary = NamedTemporaryFile(dir=target.parent, prefix=".poc-aug-", delete=False)
        try:
            with temporary as file:
                yield file
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary.name, 0o666 & ~umask)
            os.replace(temporary.name, target)
        except BaseException:
            os.unlink(temporary.name)
            raise


def unwritable(path: Path, folder: Path, code: int | None, kind: type[_Error]) -> _Error | None:
    """The error if nothing can be written because of the path itself; otherwise ``None``.

    Args:
        path: the file or folder to be written.
        folder: the folder that it needs: itself, or its parent.
        code: the ``errno`` of the failure.
        kind: class of the error.
    """
    if code == errno.ENAMETOOLONG:
        return kind(
            f"cannot write {str(path)!r}: a name in it is too long",
            expected="names of up to 255 bytes, the limit of file systems",
            hint="give a shorter path",
        )
    in_the_way = obstacle(folder)
    if not in_the_way:
        return None
    return kind(
        f"cannot write {str(path)!r}: {in_the_way}",
        expected="a folder, or nothing yet",
        hint=f"{_ANOTHER}, or remove what is in its way",
    )


def _error(path: Path, folder: Path, error: OSError) -> OutputError:
    return unwritable(path, folder, error.errno, OutputError) or OutputError(
        f"cannot write {str(path)!r}: {error.strerror or error}",
        expected="a folder that this user may write to, on a disk with room",
        hint=f"check the path, its permissions and the disk, or {_ANOTHER}",
    )


def obstacle(path: Path) -> str:
    """What is at a path, or above it, instead of a folder: a file, or a broken link; otherwise ""."""
    for place in (*reversed(path.parents), path):
        try:
            mode = os.stat(place).st_mode
        except OSError:
            if os.path.islink(place):
                return f"{str(place)!r} is a link to {os.readlink(place)!r}, which is not there"
            return ""
        if not stat.S_ISDIR(mode):
            return f"{str(place)!r} is a file"
    return ""
