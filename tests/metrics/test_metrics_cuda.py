"""Metrics, scores, losses and temperatures on a GPU: the same results as on the CPU, and memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from poc_aug import losses, scores
from poc_aug.errors import ItemFormatError
from poc_aug.evaluation.anomalies import Frame, evaluate
from poc_aug.evaluation.closed_set import evaluate_classes
from poc_aug.evaluation.temperature import ClusteredTemperatureScaling, TemperatureScaling
from poc_aug.metrics import (
    AnomalySegmentation,
    ComponentSegmentation,
    MisclassificationDetection,
    SegmentationCalibration,
)
from poc_aug.seeding import generator
from tests.helpers.evaluation_cases import Brightness, Streets

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="compares CUDA with the CPU")

CLASSES, SHAPE_HW = 7, (257, 513)


def batch(seed: int, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits ``[B, C, H, W]``, larger for the true class, and labels: classes, 254 (OOD) and 255 (ignored)."""
    rng = generator("cuda", seed)
    labels = torch.randint(CLASSES, (count, *SHAPE_HW), generator=rng)
    logits = torch.randn((count, CLASSES, *SHAPE_HW), generator=rng)
    logits += 2 * nn.functional.one_hot(labels, CLASSES).permute(0, 3, 1, 2)
    labels[:, 40:90, 100:220] = losses.OOD_ID
    labels[:, :10] = 255
    return logits, labels


def anomalies(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and labels 0, 1, 255 of the same pixels."""
    logits, labels = batch(seed)
    truth = torch.where(labels == losses.OOD_ID, 1, torch.where(labels == 255, 255, 0))
    return scores.msp(logits) + 0.3 * (truth == 1), truth


def known(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of known classes; inserted objects are ignored."""
    logits, labels = batch(seed)
    return logits, labels.masked_fill(labels == losses.OOD_ID, 255)


METRICS: dict[str, tuple[Callable[[], Any], Callable[[int], tuple[torch.Tensor, torch.Tensor]]]] = {
    "anomaly": (AnomalySegmentation, anomalies),
    "component": (lambda: ComponentSegmentation(0.6), anomalies),
    "calibration": (SegmentationCalibration, known),
    "misclassification": (MisclassificationDetection, known),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_equal_those_of_the_cpu(name: str) -> None:
    make, data = METRICS[name]
    there, here = make().to("cuda"), make()
    for seed in range(3):
        predictions, labels = data(seed)
        here.update(predictions, labels)
        there.update(predictions.cuda(), labels.cuda())
    expected, figures = here.compute(), there.compute()
    assert figures.keys() == expected.keys()
    for figure, value in figures.items():
        assert value.device.type == "cuda"
        assert float(value) == pytest.approx(float(expected[figure]), abs=1e-5, nan_ok=True), figure
    there.reset()
    there.update(*(part.cuda() for part in data(0)))
    here.reset()
    here.update(*data(0))
    for figure, value in there.compute().items():
        assert float(value) == pytest.approx(float(here.compute()[figure]), abs=1e-5, nan_ok=True), figure


@pytest.mark.parametrize("name", METRICS)
def test_two_devices_are_named_and_a_metric_elsewhere_takes_both(name: str) -> None:
    make, data = METRICS[name]
    predictions, labels = data(0)
    with pytest.raises(ItemFormatError, match=r"on cuda:0, labels on cpu"):
        make().update(predictions.cuda(), labels)
    there, here = make(), make()  # both on the CPU
    there.update(predictions.cuda(), labels.cuda())
    here.update(predictions, labels)
    for figure, value in there.compute().items():
        assert value.device.type == "cpu"
        assert float(value) == pytest.approx(float(here.compute()[figure]), abs=1e-5, nan_ok=True), figure


def test_half_precision_scores_are_exact() -> None:
    values, labels = anomalies(0)
    there, here = AnomalySegmentation().to("cuda"), AnomalySegmentation()
    there.update(values.half().cuda(), labels.cuda())
    here.update(values.half(), labels)
    for figure, value in there.compute().items():
        assert float(value) == pytest.approx(float(here.compute()[figure]), abs=1e-12), figure


def test_memory_stays_after_many_frames() -> None:
    metric, rng = AnomalySegmentation().to("cuda"), torch.Generator("cuda").manual_seed(0)
    held = []
    for _ in range(60):
        values = torch.rand((1, 1024, 2048), generator=rng, device="cuda")
        metric.update(values, (values > 0.97).long())
        held.append(torch.cuda.memory_allocated())
    assert held[-1] - held[0] < 200e6
    assert held[-1] <= max(held[:30]) * 1.2


@pytest.mark.parametrize("name", [*scores.SCORES, "void"])
def test_scores_equal_those_of_the_cpu(name: str) -> None:
    function = scores.score_named(name, void_index=CLASSES - 1 if name == "void" else None)
    logits, _ = batch(4)
    torch.testing.assert_close(function(logits.cuda()).cpu(), function(logits), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "loss", [losses.outlier_exposure, losses.entropy_maximisation, losses.energy_margin, losses.rba_hinge]
)
def test_losses_and_gradients_equal_those_of_the_cpu(loss: Callable[..., torch.Tensor]) -> None:
    logits, labels = batch(5)
    here, there = logits.clone().requires_grad_(), logits.cuda().requires_grad_()
    expected, value = loss(here, labels), loss(there, labels.cuda())
    torch.testing.assert_close(value.cpu(), expected, atol=1e-4, rtol=1e-4)
    torch.autograd.backward([expected, value])
    assert here.grad is not None
    assert there.grad is not None
    assert there.grad.abs().sum() > 0
    torch.testing.assert_close(there.grad.cpu(), here.grad, atol=1e-7, rtol=1e-3)


def test_temperatures_are_fitted_to_a_model_on_the_gpu() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(3, CLASSES, 1)
    loader = [(torch.rand(2, 3, 64, 64), torch.randint(CLASSES, (2, 64, 64))) for _ in range(4)]
    here = TemperatureScaling().fit(model, loader)
    clusters = ClusteredTemperatureScaling(2).fit(model, loader)
    model = model.cuda()
    on_gpu = [(images.cuda(), labels.cuda()) for images, labels in loader]
    wanted = pytest.approx(float(here.temperature), rel=1e-3)
    assert float(TemperatureScaling().fit(model, loader).temperature) == wanted
    assert float(TemperatureScaling().cuda().fit(model, on_gpu).temperature) == wanted
    there = ClusteredTemperatureScaling(2).cuda().fit(model, on_gpu)
    images = loader[0][0]
    logits = model(images.cuda())
    torch.testing.assert_close(there(logits, images.cuda()).cpu(), clusters(logits.cpu(), images), atol=1e-3, rtol=1e-3)


def test_evaluate_on_the_gpu_gives_the_figures_of_the_cpu() -> None:
    by_device = {}
    for device in ("cpu", "cuda"):
        frames: list[Frame] = []
        result = evaluate(
            Brightness(), Streets(), ("msp", "energy"), components="obstacle", device=device, on_frame=frames.append
        )
        classes = evaluate_classes(Brightness(), Streets(), ("road", "sky", "car"), device=device)
        figures = {name: {**score.pixels, **score.components} for name, score in result.scores.items()}
        by_device[device] = {**figures, "mIoU": {"mIoU": classes.mean_iou}}
        assert {frame.scores["msp"].device.type for frame in frames} == {"cpu"}
    for name, on_the_cpu in by_device["cpu"].items():
        assert by_device["cuda"][name] == pytest.approx(on_the_cpu, abs=1e-4, nan_ok=True), name
