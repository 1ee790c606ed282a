"""Exceptions that are not this package's own, as one line for the user: what failed, and what to do about it."""

from __future__ import annotations

import errno
import re

from poc_aug.errors import PocAugError, in_one_line

_DEBUG = "run the same command with --debug for the traceback"
_IN_A_WORKER = "Original Traceback (most recent call last)"
# The last line of a traceback, and what follows it: "package.module.SomeError: what went wrong".
_LAST_LINE = re.compile(r"^(?:\w+\.)*\w+(?::[ \n]|$)", re.MULTILINE)
_LONGEST = 400

_OS_STEPS = {
    errno.ENOSPC: ("a disk with room", "free some space, or give a path on another disk"),
    errno.EDQUOT: ("room in the disk quota", "free some space, or give a path on another disk"),
    errno.EFBIG: ("a file below the size limit of this process and disk", "see ulimit -f, or give another path"),
    errno.EROFS: ("a path that can be written", "give a path on a disk that is not read-only"),
    errno.EACCES: ("a path that this user may use", "check the permissions, or give another path"),
    errno.EPERM: ("a path that this user may use", "check the permissions, or give another path"),
    errno.ENAMETOOLONG: ("names of up to 255 bytes", "give a shorter path"),
    errno.ENOENT: ("a path that exists", "check the path"),
    errno.ENOTDIR: ("folders above the file", "check the path: a part of it is a file"),
    errno.EISDIR: ("a file", "give the path of a file, not of a folder"),
    errno.EMFILE: ("fewer open files", "raise the limit (ulimit -n 4096), or lower --workers"),
    errno.ELOOP: ("a path without circular links", "check the links in the path"),
}


class CommandError(PocAugError):
    """An exception that a command did not expect; its cause is that exception."""


def one_line(text: str) -> str:
    """A message without line breaks, shortened in its middle if it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


def explained(error: BaseException) -> PocAugError:
    """The exception as an error of this package, whose message is what a command prints.

    Args:
        error: anything that a command, or code of the user that it calls, may raise.

    Returns:
        The error itself if it is of this package; otherwise a `CommandError`.

    Example:
        >>> from poc_aug.cli.failures import explained
        >>> print(explained(FileNotFoundError(2, "No such file or directory", "frames")))
        'frames': No such file or directory
        Expected: a path that exists
        Next step: check the path
    """
    text = _from_worker(str(error) if isinstance(error, PocAugError) else _text(error))
    if isinstance(error, PocAugError):
        return error if text == str(error) else type(error)(text)
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        names = [repr(str(name)) for name in (error.filename, error.filename2) if name is not None]
        expected, hint = _OS_STEPS.get(error.errno, ("", _DEBUG))
        return CommandError(": ".join([*names[:1], error.strerror or one_line(text)]), expected=expected, hint=hint)
    if isinstance(error, MemoryError):
        return CommandError(
            f"out of memory ({one_line(text) or kind})",
            expected="more memory, or less to do at once",
            hint="smaller frames, or fewer workers: --workers 0",
        )
    if isinstance(error, RecursionError):
        return CommandError(f"a value is nested too deeply ({kind})", expected="fewer levels", hint=_DEBUG)
    if isinstance(error, ImportError):
        return CommandError(
            f"{kind}: {one_line(text)}", expected="the package to be installed", hint=f"install it, or {_DEBUG}"
        )
    if isinstance(error, UnicodeEncodeError):
        return CommandError(
            f"{one_line(ascii(error.object))} is not UTF-8", expected="paths and names in UTF-8", hint="rename it"
        )
    if isinstance(error, UnicodeError):
        return CommandError(f"text that cannot be read: {one_line(text)}", expected="UTF-8", hint=_DEBUG)
    if isinstance(error, SystemExit):
        return CommandError(
            f"code that this command called ended the process: sys.exit({error.code!r})",
            expected="a dataset, model or backend that returns or raises an error",
            hint=_DEBUG,
        )
    return CommandError(f"unexpected {kind}: {one_line(text)}".removesuffix(": "), hint=_DEBUG)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a __str__ of other code
        return in_one_line(error).partition(": ")[2]


def _from_worker(text: str) -> str:
    """The message of an exception that a loader process re-raised with its traceback, without that."""
    before, found, traceback = text.partition(_IN_A_WORKER)
    if not found:
        return text
    ends = list(_LAST_LINE.finditer(traceback))
    return traceback[ends[-1].end() :].strip() or traceback[ends[-1].start() :].strip() if ends else before.strip()
