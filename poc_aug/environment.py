"""What a figure is worth nothing without: commit, hardware, versions; and writing it as JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from poc_aug.files.outputs import make_folder, writing
from poc_aug.version import __version__

_PACKAGES = ("torch", "torchvision", "numpy", "kornia", "lmdb", "pillow", "zstandard")


_OPTIONAL = ("diffusers", "transformers", "peft", "accelerate", "groundingdino-py", "segment-anything")


def environment() -> dict[str, Any]:
    """What a result has to carry: date, commit, hardware, versions, and how busy the machine was."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "poc_aug": __version__,
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
        ValueError: a number that JSON does not have: NaN, or an infinite one.
    """
    target = make_folder(Path(path).parent) / Path(path).name
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(target):
        # File names that are not UTF-8 are surrogates in Python, which no file can hold.
        target.write_text(text, encoding="utf-8", errors="backslashreplace")


def _commit() -> str | None:
    """Commit of the source tree that runs, "+" where it was changed; ``None`` for an installed package."""
    root = Path(__file__).resolve().parents[1]
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
