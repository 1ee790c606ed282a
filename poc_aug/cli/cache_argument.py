"""A cache that a command reads: a path, or an address on a store, of which a local copy is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from poc_aug.cli.console import console, errors
from poc_aug.cli.progress_lines import progress
from poc_aug.stores import is_store_url, local_copy
from poc_aug.stores.transfer_settings import ByteProgress

CacheToRead = Annotated[
    str,
    typer.Argument(metavar="CACHE", help="Path of the cache, or its address on a store: s3://bucket/name.cache"),
]

CachesToRead = Annotated[
    list[str], typer.Argument(metavar="CACHE...", help="Paths of the caches, or their addresses on a store.")
]


def cache_to_read(cache: str | Path) -> Path:
    """The local path of a cache that a command was given; of an address, what is missing is fetched first.

    Raises:
        PocAugError: as `poc_aug.stores.local_copy`.
    """
    if isinstance(cache, str) and is_store_url(cache):
        with byte_progress() as show:
            return local_copy(cache, progress=show, on_wait=print_waiting)
    return Path(cache)


@contextmanager
def byte_progress() -> Iterator[ByteProgress]:
    """ByteProgress of a transfer in MB, with its rate."""
    with progress(console, "MB") as show:
        first: list[int] = []

        def show_bytes(done: int, total: int) -> None:
            first[:] = first or [done]
            show(round(done / 1e6), round(total / 1e6), before=round(first[0] / 1e6))

        yield show_bytes


def print_waiting(line: str) -> None:
    """Say what a command waits for."""
    errors.print(line, style="yellow", markup=False)
