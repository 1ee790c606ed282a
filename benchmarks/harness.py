"""What the benchmark scripts share: their options, the real data, frames to read, JSON and a table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from poc_aug.datasets.synthetic import SyntheticStreet
from poc_aug.environment import environment, write_json
from poc_aug.labels.schema import SCHEMAS, LabelSchema

RESULTS = Path(__file__).parent / "results"
SIZE_HW = (1024, 2048)
console = Console(width=150)


def options(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--smoke", action="store_true", help="small frames, few runs: a check that the script works")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parser.add_argument("--repeats", type=int, help="measurements of each arm; medians are reported")
    return parser


def data_root() -> Path | None:
    """The folder of real data: POC_AUG_DATA, otherwise ../shared/data next to the project; ``None`` if missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("POC_AUG_DATA", default))
    return root if (root / "scenes").is_dir() else None


@dataclass(frozen=True)
class Frames:
    """Frames to measure on: PNG files of images and of label ids."""

    name: str
    images: Sequence[Path]
    labels: Sequence[Path]
    schema: LabelSchema

    def label_map(self, number: int) -> torch.Tensor:
        """Label ids, uint8 ``[H, W]``."""
        with Image.open(self.labels[number]) as picture:
            return torch.from_numpy(np.array(picture))


def cityscapes_frames() -> Frames | None:
    """The real Cityscapes frames, if they are available."""
    root = data_root()
    if root is None:
        return None
    folder = root / "scenes" / "cityscapes"
    images = sorted((folder / "leftImg8bit").rglob("*_leftImg8bit.png"))
    labels = sorted((folder / "gtFine").rglob("*_gtFine_labelIds.png"))
    return Frames("cityscapes", images, labels, SCHEMAS["cityscapes-labelIds"]) if images else None


def synthetic_frames(folder: Path, size_hw: tuple[int, int], length: int) -> Frames:
    """Street frames made by code, written as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    street = SyntheticStreet(size=size_hw, length=length)
    images, labels = [], []
    for number in range(length):
        image, ids = street[number]
        images.append(folder / f"street_{number:03d}.png")
        labels.append(folder / f"street_{number:03d}_labels.png")
        image.save(images[-1])
        ids.save(labels[-1])
    return Frames("synthetic", images, labels, SCHEMAS["cityscapes-trainIds"])


def publish(name: str, results: Mapping[str, Any], out: Path | None) -> None:
    """Write the result with its environment, if a file is given."""
    if out is not None:
        write_json(out, {"benchmark": name, "environment": environment(), **results})
        console.print(f"written: {out}")


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
