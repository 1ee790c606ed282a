"""Timing with warm-up, median and spread, and the facts that a figure is worth nothing without."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import poc_aug
from poc_aug.files.outputs import make_folder, writing

_PACKAGES = ("torch", "torchvision", "numpy", "kornia", "lmdb", "pillow", "zstandard")
_OPTIONAL = ("diffusers", "transformers", "peft", "accelerate", "groundingdino-py", "segment-anything")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of repeated measurements, in whatever unit they had."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, 25% and 75% quantile of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))

    def to_dict(self) -> dict[str, float]:
        """JSON values, rounded to six significant digits."""
        shown = {"median": self.median, "low": self.low, "high": self.high}
        return {**{name: significant(value) for name, value in shown.items()}, "runs": self.runs}


def significant(value: float) -> float:
    """``value`` to six significant digits: what a timer holds."""
    return float(f"{value:.6g}")


def interleaved(arms: Mapping[str, Callable[[], float]], repeats: int, *, warmup: int = 1) -> dict[str, list[float]]:
    """Measure several things in turn, ``a b c a b c ...``, so that drift of the machine meets all alike.

    Every other round goes backwards (``a b c c b a``), which cancels a linear drift within a round too.

    Args:
        arms: each call measures once and returns its figure.
        repeats: figures of each arm that are kept.
        warmup: rounds that are thrown away first.

    Returns:
        The figures of each arm, those of one round at the same position.
    """
    found: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(-warmup, repeats):
        for name in arms if number % 2 == 0 else reversed(list(arms)):
            figure = arms[name]()
            if number >= 0:
                found[name].append(figure)
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """``above / below``, round by round: what both share, such as a busy machine, drops out."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def environment() -> dict[str, Any]:
    """What a result has to carry: date, commit, hardware, versions, and how busy the machine was."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "poc_aug": poc_aug.__version__,
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        **{name: version for name in _OPTIONAL if (version := _version(name)) is not None},
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Write a result as indented JSON, making its folder.

    Raises:
        OutputError: it cannot be written.
    """
    target = make_folder(Path(path).parent) / Path(path).name
    with writing(target):
        target.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> str | None:
    """Commit of the source tree that runs, "+" where it was changed; ``None`` for an installed package."""
    root = Path(poc_aug.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):  # no git here, or not allowed to read this repository
        return None
    return commit + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
