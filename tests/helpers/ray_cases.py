"""What the tests of many processes share: what kills its process, and what each shard of a cache holds."""

from __future__ import annotations

import faulthandler
import os
import time
from collections import Counter
from pathlib import Path

import lmdb

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import EllipseInserter, make_recipe
from tests.helpers.waiting import wait_until

FATAL = 6  # a crop is fatal if its seed is a multiple


def take_a_moment() -> None:
    time.sleep(0.01)


class Meet:
    """Waits, when it is called first, until a second process is there, so that one alone does not do all the work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> None:
        (self.folder / f"{os.getpid()}.met").touch()
        assert wait_until(lambda: len(list(self.folder.glob("*.met"))) >= 2)


class FatalInserter(EllipseInserter):
    """Raises at some crops, or crashes its process there as broken compiled code does."""

    def __init__(self, *, crashes: bool) -> None:
        super().__init__(reject=0.3)
        self.crashes = crashes

    def _one(self, crop: Crop) -> Filled | Rejection:
        if crop.seed % FATAL == 0:
            if self.crashes:
                faulthandler._sigsegv()  # type: ignore[attr-defined]
            raise RuntimeError("the kernel is too large")
        return super()._one(crop)


def fatal_pipeline(*, crashes: bool) -> InsertionPipeline:
    return InsertionPipeline(make_recipe(), FatalInserter(crashes=crashes), batch_size=4)


def records_by_shard(path: Path) -> dict[str, set[bytes]]:
    """The names of the records of each shard."""
    records = {}
    for file in sorted((path / "shards").glob("*.lmdb")):
        with (
            lmdb.open(str(file), subdir=False, readonly=True, lock=False, lib_version=0) as env,
            env.begin() as transaction,
        ):
            records[file.name] = set(transaction.cursor().iternext(values=False))
    return records


def doubles(path: Path) -> Counter[bytes]:
    """Records that are in more than one shard."""
    counts = Counter(name for names in records_by_shard(path).values() for name in names)
    return Counter({name: count for name, count in counts.items() if count > 1})
