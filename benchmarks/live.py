"""Generation while training: loader throughput compared with hand-written ways, and what a training step waits.

The inserter has a known cost, 40 ms per call and 5 ms per crop, alone on its device: it sleeps under a lock that all
processes share. (A GPU takes no processor time.) One item is one crop; nothing is in the cache.

Run: python benchmarks/live.py [--smoke] [--out benchmarks/results/live.json]
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from harness import SIZE_HW, Frames, cityscapes_frames, options, publish, synthetic_frames
from live_inserter import CALL_S, ITEM_S, SLOW_ITEM_S, Device
from live_loaders import Setting
from live_measuring import measure_throughput, measure_waiting
from live_tables import show_throughput, show_waiting
from PIL import Image

from poc_aug.cache import CODECS

THROUGHPUT_HW = ((512, 1024), (256, 512))


def scaled(frames: Frames, folder: Path, size_hw: tuple[int, int]) -> Frames:
    """The frames at another size, written as PNG."""
    folder.mkdir()
    size = size_hw[1], size_hw[0]
    images, labels = [], []
    for number, (image, ids) in enumerate(zip(frames.images, frames.labels, strict=True)):
        images.append(folder / f"{number}.png")
        labels.append(folder / f"{number}_labels.png")
        with Image.open(image) as picture:
            picture.convert("RGB").resize(size, Image.Resampling.BOX).save(images[-1])
        with Image.open(ids) as picture:
            picture.resize(size, Image.Resampling.NEAREST).save(labels[-1])
    return Frames(frames.name, images, labels, frames.schema)


def main() -> None:
    """Measure, print, write."""
    parser = options("Generation while training: throughput, and what a training step waits.")
    parser.add_argument("--workers", type=int, help="loader processes; default 4")
    parser.add_argument("--only", choices=("synthetic", "cityscapes"), help="frames; default: the real ones, if there")
    parser.add_argument("--part", choices=("throughput", "background"), help="one of the two parts")
    parser.add_argument("--codec", choices=CODECS, help="codec of the cache that is written; default: the library's")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    # More workers than processors is the question here.
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    smoke = chosen.smoke
    workers = chosen.workers or (2 if smoke else 4)
    repeats = chosen.repeats or (1 if smoke else 3)
    throughput_hw, background_hw = (((96, 192),), (96, 192)) if smoke else (THROUGHPUT_HW, SIZE_HW)
    results: dict[str, Any] = {"throughput": [], "background": []}
    real = None if smoke or chosen.only == "synthetic" else cityscapes_frames()
    if real is None and chosen.only == "cityscapes":
        parser.error("there are no Cityscapes frames: set POC_AUG_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        device = Device(folder / "device")
        frames = real or synthetic_frames(folder / "frames", background_hw, 2 if smoke else 4)
        for size_hw in throughput_hw if chosen.part != "background" else ():
            small = scaled(frames, folder / f"{size_hw[0]}", size_hw)
            batches = 2 * workers
            setting = Setting(small, device, workers, batch=8, batches=batches, codec=chosen.codec)
            rows = measure_throughput(setting, repeats, smoke=smoke)
            results["throughput"].append({"frame_hw": size_hw, "arms": rows})
            show_throughput(frames.name, size_hw, rows)
        if chosen.part != "throughput":
            batches = (1 if smoke else 3) * workers
            setting = Setting(frames, device, workers, batch=4, batches=batches, codec=chosen.codec)
            rows = measure_waiting(setting, repeats, smoke=smoke)
            results["background"].append({"frame_hw": background_hw, "arms": rows})
            show_waiting(frames.name, background_hw, rows)
    settings = {
        "frames": frames.name,
        "call_s": CALL_S,
        "item_s": ITEM_S,
        "slow_item_s": SLOW_ITEM_S,
        "workers": workers,
        "repeats": repeats,
        "codec": chosen.codec,
    }
    publish("live", {**settings, "results": results}, chosen.out)


if __name__ == "__main__":
    main()
