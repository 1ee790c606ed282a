"""States of metrics: merged, reset, pickled, over two processes."""

from __future__ import annotations

import multiprocessing
import pickle
import socket
from typing import Any

import pytest
import torch

from poc_aug.metrics import (
    AnomalySegmentation,
    ComponentSegmentation,
    MisclassificationDetection,
    SegmentationCalibration,
)
from tests.helpers.metric_cases import frames, measured


def test_merged_reset_and_pickled() -> None:
    scores, labels = frames(4, (4, 33, 35))
    whole, one, other = (AnomalySegmentation() for _ in range(3))
    whole.update(scores, labels)
    one.update(scores[:1], labels[:1])
    other.update(scores[1:], labels[1:])
    one.merge_state(other)
    for name, value in whole.compute().items():
        assert torch.equal(one.compute()[name], value)
    copy = pickle.loads(pickle.dumps(one))
    assert torch.equal(copy.compute()["AuPRC"], whole.compute()["AuPRC"])
    twice = AnomalySegmentation()
    twice.update(scores[:1], labels[:1])
    twice.compute()
    twice.merge_state(other)  # after a computation
    assert torch.equal(twice.compute()["AuPRC"], whole.compute()["AuPRC"])
    whole.reset()
    whole.update(scores[:1], labels[:1])
    assert float(whole.compute()["AuPRC"]) == measured(scores[:1], labels[:1])["AuPRC"]


def _rank(rank: int, port: int, results: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    scores, labels = frames(5, (4, 30, 31))
    labels[3] = 255  # rank 1's last frame adds nothing
    pixels, components, calibration = (
        AnomalySegmentation(),
        ComponentSegmentation(1.0, track="obstacle"),
        SegmentationCalibration(),
    )
    for i in range(rank, 4, 2):
        pixels.update(scores[i : i + 1], labels[i : i + 1])
        components.update(scores[i : i + 1], labels[i : i + 1])
        calibration.update(torch.stack([scores, -scores], dim=1)[i : i + 1], labels[i : i + 1])
    late = MisclassificationDetection()
    logits = torch.stack([scores, -scores], dim=1).double()
    if rank == 0:  # the other process has no update at all, and this one values in float64
        late.update(logits, labels)
    results.put(
        [{name: float(v) for name, v in metric.compute().items()} for metric in (pixels, components, calibration, late)]
    )
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.timeout(120)
def test_two_processes_equal_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    ranks = [context.Process(target=_rank, args=(rank, port, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    one, other = results.get(), results.get()
    for process in ranks:
        process.join(60)
    scores, labels = frames(5, (4, 30, 31))
    labels[3] = 255
    pixels, components, calibration = (
        AnomalySegmentation(),
        ComponentSegmentation(1.0, track="obstacle"),
        SegmentationCalibration(),
    )
    pixels.update(scores, labels)
    components.update(scores, labels)
    calibration.update(torch.stack([scores, -scores], dim=1), labels)
    late, logits = MisclassificationDetection(), torch.stack([scores, -scores], dim=1).double()
    late.update(logits, labels)
    alone = [
        {name: float(v) for name, v in metric.compute().items()} for metric in (pixels, components, calibration, late)
    ]
    for figures in (one, other):
        for part, expected in zip(figures, alone, strict=True):
            assert part == pytest.approx(expected, abs=1e-12, nan_ok=True)
