"""SIGKILL at any moment of a fine-tuning: the same command ends with the weights of an undisturbed run."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.finetuning.finetune_controlnet import finetune_controlnet
from poc_aug.finetuning.finetune_settings import FinetuneSettings
from tests.helpers.finetune_cases import CAPTIONS, Streets, tiny_settings, weights_of
from tests.helpers.waiting import WATCHDOG_S

# Renaming, syncing and writing: what a run does to the disk.
OPERATIONS = ("fsync", "rename", "replace", "mkdir")


@pytest.fixture(scope="module")
def settings(tiny_base: Path) -> FinetuneSettings:
    return tiny_settings(tiny_base, steps=5, size=16, batch_size=1, keep_checkpoints=1)


@pytest.fixture(scope="module")
def undisturbed(settings: FinetuneSettings, tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    folder = tmp_path_factory.mktemp("undisturbed")
    return weights_of(finetune_controlnet(Streets(), folder, settings, captions=CAPTIONS))


def train_and_die(folder: Path, settings: FinetuneSettings, operation: int) -> None:
    """Train, and be killed in the middle of the n-th operation on the disk: before it, or right after it."""
    torch.set_num_threads(1)
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == operation:
                if operation % 2:
                    function(*arguments, **options)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return run

    for name in OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))
    finetune_controlnet(Streets(), folder, settings, captions=CAPTIONS)
    os._exit(0)


def train_and_report(folder: Path, settings: FinetuneSettings, updates: Any) -> None:
    torch.set_num_threads(1)
    finetune_controlnet(
        Streets(), folder, settings, captions=CAPTIONS, on_progress=lambda _, done, __, ___: updates.send(done)
    )
    os._exit(0)


def forked(function: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def test_killed_between_any_two_operations_on_the_disk(
    settings: FinetuneSettings, undisturbed: torch.Tensor, tmp_path: Path
) -> None:
    operation = killed = 0
    while True:
        operation += 1 + 3 * killed // 4  # the first ones one by one: the folder and its first checkpoint
        folder = tmp_path / str(operation)
        process = forked(train_and_die, folder, settings, operation)
        process.join(WATCHDOG_S)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
        report = finetune_controlnet(Streets(), folder, settings, captions=CAPTIONS)
        assert torch.equal(weights_of(report), undisturbed), operation
        assert not list(folder.rglob(".unfinished-*")), operation
    assert killed >= 5


def test_killed_at_random_moments_until_it_is_finished(
    settings: FinetuneSettings, undisturbed: torch.Tensor, tmp_path: Path
) -> None:
    rng = random.Random(0)
    for target in (2, 4, 5):
        here, there = multiprocessing.Pipe(duplex=False)
        process = forked(train_and_report, tmp_path, settings, there)
        there.close()
        while here.poll(WATCHDOG_S):
            try:
                if here.recv() >= target:
                    break
            except EOFError:
                break
        process.join(rng.random() * 0.05)  # somewhere in what follows
        process.kill()
        process.join(WATCHDOG_S)
        here.close()
    report = finetune_controlnet(Streets(), tmp_path, settings, captions=CAPTIONS)
    assert report.resumed_at >= 2
    assert torch.equal(weights_of(report), undisturbed)
