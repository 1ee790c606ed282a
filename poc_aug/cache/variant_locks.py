"""`VariantLocks`: several generation processes that fill one cache never generate the same variant twice.

A lock is held on one byte of a file next to the shards, at an offset that is a hash of the variant's key and index. The
kernel releases it when its process ends, however that ends, so no lock is ever stale. Two variants share a byte with a
probability of one in 2^62; one then waits for the other.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from poc_aug.cache.entries import CLAIMS
from poc_aug.cache.regular_files import open_regular
from poc_aug.cache.shard import SHARDS
from poc_aug.seeding import derive_seed


class VariantLocks:
    """The locks of this process on the variants of one cache; one instance per process.

    Args:
        cache: the ``NAME.cache`` directory.
    """

    def __init__(self, cache: Path) -> None:
        path = cache / SHARDS / CLAIMS
        path.parent.mkdir(exist_ok=True)
        self._fd = open_regular(path, os.O_RDWR | os.O_CREAT)

    def acquire(self, key: str, index: int) -> bool:
        """Lock a variant, without waiting; ``False`` if another process has locked it."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(key, index))
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
            return False
        return True

    def release(self, key: str, index: int) -> None:
        """Release a variant; one that is not locked stays as it is."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _offset(key, index))

    def close(self) -> None:
        """Release all variants."""
        os.close(self._fd)


def _offset(key: str, index: int) -> int:
    return derive_seed("claim", key, index) >> 1
