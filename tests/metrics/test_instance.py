"""Instance AP of anomalies against OoDIS' rules written out mask by mask; instances from score maps; bad input."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.metrics import AnomalyInstanceSegmentation, ComponentSegmentation, score_components
from poc_aug.seeding import generator

_Array = npt.NDArray[Any]
_Frame = tuple[list[_Array], list[float], _Array]
"""Predicted masks, their scores, and the map of true instances."""

IGNORED = 255


def judged(frame: _Frame, overlap: float, least: int) -> tuple[list[tuple[float, bool]], int]:
    """(score, is true) of the predictions of one frame that count, and the number of instances to be found."""
    masks, scores, truth = frame
    void = truth == IGNORED
    instances = [truth == i for i in set(truth.ravel().tolist()) - {0, IGNORED}]
    large = [instance for instance in instances if instance.sum() >= least]
    for instance in instances:
        if instance.sum() < least:
            void = void | instance

    def iou(mask: _Array, instance: _Array) -> float:
        return float((mask & instance).sum() / (mask | instance).sum())

    result = []
    for instance in large:
        matched = [score for mask, score in zip(masks, scores, strict=True) if iou(mask, instance) > overlap]
        result += [(score, place == 0) for place, score in enumerate(sorted(matched, reverse=True))]
    for mask, score in zip(masks, scores, strict=True):
        alone = mask.any() and all(iou(mask, instance) <= overlap for instance in instances)
        if alone and (mask & void).sum() / mask.sum() <= overlap:
            result.append((score, False))
    return result, len(large)


def average_precision(frames: list[_Frame], overlap: float, least: int) -> float:
    """Area under precision over recall by trapezoids, one point per distinct score, from (0, 1)."""
    parts = [judged(frame, overlap, least) for frame in frames]
    ranked = [pair for pairs, _ in parts for pair in pairs]
    instances = sum(count for _, count in parts)
    if not instances:
        return float("nan")
    points = [(0.0, 1.0)]
    for threshold in sorted({score for score, _ in ranked}, reverse=True):
        taken = [is_true for score, is_true in ranked if score >= threshold]
        points.append((sum(taken) / instances, sum(taken) / len(taken)))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def by_definition(frames: list[_Frame], least: int = 10) -> dict[str, float]:
    values = [average_precision(frames, percent / 100, least) for percent in range(50, 100, 5)]
    return {"AP": float(np.mean(values)), "AP50": values[0]}


def measured(frames: list[_Frame], least: int = 10) -> dict[str, float]:
    metric = AnomalyInstanceSegmentation(min_true_px=least)
    for masks, scores, truth in frames:
        stacked = np.stack(masks) if masks else np.zeros((0, *truth.shape), dtype=bool)
        metric.update(torch.from_numpy(stacked), torch.tensor(scores, dtype=torch.float64), torch.from_numpy(truth))
    return {name: float(value) for name, value in metric.compute().items()}


def random_frame(seed: int, height: int, width: int, objects: int) -> _Frame:
    """Boxes as instances, some of them ignored, and boxes near them as predictions, which may overlap."""
    rng = np.random.default_rng(generator("instances", seed).initial_seed())
    truth = np.zeros((height, width), dtype=np.int64)
    masks, scores = [], []
    for number in range(1, objects + 1):
        h, w = int(rng.integers(1, height // 2)), int(rng.integers(1, width // 2))
        y, x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        truth[y : y + h, x : x + w] = IGNORED if rng.random() < 0.2 else number
        for _ in range(int(rng.integers(0, 3))):
            mask = np.zeros_like(truth, dtype=bool)
            top, left = max(0, y + int(rng.integers(-1, 2))), max(0, x + int(rng.integers(-1, 2)))
            mask[top : top + h, left : left + w + int(rng.integers(0, 2))] = True
            masks.append(mask)
            scores.append(float(rng.integers(0, 6)) / 4)  # ties
    return masks, scores, truth


@pytest.mark.parametrize("least", [0, 10, 60])
@pytest.mark.parametrize("shape", [(31, 17), (24, 64), (7, 129)])
def test_boxes_equal_the_rules(least: int, shape: tuple[int, int]) -> None:
    frames = [random_frame(seed, *shape, objects=6) for seed in range(12)]
    expected = by_definition(frames, least)
    assert measured(frames, least) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected["AP"] < expected["AP50"] < 1


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_any_small_frames_equal_the_rules(data: st.DataObject) -> None:
    frames: list[_Frame] = []
    for _ in range(data.draw(st.integers(1, 3))):
        width = data.draw(st.integers(1, 12))
        truth = data.draw(st.lists(st.sampled_from([0, 1, 1, 1, 2, 7, IGNORED]), min_size=width, max_size=width))
        rows = data.draw(st.lists(st.lists(st.booleans(), min_size=width, max_size=width), max_size=4))
        # What is drawn at random rarely fits an instance, so some predictions are instances, or ignored pixels.
        copies = data.draw(st.lists(st.sampled_from([1, 2, 7, IGNORED]), max_size=3))
        masks = [np.array([row]) for row in rows] + [np.array([truth]) == copied for copied in copies]
        scores = data.draw(st.lists(st.sampled_from([-1.0, 0.5, 0.5, float("inf")]), min_size=len(masks),
                                    max_size=len(masks)))  # fmt: skip
        frames.append((masks, scores, np.array([truth])))
    least = data.draw(st.integers(0, 4))
    assert measured(frames, least) == pytest.approx(by_definition(frames, least), abs=1e-12, nan_ok=True)


def line(text: str) -> torch.Tensor:
    return torch.tensor([[IGNORED if sign == "i" else int(sign) if sign.isdigit() else 0 for sign in text]])


@pytest.mark.parametrize(
    ("truth", "predicted", "scores", "ap50"),
    [
        ("1111.22.", "1111.22.", [0.5, 0.5], 1.0),
        ("1111....", "1111...2", [0.9, 0.8], 1.0),  # a false alarm below the last hit costs nothing
        ("1111....", "1111...2", [0.8, 0.9], 0.25),  # (0, 0) to (1, 1/2), by a trapezoid
        ("1111....", "11......", [0.9], 0.0),  # an IoU of exactly 0.5 does not exceed it
        ("1111....", "111.....", [0.9], 1.0),
        ("1111.iii", "1111.222", [0.5, 0.9], 1.0),  # ignored: it lies on ignored pixels
        ("1111ii..", "1111.222", [0.5, 0.9], 0.25),  # only a third does
        ("1111..3.", "1111..2.", [0.5, 0.9], 1.0),  # too small an instance: it need not be found, and may be
        ("........", "11......", [0.9], None),
        ("iiiiiiii", "11......", [0.9], None),
        ("1111....", "........", [], 0.0),
        ("1111....", "........", [0.9], 0.0),  # a score without a pixel
    ],
)
def test_by_hand(truth: str, predicted: str, scores: list[float], ap50: float | None) -> None:
    metric = AnomalyInstanceSegmentation(min_true_px=2)
    metric.update(line(predicted), torch.tensor(scores), line(truth))
    found = float(metric.compute()["AP50"])
    assert found == pytest.approx(ap50, abs=1e-12) if ap50 is not None else np.isnan(found)


def test_thresholds_are_exceeded_exactly() -> None:
    # Of 20 pixels, n are covered: an IoU of n / 20 exceeds the overlaps below it, and not its own.
    for covered in range(1, 21):
        metric = AnomalyInstanceSegmentation()
        truth, predicted = torch.ones(1, 20, dtype=torch.long), torch.zeros(1, 20, dtype=torch.long)
        predicted[0, :covered] = 1
        metric.update(predicted, torch.ones(1), truth)
        assert float(metric.compute()["AP"]) == pytest.approx(max(0, covered - 10) / 10)


def test_maps_equal_masks_and_types_do_not_matter() -> None:
    masks, scores, truth = random_frame(3, 40, 41, 8)
    painted = np.zeros_like(truth)
    for number, mask in enumerate(masks, 1):
        painted[mask] = number
    parts = [painted == number for number in range(1, len(masks) + 1)]
    expected = measured([(parts, scores, truth)])
    for ids, floats in ((torch.uint8, torch.float16), (torch.int32, torch.float32), (torch.int64, torch.float64)):
        metric = AnomalyInstanceSegmentation()
        metric.update(torch.from_numpy(painted).to(ids), torch.tensor(scores, dtype=floats), torch.from_numpy(truth))
        assert {name: float(value) for name, value in metric.compute().items()} == expected


def test_merged_reset_and_pickled() -> None:
    frames = [random_frame(seed, 33, 35, 6) for seed in range(4)]
    expected = measured(frames)
    one, other = AnomalyInstanceSegmentation(), AnomalyInstanceSegmentation()
    for metric, part in ((one, frames[:1]), (other, frames[1:])):
        for masks, scores, truth in part:
            metric.update(torch.from_numpy(np.stack(masks)), torch.tensor(scores), torch.from_numpy(truth))
    one.merge_state(other)
    merged = pickle.loads(pickle.dumps(one)).compute()
    assert {name: float(value) for name, value in merged.items()} == pytest.approx(expected, abs=1e-12)
    one.reset()
    masks, scores, truth = frames[0]
    one.update(torch.from_numpy(np.stack(masks)), torch.tensor(scores), torch.from_numpy(truth))
    assert float(one.compute()["AP"]) == pytest.approx(by_definition(frames[:1])["AP"], abs=1e-12)
    assert int(one.instances) < int(other.instances)


def test_components_of_a_score_map() -> None:
    scores = torch.tensor([[0.9, 0.6, 0.1, 0.7], [0.1, 0.1, 0.1, 0.1], [0.6, 0.0, 0.8, 0.8]])
    found = score_components(scores, 0.5)
    assert found.predicted.tolist() == [[1, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 4]]
    assert found.scores.tolist() == pytest.approx([0.75, 0.7, 0.6, 0.8])
    large = score_components(scores, 0.5, min_px=2, by="max")
    assert large.predicted.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 2, 2]]
    assert large.scores.tolist() == pytest.approx([0.9, 0.8])
    ignored = torch.zeros(3, 4, dtype=torch.bool)
    ignored[0, 1] = ignored[2, 0] = True
    assert score_components(scores, 0.5, ignored=ignored).predicted.tolist()[0] == [1, 0, 0, 2]
    nothing = score_components(scores, 1.0)
    assert not nothing.predicted.any()
    assert nothing.scores.shape == (0,)
    infinite = score_components(torch.tensor([[float("inf"), 1.0, -float("inf")]]), -float("inf"))
    assert infinite.scores.tolist() == [float("inf")]


FRAME = torch.zeros(2, 3, dtype=torch.long), torch.zeros(0), torch.zeros(2, 3, dtype=torch.long)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (0, np.zeros((2, 3)), "predicted of type numpy.ndarray"),
        (1, [], "scores of type list"),
        (2, None, "instances of type NoneType"),
        (0, torch.zeros(2, 4, dtype=torch.long), r"predicted of shape \[2, 4\]"),
        (0, torch.zeros(2, 3, dtype=torch.bool), r"\[2, 3\] and torch.bool(?s:.*)masks \[N, H, W\]"),
        (0, torch.zeros(2, 2, 3, dtype=torch.bool), r"scores of shape \[0\](?s:.*)for 2 masks"),
        (0, torch.zeros(1, 2, 3, dtype=torch.long), "one frame at a time"),
        (0, torch.zeros(2, 3), "predicted of torch.float32"),
        (0, torch.ones(2, 3, dtype=torch.long), r"predicted hold ids \[1\](?s:.*)0 to 0"),
        (2, torch.zeros(0, 3, dtype=torch.long), r"instances of shape \[0, 3\]: no element"),
        (1, torch.zeros(1, 1), r"scores of shape \[1, 1\]"),
        (1, torch.zeros(1, dtype=torch.long), "torch.int64"),
        (1, torch.tensor([float("nan")]), "scores hold NaN, 1 of 1"),
        (2, torch.zeros(2, 3), "instances of torch.float32"),
        (2, torch.zeros(2, 3, dtype=torch.bool), "instances of torch.bool"),
        (2, torch.full((2, 3), -7), r"instances hold ids \[-7\](?s:.*)255 \(ignored\)"),
    ],
)
def test_bad_input_is_named(place: int, value: Any, named: str) -> None:
    given_values = list(FRAME)
    given_values[place] = value
    with pytest.raises(ItemFormatError, match=named):
        AnomalyInstanceSegmentation().update(*given_values)


def test_bad_settings_and_score_maps_are_named() -> None:
    with pytest.raises(SettingError, match="min_true_px=-1"):
        AnomalyInstanceSegmentation(min_true_px=-1)
    with pytest.raises(SettingError, match="ignore_index=0"):
        AnomalyInstanceSegmentation(ignore_index=0)
    scores = torch.zeros(2, 3)
    for options, named in (
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"threshold": 0.5, "min_px": 0}, "min_px=0"),
        ({"threshold": 0.5, "by": "sum"}, "by='sum'"),
    ):
        with pytest.raises(SettingError, match=named):
            score_components(scores, **options)
    for bad, named in (
        (scores.numpy(), "type numpy.ndarray"),
        (scores[None], r"shape \[1, 2, 3\]"),
        (scores.long(), "torch.int64"),
        (torch.zeros(0, 4), r"\[0, 4\]: no element"),
        (torch.tensor([[float("nan")]]), "NaN, 1 of 1"),
    ):
        with pytest.raises(ItemFormatError, match=named):
            score_components(bad, 0.5)  # type: ignore[arg-type]
    with pytest.raises(ItemFormatError, match="ignored of shape"):
        score_components(scores, 0.5, ignored=torch.zeros(2, 3))


@pytest.mark.real_data
def test_real_anomalies_equal_the_rules(real_data: Path) -> None:
    """Components of ERFNet's score maps of real anomalies, at a threshold that leaves some of them to be found."""
    metric = AnomalyInstanceSegmentation()
    frames: list[_Frame] = []
    for path in sorted((real_data / "metric_refs" / "scores").glob("*.npz"))[:8]:
        with np.load(path) as stored:
            scores, labels = stored["score"][::4, ::4], torch.from_numpy(stored["label"][::4, ::4])
        values = torch.from_numpy(scores)
        truth = score_components((labels == 1).float(), 0.5).predicted
        truth[labels == IGNORED] = IGNORED
        found = score_components(values, float(values.float().quantile(0.97)), ignored=labels == IGNORED)
        metric.update(found.predicted, found.scores, truth)
        masks = [found.predicted.numpy() == number for number in range(1, len(found.scores) + 1)]
        frames.append((masks, found.scores.tolist(), truth.numpy()))
    # The same components as those of the component metric.
    assert ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0).frame(
        (found.predicted > 0).float(), labels
    ).ppv.shape == (len(found.scores),)
    figures = {name: float(value) for name, value in metric.compute().items()}
    assert figures == pytest.approx(by_definition(frames), abs=1e-12)
