"""How files are transferred, and what a transfer did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from poc_aug.errors import SettingError

ByteProgress: TypeAlias = Callable[[int, int], None]
"""Called with bytes that are done and their total."""


@dataclass(frozen=True)
class TransferSettings:
    """How files are transferred.

    Attributes:
        attempts: how often a request is tried before its error is raised; the count begins again whenever bytes arrive.
        first_wait_s: seconds before the second attempt; doubled for each further one.
        chunk_nbytes: bytes per request; halved after each failed attempt.
        parallel: files at a time.
        storage_options: what the file system of `fsspec` is made with: ``{"profile": "team"}``.

    Example:
        >>> [TransferSettings(first_wait_s=0.5).wait_s(failures) for failures in (1, 2, 3)]
        [0.5, 1.0, 2.0]
    """

    attempts: int = 6
    first_wait_s: float = 0.5
    chunk_nbytes: int = 8 << 20
    parallel: int = 4
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("attempts", "chunk_nbytes", "parallel"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)!r}", expected="1 or more")
        if not self.first_wait_s >= 0:
            raise SettingError(f"first_wait_s={self.first_wait_s!r}", expected="0 or more seconds")

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        return float(min(self.first_wait_s * 2 ** (failures - 1), 60.0))

    def chunk_after(self, failures: int) -> int:
        """Bytes of the next request after so many failures."""
        return max(self.chunk_nbytes >> failures, min(self.chunk_nbytes, 1 << 16))


@dataclass(frozen=True)
class TransferReport:
    """What `push` or `pull` did.

    Attributes:
        place: where the files went: an address without secrets, or a path.
        files: number of files that the cache has there now.
        nbytes: their bytes.
        sent: names of the files that were transferred; the rest was there before.
        sent_nbytes: their bytes.
        being_written: shards that were left out, since a writer has them open.
        only_there: names of files at the target that this cache does not have; they stay.

    Example:
        >>> TransferReport("s3://bucket/a.cache", files=2, nbytes=4096, sent=("manifest.json",), sent_nbytes=900).sent
        ('manifest.json',)
    """

    place: str
    files: int
    nbytes: int
    sent: tuple[str, ...] = ()
    sent_nbytes: int = 0
    being_written: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()
