"""Names of shards: unique per run, so that the shards of several caches of one recipe can lie in one folder."""

from __future__ import annotations

import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path

from poc_aug.cache.shard import SHARDS, SUFFIX

_UNIQUE = re.compile(r".+-[0-9]{8}T[0-9]{9}-[0-9]+", re.ASCII)
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_HOST_CHARS = 40


def unique_name(cache: Path, job: str = "all") -> str:
    """A name for a new shard that no other run has: host, job, start in milliseconds, process.

    Args:
        cache: the ``NAME.cache`` directory that it is for.
        job: which part of the work it holds, such as "0of8".

    Example:
        >>> name = unique_name(Path("street.cache"), "0of8")
        >>> is_unique(name), is_unique("local-0")
        (True, False)
    """
    host = _NOT_ALLOWED.sub("-", socket.gethostname())[:_MOST_HOST_CHARS].lstrip("._-") or "host"
    while True:
        now = datetime.now(UTC)
        name = f"{host}-{job}-{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{os.getpid()}"
        # This process may have begun another one in the same millisecond; a container has pid 1 on every machine.
        if not any((cache / SHARDS / f"{name}{ending}").exists() for ending in (SUFFIX, ".lock")):
            return name


def is_unique(writer: str) -> bool:
    """Whether a shard's name is one that only one run ever writes to."""
    return _UNIQUE.fullmatch(writer) is not None
