"""Tests in which a loader process of torch dies in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from poc_aug.generation.frame_loading import _is_death


@contextmanager
def loaders_may_die() -> Iterator[None]:
    """Code in which loader processes die: drop torch's error where Python cannot raise it.

    torch raises the death of a loader process in its SIGCHLD handler, wherever the main thread is. In the callbacks of
    the garbage collector, which Hypothesis installs, and in ``__del__`` Python can only pass the error on to
    `sys.unraisablehook`, and pytest reports that as a failure. The code under test still has to raise: the loader
    finds the death by itself when it waits for a sample. Whatever else cannot be raised is pytest's, as ever.
    """
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is None or not _is_death(unraisable.exc_value):
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
