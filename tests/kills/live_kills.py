"""The generation process, killed at random moments of a training, which ends or continues as its settings say."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from poc_aug.errors import GenerationProcessError
from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.kinds import INSERTIONS, KINDS, Kind
from tests.helpers.live_cases import (
    LENGTH,
    generator_of,
    is_alive,
    keep,
    kill,
    process_of,
    tensors,
    traces,
    wait_until,
)
from tests.helpers.live_program import take_a_while
from tests.helpers.warming_cases import content

_PER_CACHE = 5
_BOUND_S = 600.0  # of a training, which takes seconds: beyond it something hangs


def kill_live(kills: int, folder: Path, *, seed: int, num_variants: int = 80, kind: Kind = INSERTIONS) -> Counter[str]:
    """Kill the generation process of so many trainings, several for each cache; returns counts of what was found.

    Raises:
        AssertionError: something was lost, damaged or left behind, hung, or did not end as its settings say.
    """
    moments, counts = random.Random(seed), Counter[str]()
    whole = folder / "whole.cache"
    kind.warm(whole, LENGTH, num_variants=num_variants)
    expected = content(whole)
    number = 0
    while counts["kills"] < kills:
        path = folder / f"{number}.cache"
        number += 1
        stored: dict[tuple[str, int], bytes] = {}
        for _ in range(min(_PER_CACHE, kills - counts["kills"])):
            report = folder / "report.json"
            report.unlink(missing_ok=True)
            case = {
                "on_server_failure": moments.choice(["raise", "original"]),
                "on_miss": moments.choice(["generate", "background"]),
                "workers": moments.choice([0, 2]),
                # While it starts, which takes a few seconds, or while it generates.
                "when_ready": moments.random() < 0.7,
                "num_variants": num_variants,
                "kind": kind.name,
                "delay_s": moments.uniform(0, 1.0),
            }
            _train_and_kill(path, report, case)
            _check(json.loads(report.read_text(encoding="utf-8")), case, counts)
            now = content(path)  # verifies it
            assert stored.items() <= now.items() <= expected.items()
            stored = now
        kind.warm(path, LENGTH, num_variants=num_variants)
        assert content(path) == expected
        counts["caches completed, equal to the bit"] += 1
    return counts


def _train_and_kill(path: Path, report: Path, case: dict[str, Any]) -> None:
    process = multiprocessing.get_context("fork").Process(target=_train, args=(path, report, case))
    process.start()
    process.join(_BOUND_S)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"the training hangs: {case}")
    assert process.exitcode == 0, case


def _check(seen: dict[str, Any], case: dict[str, Any], counts: Counter[str]) -> None:
    counts["kills"] += 1
    counts["kills while it starts"] += not case["when_ready"]
    if case["on_server_failure"] == "raise":
        assert "killed by SIGKILL" in seen["error"], seen
        counts["training ended with the reason"] += 1
    else:
        assert seen["error"] is None, seen
        assert seen["items"] == seen["expected_items"]
        assert sum("SIGKILL" in line for line in seen["log"]) == 1, seen
        counts["training continued, with one warning"] += 1
    pids = [seen["server"], seen["training"], *seen["workers"]]
    assert wait_until(lambda: not any(map(is_alive, pids)), _BOUND_S), "a process is left"
    assert wait_until(lambda: not traces(*pids), _BOUND_S), f"left behind: {traces(*pids)}"


def _train(path: Path, report: Path, case: dict[str, Any]) -> None:
    """A training whose generation process is killed by a thread of it; writes what happened."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = _Lines()
    logging.getLogger("poc_aug").addHandler(lines)
    seen: dict[str, Any] = {"training": os.getpid(), "workers": [], "error": None, "items": 0, "expected_items": 0}
    settings = LiveSettings(num_variants=case["num_variants"], on_server_failure=case["on_server_failure"])
    kind = next(kind for kind in KINDS if kind.name == case["kind"])
    steady = kind.pipeline(on_each=take_a_while)
    changes: dict[str, Any] = {"p": 1.0, "transforms": tensors, "redraw": "epoch"}
    with kind.live(path, LENGTH, pipeline=steady, on_miss=case["on_miss"], live=settings, **changes) as ds:
        generator = generator_of(ds)
        killed = threading.Event()

        def kill_it() -> None:
            while generator.pid is None or (case["when_ready"] and not generator.counters["ready"]):
                time.sleep(0.002)
            time.sleep(case["delay_s"])
            kill(generator.pid)
            killed.set()

        threading.Thread(target=kill_it, daemon=True).start()
        kept: dict[str, Any] = {"num_workers": case["workers"]}
        if case["workers"]:
            kept |= {"multiprocessing_context": "fork"}
        epoch = after = 0
        try:
            # It ends with an error as soon as an item needs a variant that is not there; or goes on for two epochs.
            while after < (2 if case["on_server_failure"] == "original" else 1000):
                ds.set_epoch(epoch)
                epoch += 1
                if killed.is_set():
                    assert wait_until(lambda: process_of(ds).state == "failed", _BOUND_S)
                    after += 1
                loader = DataLoader(ds, batch_size=3, collate_fn=keep, **kept)
                seen["expected_items"] += LENGTH
                batches: Any = iter(loader)
                seen["workers"] += [worker.pid for worker in getattr(batches, "_workers", [])]
                seen["items"] += sum(len(batch) for batch in batches)
        except GenerationProcessError as error:
            seen["error"] = str(error)
        assert killed.wait(_BOUND_S)
        seen["server"] = generator.pid
    report.write_text(json.dumps({**seen, "log": lines.lines}), encoding="utf-8")


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
