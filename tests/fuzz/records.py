"""Mutated records, decoded; and a share of them in caches, verified and read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import Dataset

from poc_aug import Cache, OodLabels, POCAugmentedDataset
from poc_aug.cache import decode_record
from poc_aug.cache.record_header import RecordError
from poc_aug.errors import CacheDatasetMismatchError, PocAugError, SchemaError
from tests.fuzz.children import CHUNK, run_cases
from tests.fuzz.mutations import CLASSES, SCHEMA, SHIFTED, frame, mutated
from tests.fuzz.outcome import Outcome, watched
from tests.helpers.stranger_cache import write_cache


class Frames(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """A dataset of one frame under many keys."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        sample = frame()
        self._item = sample.image, sample.labels.long()

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if index >= len(self.keys):
            raise IndexError(index)
        return self._item


def _decode(outcome: Outcome, seed: int, number: int) -> None:
    what, data = mutated(seed, number)
    with watched(outcome, number, what):
        try:
            decode_record(data, "frame" + SHIFTED, 0, CLASSES)
            outcome.counts["decoded"] += 1
        except RecordError:
            outcome.counts["refused"] += 1
        except Exception as error:
            outcome.counts["escaped"] += 1
            outcome.failures.append(f"record {number} of seed {seed}, {what}: {type(error).__name__}: {error}"[:500])


def _read(outcome: Outcome, seed: int, first: int, last: int, folder: Path) -> None:
    """Records of a whole chunk, in a cache: verified, then read through a dataset."""
    numbers = range(first, last)
    keys = {number: f"street/{number:07d}{SHIFTED}" for number in numbers}
    made = {key: mutated(seed, number, key) for number, key in keys.items()}
    path = folder / f"{first}.cache"
    write_cache(path, {key: data for key, (_, data) in made.items()})
    try:
        with Cache.open(path) as cache:
            with watched(outcome, first, "verify"):
                found = {problem.key for problem in cache.verify().problems}
            dataset = POCAugmentedDataset(
                cast(Dataset[Any], Frames(list(made))),
                cache,
                OodLabels(9),
                schema=SCHEMA,
                keys=list(made),
                p=1.0,
                on_miss="original",
            )
            for place, (number, (key, (what, _))) in enumerate(zip(numbers, made.items(), strict=True)):
                with watched(outcome, number, f"read: {what}"):
                    try:
                        dataset[place]
                        outcome.counts["read"] += 1
                    except (CacheDatasetMismatchError, SchemaError):  # a sound record of another frame
                        outcome.counts["of another frame"] += 1
                    except PocAugError as error:
                        outcome.counts["refused on reading"] += 1
                        if key not in found:
                            text = f"record {number} of seed {seed}, {what}: verify found nothing, reading: {error}"
                            outcome.failures.append(text[:500])
    except Exception as error:
        outcome.counts["escaped"] += 1
        text = f"records {first} to {last} of seed {seed}, in a cache: {type(error).__name__}: {error}"
        outcome.failures.append(text[:500])
    finally:
        shutil.rmtree(path)


def fuzz_records(records: int, seed: int, processes: int = 1, read_every: int = 10, progress: float = 0.0) -> Outcome:
    """Run mutated records 0 to ``records`` of a seed (`tests.fuzz.mutations.mutated`).

    Each ``read_every``-th chunk is also written to a cache, verified and read (0: none).
    """
    mutated(seed, 0)  # makes templates and bombs once for all children

    def case(outcome: Outcome, seed: int, number: int, folder: Path) -> None:
        _decode(outcome, seed, number)
        if read_every and (number + 1) % (CHUNK * read_every) == 0:
            _read(outcome, seed, number + 1 - CHUNK, number + 1, folder)

    return run_cases(case, records, seed, processes, progress)
