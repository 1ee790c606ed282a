"""Standard output and error of a command: closed or full ones end it without a traceback; warnings are one line."""

from __future__ import annotations

import io
import os
import select
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from poc_aug.cli.console import errors
from poc_aug.cli.failures import one_line

_FAILED = 1


@contextmanager
def standard_streams(*, show_warnings: bool) -> Iterator[None]:
    """Context of a whole command.

    Text that the terminal's encoding does not have is escaped. Closed descriptors 0 to 2 are opened as the null device,
    so that no file of the command gets their number. What is left in the buffer of standard output is written at the
    end, and a reader that has gone (``| head -1``), or a full disk, is found here rather than when Python shuts down.

    Args:
        show_warnings: print each warning as one line, without its line of code.
    """
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    shown = warnings.showwarning
    if show_warnings:
        warnings.showwarning = _one_line_warning
    try:
        yield
    finally:
        warnings.showwarning = shown
        _flush()


def is_broken(stream: TextIO | None) -> bool:
    """Whether a stream is a pipe whose reader has gone."""
    try:
        descriptor = -1 if stream is None else stream.fileno()
    except (OSError, ValueError):  # no file: the output of a test
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return descriptor >= 0 and any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def close_quietly(stream: TextIO | None) -> None:
    """Let all further output of a stream go nowhere."""
    if stream is None:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _open_closed() -> None:
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def _flush() -> None:
    """Write what standard output still holds; if it cannot be, say so (unless its reader has gone) and exit with 1."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not is_broken(sys.stdout):
            errors.print(f"error: cannot write the output: {error.strerror}", style="red")
        close_quietly(sys.stdout)
        sys.exit(_FAILED)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> Any:
    errors.print(f"warning: {one_line(str(message))}", style="yellow")
