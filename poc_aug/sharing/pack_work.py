"""Outputs that appear at once: work goes on in a hidden folder next to them, which one process at a time holds."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poc_aug.cache.manifest import fsync_directory
from poc_aug.errors import OutputError
from poc_aug.files.outputs import check_outside_cache, writing


@contextmanager
def work_folder(out: Path, what: str) -> Iterator[Path]:
    """A folder to make ``out`` in, on the same disk; removed at the end, also after an error.

    What a killed process left there is removed first.

    Args:
        out: a file or folder that does not exist yet.
        what: what is being made, for errors: "an archive".

    Raises:
        OutputError: ``out`` exists, cannot be written, is inside a cache, or another process is making it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     out = Path(folder) / "a.txt"
        ...     with work_folder(out, "a text") as work:
        ...         _ = (work / "text").write_text("a")
        ...         put_in_place(work / "text", out)
        ...     [path.name for path in Path(folder).iterdir()]
        ['a.txt']
    """
    check_outside_cache(out)
    check_absent(out)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    work = out.with_name(f".{out.name}.partial")
    with writing(out):
        fd = _hold(work, out, what)
    try:
        with writing(out):
            _empty(work)
        yield work
    finally:
        # Before it is let go: whoever comes next makes a folder of its own.
        shutil.rmtree(work, ignore_errors=True)
        os.close(fd)


def check_absent(out: Path) -> None:
    """Check that nothing is at a path.

    Raises:
        OutputError: something is, or the path is none.
    """
    with writing(out):
        exists = os.path.lexists(out)
    if exists or not out.name:
        raise OutputError(
            f"{str(out)!r} exists already",
            expected="a path where nothing is yet: nothing is replaced",
            hint="give another path, or remove it first",
        )


def put_in_place(made: Path, out: Path) -> None:
    """Give what was made its final name, durably.

    Raises:
        OutputError: something has come to be there, or it cannot be written.
    """
    check_absent(out)
    with writing(out):
        made.rename(out)
        fsync_directory(out.parent)


def _hold(work: Path, out: Path, what: str) -> int:
    """A descriptor of the folder ``work``, locked."""
    while True:
        work.mkdir(exist_ok=True)
        fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(fd, work):
                return fd
        except BlockingIOError:
            os.close(fd)
            raise OutputError(
                f"{str(out)!r} is being written by another process",
                expected=f"one process that makes {what} at a path",
                hint="wait for it, or give another path",
            ) from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # the process that held it has removed it meanwhile


def _is_same(fd: int, work: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), work.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
