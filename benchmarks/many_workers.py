"""Two Ray actors compared with one process, once all have started: variants per second, with an inserter of fixed cost.

The inserter sleeps for as long as a model would take on a device of its own, which takes no processor time. A run
counts from the moment at which all of its processes have begun to generate until the last one ends, the uneven end
included.

Run: python benchmarks/many_workers.py [--smoke] [--out benchmarks/results/many_workers.json]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from harness import console, options, publish, show

from poc_aug import InsertionPipeline, LabelSchema, RayEngine, Recipe, warm_cache
from poc_aug.types import Annotation, Crop, Extent, Filled, Part, Rejection

CALL_S, CROP_S = 0.04, 0.2
SIZE_HW = (96, 192)
BATCH = 4
_SCHEMA = LabelSchema("benchmark", {"road": 0, "other": 1}, ground=("road",))


class TimedInserter:
    """Takes a fixed time, and writes down when each batch began and ended, for each process."""

    needs_camera = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self) -> dict[str, Any]:
        """What decides the result."""
        return {"inserter": "timed"}

    def extent(self, object_name: str, seed: int) -> Extent | None:
        """Any box will do."""
        return None

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        """Invert the box of each crop."""
        began = time.monotonic()  # the same clock in all processes
        time.sleep(CALL_S + CROP_S * len(crops))
        with (self.folder / f"{os.getpid()}.txt").open("a") as log:
            log.write(f"{began} {time.monotonic()} {len(crops)}\n")
        return [self._filled(crop) for crop in crops]

    def _filled(self, crop: Crop) -> Filled:
        y, x, h, w = crop.box_yxhw
        mask = torch.zeros(crop.image.shape[-2:], dtype=torch.bool)
        mask[y : y + h, x : x + w] = True
        image = crop.image.clone()
        image[:, mask] = 255 - image[:, mask]
        return Filled(image, Annotation(tuple(Part(name, mask, 0.5) for name in crop.parts)))


class Noise(torch.utils.data.Dataset[Any]):
    """Frames of noise over road."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def keys(self) -> list[str]:
        """Names of the frames."""
        return [f"{number:05d}" for number in range(self.length)]

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, *SIZE_HW), generator=rng, dtype=torch.uint8)
        return image, torch.zeros(SIZE_HW, dtype=torch.uint8)


def rate(engine: RayEngine | Literal["local"], variants: int, folder: Path) -> dict[str, float]:
    """Crops per second of one run, once all of its processes have started."""
    folder.mkdir()
    size = {"kind": "pixels", "min_px": 16, "max_px": 24}
    recipe = Recipe.from_dict({"objects": ["box"], "size": size, "max_sigma_px": 2.0})
    pipeline = InsertionPipeline(recipe, TimedInserter(folder), batch_size=BATCH)
    began = time.monotonic()
    report = warm_cache(
        Noise(variants),
        folder / "a.cache",
        pipeline,
        num_variants=1,
        schema=_SCHEMA,
        workers=0,
        engine=engine,
    )
    assert report.made == variants
    calls = defaultdict(list)
    for log in folder.glob("*.txt"):
        calls[log.stem] = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    started = max(first[0][0] for first in calls.values())
    ended = max(last[-1][1] for last in calls.values())
    done = 0.0
    for begin, end, crops in (call for process in calls.values() for call in process):
        done += crops * max(0.0, end - max(begin, started)) / (end - begin)
    whole_s = time.monotonic() - began
    return {"processes": len(calls), "crops_per_s": done / (ended - started), "seconds": whole_s}


def main() -> None:
    """Measure, print, write."""
    parser = options("Two Ray actors compared with one process, with an inserter of fixed cost.")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    repeats = chosen.repeats or (1 if chosen.smoke else 3)
    variants = 32 if chosen.smoke else 240
    arms: dict[str, RayEngine | Literal["local"]] = {"one process": "local", "two Ray actors": RayEngine(actors=2)}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(repeats):
            for number, (name, engine) in enumerate(arms.items()):
                runs[name].append(rate(engine, variants, Path(scratch) / f"{repeat}-{number}"))
                console.print(f"{name}: {runs[name][-1]}")
    rates = {name: statistics.median(run["crops_per_s"] for run in of) for name, of in runs.items()}
    ratio = rates["two Ray actors"] / rates["one process"]
    rows = [[name, f"{value:.2f}", f"{value / rates['one process']:.2f}"] for name, value in rates.items()]
    show("crops per second, once started", ["", "crops/s", "of one process"], rows)
    settings = {"call_s": CALL_S, "crop_s": CROP_S, "batch": BATCH, "variants": variants, "repeats": repeats}
    publish("many_workers", {**settings, "runs": runs, "crops_per_s": rates, "ratio": ratio}, chosen.out)


if __name__ == "__main__":
    main()
