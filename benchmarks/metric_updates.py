"""Many small updates of an anomaly metric: ours alongside one that goes through all earlier updates in each update.

Time per update for growing numbers of updates of 8x8 score maps. "held apart" keeps a summary per update and counts the
values of all of them each time, as `AnomalySegmentation` did before its parts were merged.

    python benchmarks/metric_updates.py --out benchmarks/results/metric_updates.json
"""

from __future__ import annotations

import time
from typing import Any

import torch
from harness import console, options, publish, show

from poc_aug.metrics import AnomalySegmentation, ranked
from poc_aug.seeding import generator


class HeldApart(AnomalySegmentation):
    """The metric with a part per update, merged at the capacity only."""

    def _settle(self, name: str) -> None:
        values, counts = getattr(self, f"{name}_values"), getattr(self, f"{name}_counts")
        if sum(map(len, values)) > ranked.CAPACITY:
            values[:], counts[:] = ([part] for part in self._united(name))


ARMS: dict[str, type[AnomalySegmentation]] = {"ours": AnomalySegmentation, "held apart": HeldApart}


def measure(kind: type[AnomalySegmentation], count: int) -> dict[str, Any]:
    """Seconds of all updates and of the computation, and a figure to compare."""
    rng = generator("benchmark", "updates")
    labels = (torch.rand((count, 1, 8, 8), generator=rng) < 0.1).to(torch.uint8)
    scores = torch.randn((count, 1, 8, 8), generator=rng) + labels
    metric, started = kind(), time.perf_counter()
    for frame_scores, frame_labels in zip(scores, labels, strict=True):
        metric.update(frame_scores, frame_labels)
    updated = time.perf_counter()
    figure = float(metric.compute()["AuPRC"])
    computed_s = time.perf_counter() - updated
    return {"updates": count, "update_s": updated - started, "compute_s": computed_s, "AuPRC": figure}


def main() -> None:
    args = options("Anomaly metrics: time per update, for many updates.").parse_args()
    counts = (100, 200) if args.smoke else (1000, 4000)
    measure(AnomalySegmentation, 20)  # imports, thread pools
    results: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for count in counts:
        for arm, kind in ARMS.items():
            with console.status(f"{arm}, {count} updates"):
                results[arm].append(measure(kind, count))
    rows = [
        [arm, *(f"{1e3 * run['update_s'] / run['updates']:.2f}" for run in runs), f"{runs[-1]['update_s']:.2f}"]
        for arm, runs in results.items()
    ]
    ratio = results["held apart"][-1]["update_s"] / results["ours"][-1]["update_s"]
    show(
        f"updates of 8x8 maps, held apart / ours at {counts[-1]}: {ratio:.1f}",
        ["", *(f"ms each of {count}" for count in counts), f"s for {counts[-1]}"],
        rows,
    )
    publish("metric_updates", {"results": results, "held_apart_of_ours": ratio}, args.out)


if __name__ == "__main__":
    main()
