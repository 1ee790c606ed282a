"""Confidence against correctness: equal to its definition, in NumPy and by scikit-learn, with ties and at the ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from poc_aug.errors import ItemFormatError
from poc_aug.metrics import MisclassificationDetection, SegmentationCalibration, ranked
from poc_aug.seeding import generator

Array = np.ndarray[Any, Any]


def by_definition(confidence: Array, right: Array, tpr: float = 0.95) -> dict[str, float]:
    """Every distinct confidence as a threshold, from the pixels themselves."""

    def average_precision(score: Array, positive: Array) -> float:
        total, recall_before = 0.0, 0.0
        for threshold in sorted(set(score.tolist()), reverse=True):
            above = score >= threshold
            recall = (above & positive).sum() / positive.sum()
            total += (recall - recall_before) * (above & positive).sum() / above.sum()
            recall_before = recall
        return total

    wrong, nan = ~right, math.nan
    figures = {"AUROC": nan, "FPR95": nan, "AUPR-Success": nan, "AUPR-Error": nan}
    if right.any():
        figures["AUPR-Success"] = average_precision(confidence, right)
    if wrong.any():
        figures["AUPR-Error"] = average_precision(-confidence, wrong)
    if right.any() and wrong.any():
        pairs = np.sign(confidence[right][:, None] - confidence[wrong][None])
        figures["AUROC"] = float((pairs + 1).mean() / 2)
        enough = [t for t in set(confidence.tolist()) if (confidence[right] >= t).mean() >= tpr]
        figures["FPR95"] = float((confidence[wrong] >= max(enough)).mean())
    return figures


def by_scikit_learn(confidence: Array, right: Array) -> dict[str, float]:
    fall_out, recall, _ = roc_curve(right, confidence, drop_intermediate=False)
    return {
        "AUROC": roc_auc_score(right, confidence),
        "FPR95": fall_out[np.argmax(recall >= 0.95)],
        "AUPR-Success": average_precision_score(right, confidence),
        "AUPR-Error": average_precision_score(~right, -confidence),
    }


def figures_of(metric: MisclassificationDetection) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def two_classes(confidence: Array, right: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities ``[1, 2, 1, n]`` with these confidences, and the labels that make those pixels right."""
    sure = torch.from_numpy(confidence)[None]
    return torch.stack([sure, 1 - sure], dim=1)[:, :, None], torch.from_numpy((~right).astype(np.int64))[None, None]


@settings(max_examples=80, deadline=None)
@given(
    levels=st.lists(st.sampled_from([0.5625, 0.625, 0.75, 0.875, 1.0]), min_size=1, max_size=30),
    data=st.data(),
)
def test_ties_and_ends_equal_the_definition(levels: list[float], data: st.DataObject) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=len(levels), max_size=len(levels)))
    confidence, right = np.array(levels), np.array(flags)
    metric = MisclassificationDetection(from_logits=False)
    metric.update(*two_classes(confidence, right))
    expected = by_definition(confidence, right)
    assert figures_of(metric) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    if right.any() and not right.all():
        assert expected == pytest.approx(by_scikit_learn(confidence, right), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), scale=st.sampled_from([0.1, 1.0, 8.0]))
def test_logits_equal_the_definition_and_splits_do_not_matter(seed: int, classes: int, scale: float) -> None:
    rng = generator("misclassification", seed)
    logits = scale * torch.randn(3, classes, 5, 7, generator=rng)
    labels = torch.randint(classes, (3, 5, 7), generator=rng)
    labels[torch.rand(labels.shape, generator=rng) < 0.2] = 255
    whole, parts = MisclassificationDetection(), MisclassificationDetection()
    whole.update(logits, labels)
    for index in range(3):
        parts.update(logits[index : index + 1], labels[index : index + 1])
    kept = (labels != 255).numpy()
    confidence = logits.softmax(1).amax(1).numpy()[kept].astype(np.float64)
    right = (logits.argmax(1) == labels).numpy()[kept]
    expected = by_definition(confidence, right)
    assert figures_of(whole) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert figures_of(parts) == figures_of(whole) or not right.any() or right.all()


def test_all_right_and_all_wrong_have_no_figure_of_what_is_not_there() -> None:
    confidence = np.array([0.75, 0.875, 1.0])
    for right in (True, False):
        metric = MisclassificationDetection(from_logits=False)
        metric.update(*two_classes(confidence, np.full(3, right)))
        figures = figures_of(metric)
        defined, undefined = ("AUPR-Success", "AUPR-Error") if right else ("AUPR-Error", "AUPR-Success")
        assert figures[defined] == 1
        assert all(math.isnan(figures[name]) for name in (undefined, "AUROC", "FPR95"))
    nothing = MisclassificationDetection()
    nothing.update(torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2), 255))
    assert all(math.isnan(value) for value in figures_of(nothing).values())


def test_a_confidence_of_ones_own_is_only_ranked() -> None:
    rng = generator("misclassification", "own")
    logits, labels = torch.randn(2, 4, 9, 8, generator=rng), torch.randint(4, (2, 9, 8), generator=rng)
    own = torch.randn(2, 9, 8, generator=rng)
    metric, scaled = MisclassificationDetection(tpr=0.8), MisclassificationDetection(tpr=0.8)
    metric.update(logits, labels, own)
    scaled.update(logits, labels, confidence=torch.where(own > 1, math.inf, own * 1000 - 7))
    right = (logits.argmax(1) == labels).numpy().ravel()
    assert figures_of(metric) == pytest.approx(by_definition(own.double().numpy().ravel(), right, 0.8), abs=1e-12)
    clipped = own.double().clamp(max=1).numpy().ravel()
    assert figures_of(scaled) == pytest.approx(by_definition(clipped, right, 0.8), abs=1e-12)
    for bad in (own[0], own.long(), own.numpy(), torch.full_like(own, math.nan)):
        with pytest.raises(ItemFormatError, match="confidence"):
            metric.update(logits, labels, bad)  # type: ignore[arg-type]


def test_many_pixels_agree_with_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "CAPACITY", 150_000)  # so that summaries are united and merged again and again
    monkeypatch.setattr(ranked, "EXACT", 60_000)
    rng, metric, pooled = generator("misclassification", "many"), MisclassificationDetection(from_logits=False), []
    for _ in range(4):
        sure = 0.5 + 0.5 * torch.sigmoid(3 * torch.randn(250_000, generator=rng) + 4).numpy()
        right = torch.rand(250_000, generator=rng).numpy() < 0.98 * sure + 0.01
        metric.update(*two_classes(sure, right))
        pooled.append((sure.astype(np.float64), right))
    confidence, right = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
    assert figures_of(metric) == pytest.approx(by_scikit_learn(confidence, right), abs=1e-4)


def test_better_separation_raises_every_figure_and_order_of_classes_does_not_matter() -> None:
    rng = generator("misclassification", "monotone")
    logits, labels = 2 * torch.randn(1, 5, 40, 41, generator=rng), torch.randint(5, (1, 40, 41), generator=rng)
    plain, better, turned = (MisclassificationDetection() for _ in range(3))
    plain.update(logits, labels)
    right = logits.argmax(1) == labels
    better.update(logits, labels, logits.softmax(1).amax(1) + 0.2 * right)
    order = [3, 0, 4, 2, 1]
    turned.update(logits[:, order], torch.tensor([order.index(i) for i in range(5)])[labels])
    low, high = figures_of(plain), figures_of(better)
    assert all(high[name] > low[name] for name in ("AUROC", "AUPR-Success", "AUPR-Error"))
    assert high["FPR95"] < low["FPR95"]
    assert figures_of(turned) == pytest.approx(low, abs=1e-6)


def test_a_real_frame_equals_scikit_learn(real_data: Any) -> None:
    """A trained network's score map as confidence of being in-distribution, against the anomaly's labels."""
    with np.load(real_data / "metric_refs" / "scores" / "fs_static_00_msp.npz") as data:
        score, truth = torch.from_numpy(data["score"].astype(np.float32)), torch.from_numpy(data["label"])
    predictions = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, *score.shape)
    metric, calibration = MisclassificationDetection(from_logits=False), SegmentationCalibration(from_logits=False)
    metric.update(predictions, truth[None], 1 - score[None])
    calibration.update(predictions, truth[None])
    kept = (truth != 255).numpy()
    right = truth.numpy()[kept] == 0
    assert figures_of(metric) == pytest.approx(
        by_scikit_learn((1 - score.numpy()[kept]).astype(np.float64), right), abs=1e-6
    )
    assert float(calibration.compute()["ECE"]) == pytest.approx(1 - right.mean())
