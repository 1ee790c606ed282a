"""The review page in Chromium over a large cache: how soon the first picture is there, the next one, and a decision.

The page is served as `poc-aug review` serves it, over frames of Cityscapes' size that are read from PNG files, and
driven by the keyboard. The next picture is timed in the page, from the key to the frame in which the picture of the
next insertion is shown, at the pace of a fast hand; a decision from the key to the answer that it is on disk.

Run: python benchmarks/review_page.py [--smoke] [--out benchmarks/results/review_page.json]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import SIZE_HW, Frames, cityscapes_frames, console, options, publish, show, synthetic_frames
from PIL import Image

from poc_aug.cache import CacheWriter, Manifest
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.review import served
from poc_aug.types import Insertion, Part, Sample, Variant

PACE_MS = 500
_OBJECT_HW = (48, 64)
_BATCH = 500
_MEASURE = """([key, view]) => new Promise((resolve) => {
  const before = document.body.dataset.id, pane = document.querySelector("#pane-scene");
  const began = performance.now();
  const look = () => {
    const url = pane.dataset.shown;
    const isThere = document.body.dataset.id !== before && url.includes(document.body.dataset.id) && url.endsWith(view);
    if (isThere) resolve(performance.now() - began); else requestAnimationFrame(look);
  };
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  requestAnimationFrame(look);
})"""
_FIRST = "document.querySelector('#pane-scene')?.dataset.shown"
_STORED = "document.body.dataset.pending === '0'"


class PngFrames(torch.utils.data.Dataset[Any]):
    """Frames read from PNG files."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.schema = frames.schema

    def __len__(self) -> int:
        return len(self.frames.images)

    def keys(self) -> list[str]:
        """Names of the frames."""
        return [path.stem for path in self.frames.images]

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        return Image.open(self.frames.images[index]).convert("RGB"), Image.open(self.frames.labels[index])


def fill(path: Path, base: PngFrames, count: int) -> None:
    """A cache of so many insertions, one in each variant, in order of the frames."""
    digests, places = [], []
    for number in range(len(base)):
        image = torch.from_numpy(np.array(base[number][0])).permute(2, 0, 1).contiguous()
        digests.append(digest_of_sample(Sample(image, torch.zeros(image.shape[1:], dtype=torch.uint8), "")))
        places.append((image.shape[1] // 2, image.shape[2] // 3))
    patch = torch.linspace(60, 220, _OBJECT_HW[1]).to(torch.uint8).expand(3, *_OBJECT_HW).contiguous()
    insertion_parts = (Part("box", torch.ones(_OBJECT_HW, dtype=torch.bool), 0.5),)
    recipe = {"objects": [{"name": "box", "prompts": ["a box"]}], "seed": 0}
    manifest = Manifest.create(recipe, {}, {"length": len(base)})

    def variant(number: int) -> Variant:
        frame = number % len(base)
        box = (*places[frame], *_OBJECT_HW)
        insertion = Insertion(box, patch, insertion_parts, None, None, "box", 2.0, {"prompt": "a box"})
        return Variant(base.keys()[frame], number // len(base), digests[frame], (insertion,), ())

    with CacheWriter(path, manifest) as writer:
        for begin in range(0, count, _BATCH):
            writer.put_many([variant(number) for number in range(begin, min(count, begin + _BATCH))])


def measured(address: str, decisions: int) -> dict[str, Any]:
    """One visit: milliseconds to the first picture, to each next one, and to each decision on disk."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = _browser(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(600_000)
        page.goto("about:blank")
        began = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.wait_for_function(f"() => Boolean({_FIRST})", polling="raf")
        first = 1000 * (time.perf_counter() - began)
        nexts, stored = [], []
        for _ in range(decisions):
            page.wait_for_timeout(PACE_MS)
            began = time.perf_counter()
            nexts.append(float(page.evaluate(_MEASURE, ["a", "/after"])))
            page.wait_for_function(f"() => {_STORED}", polling="raf")
            stored.append(1000 * (time.perf_counter() - began))
        browser.close()
    return {"first_ms": first, "next_ms": nexts, "stored_ms": stored}


def _browser(of_playwright: str) -> str:
    places = [os.environ.get("POC_AUG_CHROMIUM", ""), "/usr/bin/chromium", "/usr/bin/google-chrome", of_playwright]
    found = next((place for place in places if Path(place).is_file()), None)
    if found is None:
        raise SystemExit("no browser: install Chromium, or set POC_AUG_CHROMIUM to its path")
    return found


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Medians over visits, and of the next pictures also what 95% stay below."""
    nexts = [value for run in runs for value in run["next_ms"]]
    return {
        "first_ms": statistics.median(run["first_ms"] for run in runs),
        "next_ms": statistics.median(nexts),
        "next_95_ms": float(np.quantile(nexts, 0.95)),
        "stored_ms": statistics.median(value for run in runs for value in run["stored_ms"]),
    }


def main() -> None:
    """Measure, print, write."""
    chosen = options("The review page in Chromium over a large cache.").parse_args()
    torch.set_num_threads(1)
    count, decisions = (60, 4) if chosen.smoke else (10_000, 40)
    repeats = chosen.repeats or (1 if chosen.smoke else 3)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frames = None if chosen.smoke else cityscapes_frames()
        frames = frames or synthetic_frames(folder / "frames", (128, 256) if chosen.smoke else SIZE_HW, 4)
        base = PngFrames(frames)
        fill(folder / "boxes.cache", base, count)
        runs = []
        for _ in range(repeats):
            with served([folder / "boxes.cache"], base, reviewer="hand") as (address, review):
                review.wait()
                runs.append(measured(f"{address}&decision=undecided", decisions))
            console.print(f"first {runs[-1]['first_ms']:.0f} ms, next {statistics.median(runs[-1]['next_ms']):.0f} ms")
    found = summary(runs)
    rows = [[name.removesuffix("_ms").replace("_", " "), f"{value:.0f}"] for name, value in found.items()]
    show(f"review of {count} insertions, milliseconds", ["", "ms"], rows)
    settings = {"insertions": count, "frames": frames.name, "pace_ms": PACE_MS, "decisions": decisions}
    publish("review_page", {**settings, "repeats": repeats, "runs": runs, "summary": found}, chosen.out)


if __name__ == "__main__":
    main()
