"""Looking at items without a trace: nothing is counted, drawn anew, generated in another process, or warned of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch

_peeking: ContextVar[bool] = ContextVar("poc_aug_peeking", default=False)


def is_peeking() -> bool:
    """Whether this thread only looks."""
    return _peeking.get()


@contextmanager
def peeking() -> Iterator[None]:
    """Read items in this context, of any datasets within each other, as if they were not read.

    The random numbers that a base dataset draws are the next ones afterwards, too.

    Example:
        >>> with peeking():
        ...     is_peeking()
        True
        >>> is_peeking()
        False
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - what a base may use
    token = _peeking.set(True)
    try:
        yield
    finally:
        _peeking.reset(token)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
