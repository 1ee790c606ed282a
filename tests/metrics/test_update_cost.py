"""Metrics at any number of updates: work that grows with the pixels alone, whole by ``forward``, merged, saved."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torchmetrics import MetricCollection

from poc_aug.metrics import (
    AnomalySegmentation,
    ComponentSegmentation,
    MisclassificationDetection,
    SegmentationCalibration,
    ranked,
)
from poc_aug.metrics.ranked_metric import PARTS
from poc_aug.seeding import generator

RANKED = (AnomalySegmentation, SegmentationCalibration, MisclassificationDetection)
SIZE = 3


def updates(kind: type[Any], count: int, seed: str = "") -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Small batches: scores with labels 0, 1, 255, or logits of two classes with labels."""
    rng = generator("updates", seed, count)
    labels = (torch.rand(count, 1, SIZE, SIZE, generator=rng) < 0.3).long()
    scores = torch.randn(count, 1, SIZE, SIZE, generator=rng) + labels
    labels[torch.rand(labels.shape, generator=rng) < 0.1] = 255
    return list(
        zip(scores if kind is AnomalySegmentation else torch.stack([-scores, scores], dim=2), labels, strict=True)
    )


def figures(metric: Any) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def at_once(kind: type[Any], batches: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float]:
    """The figures of all batches in one update."""
    metric = kind()
    metric.update(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    return figures(metric)


def held(metric: Any) -> int:
    """The largest number of parts that a state of the metric is in."""
    return max(len(getattr(metric, name)) for name in metric._defaults)


class Work:
    """Counts the values that summaries are merged from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values, self._merge = 0, ranked.merge
        monkeypatch.setattr(ranked, "merge", self.merge)

    def merge(self, summaries: list[ranked.Summary]) -> ranked.Summary:
        self.values += sum(len(values) for values, _ in summaries)
        return self._merge(summaries)


@pytest.mark.parametrize("way", ["update", "forward", "merge_state"])
@pytest.mark.parametrize("kind", RANKED)
def test_work_is_linear_in_the_number_of_updates(kind: type[Any], way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work, per_value = Work(monkeypatch), []
    for count in (150, 600):
        metric, work.values, most, batches = kind(), 0, 0, updates(kind, count)
        for batch in batches:
            if way == "merge_state":
                other = kind()
                other.update(*batch)
                metric.merge_state(other)
            else:
                (metric if way == "forward" else metric.update)(*batch)
            most = max(most, held(metric))
        assert most <= PARTS + 1  # what any update looks through
        merged = work.values  # ``compute`` of a forward merges the values of its batch alone
        assert figures(metric) == pytest.approx(at_once(kind, batches), abs=1e-12)
        per_value.append(merged / count)
    assert per_value[1] <= 3 * per_value[0] + 8 * SIZE * SIZE


def test_large_values_are_merged_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    # A large part is not merged again with each few small ones.
    work, metric = Work(monkeypatch), AnomalySegmentation()
    values = torch.rand(1, 300, 300, generator=generator("large"))
    metric.update(values, torch.zeros(1, 300, 300, dtype=torch.uint8))
    for scores, labels in updates(AnomalySegmentation, 500):
        metric.update(scores, labels)
    assert work.values < 30_000
    assert held(metric) <= PARTS


@pytest.mark.parametrize("way", ["update", "forward"])
def test_memory_stays_bounded_by_the_number_of_distinct_values(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "CAPACITY", 4_000)
    monkeypatch.setattr(ranked, "EXACT", 1_000)
    monkeypatch.setattr(ranked, "RELATIVE", 5e-3)
    metric, rng = AnomalySegmentation(), generator("bounded")
    for _ in range(60):
        scores = torch.rand(1, 20, 20, generator=rng)
        (metric if way == "forward" else metric.update)(scores, (scores > 0.5).long())
        assert sum(map(len, metric.known_values)) <= 4_000
    assert sum(int(counts.sum()) for counts in (*metric.known_counts, *metric.anomalous_counts)) == 60 * 400
    assert figures(metric)["AUROC"] == pytest.approx(1, abs=1e-3)
    five = AnomalySegmentation()
    for _ in range(400):
        values = torch.randint(5, (1, 3, 3), generator=rng)
        five.update(values / 4, (values > 2).long())
    assert sum(map(len, five.known_values)) <= 5 * (PARTS + 1)


@pytest.mark.parametrize("kind", RANKED)
def test_states_go_through_everything_that_torchmetrics_does(kind: type[Any]) -> None:
    batches, later = updates(kind, 90), updates(kind, 80, "later")
    expected, all_expected = at_once(kind, batches), at_once(kind, batches + later)
    metric = kind()
    for batch in batches:
        metric.update(*batch)
    metric.persistent(True)
    saved = {name: value for name, value in metric.state_dict().items()}
    loaded = kind()
    loaded.persistent(True)
    loaded.load_state_dict(saved)
    pickled, other = pickle.loads(pickle.dumps(metric)), kind(compute_on_cpu=True)
    other.merge_state(metric)
    for copy in (metric, pickled, other, metric.clone()):
        assert figures(copy) == pytest.approx(expected, abs=1e-12)
        assert figures(copy) == figures(copy)  # computing changes nothing
    for copy in (metric, loaded, pickled, other):
        for batch in later:
            copy.update(*batch)
        assert figures(copy) == pytest.approx(all_expected, abs=1e-12)
        copy.reset()
        for batch in batches:
            copy.update(*batch)
        assert figures(copy) == pytest.approx(expected, abs=1e-12)


def test_a_collection_shares_states_and_keeps_its_figures() -> None:
    batches = updates(AnomalySegmentation, 150)
    metrics = MetricCollection(
        {"strict": AnomalySegmentation(), "lenient": AnomalySegmentation(tpr=0.5)}, prefix="ood/"
    )
    for batch in batches:
        metrics.update(*batch)
    assert list(metrics.compute_groups.values()) == [["lenient", "strict"]]
    values = metrics.compute()
    alone = AnomalySegmentation(tpr=0.5)
    for batch in batches:
        alone.update(*batch)
    named = {name.rpartition("_")[2]: value for name, value in values.items() if "lenient" in name}
    assert float(named["FPR95"]) == float(alone.compute()["FPR95"])


def test_components_hold_nothing_that_grows() -> None:
    metric = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0)
    shapes = {name: getattr(metric, name).shape for name in metric._defaults}
    for scores, labels in updates(AnomalySegmentation, 120):
        metric(scores, labels)
    assert {name: getattr(metric, name).shape for name in metric._defaults} == shapes
