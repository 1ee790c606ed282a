"""What metrics, scores, losses and temperatures are given: what fits is taken, anything else is named at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import tv_tensors

from poc_aug import losses, scores
from poc_aug.errors import ItemFormatError, PocAugError, SettingError
from poc_aug.evaluation.temperature import ClusteredTemperatureScaling, TemperatureScaling
from poc_aug.metrics import (
    AnomalySegmentation,
    ComponentSegmentation,
    MisclassificationDetection,
    SegmentationCalibration,
)

Take = Callable[[Any, Any], Any]

ZEROS = torch.zeros(2, 4, 5, dtype=torch.long)
MAPS = torch.linspace(0, 1, 40).view(2, 4, 5)
LOGITS = torch.linspace(-3, 3, 120).view(2, 3, 4, 5)
OF_SCORES: dict[str, Take] = {
    "AnomalySegmentation": lambda given, labels: AnomalySegmentation().update(given, labels),
    "ComponentSegmentation": lambda given, labels: ComponentSegmentation(0.5).update(given, labels),
    "forward": lambda given, labels: AnomalySegmentation()(given, labels),
}
OF_LOGITS: dict[str, Take] = {
    "SegmentationCalibration": lambda given, labels: SegmentationCalibration().update(given, labels),
    "MisclassificationDetection": lambda given, labels: MisclassificationDetection().update(given, labels),
    "outlier_exposure": losses.outlier_exposure,
    "entropy_maximisation": losses.entropy_maximisation,
    "energy_margin": losses.energy_margin,
    "rba_hinge": losses.rba_hinge,
}
ALONE: dict[str, Callable[[Any], Any]] = {
    **scores.SCORES,
    "void": lambda given: scores.void_probability(given, 1),
    "known_logits": lambda given: scores.known_logits(given, 1),
    "msp without void": scores.score_named("msp", void_index=2),
    "TemperatureScaling": lambda given: TemperatureScaling()(given),
}
NO_TENSORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "numpy": lambda good: good.numpy(),
    "list": lambda good: good.tolist(),
    "None": lambda good: None,
    "text": lambda good: "scores",
    "meta": lambda good: good.to("meta"),
    "sparse": lambda good: good.to_sparse(),
    "nested": lambda good: torch.nested.nested_tensor(list(good), layout=torch.strided),
    "no batch": lambda good: good[:0],
    "no pixel": lambda good: good[..., :0],
    "a number": lambda good: good.flatten()[0],
    "no axes": lambda good: good.sum(),
    "a frame": lambda good: good[0],
    "one axis more": lambda good: good[None],
    "complex": lambda good: good.to(torch.complex64),
    "boolean": lambda good: good > 0,
    "float8": lambda good: good.float().to(torch.float8_e4m3fn),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("form", NO_TENSORS)
@pytest.mark.parametrize("name", [*OF_SCORES, *OF_LOGITS, *ALONE])
def test_other_inputs_are_named_at_once(name: str, form: str) -> None:
    spoil = NO_TENSORS[form]
    if name in ALONE:
        with pytest.raises(ItemFormatError, match="logits"):
            ALONE[name](spoil(LOGITS))
        return
    take, good = (OF_SCORES[name], MAPS) if name in OF_SCORES else (OF_LOGITS[name], LOGITS)
    with pytest.raises(ItemFormatError, match=r"scores|predictions|logits"):
        take(spoil(good), ZEROS)
    with pytest.raises(ItemFormatError, match="labels"):
        take(good, spoil(ZEROS))


@pytest.mark.parametrize("name", [*OF_SCORES, *OF_LOGITS])
def test_the_next_step_for_an_array_is_its_tensor(name: str) -> None:
    take, good = (OF_SCORES[name], MAPS) if name in OF_SCORES else (OF_LOGITS[name], LOGITS)
    with pytest.raises(ItemFormatError) as caught:
        take(good, ZEROS.numpy())
    assert caught.value.problem == "labels of type numpy.ndarray"
    assert caught.value.hint == "torch.as_tensor(labels)"
    with pytest.raises(ItemFormatError, match=r"cpu(?s:.*)meta(?s:.*)dense tensor|meta tensor"):
        take(good, ZEROS.to("meta"))


@pytest.mark.parametrize("name", [*OF_SCORES, *OF_LOGITS])
@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64]
)
def test_labels_of_any_integer_dtype_and_half_precision_are_taken(name: str, dtype: torch.dtype) -> None:
    take, good = (OF_SCORES[name], MAPS) if name in OF_SCORES else (OF_LOGITS[name], LOGITS)
    labels = ZEROS.clone()
    labels[0, 0] = 1
    expected = take(good, labels)
    result = take(good, labels.to(dtype))
    if isinstance(expected, torch.Tensor):
        assert torch.equal(result, expected)
    for precision in (torch.float16, torch.bfloat16, torch.float64):
        take(good.to(precision), labels.to(dtype))
    take(good.clone().requires_grad_(), tv_tensors.Mask(labels))
    wrong = torch.full((2, 4, 5), 77).to(dtype)
    if name not in ("outlier_exposure", "entropy_maximisation", "energy_margin", "rba_hinge"):
        with pytest.raises(ItemFormatError, match=r"\[77\]"):
            take(good, wrong)


@pytest.mark.parametrize("kind", [SegmentationCalibration, MisclassificationDetection])
@pytest.mark.parametrize(
    ("value", "named"),
    [(math.inf, "infinity, 1 of 120"), (-math.inf, "infinity, 1 of 120"), (math.nan, "NaN, 1 of 120")],
)
def test_logits_that_are_not_finite_are_named(kind: type[Any], value: float, named: str) -> None:
    logits = LOGITS.clone()
    logits[1, 2, 3, 4] = value
    metric = kind()
    metric.update(LOGITS, ZEROS)
    before = {name: float(figure) for name, figure in metric.compute().items()}
    with pytest.raises(ItemFormatError, match=named):
        metric.update(logits, ZEROS)
    with pytest.raises(ItemFormatError, match=named):
        kind(from_logits=False).update(logits.abs().clamp(max=1) if math.isnan(value) else logits, ZEROS)
    metric.reset()  # torchmetrics counts the update that failed, but nothing was added
    metric.update(LOGITS, ZEROS)
    assert {name: float(figure) for name, figure in metric.compute().items()} == pytest.approx(before, nan_ok=True)
    for classes in (0, 1):
        with pytest.raises(ItemFormatError, match=r"two classes|no element"):
            metric.update(LOGITS[:, :classes], ZEROS)


def test_finite_logits_of_any_size_are_taken() -> None:
    for logits in (1e37 * LOGITS, 1e300 * LOGITS.double(), LOGITS.half() * 2e4):
        metric = SegmentationCalibration()
        metric.update(logits, ZEROS)
        assert all(math.isfinite(value) for value in metric.compute().values())


def loader() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(LOGITS, ZEROS)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AnomalySegmentation(ignore_index=0), "ignore_index=0"),
        (lambda: AnomalySegmentation(ignore_index=1), "ignore_index=1"),
        (lambda: ComponentSegmentation(0.5, ignore_index=0), "ignore_index=0"),
        (lambda: ComponentSegmentation(0.5, ignore_index=1), "ignore_index=1"),
        (lambda: ComponentSegmentation(math.nan), "threshold=nan"),
        (lambda: ComponentSegmentation(torch.tensor(math.nan)), "threshold=tensor"),  # type: ignore[arg-type]
        (lambda: ComponentSegmentation("0.5"), "threshold='0.5'"),  # type: ignore[arg-type]
        (lambda: ComponentSegmentation(0.5, min_true_px=-1), "min_true_px=-1"),
        (lambda: ComponentSegmentation(0.5, min_predicted_px=math.nan), "min_predicted_px=nan"),  # type: ignore[arg-type]
        (lambda: ComponentSegmentation(0.5, track=["anomaly"]), "track="),  # type: ignore[arg-type]
        (lambda: AnomalySegmentation(tpr=math.nan), "tpr=nan"),
        (lambda: AnomalySegmentation(tpr="0.95"), "tpr='0.95'"),  # type: ignore[arg-type]
        (lambda: AnomalySegmentation(ignore_index=None), "ignore_index=None"),  # type: ignore[arg-type]
        (lambda: AnomalySegmentation(ignore_index=True), "ignore_index=True"),
        (lambda: AnomalySegmentation().quantiles([0.5, math.nan]), "shares=nan"),
        (lambda: AnomalySegmentation().quantiles([-0.5]), "shares="),
        (lambda: AnomalySegmentation().quantiles([1.5]), "shares=1.5"),
        (lambda: SegmentationCalibration(bins=0), "bins=0"),
        (lambda: SegmentationCalibration(bins=10**9), "bins=1000000000"),
        (lambda: SegmentationCalibration(from_logits="no"), "from_logits='no'"),  # type: ignore[arg-type]
        (lambda: MisclassificationDetection(from_logits=1), "from_logits=1"),  # type: ignore[arg-type]
        (lambda: SegmentationCalibration(bins=1.5), "bins=1.5"),  # type: ignore[arg-type]
        (lambda: SegmentationCalibration(ignore_index=2**70), "ignore_index="),
        (lambda: MisclassificationDetection(tpr=0), "tpr=0"),
        (lambda: MisclassificationDetection(tpr=1.5), "tpr=1.5"),
        (lambda: MisclassificationDetection(ignore_index="255"), "ignore_index='255'"),  # type: ignore[arg-type]
        (lambda: scores.energy(LOGITS, math.nan), "temperature=nan"),
        (lambda: scores.energy(LOGITS, math.inf), "temperature=inf"),
        (lambda: scores.energy(LOGITS, -1.0), "temperature=-1"),
        (lambda: scores.void_probability(LOGITS, 1.5), "void_index=1.5"),  # type: ignore[arg-type]
        (lambda: scores.known_logits(LOGITS, 3), "void_index=3"),
        (lambda: scores.score_named("msp", void_index="1"), "void_index='1'"),  # type: ignore[arg-type]
        (lambda: scores.score_named(["msp"]), "score"),  # type: ignore[arg-type]
        (lambda: losses.energy_margin(LOGITS, ZEROS, margin_in=math.nan), "margin_in=nan"),
        (lambda: losses.energy_margin(LOGITS, ZEROS, margin_out=math.inf), "margin_out=inf"),
        (lambda: losses.energy_margin(LOGITS, ZEROS, temperature=math.nan), "temperature=nan"),
        (lambda: losses.rba_hinge(LOGITS, ZEROS, margin="5"), "margin='5'"),  # type: ignore[arg-type]
        (lambda: losses.outlier_exposure(LOGITS, ZEROS, ood_id=254.5), "ood_id=254.5"),  # type: ignore[arg-type]
        (lambda: losses.outlier_exposure(LOGITS, ZEROS, ignore="255"), "ignore='255'"),  # type: ignore[arg-type]
        (lambda: losses.outlier_exposure(LOGITS, ZEROS, ignore=254), "ood_id=254 is one of"),
        (lambda: TemperatureScaling(max_pixels=0.5), "max_pixels=0.5"),  # type: ignore[arg-type]
        (lambda: ClusteredTemperatureScaling(math.nan), "clusters=nan"),  # type: ignore[arg-type]
        (lambda: ClusteredTemperatureScaling(2, features=6), "features=6"),  # type: ignore[arg-type]
        (lambda: TemperatureScaling().fit(nn.Identity(), loader(), ignore=[None]), "ignore=None"),  # type: ignore[list-item]
    ],
)
def test_settings_out_of_range_are_named_at_once(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(SettingError) as caught:
        make()
    assert caught.value.problem.startswith(named)
    assert caught.value.expected


@pytest.mark.parametrize(
    ("fit", "named"),
    [
        (lambda: TemperatureScaling().fit(lambda x: x, loader()), "model of type function"),  # type: ignore[arg-type]
        (lambda: TemperatureScaling().fit(nn.Identity(), 3), "loader of type int"),  # type: ignore[arg-type]
        (lambda: TemperatureScaling().fit(nn.Identity(), [(LOGITS.numpy(), ZEROS)]), "tuple"),
        (lambda: TemperatureScaling().fit(nn.Identity(), [(LOGITS[:0], ZEROS[:0])]), "no element"),
        (lambda: TemperatureScaling().fit(nn.Identity(), [(LOGITS, ZEROS.bool())]), "torch.bool"),
        (lambda: TemperatureScaling().fit(nn.Identity(), [(LOGITS * math.inf, ZEROS)]), "not finite"),
        (lambda: ClusteredTemperatureScaling(1, lambda x: [1]).fit(nn.Identity(), loader()), "list"),  # type: ignore[arg-type, return-value]
    ],
)
def test_what_a_temperature_is_fitted_to_is_checked(fit: Callable[[], Any], named: str) -> None:
    with pytest.raises(PocAugError, match=named):
        fit()


def test_what_is_sensible_is_taken() -> None:
    labels = ZEROS.clone()
    labels[:, 2:] = 1
    metric = AnomalySegmentation(tpr=np.float32(0.5), ignore_index=np.uint8(7))  # type: ignore[arg-type]
    metric.update(MAPS, labels)
    threshold = metric.compute()["F1_threshold"]
    assert ComponentSegmentation(threshold).threshold == float(threshold)  # type: ignore[arg-type]
    assert ComponentSegmentation(math.inf).threshold == math.inf
    ignored = SegmentationCalibration(ignore_index=0)  # a class, as torchmetrics allows
    ignored.update(LOGITS, labels)
    assert float(ignored.compute()["accuracy"]) == float((LOGITS.argmax(1) == 1)[labels == 1].double().mean())
    given = losses.outlier_exposure(LOGITS, labels, ood_id=1, ignore=0)
    assert torch.equal(given, losses.outlier_exposure(LOGITS, labels, ood_id=1, ignore=(0,)))
    learnt = torch.tensor(2.0, requires_grad=True)
    assert torch.autograd.grad(scores.energy(LOGITS, learnt).sum(), learnt)[0].isfinite()  # type: ignore[arg-type]
