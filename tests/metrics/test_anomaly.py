"""Pixel metrics of anomaly scores against scikit-learn: exact, large, tied and degenerate maps; bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.metrics import AnomalySegmentation, ComponentSegmentation, ranked
from poc_aug.seeding import generator
from tests.helpers.metric_cases import frames, measured

NAMES = ("AuPRC", "FPR95", "AUROC", "F1")


def exact(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> dict[str, float]:
    """The figures by scikit-learn, on pooled pixels."""
    kept = labels != 255
    values, truth = scores[kept].astype(np.float64), labels[kept]
    fall_out, recall, _ = roc_curve(truth, values, drop_intermediate=False)
    precision, share, _ = precision_recall_curve(truth, values)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * share / (precision + share))
    return {
        "AuPRC": average_precision_score(truth, values),
        "FPR95": fall_out[np.argmax(recall >= 0.95)],
        "AUROC": roc_auc_score(truth, values),
        "F1": f1.max(),
    }


SCALES = {
    "plain": lambda x: x,
    "crowded near 0": lambda x: torch.sigmoid(4 * x) ** 8 * 1e-6,
    "crowded near 1": lambda x: 1 - torch.sigmoid(-6 * x - 9),
    "crowded near 1 in float64": lambda x: 1 - torch.sigmoid(-6 * x.double() - 30),
    "huge": lambda x: x * 1e30,
    "tiny in float64": lambda x: x.double() * 1e-60,
    "five values": lambda x: (x * 1.2).round().clamp(-2, 2),
    "half precision": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "infinite": lambda x: torch.where(x > 1.5, float("inf"), torch.where(x < -1.5, -float("inf"), x)),
    "one value": lambda x: torch.zeros_like(x),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(3, 17, 11), (2, 131, 257)])
def test_few_pixels_are_exact_on_any_scale(scale: str, shape: tuple[int, int, int]) -> None:
    scores, labels = frames(1, shape)
    scores = SCALES[scale](scores)
    # Infinite scores are in order; scikit-learn takes none.
    plain = scores.double().clamp(-1e300, 1e300).numpy()
    figures, expected = measured(scores, labels), exact(plain, labels.numpy())
    for name in NAMES:
        assert figures[name] == pytest.approx(expected[name], abs=1e-12), name


@pytest.mark.parametrize(
    "scale", ["plain", "crowded near 0", "crowded near 1", "five values", "crowded near 1 in float64"]
)
@pytest.mark.parametrize("share", [0.3, 0.00001])
def test_many_pixels_agree_to_1e_4(scale: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "CAPACITY", 200_000)  # so that summaries are united and merged again and again
    scores, labels = frames(2, (6, 500, 501), share)
    scores = SCALES[scale](scores)
    figures, expected = measured(scores, labels), exact(scores.double().numpy(), labels.numpy())
    for name in NAMES:
        assert figures[name] == pytest.approx(expected[name], abs=1e-4), name


def test_summaries_stay_small_and_keep_their_counts() -> None:
    rng = generator("metrics", "summary")
    whole: list[ranked.Summary] = []
    total = 0
    for _ in range(8):
        values = torch.randn(600_000, generator=rng, dtype=torch.float64)  # no two are equal
        total += len(values)
        whole = [ranked.compact(ranked.merge([*whole, ranked.summarise(values)]))]
        distinct, counts = whole[0]
        assert int(counts.sum()) == total
        assert (distinct[1:] > distinct[:-1]).all()
        assert len(distinct) < 450_000
        above = total - counts.cumsum(0)
        assert (counts <= 2 + 2 * ranked.RELATIVE * (above + counts)).all()


@settings(max_examples=60)
@given(
    values=st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=4, max_size=60),
    data=st.data(),
)
def test_ties_and_degenerate_maps(values: list[float], data: st.DataObject) -> None:
    truth = data.draw(st.lists(st.sampled_from([0, 1, 255]), min_size=len(values), max_size=len(values)))
    scores, labels = torch.tensor(values)[None, None], torch.tensor(truth)[None, None]
    figures = measured(scores, labels)
    if not {0, 1} <= set(truth):
        assert all(np.isnan(figures[name]) for name in NAMES)
        return
    expected = exact(scores.numpy(), labels.numpy())
    for name in NAMES:
        assert figures[name] == pytest.approx(expected[name], abs=1e-12), name


def test_thresholds_are_scores_that_give_the_figures() -> None:
    scores, labels = frames(3, (2, 40, 41))
    figures = measured(scores, labels)
    kept = labels != 255
    truth = labels[kept] == 1
    predicted = scores[kept] >= figures["F1_threshold"]
    hits = (predicted & truth).sum()
    assert float(2 * hits / (predicted.sum() + truth.sum())) == pytest.approx(figures["F1"])
    alarms = scores[kept] >= figures["FPR95_threshold"]
    assert float((alarms & truth).sum() / truth.sum()) >= 0.95
    assert float((alarms & ~truth).sum() / (~truth).sum()) == pytest.approx(figures["FPR95"])


def test_nothing_that_counts_is_nan_and_a_perfect_score_is_one() -> None:
    nothing = measured(torch.zeros(1, 3, 3), torch.full((1, 3, 3), 255))
    assert all(np.isnan(value) for value in nothing.values())
    labels = torch.zeros(1, 5, 5, dtype=torch.long)
    labels[0, 2:, 2:] = 1
    perfect = measured(labels.float(), labels)
    assert (perfect["AuPRC"], perfect["FPR95"], perfect["AUROC"], perfect["F1"]) == (1, 0, 1, 1)
    worst = measured(-labels.float(), labels)
    assert (worst["FPR95"], worst["AUROC"]) == (1, 0)


@pytest.mark.parametrize(
    ("scores", "labels", "named"),
    [
        (torch.zeros(4, 4), torch.zeros(4, 4, dtype=torch.long), r"\[4, 4\](?s:.*)\[B, H, W\]"),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 5, dtype=torch.long), r"\[1, 4, 5\]"),
        (torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.long), "int64"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), "float32"),
        (torch.zeros(1, 2, 2), torch.full((1, 2, 2), 2), r"\[2\](?s:.*)RoadAnomaly"),
        (
            torch.tensor([[[0.0, float("nan")]]]),
            torch.zeros(1, 1, 2, dtype=torch.long),
            r"NaN, 1 of 2(?s:.*)\[0, 0, 1\]",
        ),
    ],
)
def test_bad_input_is_named(scores: torch.Tensor, labels: torch.Tensor, named: str) -> None:
    for metric in (AnomalySegmentation(), ComponentSegmentation(0.5)):
        with pytest.raises(ItemFormatError, match=named):
            metric.update(scores, labels)
    with pytest.raises(SettingError, match="tpr=0"):
        AnomalySegmentation(tpr=0)
    with pytest.raises(SettingError, match="track='road'"):
        ComponentSegmentation(0.5, track="road")  # type: ignore[arg-type]
