"""TPR at 5% FPR of anomaly scores (ISSU), against all thresholds tried one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poc_aug.errors import SettingError
from poc_aug.metrics import AnomalySegmentation, ranked
from tests.helpers.metric_cases import frames, measured


def by_definition(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], fpr: float = 0.05
) -> tuple[float, float]:
    """The best true positive rate of all thresholds whose false positive rate is at most ``fpr``, and its threshold."""
    known, anomalous = scores[labels == 0], scores[labels == 1]
    best = (0.0, float("inf"))
    for threshold in sorted(set(scores[labels != 255].tolist()), reverse=True):
        if (known >= threshold).sum() / len(known) <= fpr:
            best = (float((anomalous >= threshold).mean()), threshold)
    return best


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_any_small_maps_equal_the_definition(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 60))
    values = data.draw(
        st.lists(
            st.sampled_from([-float("inf"), -1.5, 0.0, 0.25, 0.5, 2.0, float("inf")]), min_size=size, max_size=size
        )
    )
    truth = data.draw(st.lists(st.sampled_from([0, 0, 0, 1, 255]), min_size=size, max_size=size))
    fpr = data.draw(st.sampled_from([0.0, 0.05, 0.2, 0.5]))
    scores, labels = torch.tensor(values, dtype=torch.float64)[None, None], torch.tensor(truth)[None, None]
    figures = measured(scores, labels, fpr=fpr)
    if not {0, 1} <= set(truth):
        assert np.isnan([figures["TPR5"], figures["TPR5_threshold"]]).all()
        return
    rate, threshold = by_definition(np.array(values), np.array(truth), fpr)
    assert (figures["TPR5"], figures["TPR5_threshold"]) == pytest.approx((rate, threshold), abs=1e-12)


def test_five_percent_is_a_limit_that_may_be_reached() -> None:
    labels = torch.zeros(1, 1, 21, dtype=torch.long)
    labels[0, 0, 20] = 1
    scores = torch.arange(21.0)[None, None]
    scores[0, 0, 20] = 18.5  # one of the 20 known pixels is above it: 5%
    assert measured(scores, labels)["TPR5"] == 1
    scores[0, 0, 20] = 17.5  # two: 10%
    assert measured(scores, labels)["TPR5"] == 0
    tied = measured(torch.zeros(1, 1, 21), labels)
    assert (tied["TPR5"], tied["TPR5_threshold"]) == (0, float("inf"))


def test_more_distinct_scores_than_are_held() -> None:
    scores, labels = frames(7, (2, 800, 900))
    figures = measured(scores, labels)
    kept = labels != 255
    truth = labels[kept] == 1
    known = np.sort(scores[kept][~truth].numpy())
    assert len(np.unique(known)) > 2 * ranked.EXACT
    limit = known[len(known) - int(0.05 * len(known))]  # 5% of the known pixels are at or above it
    rate = float((scores[kept][truth] >= limit).float().mean())
    assert figures["TPR5"] == pytest.approx(rate, abs=2e-4)
    alarms = (scores[kept][~truth] >= figures["TPR5_threshold"]).double().mean()
    assert float(alarms) == pytest.approx(0.05, abs=2e-5)


@pytest.mark.parametrize("fpr", [1, -0.1, float("nan")])
def test_rates_outside_are_refused(fpr: float) -> None:
    with pytest.raises(SettingError, match=f"fpr={fpr}"):
        AnomalySegmentation(fpr=fpr)


@pytest.mark.real_data
def test_real_score_maps_equal_the_definition(real_data: Path) -> None:
    paths = sorted((real_data / "metric_refs" / "scores").glob("*.npz"))
    assert len(paths) == 36
    metric = AnomalySegmentation()
    pooled = []
    for path in paths[:6]:
        with np.load(path) as stored:
            scores, labels = stored["score"][::4, ::4], stored["label"][::4, ::4]
        metric.update(torch.from_numpy(scores)[None], torch.from_numpy(labels)[None])
        pooled.append((scores.ravel().astype(np.float64), labels.ravel().astype(np.int64)))
    every_score, every_label = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
    rate, threshold = by_definition(every_score, every_label)
    figures = metric.compute()
    assert 0 < rate < 1
    assert (float(figures["TPR5"]), float(figures["TPR5_threshold"])) == pytest.approx((rate, threshold), abs=1e-12)
