"""Too many open files: the limit by its name, whichever process has reached it."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import resource
from collections.abc import Iterator

from poc_aug.errors import GenerationProcessError

_TOO_MANY = (errno.EMFILE, errno.ENFILE)


def is_too_many_files(error: OSError) -> bool:
    """Whether an error says that this process, or the machine, has no file descriptor left."""
    return error.errno in _TOO_MANY


def too_many_files() -> GenerationProcessError:
    """The error for it, with this process and its limit."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    name = multiprocessing.current_process().name
    return GenerationProcessError(
        f"too many open files: ulimit -n is {limit} in process {os.getpid()} ({name})",
        expected="a descriptor for each file, worker and connection that is open",
        hint=f"raise the limit before training: ulimit -n {min(most, max(4096, 4 * limit)) if most > 0 else 4096}; or "
        "use fewer workers, and torch.multiprocessing.set_sharing_strategy('file_system')",
    )


@contextlib.contextmanager
def naming_too_many_files() -> Iterator[None]:
    """Turn the error of the system into one that names the limit.

    Raises:
        GenerationProcessError: there are too many open files.
    """
    try:
        yield
    except OSError as error:
        if is_too_many_files(error):
            raise too_many_files() from error
        raise
