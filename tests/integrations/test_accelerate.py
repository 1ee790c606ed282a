"""Accelerate: one process announces epochs itself; two need `set_epoch`, and each shows what its samples draw."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from poc_aug import POCAugmentedDataset, set_epoch
from tests.helpers.client_cases import LENGTH, POLICY, check_frames, frame
from tests.helpers.fakes import SCHEMA, Frames

accelerate = pytest.importorskip("accelerate")
EPOCHS = 5


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """Accelerate remembers how many processes there are, also in forked ones."""
    reset = accelerate.state.AcceleratorState._reset_state
    reset(reset_partial_state=True)
    yield
    reset(reset_partial_state=True)


def to_tensors(image: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels))


def wrapped(cache: Path, **options: Any) -> POCAugmentedDataset:
    return POCAugmentedDataset(Frames(LENGTH), cache, POLICY, p=0.5, schema=SCHEMA, transforms=to_tensors, **options)


def expected(cache: Path) -> list[list[bytes]]:
    ds, shown = wrapped(cache), []
    for epoch in range(EPOCHS):
        ds.set_epoch(epoch)
        shown.append(sorted(ds[i][0].numpy().tobytes() for i in range(LENGTH)))
    return shown


def train(cache: Path, out: Path, announced: bool) -> None:
    """The loop of one process: what it was shown, by epoch."""
    accelerator = accelerate.Accelerator(cpu=True)
    loader = accelerator.prepare(DataLoader(wrapped(cache), 1, shuffle=True, num_workers=0))
    shown = []
    for epoch in range(EPOCHS):
        if announced:
            set_epoch(loader, epoch)
        shown.append([(image[0].cpu(), labels[0].cpu()) for image, labels in loader])
    torch.save(shown, out / f"{accelerator.process_index}.pt")


def read(out: Path, processes: int) -> list[list[Any]]:
    ranks = [torch.load(out / f"{rank}.pt") for rank in range(processes)]
    return [[item for rank in ranks for item in rank[epoch]] for epoch in range(EPOCHS)]


def check(cache: Path, shown: list[list[Any]]) -> None:
    assert [sorted(image.numpy().tobytes() for image, _ in items) for items in shown] == expected(cache)
    for items in shown:
        near = [[np.count_nonzero(frame(n)[0] != image.numpy()) for n in range(LENGTH)] for image, _ in items]
        numbers = [int(np.argmin(counts)) for counts in near]
        assert sorted(numbers) == list(range(LENGTH))
        check_frames(cache, ((n, image, labels) for n, (image, labels) in zip(numbers, items, strict=True)))


@pytest.mark.parametrize("announced", [True, False])
def test_one_process(frames_cache: Path, tmp_path: Path, announced: bool) -> None:
    train(frames_cache, tmp_path, announced)
    check(frames_cache, read(tmp_path, 1))


def test_two_processes(frames_cache: Path, tmp_path: Path) -> None:
    before = dict(os.environ)
    accelerate.debug_launcher(train, (frames_cache, tmp_path, True), num_processes=2)
    assert dict(os.environ) == before
    check(frames_cache, read(tmp_path, 2))
