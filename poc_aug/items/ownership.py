"""Whether anyone but the caller still holds an item: if not, it can be edited in place.

Most datasets decode a frame and keep no reference to it. Copying it before the first write takes 4 ms on 2048x1024,
more than all the rest of a wrapped read. CPython's reference counts distinguish such items from those that a dataset
keeps; NumPy reuses temporaries in the same way. If anyone else can still reach the pixels, the item is copied on the
first write, as in every other case:

- another reference to the tuple or to an image: a list, a cache, a closure, a generator's or a thread's variable;
- a weak reference to an image: datasets cache frames in a `weakref.WeakValueDictionary`;
- another reference to an image's attributes, or to the core that holds its pixels: ``Image._new``, ``getdata()``,
  ``load()``, ``getim()`` and ``ImageDraw`` share it without a reference to the image.

Pixels in memory of another owner need no count: images of `Image.fromarray`, `Image.frombuffer`,
`Image.fromarrow` and of mapped files are read-only to Pillow, whose ``paste`` copies them first.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from PIL import Image


def is_unshared(item: Any) -> bool:
    """Whether ``item``, held by one variable of the caller, is a plain tuple of PIL images that nobody else can reach.

    It is False for tensors and arrays, whose memory may be shared although they are not, and for images of a class that
    is not Pillow's own, which may keep its pixels in more than one place.
    """
    if not _COUNTS_TELL or type(item) is not tuple or len(item) != 2:
        return False
    if not (_is_pillows(item[0]) and _is_pillows(item[1])):
        return False
    return _is_alone(item)


def _is_pillows(leaf: Any) -> bool:
    return isinstance(leaf, Image.Image) and type(leaf).__module__.partition(".")[0] == "PIL"


def _is_alone(item: Any) -> bool:
    return _references(item) == _ALONE and not (weakref.getweakrefcount(item[0]) or weakref.getweakrefcount(item[1]))


def _references(item: Any) -> tuple[int, ...]:
    # No leaf is put into a variable, which would add a reference.
    return (
        sys.getrefcount(item),
        sys.getrefcount(item[0]),
        sys.getrefcount(item[1]),
        sys.getrefcount(vars(item[0])),
        sys.getrefcount(vars(item[1])),
        _core_references(vars(item[0])),
        _core_references(vars(item[1])),
    )


def _core_references(attributes: dict[str, Any]) -> int:
    name = "_im" if "_im" in attributes else "im"  # Pillow before 11
    # A file that is not decoded yet has no pixels that anyone could share.
    return 2 if attributes.get(name) is None else sys.getrefcount(attributes[name])


# The item is held by the variables of the caller, `is_unshared`, `_is_alone` and `_references`, and by `getrefcount`'s
# argument; all others are held by their owner (tuple, image, attributes) and by that argument.
_ALONE = (5, 2, 2, 2, 2, 2, 2)


def _counts_tell() -> bool:
    """Whether an item that nobody else holds has just the counts that are expected.

    They do not without the GIL, which splits and defers counts per thread, nor from Python 3.14 on, whose interpreter
    borrows references of variables without counting them. Immortal objects (3.12) count as held by many. A debugger or
    profiler that keeps the variables of frames adds references: nothing then has the expected counts, and every item is
    copied.
    """
    without_gil = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or without_gil or sys.version_info >= (3, 14):
        return False
    item = (Image.new("L", (1, 1)), Image.new("L", (1, 1)))
    return _as_deep(item)


def _as_deep(item: Any) -> bool:
    return _is_alone(item)  # as deep as in `is_unshared`


_COUNTS_TELL = _counts_tell()
