"""States of metrics: merged, reset, pickled, over two processes."""

from __future__ import annotations

import pickle
import socket
from typing import Any

import pytest
import torch

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.metrics import (
    AnomalyInstanceSegmentation,
    AnomalySegmentation,
    ComponentSegmentation,
    MisclassificationDetection,
    OpenSetSegmentation,
    SegmentationCalibration,
)
from tests.helpers.metric_cases import frames, measured
from tests.helpers.quick_start import CONTEXT


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


DIFFERING = [
    (AnomalySegmentation, {}, {"tpr": 0.9}),
    (AnomalySegmentation, {}, {"fpr": 0.1}),
    (AnomalySegmentation, {}, {"ignore_index": 254}),
    (ComponentSegmentation, {"threshold": 0.5}, {"threshold": 0.6}),
    (ComponentSegmentation, {"threshold": 0.5}, {"threshold": 0.5, "track": "obstacle"}),
    (AnomalyInstanceSegmentation, {}, {"min_true_px": 5}),
    (OpenSetSegmentation, {"num_classes": 3}, {"num_classes": 4}),
    (OpenSetSegmentation, {"num_classes": 3}, {"num_classes": 3, "ood_index": 9}),
    (SegmentationCalibration, {}, {"bins": 10}),
    (SegmentationCalibration, {}, {"from_logits": False}),
    (MisclassificationDetection, {}, {"tpr": 0.5}),
]


@pytest.mark.parametrize(("kind", "settings", "others"), DIFFERING)
def test_states_of_other_settings_are_not_merged(kind: Any, settings: dict[str, Any], others: dict[str, Any]) -> None:
    metric = kind(**settings)
    with pytest.raises(SettingError) as caught:
        metric.merge_state(kind(**others))
    assert kind.__name__ in caught.value.problem
    assert any(f"{name}={value}" in caught.value.problem for name, value in [*others.items(), ("min_true_px", 10)])
    metric.merge_state(kind(**settings))


def test_states_of_another_form_are_not_merged() -> None:
    metric = AnomalySegmentation()
    with pytest.raises(SettingError, match="SegmentationCalibration"):
        metric.merge_state(SegmentationCalibration())
    others: list[Any] = [{}, {"known_values": []}, 5, None]
    for wrong in others:
        with pytest.raises(ItemFormatError):
            metric.merge_state(wrong)
    scores, labels = frames(4, (2, 9, 9))
    metric.update(scores, labels)
    merged = AnomalySegmentation()
    merged.merge_state(metric.metric_state)
    assert torch.equal(merged.compute()["AuPRC"], metric.compute()["AuPRC"])


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


def test_two_processes_equal_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = CONTEXT.SimpleQueue()
    ranks = [CONTEXT.Process(target=_rank, args=(rank, port, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    one, other = results.get(), results.get()
    for process in ranks:
        process.join()
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
