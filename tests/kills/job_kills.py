"""Numbered jobs that fill one cache at once, killed at random moments and run again as another number of jobs."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from tests.helpers.kinds import INSERTIONS, Kind
from tests.helpers.ray_cases import doubles, take_a_moment
from tests.helpers.warming_cases import content
from tests.kills.warm_kills import LENGTH, NUM_VARIANTS, check_stored

DIED = 77
_BOUND_S = 600.0


def kill_jobs(kills: int, folder: Path, *, seed: int, kind: Kind = INSERTIONS) -> Counter[str]:
    """Kill so many of the jobs that fill caches, one to five at once; returns counts of what was found.

    Raises:
        AssertionError: something was lost, made twice, different or left behind.
    """
    whole = folder / "whole.cache"
    began = time.monotonic()
    _run(kind, whole, None)
    whole_s = time.monotonic() - began
    expected = content(whole)
    moments, counts = random.Random(seed), Counter[str]()
    number = 0
    while counts["kills"] < kills:
        path = folder / f"{number}.cache"
        number += 1
        stored: dict[tuple[str, int], bytes] = {}
        while len(stored) < len(expected) and counts["kills"] < kills:
            jobs = start_jobs(kind, path, moments.randint(1, 5))
            victims = moments.sample(jobs, min(moments.randint(1, len(jobs)), kills - counts["kills"]))
            for victim in victims:
                victim.join(moments.uniform(0, 0.5) * whole_s)
                counts["kills" if victim.is_alive() else "complete before the kill"] += 1
                victim.kill()
            for job in jobs:
                end(job, 0 if job not in victims else None)
            stored = check_stored(path, stored, expected, counts)
            assert not doubles(path)
        for job in start_jobs(kind, path, moments.randint(1, 5)):
            end(job, 0)
        assert content(path) == expected
        assert not doubles(path)
        counts["caches completed, equal to the bit"] += 1
    return counts


class Dying:
    """Ends its process, without a word, at one of its attempts; takes a while for each."""

    def __init__(self, after: int | None) -> None:
        self.left = after

    def __call__(self) -> None:
        take_a_moment()
        if self.left is not None:
            self.left -= 1
            if not self.left:
                os._exit(DIED)


def start_jobs(kind: Kind, path: Path, count: int, dying: int = 0, after: int | None = None) -> list[Any]:
    """All jobs of so many, at once; the first ``dying`` of them die at one of their attempts."""
    context = multiprocessing.get_context("fork")  # starts in milliseconds: torch is imported already
    deaths = [after if number < dying else None for number in range(count)]
    jobs = [context.Process(target=_run, args=(kind, path, (number, count), deaths[number])) for number in range(count)]
    for job in jobs:
        job.start()
    return jobs


def end(job: Any, code: int | None) -> None:
    """Wait for a job's end, with that exit code; ``None``: any."""
    job.join(_BOUND_S)
    if job.is_alive():
        job.kill()
        raise AssertionError("a job hangs")
    assert code is None or job.exitcode == code


def _run(kind: Kind, path: Path, shard: tuple[int, int] | None, dies_after: int | None = None) -> None:
    torch.set_num_threads(1)
    length, pipeline = LENGTH // kind.per_sample, kind.pipeline(on_each=Dying(dies_after))
    kind.warm(path, length, num_variants=NUM_VARIANTS, pipeline=pipeline, shard=shard)
