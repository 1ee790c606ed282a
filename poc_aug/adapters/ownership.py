"""Whether anyone but the caller still holds an item: if not, it can be edited where it lies.

Most datasets decode a frame and forget it; copying it before the first write costs 4 ms on 2048x1024, more than all
the rest of a wrapped read. CPython's reference counts tell such items from those that a dataset keeps, as NumPy uses
them to reuse temporaries. Any further reference (a list, a cache, another thread's variable) counts, and the item is
then copied on the first write, as everywhere else.
"""

from __future__ import annotations

import sys
from typing import Any

from PIL import Image


def is_unshared(item: Any) -> bool:
    """Whether ``item``, held by one variable of the caller, is a plain tuple of PIL images that nobody else holds.

    Tensors and arrays never are: their memory may be shared although they are not.
    """
    if _BASELINE is None or type(item) is not tuple or len(item) != 2:
        return False
    if not all(isinstance(leaf, Image.Image) for leaf in item):
        return False
    return all(seen <= alone for seen, alone in zip(_references(item), _BASELINE, strict=True))


def _references(item: Any) -> list[int]:
    return [sys.getrefcount(item), sys.getrefcount(item[0]), sys.getrefcount(item[1])]


def _outer(item: Any) -> list[int]:
    return _references(item)  # as deep as in `is_unshared`


def _baseline() -> list[int] | None:
    """The counts of an item that is held by one variable; ``None`` where counts say nothing."""
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or free_threaded:
        return None
    item = (Image.new("L", (1, 1)), Image.new("L", (1, 1)))
    return _outer(item)


_BASELINE = _baseline()
