"""``warm_cache``, killed at random moments: the same command goes on, and its cache is that of a run without kills."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import yaml

from poc_aug.cache import has_manifest
from poc_aug.cli.main import warm_cache_app
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.live_cases import equal, tensors
from tests.helpers.warming_cases import content

LENGTH, NUM_VARIANTS = 30, 3
_PER_CACHE = 10
_BOUND_S = 600.0


class SlowInserter(EllipseInserter):
    """Takes a while for each crop."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        time.sleep(0.005)
        return super()._one(crop)


def kill_warm(kills: int, folder: Path, *, seed: int) -> Counter[str]:
    """Kill the command so often, several times for each cache; returns counts of what was found.

    Raises:
        AssertionError: something was lost, damaged, different or left behind.
    """
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(make_recipe().to_dict()), encoding="utf-8")
    whole = folder / "whole.cache"
    began = time.monotonic()
    assert _finished(_start(recipe, whole, workers=0)) == 0
    whole_s = time.monotonic() - began
    expected, files, items = content(whole), _files(whole), _items(whole)
    assert len(expected) == LENGTH * NUM_VARIANTS
    moments, counts = random.Random(seed), Counter[str]()
    number = 0
    while counts["kills"] < kills:
        path = folder / f"{number}.cache"
        number += 1
        stored: dict[tuple[str, int], bytes] = {}
        for _ in range(_PER_CACHE):
            process = _start(recipe, path, workers=moments.randrange(3))
            process.join(moments.uniform(0, 0.6) * whole_s)
            counts["kills" if process.is_alive() else "complete before the kill"] += 1
            process.kill()
            process.join()
            # Its loader workers outlive it in one of two cases, as when the kernel is out of memory.
            if moments.random() < 0.5:
                _end_workers(process)
            stored = _check(path, stored, expected, counts)
            if counts["kills"] >= kills or len(stored) == len(expected):
                break
        assert _finished(_start(recipe, path, workers=2)) == 0
        _check(path, stored, expected, counts)
        assert content(path) == expected
        assert _files(path) == files, f"left behind: {_files(path) ^ files}"
        assert all(equal(a, b) for a, b in zip(_items(path), items, strict=True))
        counts["caches completed, equal to the bit"] += 1
    return counts


def _check(
    path: Path, before: dict[tuple[str, int], bytes], expected: dict[tuple[str, int], bytes], counts: Counter[str]
) -> dict[tuple[str, int], bytes]:
    """What is stored: sound, part of what is expected, and nothing less than before."""
    if not has_manifest(path):
        assert not before
        counts["no cache yet"] += 1
        return {}
    stored = content(path)  # verifies it
    assert before.items() <= stored.items() <= expected.items()
    counts["empty" if not stored else "part" if len(stored) < len(expected) else "whole"] += 1
    return stored


def _start(recipe: Path, path: Path, *, workers: int) -> Any:
    context = multiprocessing.get_context("fork")  # starts in milliseconds: torch is imported already
    process = context.Process(target=_run, args=(recipe, path, workers))
    process.start()
    return process


def _run(recipe: Path, path: Path, workers: int) -> None:
    os.setpgrp()
    torch.set_num_threads(1)
    with path.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv = [
        *("warm_cache", "--dataset", "tests.helpers.fakes:Frames", f"length={LENGTH}", "--objects", str(recipe)),
        *("--backend", "tests.kills.warm_kills:SlowInserter", "--backend-arg", "reject=0.3", "--annotator", "none"),
        *("--num-variants", str(NUM_VARIANTS), "--workers", str(workers), "--out", str(path)),
    ]
    warm_cache_app()


def _finished(process: Any) -> int:
    process.join(_BOUND_S)
    if process.is_alive():
        process.kill()
    assert process.exitcode is not None
    return int(process.exitcode)


def _end_workers(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError):  # they may have ended by themselves
        os.killpg(process.pid, signal.SIGKILL)


def _files(path: Path) -> set[str]:
    # A run killed between its last commit and its end leaves the file of LMDB's lock: empty of locks, and one per shard.
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.suffix != ".lmdb-lock"}


def _items(path: Path) -> list[Any]:
    dataset = POCAugmentedDataset(Frames(LENGTH), path, p=1.0, transforms=tensors)
    return [dataset[i] for i in range(LENGTH)]
