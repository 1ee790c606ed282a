"""Claims on variants: several generation processes that fill one cache never make the same variant twice.

A claim is a lock on one byte of a file beside the shards, at a place that is a hash of the variant's name. The kernel
gives it back when its process ends, however that ends, so there are no stale claims. Two variants share a byte with a
probability of one in 2^62; one then waits for the other.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from poc_aug.cache.shard import SHARDS
from poc_aug.seeding import derive_seed

CLAIMS = "claims"


class Claims:
    """The claims of this process on the variants of one cache; one instance a process.

    Args:
        cache: the ``NAME.cache`` directory.
    """

    def __init__(self, cache: Path) -> None:
        path = cache / SHARDS / CLAIMS
        path.parent.mkdir(exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, key: str, index: int) -> bool:
        """Claim a variant; ``False`` where another process has claimed it."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key, index))
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
            return False
        return True

    def give_back(self, key: str, index: int) -> None:
        """Give a claim back; one that is not held does nothing."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _place(key, index))

    def close(self) -> None:
        """Give all claims back."""
        os.close(self._fd)


def _place(key: str, index: int) -> int:
    return derive_seed("claim", key, index) >> 1
