"""``warm_cache``, killed at random moments: the same command goes on, and its cache is that of a run without kills."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from poc_aug.cache import has_manifest
from poc_aug.cli.main import app
from poc_aug.scenes.shifter_protocol import SceneFrame, Shifted
from poc_aug.types import Crop, Filled, Rejection
from tests.helpers.fakes import EllipseInserter, make_recipe
from tests.helpers.kinds import DOMAINS, FRAMES, INSERTIONS, SEVERITIES, Kind, NoiseShifter
from tests.helpers.live_cases import equal, tensors, wait_until
from tests.helpers.warming_cases import content

LENGTH, NUM_VARIANTS = 30, 3
_PER_CACHE = 10
_BOUND_S = 600.0


class SlowInserter(EllipseInserter):
    """Takes a while for each crop."""

    def _one(self, crop: Crop) -> Filled | Rejection:
        time.sleep(0.005)
        return super()._one(crop)


class SlowShifter(NoiseShifter):
    """Takes a while for each frame."""

    def _one(self, frame: SceneFrame) -> Shifted | Rejection:
        time.sleep(0.005)
        return super()._one(frame)


def slow_dusk() -> SlowShifter:
    return SlowShifter("dusk", reject=0.3)


def slow_haze() -> SlowShifter:
    return SlowShifter("haze", reject=0.3)


def kill_warm(kills: int, folder: Path, *, seed: int, kind: Kind = INSERTIONS) -> Counter[str]:
    """Kill the command so often, several times for each cache; returns counts of what was found.

    Raises:
        AssertionError: something was lost, damaged, different or left behind.
    """
    recipe = write_recipe(folder)
    length = LENGTH // kind.per_sample  # as many records of each kind
    whole = folder / "whole.cache"
    began = time.monotonic()
    assert _finished(_start(kind, recipe, whole, workers=0)) == 0
    whole_s = time.monotonic() - began
    expected, files, items = content(whole), _files(whole), _items(kind, whole)
    assert len(expected) == length * kind.per_sample * NUM_VARIANTS
    moments, counts = random.Random(seed), Counter[str]()
    number = 0
    while counts["kills"] < kills:
        path = folder / f"{number}.cache"
        number += 1
        stored: dict[tuple[str, int], bytes] = {}
        groups: list[int] = []
        for _ in range(_PER_CACHE):
            process = _start(kind, recipe, path, workers=moments.randrange(3))
            process.join(moments.uniform(0, 0.6) * whole_s)
            counts["kills" if process.is_alive() else "complete before the kill"] += 1
            process.kill()
            process.join()
            # Its loader workers outlive it in one of two cases, as when the kernel is out of memory.
            if moments.random() < 0.5:
                _end_workers(process)
            groups.append(process.pid)
            stored = check_stored(path, stored, expected, counts)
            if counts["kills"] >= kills or len(stored) == len(expected):
                break
        assert _finished(_start(kind, recipe, path, workers=2)) == 0
        check_stored(path, stored, expected, counts)
        assert content(path) == expected
        assert _files(path) == files, f"left behind: {_files(path) ^ files}"
        assert all(equal(a, b) for a, b in zip(_items(kind, path), items, strict=True))
        # torch's workers look for their parent every 5 seconds.
        assert wait_until(partial(_none_alive, groups), _BOUND_S), f"workers are left: {_alive_of(groups)}"
        counts["caches completed, equal to the bit"] += 1
    return counts


def check_stored(
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


def _start(kind: Kind, recipe: Path, path: Path, *, workers: int) -> Any:
    context = multiprocessing.get_context("fork")  # starts in milliseconds: torch is imported already
    process = context.Process(target=_run, args=(kind, recipe, path, workers))
    process.start()
    return process


def _run(kind: Kind, recipe: Path, path: Path, workers: int) -> None:
    os.setpgrp()
    torch.set_num_threads(1)
    with path.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv = ["poc-aug", *command_line(kind, recipe.parent, path, workers=workers)]
    app()


def write_recipe(folder: Path) -> Path:
    """The recipe that `command_line` names."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(make_recipe().to_dict()), encoding="utf-8")
    return recipe


def command_line(kind: Kind, folder: Path, path: Path, *, workers: int) -> list[str]:
    """The arguments of the command that fills a cache; its recipe is in ``folder``."""
    length, filled = LENGTH // kind.per_sample, ("--num-variants", str(NUM_VARIANTS), "--workers", str(workers))
    dataset = ("--dataset", "tests.helpers.fakes:Frames", f"length={length}", *filled, "--out", str(path))
    if kind is FRAMES:
        severities = ("--severity", ",".join(map(str, SEVERITIES)))
        shifters = [text for domain in DOMAINS for text in ("--shifter", f"tests.kills.warm_kills:slow_{domain}")]
        return ["warm-scenes", *dataset, *severities, *shifters]
    backend = ("--backend", "tests.kills.warm_kills:SlowInserter", "--backend-arg", "reject=0.3", "--annotator", "none")
    return ["warm-cache", *dataset, "--objects", str(folder / "recipe.yaml"), *backend]


def _finished(process: Any) -> int:
    process.join(_BOUND_S)
    if process.is_alive():
        process.kill()
    assert process.exitcode is not None
    return int(process.exitcode)


def _end_workers(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError):  # they may have ended by themselves
        os.killpg(process.pid, signal.SIGKILL)


def _none_alive(groups: list[int]) -> bool:
    return not _alive_of(groups)


def _alive_of(groups: list[int]) -> list[str]:
    """Processes of these groups that run; one that has ended and is not collected yet does not."""
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(group) in groups and state not in "ZX":
                    alive.append(entry.name)
    return alive


def _files(path: Path) -> set[str]:
    """What lies in a cache, shards as one: each run has its own. A killed one leaves its locks, which nobody holds."""
    files = (file.relative_to(path).as_posix() for file in path.rglob("*"))
    return {re.sub("[^/]+[.]lmdb$", "*.lmdb", name) for name in files if not name.endswith((".lock", ".lmdb-lock"))}


def _items(kind: Kind, path: Path) -> list[Any]:
    length = LENGTH // kind.per_sample
    dataset = kind.read(path, length, p=1.0, variants="all", transforms=tensors)
    return [dataset[i] for i in range(len(dataset))]
