"""Files and folders of results: where they cannot be written, an error names them, and what is in the way."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from poc_aug.errors import OutputError, PocAugError

Kind = TypeVar("Kind", bound=PocAugError)
_ANOTHER = "give another path"


def make_folder(path: str | Path) -> Path:
    """Make a folder and those above it, where they are not there.

    Raises:
        OutputError: it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _error(folder, folder, error) from error
    return folder


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Around what writes one file.

    Raises:
        OutputError: instead of any ``OSError``, naming the path.
    """
    try:
        yield
    except OSError as error:
        raise _error(Path(path), Path(path).parent, error) from error


def unwritable(path: Path, folder: Path, code: int | None, kind: type[Kind]) -> Kind | None:
    """The error where a path itself is why nothing can be written at it; else ``None``.

    Args:
        path: what was to be written.
        folder: the folder that it needs: itself, or the one above.
        code: the ``errno`` that was seen.
        kind: class of the error.
    """
    if code == errno.ENAMETOOLONG:
        return kind(
            f"cannot write {str(path)!r}: a name in it is too long",
            expected="names of up to 255 bytes, as file systems take them",
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
    """What stands where a folder is needed, on the way to a path or at it: a file, a link to nothing; else ""."""
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
