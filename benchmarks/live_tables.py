"""The tables that `live.py` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import show
from live_measuring import STEPS


def show_throughput(name: str, size_hw: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> None:
    header = ("", "items/s", "over each worker", "over main", "crops per call", "device busy", "CPU ms per item")
    shown = [
        [
            row["arm"],
            f"{row['items_per_s']['median']:.1f}",
            *(
                f"{row[key]['median']:.2f}x ({row[key]['low']:.2f} to {row[key]['high']:.2f})"
                for key in ("over_in_worker", "over_in_main")
            ),
            f"{row['crops_per_call']:.1f}" if row["crops_per_call"] else "",
            f"{row['device_busy']:.0%}" if row["crops_per_call"] else "",
            _processor(row),
        ]
        for row in rows
    ]
    show(f"loading {name} frames, {size_hw[1]}x{size_hw[0]}, every item augmented", header, shown)


def show_waiting(name: str, size_hw: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> None:
    steps = [f"wait, step {factor:g}x" for factor in STEPS]
    header = ("", "ms per batch", "over plain", *steps, "made per item", "CPU ms per item")
    shown = [
        [
            row["arm"],
            f"{1e3 * row['batch_s']['median']:.0f}",
            _change(row["time_over_plain"]),
            *(
                f"wait {1e3 * loop['wait_s']['median']:.0f}, {_change(loop['loop_over_plain'])}"
                for loop in row["loops"]
            ),
            f"{row['made_per_item']:.2f}",
            _processor(row),
        ]
        for row in rows
    ]
    show(f"waiting for {name} frames, {size_hw[1]}x{size_hw[0]}, in ms", header, shown)


def _change(spread: Mapping[str, float]) -> str:
    return f"{spread['median'] - 1:+.1%} ({spread['low'] - 1:+.1%} to {spread['high'] - 1:+.1%})"


def _processor(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in row["processor_ms_per_item"].items() if value)
