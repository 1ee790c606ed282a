"""Metrics against scikit-learn, hand-computed cases and the public kit's figures; merged, reset, over two processes."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from poc_aug.errors import ItemFormatError, RecipeError
from poc_aug.metrics import AnomalySegmentation, ComponentSegmentation, SegmentationCalibration, ranked
from poc_aug.seeding import generator

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


def measured(scores: torch.Tensor, labels: torch.Tensor, **options: Any) -> dict[str, float]:
    metric = AnomalySegmentation(**options)
    for frame in zip(scores, labels, strict=True):
        metric.update(*(part[None] for part in frame))
    return {name: float(value) for name, value in metric.compute().items()}


def frames(seed: int, shape: tuple[int, int, int], share: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    rng = generator("metrics", seed)
    labels = (torch.rand(shape, generator=rng) < share).to(torch.uint8)
    labels[torch.rand(shape, generator=rng) < 0.1] = 255
    return torch.randn(shape, generator=rng) + 1.2 * (labels == 1), labels


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
    found, expected = measured(scores, labels), exact(plain, labels.numpy())
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], abs=1e-12), name


@pytest.mark.parametrize(
    "scale", ["plain", "crowded near 0", "crowded near 1", "five values", "crowded near 1 in float64"]
)
@pytest.mark.parametrize("share", [0.3, 0.00001])
def test_many_pixels_agree_to_1e_4(scale: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "CAPACITY", 400_000)  # so that summaries are united and merged again and again
    scores, labels = frames(2, (6, 700, 701), share)
    scores = SCALES[scale](scores)
    found, expected = measured(scores, labels), exact(scores.double().numpy(), labels.numpy())
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], abs=1e-4), name


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


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=4, max_size=60),
    data=st.data(),
)
def test_ties_and_degenerate_maps(values: list[float], data: st.DataObject) -> None:
    truth = data.draw(st.lists(st.sampled_from([0, 1, 255]), min_size=len(values), max_size=len(values)))
    scores, labels = torch.tensor(values)[None, None], torch.tensor(truth)[None, None]
    found = measured(scores, labels)
    if not {0, 1} <= set(truth):
        assert all(np.isnan(found[name]) for name in NAMES)
        return
    expected = exact(scores.numpy(), labels.numpy())
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], abs=1e-12), name


def test_thresholds_are_scores_that_give_the_figures() -> None:
    scores, labels = frames(3, (2, 40, 41))
    found = measured(scores, labels)
    kept = labels != 255
    truth = labels[kept] == 1
    predicted = scores[kept] >= found["F1_threshold"]
    hits = (predicted & truth).sum()
    assert float(2 * hits / (predicted.sum() + truth.sum())) == pytest.approx(found["F1"])
    alarms = scores[kept] >= found["FPR95_threshold"]
    assert float((alarms & truth).sum() / truth.sum()) >= 0.95
    assert float((alarms & ~truth).sum() / (~truth).sum()) == pytest.approx(found["FPR95"])


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
    with pytest.raises(RecipeError, match="tpr=0"):
        AnomalySegmentation(tpr=0)
    with pytest.raises(RecipeError, match="track='road'"):
        ComponentSegmentation(0.5, track="road")  # type: ignore[arg-type]


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
    whole.reset()
    whole.update(scores[:1], labels[:1])
    assert float(whole.compute()["AuPRC"]) == measured(scores[:1], labels[:1])["AuPRC"]


# Components, by hand: each letter is a predicted component on its own.
TRUE = """
11.......
11..22...
....22...
.......3.
"""
PREDICTED = """
aa.......
.a..bbbb.
....bbbb.
dd.......
"""


def picture(text: str) -> torch.Tensor:
    return torch.tensor([[sign != "." for sign in line] for line in text.split()])


def test_components_by_hand() -> None:
    labels, scores = picture(TRUE).long()[None], picture(PREDICTED).float()[None]
    metric = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0)
    frame = metric.frame(scores[0], labels[0])
    # 1: 3 of 4 pixels met by a, nothing beside. 2: all 4, and 4 more of b beside them. 3: never met.
    assert frame.siou.tolist() == [3 / 4, 4 / 8, 0.0]
    assert frame.ppv.tolist() == [1.0, 0.5, 0.0]
    metric.update(scores, labels)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found["sIoU"] == pytest.approx((0.75 + 0.5) / 3)
    # At 0.25: 2 found, 1 missed, 1 false alarm. At 0.50: sIoU has to exceed it. At 0.75: none is above.
    assert found["F1_25"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found["F1_50"] == pytest.approx(2 / (2 + 2 + 2))
    assert found["F1_75"] == 0


def test_one_prediction_over_two_objects_is_adjusted() -> None:
    # The union leaves out what belongs to the other object: both are half of a 10-pixel prediction.
    labels = picture("1111..1111")[None].long()
    scores = torch.ones(1, 1, 10)
    frame = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0).frame(scores[0], labels[0])
    assert frame.siou.tolist() == [4 / 6, 4 / 6]
    assert frame.ppv.tolist() == [8 / 10]


def test_sizes_and_ignored_pixels_of_components() -> None:
    labels = picture("1111..1").long()[None]
    scores = picture("aaaa.ab").float()[None]
    small = ComponentSegmentation(0.5, min_predicted_px=3, min_true_px=2)
    frame = small.frame(scores[0], labels[0])
    assert frame.siou.tolist() == [1.0]  # the object of one pixel is ignored, the prediction of two dropped
    assert frame.ppv.tolist() == [1.0]
    labels[0, 0, 5] = 255
    frame = ComponentSegmentation(0.5, min_predicted_px=0, min_true_px=0).frame(scores[0], labels[0])
    assert frame.siou.tolist() == [1.0, 1.0]
    assert frame.ppv.tolist() == [1.0, 1.0]
    empty = ComponentSegmentation(0.5)
    empty.update(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))
    assert all(np.isnan(float(value)) for value in empty.compute().values())


@pytest.mark.real_data
def test_real_score_maps_equal_scikit_learn_and_the_public_kit(real_data: Path) -> None:
    references = json.loads((real_data / "metric_refs" / "smiyc_kit_reference.json").read_text())
    assert len(references) == 4
    for reference in references.values():
        kit, exactly = reference["official_kit"], reference["exact"]
        pixels = AnomalySegmentation()
        track = "anomaly" if reference["track"].startswith("Anomaly") else "obstacle"
        components = ComponentSegmentation(kit["best_f1_threshold"], track=track)
        for name, expected in zip(reference["frames"], reference["per_frame"], strict=True):
            with np.load(real_data / "metric_refs" / "scores" / name) as data:
                scores, labels = torch.from_numpy(data["score"]), torch.from_numpy(data["label"])
            pixels.update(scores[None], labels[None])
            components.update(scores[None], labels[None])
            frame = components.frame(scores, labels)
            for key, found in (("sIoU_gt", frame.siou), ("prec_pred", frame.ppv), ("sIoU_pred", frame.predicted_siou)):
                assert sorted(found.tolist()) == pytest.approx(sorted(expected[key]), abs=1e-12)
        found_pixels = {name: float(value) for name, value in pixels.compute().items()}
        assert found_pixels["AuPRC"] == pytest.approx(exactly["AP_sklearn"], abs=1e-9)
        assert found_pixels["AUROC"] == pytest.approx(exactly["AUROC_sklearn"], abs=1e-9)
        assert found_pixels["FPR95"] == pytest.approx(exactly["FPR95_first_tpr_ge_095"], abs=1e-9)
        assert found_pixels["F1"] == pytest.approx(exactly["best_f1_exact"], abs=1e-9)
        assert found_pixels["F1_threshold"] == pytest.approx(exactly["best_f1_exact_threshold"], abs=1e-6)
        found = {name: float(value) for name, value in components.compute().items()}
        for name, key in (("sIoU", "sIoU_gt"), ("PPV", "prec_pred"), ("F1", "f1_mean"), ("F1_50", "f1_50")):
            assert found[name] == pytest.approx(kit[key], abs=1e-12)


def calibration_by_hand(probabilities: torch.Tensor, labels: torch.Tensor, bins: int = 15) -> dict[str, float]:
    confidence, predicted = probabilities.double().max(dim=1)
    kept = labels != 255
    values, right = confidence[kept].numpy(), (predicted == labels)[kept].double().numpy()
    order = np.argsort(values, kind="stable")
    values, right = values[order], right[order]
    places = np.clip(np.ceil(values * bins) - 1, 0, bins - 1)
    ece = sum(abs((values - right)[places == k].sum()) for k in range(bins)) / len(values)
    even = sum(
        abs((v - r).sum()) for v, r in zip(np.array_split(values, bins), np.array_split(right, bins), strict=True)
    )
    return {"ECE": ece, "AdaptiveECE": even / len(values), "KS": np.abs((values - right).cumsum()).max() / len(values)}


def test_calibration_equals_its_definition() -> None:
    rng = generator("metrics", "calibration")
    logits = 3 * torch.randn(3, 7, 60, 61, generator=rng)
    labels = torch.where(
        torch.rand(3, 60, 61, generator=rng) < 0.6, logits.argmax(1), torch.randint(0, 7, (3, 60, 61), generator=rng)
    )
    labels[torch.rand(3, 60, 61, generator=rng) < 0.2] = 255
    whole, parts, given_probabilities = (
        SegmentationCalibration(), SegmentationCalibration(), SegmentationCalibration(from_logits=False)
    )  # fmt: skip
    whole.update(logits, labels)
    for i in range(3):
        parts.update(logits[i : i + 1], labels[i : i + 1])
    given_probabilities.update(logits.softmax(1), labels)
    expected = calibration_by_hand(logits.float().softmax(1), labels)
    for metric in (whole, parts, given_probabilities):
        found = metric.compute()
        assert float(found["ECE"]) == pytest.approx(expected["ECE"], abs=1e-6)
        assert float(found["KS"]) == pytest.approx(expected["KS"], abs=1e-5)
        assert float(found["AdaptiveECE"]) == pytest.approx(expected["AdaptiveECE"], abs=1e-3)


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_its_gap() -> None:
    rng = generator("metrics", "calibrated")
    share = 0.5 + 0.5 * torch.rand(1, 400, 400, generator=rng)
    labels = (torch.rand(1, 400, 400, generator=rng) > share).long()
    calibrated = SegmentationCalibration(from_logits=False)
    calibrated.update(torch.stack([share, 1 - share], dim=1), labels)
    assert all(float(calibrated.compute()[name]) < 0.01 for name in ("ECE", "AdaptiveECE", "KS"))
    sure = SegmentationCalibration(from_logits=False)
    certain = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 400, 400)
    sure.update(certain, labels)
    wrong = float(labels.double().mean())
    for name in ("ECE", "AdaptiveECE", "KS"):
        assert float(sure.compute()[name]) == pytest.approx(wrong, abs=1e-9)


@pytest.mark.parametrize(
    ("predictions", "labels", "named"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 5, dtype=torch.long), r"\[1, 4, 5\]"),
        (torch.zeros(1, 3, 4, 4), torch.full((1, 4, 4), 3), r"\[3\](?s:.*)0 to 2"),
        (torch.full((1, 3, 2, 2), float("nan")), torch.zeros(1, 2, 2, dtype=torch.long), "NaN"),
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), "float32"),
    ],
)
def test_bad_predictions_are_named(predictions: torch.Tensor, labels: torch.Tensor, named: str) -> None:
    with pytest.raises(ItemFormatError, match=named):
        SegmentationCalibration().update(predictions, labels)
    with pytest.raises(ItemFormatError, match="from_logits=True"):
        SegmentationCalibration(from_logits=False).update(torch.full((1, 2, 1, 1), 2.0), torch.zeros(1, 1, 1).long())


def _rank(rank: int, port: int, told: Any) -> None:
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
    told.put([{name: float(v) for name, v in metric.compute().items()} for metric in (pixels, components, calibration)])
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.timeout(120)
def test_two_processes_equal_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    ranks = [context.Process(target=_rank, args=(rank, port, told)) for rank in range(2)]
    for each in ranks:
        each.start()
    one, other = told.get(), told.get()
    for each in ranks:
        each.join(60)
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
    alone = [{name: float(v) for name, v in metric.compute().items()} for metric in (pixels, components, calibration)]
    for found in (one, other):
        for part, expected in zip(found, alone, strict=True):
            assert part == pytest.approx(expected, abs=1e-12, nan_ok=True)
