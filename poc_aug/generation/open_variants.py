"""`OpenVariants`: which variants this process generates, and which another one has stored or is generating."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from poc_aug.cache.other_writers import OtherWriters
from poc_aug.cache.variant_locks import VariantLocks

_POLL_S = 0.1


class OpenVariants:
    """Claims variants one by one, so that several processes that fill one cache never make one twice.

    Args:
        cache: the ``NAME.cache`` directory.
        own: name of this process's writer.
        passed: shards that were sealed before it was looked up what is missing.

    Attributes:
        elsewhere: how many variants others have stored meanwhile.
        waiting: variants that another process is generating, as far as it was seen.
    """

    def __init__(self, cache: Path, own: str, passed: Iterable[str]) -> None:
        self._locks = VariantLocks(cache)
        self._others = OtherWriters(cache, passed)
        self._others.add_own(own)
        self.elsewhere = 0
        self.waiting: list[tuple[str, int]] = []

    def take(self, key: str, index: int) -> bool:
        """Claim a variant. ``False``: it is stored already, or another process has claimed it (``waiting``)."""
        if not self._locks.acquire(key, index):
            self.waiting.append((key, index))
            return False
        # Only now: whoever had claimed it before may have stored it.
        if self._others.hold(key, index):
            self._locks.release(key, index)
            self.elsewhere += 1
            return False
        return True

    def release(self, key: str, index: int) -> None:
        """Give a claim back: the variant is stored, or was not made."""
        self._locks.release(key, index)

    def wait(self, on_wait: Callable[[], None]) -> dict[str, list[int]]:
        """Wait until one of the variants that others are generating is stored, or its process has ended without it.

        Args:
            on_wait: called again and again while it waits.

        Returns:
            What can be claimed now, by key; empty if everything is stored.
        """
        while self.waiting:
            waited, self.waiting = self.waiting, []
            free: dict[str, list[int]] = {}
            for key, index in waited:
                if self.take(key, index):
                    self.release(key, index)  # claimed again when its frame is read
                    free.setdefault(key, []).append(index)
            if free:
                return free
            if self.waiting:
                on_wait()
                time.sleep(_POLL_S)
        return {}

    def close(self) -> None:
        """Give back all claims."""
        self._locks.close()
        self._others.close()
