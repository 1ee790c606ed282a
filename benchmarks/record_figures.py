"""What one record costs, in bytes and seconds: `docs/scaling.md` multiplies these figures.

It is encoded, stored, looked up, decoded, listed, verified and packed. Also what shards, indices, journals and
manifests cost per record, shard, decision and object.

Records are made on the real Cityscapes frames, if they are available, else on frames made by code: cut-outs or rendered
objects at their real sizes, and discs of a fixed size. All times are processor time, which other programs change
little, but those of storing a record durably: there the disk counts, too.

Run: python benchmarks/record_figures.py [--smoke] [--out benchmarks/results/record_figures.json]
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import torch
from cache_read import large_variants, samples_of
from cache_scale import Blank, Size, write_cache
from frame_stores import PngPairs
from harness import Frames, cityscapes_frames, console, data_root, options, publish, show, synthetic_frames

from poc_aug.benchmarking.timing import Spread, significant
from poc_aug.cache import Cache, CacheWriter, Codec, Manifest, decode_record, encode_record
from poc_aug.cache.index_building import update_index
from poc_aug.cache.index_file import INDEX
from poc_aug.cache.journal import Journal
from poc_aug.cache.journal_entry import JournalEntry
from poc_aug.cache.journal_files import JOURNAL
from poc_aug.cache.manifest import MANIFEST
from poc_aug.cache.record import split_record
from poc_aug.cache.selection import Selection
from poc_aug.cache.shard import shard_paths
from poc_aug.cli.object_sources import ObjectChoice, load_objects
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.recipe import IGNORED, Recipe
from poc_aug.sharing.packing import pack_cache
from poc_aug.types import Variant

_CODECS: tuple[Codec, ...] = ("delta-zstd", "webp", "webp-lossy")
_OBJECTS, _VARIANTS = 3, 3


def real_variants(frames: Frames, base: PngPairs, folder: Path) -> dict[str, list[Variant]]:
    """Variants of three objects at their real sizes, by source."""
    camera = "cityscapes" if frames.name == "cityscapes" else None
    choice = ObjectChoice(per_variant=(_OBJECTS, _OBJECTS), camera=camera)
    sources = {"rendered": "rendered"}
    root = data_root()
    if root is not None and frames.name == "cityscapes":
        sources["COCO cut-outs"] = str(root / "objects" / "coco_mini" / "instances.json")
    made = {}
    for name, source in sources.items():
        recipe, inserter = load_objects(source, choice, schema=base.schema)
        path = folder / f"{name.split()[0]}.cache"
        warm_cache(base, path, InsertionPipeline(recipe, inserter), num_variants=_VARIANTS, workers=0)
        with Cache.open(path) as cache:
            stored = [cache.get(*item) for item in cache]
        made[f"{name}, real sizes"] = [one for one in stored if one is not None and one.insertions]
    return made


def manifest_of(variants: Sequence[Variant], codec: Codec = "delta-zstd") -> Manifest:
    """A manifest whose recipe has the objects of these variants."""
    objects = {one.object_name: [part.name for part in one.parts] for variant in variants for one in variant.insertions}
    specs = [{"name": name, "parts": [part for part in parts if part != IGNORED]} for name, parts in objects.items()]
    recipe = Recipe.from_dict({"objects": specs, "max_sigma_px": 1.0})
    return Manifest(recipe.fingerprint, recipe.to_dict(), codec=codec)


def record_row(name: str, codec: Codec, variants: Sequence[Variant], folder: Path, repeats: int) -> dict[str, Any]:
    """Bytes and times of one kind of record, per record."""
    records = [encode_record(variant, codec) for variant in variants]
    blobs = [len(split_record(record)[1]) for record in records]
    objects = [one for variant in variants for one in variant.insertions]
    named = list(zip(variants, records, strict=True))

    def encode() -> None:
        for variant in variants:
            encode_record(variant, codec)

    def decode() -> None:
        for variant, record in named:
            decode_record(record, variant.key, variant.index)

    path = folder / f"{len(os.listdir(folder))}.cache"
    many = [replace(variant, key=f"{n:06d}/{variant.key}") for n, variant in enumerate(islice(cycle(variants), 64))]
    with CacheWriter(path, manifest_of(variants, codec)) as writer:
        writer.put_many(many)
    with Cache.open(path) as cache:
        names = list(cache)
        cache.get(*names[0])
        look_up = _spread(lambda: [cache.raw(*item) for item in names], len(names), repeats, time.process_time)
        read = _spread(lambda: [cache.get(*item) for item in names], len(names), repeats, time.process_time)
    size = [insertion.box_yxhw[2:] for insertion in objects]
    return {
        "what": name,
        "codec": codec,
        "objects_per_record": significant(len(objects) / len(variants)),
        "px_per_object": significant(sum(height * width for height, width in size) / len(size)),
        "bytes_per_record": significant(sum(map(len, records)) / len(records)),
        "header_bytes_per_record": significant((sum(map(len, records)) - sum(blobs)) / len(records)),
        "bytes_per_object": significant(sum(map(len, records)) / len(objects)),
        "stored_bytes_per_record": significant(sum(one.stat().st_size for one in shard_paths(path)) / len(names)),
        "encode_ms": _spread(encode, len(variants), repeats, time.process_time),
        "decode_ms": _spread(decode, len(variants), repeats, time.process_time),
        "look_up_ms": look_up,
        "read_ms": read,
    }


def storing(variants: Sequence[Variant], folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds to store a record, by records per transaction: each transaction is on disk when it returns."""
    rows = []
    for batch in (1, 8, 64):
        numbers = count()
        path = folder / f"put-{batch}.cache"
        with CacheWriter(path, manifest_of(variants)) as writer:

            def put(writer: CacheWriter = writer, batch: int = batch, numbers: count[int] = numbers) -> None:
                some = islice(cycle(variants), batch)
                records = [replace(one, key=f"{next(numbers):08d}") for one in some]
                writer.put_records([(one, encode_record(one, "delta-zstd")) for one in records])

            put()
            waited = _spread(put, batch, 3 * repeats, time.perf_counter)
            rows.append({"records": batch, "put_ms": waited, "cpu_ms": _spread(put, batch, repeats, time.process_time)})
    return {"by_batch": rows}


def shards(folder: Path, number: int) -> dict[str, Any]:
    """Bytes of a shard with one record, what opening many takes, and the folder that they lie in."""
    path = folder / "shards.cache"
    write_cache(path, Size("shards", number, number))
    files = shard_paths(path)
    with Cache.open(path) as cache:
        gc.collect()
        before, started = _rss(), time.process_time()
        names = list(cache)
        listed = time.process_time() - started
        cache.get(*names[0])
        grown = _rss() - before
    empty = folder / "entries"
    empty.mkdir()
    most = 20 * number
    for one in range(most):
        (empty / f"node-{one}of{most}-20260101T000000000-{one}.lmdb").touch()
    scanned = _seconds(lambda: [entry.stat().st_size for entry in os.scandir(empty)])
    shutil.rmtree(empty)
    return {
        "shards": number,
        "bytes_of_one_record_shard": significant(sum(file.stat().st_size for file in files) / number),
        "list_ms_per_shard": significant(1e3 * listed / number),
        "rss_bytes_per_shard": significant(max(grown, 0) / number),
        "entries": most,
        "scan_us_per_entry": significant(1e6 * scanned / most),
    }


def index(folder: Path, records: int) -> dict[str, Any]:
    """Bytes and seconds per record of an index, of its first making and of one more shard."""
    path = folder / "index.cache"
    number = 50
    write_cache(path, Size("index", number, records))
    with Cache.open(path) as cache:
        listed = _seconds(lambda: list(cache))
    assert not (path / INDEX).exists()
    last = shard_paths(path)[-1]
    aside = last.rename(folder / last.name)
    built = _seconds(lambda: update_index(path))
    aside.rename(last)
    updated = _seconds(lambda: update_index(path))
    nbytes = (path / INDEX).stat().st_size
    with Cache.open(path) as cache:
        opened = _seconds(lambda: cache.variants("train/city_00/frame_0000000.png"))
        assert len(cache) == records
        verified = _seconds(lambda: cache.verify())
    packed = _seconds(lambda: pack_cache(path, folder / "index.tar"))
    return {
        "records": records,
        "shards": number,
        "bytes_per_record": significant(nbytes / records),
        "build_us_per_record": significant(1e6 * built / (records * (number - 1) / number)),
        "one_more_shard_s": significant(updated),
        "open_s": significant(opened),
        "list_us_per_record": significant(1e6 * listed / records),
        "verify_us_per_record": significant(1e6 * verified / records),
        "pack_us_per_record": significant(1e6 * packed / records),
        "record_bytes": significant(sum(file.stat().st_size for file in shard_paths(path)) / records),
    }


def dataset(folder: Path, samples: int) -> dict[str, Any]:
    """What a dataset over a cache takes per sample in each process: its keys, and where their records are."""
    base = Blank(samples)
    gc.collect()
    before = _rss()
    made: list[POCAugmentedDataset] = []

    def make() -> None:
        made.append(
            POCAugmentedDataset(
                base, folder / "index.cache", schema="cityscapes-trainIds", keys="keys", p=1.0, on_miss="original"
            )
        )

    taken = _seconds(make)
    return {
        "samples": samples,
        "make_us_per_sample": significant(1e6 * taken / samples),
        "rss_bytes_per_sample": significant(max(_rss() - before, 0) / samples),
    }


def journal(folder: Path, decisions: int) -> dict[str, Any]:
    """Bytes and seconds per decision."""
    path = folder / "journal.cache"
    (path / JOURNAL).mkdir(parents=True)
    lines = [
        JournalEntry(
            "drop", Selection(key=f"train/city/frame_{n:07d}.png", insertion=1), time_ms=n, by="reviewer"
        ).line()
        for n in range(decisions)
    ]
    (path / JOURNAL / "a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    gc.collect()
    before, started = _rss(), time.process_time()
    read = Journal.read(path)
    taken, grown = time.process_time() - started, _rss() - before
    assert len(read.entries) == decisions
    return {
        "decisions": decisions,
        "bytes_per_decision": significant(sum(map(len, lines)) / decisions + 1),
        "read_us_per_decision": significant(1e6 * taken / decisions),
        "rss_bytes_per_decision": significant(max(grown, 0) / decisions),
    }


def manifest(folder: Path) -> dict[str, Any]:
    """Bytes of a manifest by number of objects in its recipe."""
    sizes = {}
    for number in (1, 25, 80):
        names = [
            {"name": f"object {n:02d}", "prompts": [f"a photo of an object {n:02d} on the road"]} for n in range(number)
        ]
        recipe = Recipe.from_dict({"objects": names})
        Manifest(recipe.fingerprint, recipe.to_dict()).write(folder)
        sizes[number] = (folder / MANIFEST).stat().st_size
        (folder / MANIFEST).unlink()
    per_object = (sizes[80] - sizes[1]) / 79
    return {
        "bytes_by_objects": {str(number): size for number, size in sizes.items()},
        "bytes_per_object": significant(per_object),
        "bytes_without_objects": significant(sizes[1] - per_object),
    }


def _spread(work: Callable[[], object], number: int, repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds per record."""
    taken = []
    work()
    for _ in range(repeats):
        started = clock()
        work()
        taken.append(1e3 * (clock() - started) / number)
    return Spread.of(taken).to_dict()


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _rss() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Measure, print, write."""
    parser = options("What one record costs.")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    repeats = chosen.repeats or (2 if chosen.smoke else 5)
    size_hw = (128, 256) if chosen.smoke else (1024, 2048)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real = None if chosen.smoke else cityscapes_frames()
        frames = real or synthetic_frames(folder / "frames", size_hw, 2 if chosen.smoke else 4)
        base = PngPairs(frames.images, frames.labels, frames.schema)
        kinds = real_variants(frames, base, folder)
        for side in (8, 16) if chosen.smoke else (32, 100, 300):
            kinds[f"discs of {side} px"] = large_variants(samples_of(base), side)
        (folder / "rows").mkdir()
        rows = [
            record_row(name, codec, variants, folder / "rows", repeats)
            for name, variants in kinds.items()
            for codec in _CODECS
        ]
        typical = next(variants for name, variants in kinds.items() if "real sizes" in name)
        results = {
            "records": rows,
            "storing": storing(typical, folder, repeats),
            "shards": shards(folder, 20 if chosen.smoke else 300),
            "index": index(folder, 5000 if chosen.smoke else 30_000),
            "dataset": dataset(folder, 500 if chosen.smoke else 300_000),
            "journal": journal(folder, 200 if chosen.smoke else 50_000),
            "manifest": manifest(folder),
        }
    _show(rows, results)
    publish("record_figures", {"frames": frames.name, "repeats": repeats, "results": results}, chosen.out)


def _show(rows: Sequence[dict[str, Any]], results: dict[str, Any]) -> None:
    header = ("", "codec", "px/object", "kB/record", "header B", "encode ms", "decode ms", "look up ms", "read ms")
    lines = [
        [
            row["what"],
            row["codec"],
            f"{row['px_per_object']:.0f}",
            f"{row['bytes_per_record'] / 1e3:.1f}",
            f"{row['header_bytes_per_record']:.0f}",
            *(f"{row[name]['median']:.3f}" for name in ("encode_ms", "decode_ms", "look_up_ms", "read_ms")),
        ]
        for row in rows
    ]
    show("one record of three objects", header, lines)
    console.print_json(json.dumps({name: value for name, value in results.items() if name != "records"}))


if __name__ == "__main__":
    main()
