"""`RecentItems`: what was used last, up to so many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Name = TypeVar("_Name", bound=Hashable)
_Item = TypeVar("_Item")


class RecentItems(Generic[_Name, _Item]):
    """Items by name, of which the last ones that were used are kept; safe in several threads.

    Args:
        most_nbytes: bytes of all that are kept; the last one is kept in any case.
        nbytes_of: bytes of one.

    Example:
        >>> kept = RecentItems(3, len)
        >>> for text in ("a", "bb", "cc"):
        ...     kept.put(text, text)
        >>> kept.get("a"), kept.get("cc")
        (None, 'cc')
    """

    def __init__(self, most_nbytes: int, nbytes_of: Callable[[_Item], int]) -> None:
        self._most_nbytes, self._nbytes_of = most_nbytes, nbytes_of
        self._items: OrderedDict[_Name, _Item] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def get(self, name: _Name) -> _Item | None:
        """An item, which is now the last one that was used; ``None`` if it is not kept."""
        with self._lock:
            if name not in self._items:
                return None
            self._items.move_to_end(name)
            return self._items[name]

    def put(self, name: _Name, item: _Item) -> None:
        """Keep an item."""
        with self._lock:
            if name in self._items:
                self._nbytes -= self._nbytes_of(self._items.pop(name))
            self._items[name] = item
            self._nbytes += self._nbytes_of(item)
            while self._nbytes > self._most_nbytes and len(self._items) > 1:
                self._nbytes -= self._nbytes_of(self._items.popitem(last=False)[1])
