"""Open-IoU against a confusion matrix per threshold: small, tied, degenerate and large maps; states; bad input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.metrics import AnomalySegmentation, OpenSetSegmentation, ranked
from poc_aug.metrics.ranked_metric import PARTS
from poc_aug.seeding import generator
from tests.helpers.metric_cases import frames

_Array = npt.NDArray[Any]
OOD, IGNORED = 254, 255


def confusion_iou(scores: _Array, predictions: _Array, labels: _Array, classes: int, threshold: float) -> float:
    """Mean IoU of the known classes of the confusion matrix with one more class, of outliers, as ISSU's code has it."""
    kept = labels != IGNORED
    truth = np.where(labels == OOD, classes, labels)[kept]
    found = np.where(scores >= threshold, classes, predictions)[kept]
    matrix = np.zeros((classes + 1, classes + 1))
    for true, predicted in zip(truth, found, strict=True):
        matrix[true, predicted] += 1
    right = np.diag(matrix)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - right
    labelled = matrix.sum(axis=1)[:classes] > 0
    return float((right[:classes][labelled] / union[:classes][labelled]).mean())


def by_definition(
    scores: _Array, predictions: _Array, labels: _Array, classes: int, *, tpr: float = 0.95, fpr: float = 0.05
) -> dict[str, float]:
    """All figures, every threshold tried one by one."""
    anomalous, known = scores[labels == OOD], scores[(labels != OOD) & (labels != IGNORED)]
    thresholds = sorted(set(scores[labels != IGNORED].tolist()), reverse=True)
    at_tpr = next(t for t in thresholds if (anomalous >= t).sum() / len(anomalous) >= tpr)
    at_fpr = [t for t in thresholds if (known >= t).sum() / len(known) <= fpr]
    # Above the highest score of all, which may be infinite: nothing is an outlier.
    nowhere = np.full(scores.shape, -1.0)
    quiet = (scores, at_fpr[-1]) if at_fpr else (nowhere, 0.0)
    closed = np.where(labels == OOD, IGNORED, labels)
    return {
        "open_IoU_TPR95": confusion_iou(scores, predictions, labels, classes, at_tpr),
        "TPR95_threshold": at_tpr,
        "open_IoU_FPR5": confusion_iou(quiet[0], predictions, labels, classes, quiet[1]),
        "FPR5_threshold": at_fpr[-1] if at_fpr else float("inf"),
        "closed_IoU": confusion_iou(nowhere, predictions, closed, classes, 0.0),
    }


def figures_of(metric: OpenSetSegmentation) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def case(seed: int, shape: tuple[int, int, int], classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores, predictions that are right at 80% of the pixels, and labels."""
    rng = generator("open set", seed)
    scores, anomalies = frames(seed, shape)
    truth = torch.randint(classes, shape, generator=rng)
    guess = torch.randint(classes, shape, generator=rng)
    predictions = torch.where(torch.rand(shape, generator=rng) < 0.8, truth, guess)
    labels = torch.where(anomalies == 1, OOD, torch.where(anomalies == IGNORED, IGNORED, truth))
    return scores, predictions, labels


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_any_small_maps_equal_the_confusion_matrix(data: st.DataObject) -> None:
    size, classes = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
    levels = [-float("inf"), -1.5, 0.0, 0.25, 0.5, 2.0, float("inf")]

    def drawn(values: list[Any]) -> list[Any]:
        return data.draw(st.lists(st.sampled_from(values), min_size=size, max_size=size))

    scores = torch.tensor(drawn(levels), dtype=torch.float64)
    predictions = torch.tensor(drawn(list(range(classes))))
    labels = torch.tensor(drawn([*range(classes), OOD, IGNORED]))
    fpr, tpr = data.draw(st.sampled_from([0.0, 0.05, 0.3])), data.draw(st.sampled_from([0.5, 0.95, 1.0]))
    metric = OpenSetSegmentation(classes, tpr=tpr, fpr=fpr)
    half = (size + 1) // 2
    for part in (slice(None, half), slice(half, None))[: min(size, 2)]:
        metric.update(scores[None, None, part], predictions[None, None, part], labels[None, None, part])
    found = figures_of(metric)
    some_known = bool(((labels != OOD) & (labels != IGNORED)).any())
    if not some_known or not bool((labels == OOD).any()):
        assert np.isnan([value for name, value in found.items() if name != "closed_IoU"]).all()
        assert np.isnan(found["closed_IoU"]) == (not some_known)
        return
    expected = by_definition(scores.numpy(), predictions.numpy(), labels.numpy(), classes, tpr=tpr, fpr=fpr)
    assert found == pytest.approx(expected, abs=1e-12)


def test_open_iou_by_hand() -> None:
    # Of 4 road pixels one is rejected, one is taken for a car; of 2 anomalies one is taken for road.
    labels = torch.tensor([[[0, 0, 0, 0, 1, 1, OOD, OOD, IGNORED]]])
    predictions = torch.tensor([[[0, 0, 0, 1, 1, 1, 0, 1, 0]]])
    scores = torch.tensor([[[0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.1, 0.8, 0.9]]])
    metric = OpenSetSegmentation(3)
    metric.update(scores, predictions, labels)
    iou = metric.class_iou(0.5)
    assert iou[:2].tolist() == pytest.approx([2 / (4 + 1), 2 / (2 + 1)])
    assert iou[2].isnan()  # no pixel is labelled with it
    assert metric.class_iou()[:2].tolist() == pytest.approx([3 / 5, 2 / 4])
    assert figures_of(metric)["closed_IoU"] == pytest.approx((3 / 4 + 2 / 3) / 2)


@pytest.mark.parametrize("shape", [(3, 17, 11), (1, 1, 129)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ids", [torch.int64, torch.uint8])
def test_dtypes_and_odd_sizes(shape: tuple[int, int, int], dtype: torch.dtype, ids: torch.dtype) -> None:
    scores, predictions, labels = case(1, shape, 5)
    scores = scores.to(dtype)
    metric = OpenSetSegmentation(5)
    metric.update(scores.requires_grad_(), predictions.to(ids), labels.to(ids))
    flat, predicted, known = (part.detach().flatten().numpy() for part in (scores.double(), predictions, labels))
    expected = by_definition(flat, predicted, known, 5)
    assert figures_of(metric) == pytest.approx(expected, abs=1e-12)


def test_more_distinct_scores_than_are_held() -> None:
    scores, predictions, labels = case(2, (2, 1000, 1000), 2)
    metric = OpenSetSegmentation(2)
    for frame in zip(scores, predictions, labels, strict=True):
        metric.update(*(part[None] for part in frame))
    found = figures_of(metric)
    assert len(metric._united("right_0")[0]) < ranked.EXACT < int((labels == 0).sum()) * 0.8
    known = np.sort(scores[labels < 2].numpy())
    anomalous = np.sort(scores[labels == OOD].numpy())
    exact = {
        "open_IoU_TPR95": anomalous[len(anomalous) - int(np.ceil(0.95 * len(anomalous)))],
        "open_IoU_FPR5": known[len(known) - int(0.05 * len(known))],
    }
    for name, threshold in exact.items():
        outlier = scores >= float(threshold)
        shares = []
        for k in range(2):
            right = ((labels == k) & (predictions == k) & ~outlier).sum()
            others = ((labels != k) & (labels != IGNORED) & (predictions == k) & ~outlier).sum()
            shares.append(float(right / ((labels == k).sum() + others)))
        assert found[name] == pytest.approx(np.mean(shares), abs=1e-4), name


def test_merged_reset_and_pickled() -> None:
    scores, predictions, labels = case(3, (4, 33, 35), 4)
    whole, one, other = (OpenSetSegmentation(4) for _ in range(3))
    whole.update(scores, predictions, labels)
    one.update(scores[:1], predictions[:1], labels[:1])
    other.update(scores[1:], predictions[1:], labels[1:])
    one.merge_state(other)
    expected = figures_of(whole)
    assert figures_of(pickle.loads(pickle.dumps(one))) == expected
    whole.update(scores[:1], predictions[:1], labels[:1])
    assert figures_of(whole) != expected
    whole.reset()
    assert int(whole.labelled.sum()) == 0
    whole.update(scores, predictions, labels)
    assert figures_of(whole) == expected


def test_thresholds_are_those_of_anomaly_segmentation() -> None:
    scores, predictions, labels = case(4, (2, 61, 67), 3)
    metric, pixels = OpenSetSegmentation(3), AnomalySegmentation()
    metric.update(scores, predictions, labels)
    anomalies = torch.where(labels == OOD, 1, torch.where(labels == IGNORED, IGNORED, 0))
    pixels.update(scores, anomalies)
    found, figures = figures_of(metric), pixels.compute()
    assert found["TPR95_threshold"] == float(figures["FPR95_threshold"])
    assert found["FPR5_threshold"] == float(figures["TPR5_threshold"])


def test_memory_does_not_grow_with_the_frames() -> None:
    scores, predictions, labels = case(5, (1, 300, 400), 1)
    metric = OpenSetSegmentation(1)
    held = []
    for i in range(16):
        metric.update(scores + 0.001 * i, predictions, labels)
        held.append(sum(len(part) for part in metric.right_0_values))
    assert max(held) <= ranked.CAPACITY + scores.numel()
    assert held[-1] < 16 * int((labels == 0).sum()) / 2


def test_an_update_does_not_go_through_all_before_it() -> None:
    scores, predictions, labels = case(6, (1, 8, 8), 1)
    metric = OpenSetSegmentation(1)
    for i in range(400):
        metric.update(scores + i, predictions, labels)
    assert len(metric.right_0_values) <= PARTS + 1 < 400 / 4  # what each update looks through
    assert sum(int(counts.sum()) for counts in metric.right_0_counts) == 400 * int((labels == 0).sum())


MAPS = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.long)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (0, MAPS[0].numpy(), "scores of type numpy.ndarray"),
        (1, [[[0, 0], [0, 0]]], "predictions of type list"),
        (2, torch.zeros(0, 2, 2, dtype=torch.long), r"labels of shape \[0, 2, 2\]: no element"),
        (0, torch.zeros(2, 2), r"scores of shape \[2, 2\]"),
        (1, torch.zeros(1, 2, 3, dtype=torch.long), r"predictions of shape \[1, 2, 3\]"),
        (0, MAPS[1], "scores of torch.int64"),
        (1, MAPS[0], "predictions of torch.float32"),
        (2, MAPS[0].bool(), "labels of torch.bool"),
        (1, torch.full((1, 2, 2), 3), r"predictions hold ids \[3\](?s:.*)0 to 2"),
        (1, torch.full((1, 2, 2), 254), r"predictions hold ids \[254\]"),
        (2, torch.full((1, 2, 2), -1), r"labels hold ids \[-1\](?s:.*)254 \(anomaly\) or 255"),
        (0, torch.tensor([[[0.0, float("nan")], [0.0, 0.0]]]), "NaN, 1 of 4"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(place: int, value: Any, named: str) -> None:
    given = list(MAPS)
    given[place] = value
    metric = OpenSetSegmentation(3)
    with pytest.raises(ItemFormatError, match=named):
        metric.update(*given)
    assert int(metric.labelled.sum()) == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 2.0}, "num_classes=2.0"),
        ({"num_classes": True}, "num_classes=True"),
        ({"num_classes": 3, "tpr": float("nan")}, "tpr=nan"),
        ({"num_classes": 3, "fpr": float("nan")}, "fpr=nan"),
        ({"num_classes": 3, "fpr": 1.0}, "fpr=1.0"),
        ({"num_classes": 3, "ignore_index": 1}, "ignore_index=1 is the id of a known class"),
        ({"num_classes": 3, "ood_index": 0}, "ood_index=0 is the id of a known class"),
        ({"num_classes": 3, "ood_index": 255}, "ood_index=255 is ignore_index too"),
    ],
)
def test_bad_settings_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        OpenSetSegmentation(**options)
    with pytest.raises(SettingError, match="threshold=nan"):
        OpenSetSegmentation(1).class_iou(float("nan"))


@pytest.mark.real_data
def test_real_score_maps_equal_the_confusion_matrix(real_data: Path) -> None:
    """Real anomalies; the score maps come without classes, so every pixel is predicted to be of the one class."""
    metric = OpenSetSegmentation(1)
    pooled = []
    for path in sorted((real_data / "metric_refs" / "scores").glob("*.npz"))[:5]:
        with np.load(path) as stored:
            scores, anomalies = stored["score"][::6, ::6], stored["label"][::6, ::6]
        labels = np.where(anomalies == 1, OOD, anomalies).astype(np.int64)
        nothing = np.zeros_like(labels)
        metric.update(*(torch.from_numpy(part)[None] for part in (scores, nothing, labels)))
        pooled.append((scores.ravel().astype(np.float64), nothing.ravel(), labels.ravel()))
    flat, predicted, known = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
    expected = by_definition(flat, predicted, known, 1)
    found = figures_of(metric)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found["closed_IoU"] == 1
    assert found["open_IoU_TPR95"] < found["open_IoU_FPR5"] < 1
