"""Reading augmented frames: the wrapper over its base, whole composed PNG pairs, and whole frames in LMDB.

All read the same augmented frames through a `DataLoader` with two workers that decode every pixel and send back a
number; arms take turns, and ratios to the base are taken round by round. Files are in the page cache.

Run: python benchmarks/cache_read.py [--smoke] [--out benchmarks/results/cache_read.json]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from frame_stores import PngPairs, write_lmdb, write_pngs
from harness import SIZE_HW, Frames, cityscapes_frames, console, data_root, options, publish, show, synthetic_frames
from torch.utils.data import Dataset

from poc_aug.benchmarking.timing import Spread, interleaved, ratios, significant
from poc_aug.benchmarking.wrapper_cost import bench_reading, decode_item, reading_time
from poc_aug.cache import Cache, CacheWriter, Codec, Manifest
from poc_aug.cli.object_sources import ObjectChoice, load_objects
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.items.open_item import open_item
from poc_aug.keys import dataset_keys
from poc_aug.masks import dilate, feather_radius_px
from poc_aug.recipe import Recipe
from poc_aug.types import Insertion, Part, Sample, Variant

_VARIANTS = 3
_OBJECTS = 3


@dataclass(frozen=True)
class Arm:
    """One way to read: a dataset, the items to read in order, and what it keeps on disk in addition to the base."""

    name: str
    dataset: Dataset[Any]
    indices: list[int]
    nbytes: int
    objects: float = 0.0


def samples_of(base: PngPairs) -> list[Sample]:
    """All items as samples."""
    return [open_item(base[number], key=key).sample() for number, key in enumerate(dataset_keys(base))]


def large_variants(samples: list[Sample], side: int) -> list[Variant]:
    """Three objects of ``side`` pixels per variant: discs of another frame's pixels, three side by side."""
    steps = torch.linspace(-1.05, 1.05, side)
    mask = steps[:, None] ** 2 + steps[None, :] ** 2 <= 1
    seen = dilate(mask, feather_radius_px(1.0))
    variants = []
    for number, sample in enumerate(samples):
        height, width = sample.size_hw
        other = samples[(number + 1) % len(samples)].image
        for index in range(_VARIANTS):
            insertions = []
            for slot in range(_OBJECTS):
                y = (height - side) * (2 + index) // 5
                x = (width - side) * (1 + 2 * slot) // (2 * _OBJECTS)
                patch = torch.where(seen, other[:, y : y + side, x : x + side], 0)
                part = Part("disc", mask)
                insertions.append(Insertion((y, x, side, side), patch, (part,), None, None, "disc", 1.0))
            variants.append(Variant(sample.key, index, digest_of_sample(sample), tuple(insertions)))
    return variants


def write_cache(path: Path, variants: list[Variant], codec: Codec) -> None:
    """Write variants that no pipeline made."""
    recipe = Recipe.from_dict({"objects": ["disc"], "max_sigma_px": 1.0})
    with CacheWriter(path, Manifest(recipe.fingerprint, recipe.to_dict(), codec=codec)) as writer:
        writer.put_many(variants)


def wrapped(name: str, base: PngPairs, path: Path, items: int) -> Arm:
    """The wrapper, all variants of all samples in order."""
    cache = Cache.open(path)
    stored = [cache.get(key, index) for key, index in cache]
    objects = sum(len(variant.insertions) for variant in stored if variant is not None) / len(stored)
    dataset = POCAugmentedDataset(base, path, p=1.0, variants="all")
    return Arm(name, dataset, list(islice(cycle(range(len(dataset))), items)), cache.nbytes, objects)


def arms_of(frames: Frames, folder: Path, items: int, side: int) -> tuple[list[Arm], Path]:
    """The base first; and the path of the default cache."""
    base = PngPairs(frames.images, frames.labels, frames.schema)
    count = len(base) * _VARIANTS
    samples = samples_of(base)
    arms = [Arm("base alone", base, [i // _VARIANTS for i in islice(cycle(range(count)), items)], 0)]
    changes = ObjectChoice(
        per_variant=(_OBJECTS, _OBJECTS), camera="cityscapes" if frames.name == "cityscapes" else None
    )
    sources = {"rendered": "rendered"}
    root = data_root()
    if root is not None and frames.name == "cityscapes":
        sources["COCO cut-outs"] = str(root / "objects" / "coco_mini" / "instances.json")
    codecs: tuple[Codec, ...] = ("delta-zstd", "webp", "webp-lossy")
    for number, (name, source) in enumerate(sources.items()):
        recipe, inserter = load_objects(source, changes, schema=base.schema)
        for codec in codecs if number == 0 else codecs[:1]:
            path = folder / f"{number}-{codec}.cache"
            pipeline = InsertionPipeline(recipe, inserter)
            warm_cache(base, path, pipeline, num_variants=_VARIANTS, workers=0, codec=codec)
            arms.append(wrapped(f"wrapper, {name}, perspective, {codec}", base, path, items))
    large = large_variants(samples, side)
    for codec in codecs:
        path = folder / f"large-{codec}.cache"
        write_cache(path, large, codec)
        arms.append(wrapped(f"wrapper, {side}x{side} px, {codec}", base, path, items))
    composed = POCAugmentedDataset(base, folder / "0-delta-zstd.cache", p=1.0, variants="all")
    order = arms[1].indices
    pngs = write_pngs(composed, count, folder / "composed", frames.schema)
    arms.append(Arm("folder of composed PNG pairs", pngs, order, pngs.nbytes))
    for kind in ("png", "raw"):
        store = write_lmdb(composed, count, folder / f"frames-{kind}.lmdb", kind)
        arms.append(Arm(f"LMDB of whole frames, {kind}", store, order, store.nbytes))
    return arms, folder / "0-delta-zstd.cache"


def cpu_time(arm: Arm, items: int) -> Callable[[], float]:
    """Processor seconds to read items in this process: what other programs do does not count."""

    def measure() -> float:
        started = time.process_time()
        for index in arm.indices[:items]:
            decode_item(arm.dataset[index])
        return time.process_time() - started

    return measure


def measure(frames: Frames, folder: Path, *, workers: int, items: int, repeats: int, side: int) -> dict[str, Any]:
    """All arms on one source of frames."""
    arms, default = arms_of(frames, folder, items, side)
    count = len(frames.images) * _VARIANTS
    # Workers are forked at the first measurement: before that no arm may have opened a file of its own.
    times = interleaved({arm.name: reading_time(arm.dataset, arm.indices, workers) for arm in arms}, repeats)
    few = min(items, 2 * _VARIANTS * len(frames.images))
    cpu = interleaved({arm.name: cpu_time(arm, few) for arm in arms}, repeats)
    first, pair_nbytes = arms[0].name, next(arm.nbytes for arm in arms if arm.name.startswith("folder"))
    rows = []
    for arm in arms:
        rows.append(
            {
                "arm": arm.name,
                "objects_per_item": significant(arm.objects),
                "samples_per_s": significant(items / Spread.of(times[arm.name]).median),
                "time_over_base": ratios(times[arm.name], times[first]).to_dict(),
                "cpu_ms_per_item": significant(1e3 * Spread.of(cpu[arm.name]).median / few),
                "cpu_over_base": ratios(cpu[arm.name], cpu[first]).to_dict(),
                "mb_per_variant": significant(arm.nbytes / 1e6 / count),
                "mb_per_sample": significant(arm.nbytes / 1e6 / len(frames.images)),
                "times_smaller_than_png_pairs": significant(pair_nbytes / arm.nbytes) if arm.nbytes else None,
            }
        )
    base = PngPairs(frames.images, frames.labels, frames.schema)
    stages = bench_reading(base, default, workers=0, items=min(items, 12), repeats=max(1, repeats // 2))
    return {"frames": len(frames.images), "arms": rows, "stages_s": stages.to_dict()["stages_s"]}


def main() -> None:
    """Measure, print, write."""
    parser = options("Reading augmented frames: the cache against whole frames.")
    parser.add_argument("--workers", type=int, default=2, help="loader processes")
    parser.add_argument("--items", type=int, help="items in one measurement")
    parser.add_argument("--frames", type=int, help="synthetic frames to render; the real ones are four")
    parser.add_argument("--only", choices=("synthetic", "cityscapes"), help="one source of frames")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    size_hw = (128, 256) if chosen.smoke else SIZE_HW
    items = chosen.items or (6 if chosen.smoke else 48)
    repeats = chosen.repeats or (2 if chosen.smoke else 9)
    side = 50 if chosen.smoke else 400
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sources: list[Frames] = []
        real = cityscapes_frames()
        if real is not None and not chosen.smoke and chosen.only != "synthetic":
            sources.append(real)
        if chosen.only != "cityscapes":
            count = chosen.frames or (2 if chosen.smoke else 4)
            sources.append(synthetic_frames(folder / "frames", size_hw, count))
        for frames in sources:
            place = folder / frames.name
            place.mkdir()
            results[frames.name] = measure(
                frames, place, workers=chosen.workers, items=items, repeats=repeats, side=side
            )
            _show(frames.name, size_hw, results[frames.name])
    setting = {"size_hw": size_hw, "workers": chosen.workers, "items": items, "repeats": repeats}
    publish("cache_read", {**setting, "results": results}, chosen.out)


def _show(name: str, size_hw: tuple[int, int], result: dict[str, Any]) -> None:
    header = ("", "objects", "samples/s", "time over base", "CPU ms", "CPU over base", "MB per variant", "smaller")
    rows = []
    for item in result["arms"]:
        changes = [
            f"{item[key]['median'] - 1:+.1%} ({item[key]['low'] - 1:+.1%} to {item[key]['high'] - 1:+.1%})"
            for key in ("time_over_base", "cpu_over_base")
        ]
        smaller = item["times_smaller_than_png_pairs"]
        rows.append(
            [
                item["arm"],
                f"{item['objects_per_item']:.1f}" if item["objects_per_item"] else "",
                f"{item['samples_per_s']:.1f}",
                changes[0],
                f"{item['cpu_ms_per_item']:.1f}",
                changes[1],
                f"{item['mb_per_variant']:.4f}" if item["mb_per_variant"] else "",
                f"{smaller:.1f}x" if smaller else "",
            ]
        )
    show(f"reading {name} frames, {size_hw[1]}x{size_hw[0]}", header, rows)
    stages = ", ".join(f"{stage} {1e3 * spread['median']:.2f} ms" for stage, spread in result["stages_s"].items())
    console.print(f"one item of the default cache in one process: {stages}")


if __name__ == "__main__":
    main()
