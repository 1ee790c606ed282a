"""Caches for the tests of their upkeep: small ones of both kinds, with several recipes, damage, and killed commands."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poc_aug.cache import Cache, CacheWriter, Manifest
from poc_aug.cache.members import member_path, member_paths
from poc_aug.cache.registry import Environment
from poc_aug.cache.shard_names import unique_name
from poc_aug.types import Variant
from tests.helpers.cache_cases import Records, contents

MOST_STEPS = 500
_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def filled(path: Path, records: Records, numbers: range, manifest: Manifest | None = None) -> Path:
    """A sealed cache of these variants, in a shard of a unique name."""
    with CacheWriter(path, manifest or records.manifest(), writer=unique_name(path)) as writer:
        writer.put_many([records.make(number) for number in numbers])
    return path


def other_recipe(records: Records) -> Manifest:
    """The manifest of another recipe for the same dataset."""
    manifest = records.manifest()
    return Manifest.create(dict(manifest.recipe) | {"seed": 1}, manifest.backends, manifest.dataset)


def with_two_recipes(path: Path, records: Records, count: int = 9) -> Path:
    """A cache with a member of another recipe."""
    filled(path, records, range(count))
    manifest = other_recipe(records)
    filled(member_path(path, manifest.fingerprint), records, range(count), manifest)
    return path


def all_contents(path: Path) -> dict[str, dict[tuple[str, int], bytes | None]]:
    """All records of a cache, by the fingerprints of its recipes."""
    return {Manifest.read(member).fingerprint: contents(member) for member in member_paths(path)}


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_all(path: Path, *, journal: bool = True) -> dict[tuple[str, int], Variant | None]:
    """All variants as they are read."""
    with Cache.open(path, journal=journal) as cache:
        return {name: cache.get(*name) for name in cache}


def damage_record(cache: Path, *names: tuple[str, int]) -> None:
    """Change a byte of records, in every copy that their shard has of them."""
    records = contents(cache)
    for record in (records[name] for name in names):
        assert record is not None
        for shard in (cache / "shards").glob("*.lmdb"):
            # A large record lies in one piece on pages of its own, a small one in a leaf.
            shard.write_bytes(shard.read_bytes().replace(record, record[:-1] + bytes([record[-1] ^ 0xFF])))


def only_shard(cache: Path) -> Path:
    """The one shard of a cache."""
    (shard,) = (cache / "shards").glob("*.lmdb")
    return shard


def changed(variant: Variant, **changes: Any) -> Variant:
    """A variant with other fields."""
    return replace(variant, **changes)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A temporary folder, in memory where there is one: what is killed at each step writes to disk at each of them."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None, prefix="poc-aug-") as folder:
        yield Path(folder)


def killed_at_each_step(begin: Path, folder: Path, command: Callable[[Path], object]) -> list[Path]:
    """Run a command on copies of a folder, killed before its first step, its second one, and so on, then not at all.

    A step is whatever changes the names of files, opens one for writing, or commits records; each is counted before and
    after it happens.

    Args:
        begin: holds what the command works on; copied for each run.
        folder: for the copies.
        command: takes the copy.

    Returns:
        The copies as the killed commands left them, in order.
    """
    left: list[Path] = []
    for step in range(MOST_STEPS):
        copy = folder / f"killed-{step}"
        shutil.copytree(begin, copy)
        process = get_context("fork").Process(target=_killed, args=(step, lambda copy=copy: command(copy)))
        process.start()
        process.join()
        if process.exitcode == 0:
            shutil.rmtree(copy)
            return left
        assert process.exitcode == -signal.SIGKILL
        left.append(copy)
    raise AssertionError(f"not done after {MOST_STEPS} steps")


def _killed(step: int, command: Callable[[], object]) -> None:
    count = 0

    def add() -> None:
        nonlocal count
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in _EVENTS or writes:
            add()

    write = Environment.write

    def counted(self: Environment, change: Any) -> int:
        add()
        result = write(self, change)
        add()
        return result

    Environment.write = counted  # type: ignore[method-assign]
    sys.addaudithook(hook)
    command()
    os._exit(0)
