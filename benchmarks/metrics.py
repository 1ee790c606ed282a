"""Anomaly segmentation metrics: ours alongside scikit-learn on pooled pixels and torchmetrics' binned curves.

Time and peak memory for 100 frames of 2048x1024, each arm in a process of its own; making the frames is not timed.

    python benchmarks/metrics.py --out benchmarks/results/metrics.json
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from harness import SIZE_HW, console, options, publish, show

from poc_aug.seeding import generator

_BINS = 100  # one pass over the pixels per figure
_DISTINCT = 8  # frames that are made; each is changed slightly whenever it is reused
Figures = dict[str, float]


class Frames:
    """Score maps crowded near 0, as softmax scores are, and sparse anomalies.

    Args:
        count: number of frames.
        size_hw: their size.
    """

    def __init__(self, count: int, size_hw: tuple[int, int]) -> None:
        self.count = count
        self._made = [self._make(number, size_hw) for number in range(min(count, _DISTINCT))]
        self._scores = torch.empty_like(self._made[0][0])

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for number in range(self.count):
            scores, labels = self._made[number % len(self._made)]
            torch.mul(scores, 1 + 1e-3 * number, out=self._scores)
            yield self._scores, labels

    @staticmethod
    def _make(number: int, size_hw: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        rng = generator("benchmark", "metrics", number)
        labels = (torch.rand((1, *size_hw), generator=rng) < 0.01).to(torch.uint8)
        scores = torch.sigmoid(2 * (torch.randn((1, *size_hw), generator=rng) + 1.5 * labels)) ** 4
        return scores, labels


def ours(frames: Frames) -> tuple[float, Figures]:
    """`AnomalySegmentation`."""
    from poc_aug.metrics import AnomalySegmentation

    metric, seconds = AnomalySegmentation(), 0.0
    for scores, labels in frames:
        started = time.perf_counter()
        metric.update(scores, labels)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    figures = {name: float(value) for name, value in metric.compute().items()}
    return seconds + time.perf_counter() - started, figures


def scikit_learn(frames: Frames) -> tuple[float, Figures]:
    """The same four figures of all pixels, pooled in memory."""
    import numpy as np
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    pooled = [(scores.flatten().numpy().copy(), labels.flatten().numpy()) for scores, labels in frames]
    scores = np.concatenate([part for part, _ in pooled])
    labels = np.concatenate([part for _, part in pooled])
    del pooled
    started = time.perf_counter()
    fall_out, recall, _ = roc_curve(labels, scores)
    fpr95 = float(fall_out[np.argmax(recall >= 0.95)])
    del fall_out, recall
    precision, share, _ = precision_recall_curve(labels, scores, drop_intermediate=True)
    f1 = float(np.max(2 * precision * share / np.maximum(precision + share, 1e-12)))
    del precision, share
    figures = {
        "AuPRC": float(average_precision_score(labels, scores)),
        "AUROC": float(roc_auc_score(labels, scores)),
        "FPR95": fpr95,
        "F1": f1,
    }
    return time.perf_counter() - started, figures


def torchmetrics_binned(frames: Frames) -> tuple[float, Figures]:
    """Torchmetrics' binned curves: constant memory, thresholds fixed in advance."""
    from torchmetrics import Metric, MetricCollection
    from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

    # A collection counts once for both.
    both: dict[str, Metric | MetricCollection] = {
        "AuPRC": BinaryAveragePrecision(thresholds=_BINS),
        "AUROC": BinaryAUROC(thresholds=_BINS),
    }
    metric, seconds = MetricCollection(both), 0.0
    for scores, labels in frames:
        started = time.perf_counter()
        metric.update(scores, labels)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    figures = {name: float(value) for name, value in metric.compute().items()}
    return seconds + time.perf_counter() - started, figures


ARMS: dict[str, Callable[[Frames], tuple[float, Figures]]] = {
    "ours": ours,
    "scikit-learn": scikit_learn,
    f"torchmetrics, {_BINS} bins": torchmetrics_binned,
}


def _status(name: str) -> float:
    """A figure of this process in MB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1e3
    raise RuntimeError(f"/proc/self/status has no {name}")


def _measure(arm: str, count: int, size_hw: tuple[int, int], sender: Connection) -> None:
    ARMS[arm](Frames(2, (64, 64)))  # imports, thread pools
    frames = Frames(count, size_hw)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    seconds, figures = ARMS[arm](frames)
    sender.send({"seconds": seconds, "peak_mb": _status("VmHWM") - before, "figures": figures})


def run(arm: str, count: int, size_hw: tuple[int, int]) -> dict[str, Any]:
    """One arm in a process of its own, forked from this one, which has imported torch and computes nothing."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(arm, count, size_hw, there))
    process.start()
    there.close()
    result: dict[str, Any] = here.recv()
    process.join()
    return result


def main() -> None:
    parser = options("Anomaly segmentation metrics: time, memory, agreement.")
    parser.add_argument("--frames", type=int, help="default 100")
    args = parser.parse_args()
    count, size_hw = (args.frames or 4, (128, 256)) if args.smoke else (args.frames or 100, SIZE_HW)
    results = {}
    for arm in ARMS:
        console.print(arm)
        results[arm] = run(arm, count, size_hw)
    exact = results["scikit-learn"]
    rows = []
    for arm, result in results.items():
        result["share_of_scikit_learn_time"] = result["seconds"] / exact["seconds"]
        result["billion_pixels_s"] = result["seconds"] * 1e9 / (count * size_hw[0] * size_hw[1])
        result["errors"] = {
            name: result["figures"][name] - value
            for name, value in exact["figures"].items()
            if name in result["figures"]
        }
        worst = max(abs(value) for value in result["errors"].values())
        rows.append(
            [
                arm,
                f"{result['seconds']:.2f}",
                f"{result['share_of_scikit_learn_time']:.3f}",
                f"{result['peak_mb']:.0f}",
                f"{worst:.1e}",
                f"{result['billion_pixels_s']:.0f}",
            ]
        )
    show(
        f"{count} frames of {size_hw[1]}x{size_hw[0]}",
        ["", "s", "of scikit-learn's", "MB beyond the frames", "largest error", "s for 10^9 pixels"],
        rows,
    )
    publish("metrics", {"frames": count, "frame_hw": list(size_hw), "results": results}, args.out)


if __name__ == "__main__":
    main()
