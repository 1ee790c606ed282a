"""Opening and reading a cache of a thousand shards and a million records, next to one of 60,000 records in one shard.

The records are real ones, encoded once and stored again under other keys. Each figure is of a fresh process that opens
the cache, asks for the first variants, and reads records in random order, twice: at first, shards have to be opened.
The same without the index, when every record is listed; and for a dataset of 20,000 samples of 64x64 px. Processes take
turns. Times are processor time, which depends less on other load.

Run: python benchmarks/cache_scale.py [--smoke] [--out benchmarks/results/cache_scale.json]
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import torch
import xxhash
import zstandard
from harness import console, options, publish, show
from torch.utils.data import Dataset

from poc_aug.benchmarking.timing import Spread, significant
from poc_aug.cache import Cache, Manifest, encode_record
from poc_aug.cache.cache_summary import summarize_cache
from poc_aug.cache.index_building import update_index
from poc_aug.cache.index_file import INDEX
from poc_aug.cache.record import header_of_record
from poc_aug.cache.record_keys import encode_key
from poc_aug.cache.shard import SHARDS
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.items.open_item import open_item
from poc_aug.recipe import Recipe
from poc_aug.types import Insertion, Part, Variant

_VARIANTS = 3
_SIDE = 16  # px of an object: a record takes 1.2 kB, so that a million fit a small disk
_HEAD = struct.Struct("<4sB16sI")
_TIMES = ("open_ms", "first_ms", "first_reads_us", "read_us", "dataset_ms", "item_ms", "info_ms")
_FIGURES = (*_TIMES, "memory_mb", "own_mb", "mapped_mb")  # once open; after the reads: its own, and with mapped files


@dataclass(frozen=True)
class Size:
    """How much a cache holds."""

    name: str
    shards: int
    records: int


class Blank(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Frames of one colour, under the first names that the caches have."""

    def __init__(self, length: int) -> None:
        self.keys = [_key(number) for number in range(length)]
        self.item = torch.full((3, 64, 64), 90, dtype=torch.uint8), torch.zeros((64, 64), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.item[0].clone(), self.item[1].clone()


def _key(number: int) -> str:
    return f"train/city_{number % 50:02d}/frame_{number:07d}.png"


def _insertion() -> Insertion:
    rng = np.random.default_rng(0)
    mask = torch.ones((_SIDE, _SIDE), dtype=torch.bool)
    patch = torch.from_numpy(rng.integers(0, 256, (3, _SIDE, _SIDE), np.uint8))
    return Insertion((20, 20, _SIDE, _SIDE), patch, (Part("box", mask),), None, None, "box", 1.0)


def named(record: bytes, key: str, index: int) -> bytes:
    """A record under another name: only its header is encoded again."""
    magic, version, _, nbytes = _HEAD.unpack_from(record)
    header = header_of_record(record) | {"key": key, "index": index}
    packed = zstandard.compress(json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii"), 9)
    body = struct.pack("<I", len(packed)) + packed + record[_HEAD.size + nbytes :]
    made: bytes = magic + bytes([version]) + xxhash.xxh3_128_digest(body) + body
    return made


def write_cache(path: Path, size: Size) -> None:
    """Write a cache of records that differ in their names alone, dealt out in a row."""
    recipe = Recipe.from_dict({"objects": ["box"], "max_sigma_px": 1.0})
    (path / SHARDS).mkdir(parents=True)
    Manifest(recipe.fingerprint, recipe.to_dict()).write(path)
    digest = digest_of_sample(open_item(Blank(1)[0], key=_key(0)).sample())
    record = encode_record(Variant(_key(0), 0, digest, (_insertion(),)), "delta-zstd")
    per_shard = -(-size.records // size.shards)
    for shard in range(size.shards):
        numbers = range(shard * per_shard, min(size.records, (shard + 1) * per_shard))
        names = [(_key(number // _VARIANTS), number % _VARIANTS) for number in numbers]
        records = sorted((encode_key(*name), named(record, *name)) for name in names)
        file = path / SHARDS / f"node-{shard}of{size.shards}-20260101T000000000-{shard}.lmdb"
        room = sum(len(data) + 5000 for _, data in records) + (1 << 20)
        env = lmdb.open(str(file), subdir=False, map_size=room, sync=False, lock=False, lib_version=0)
        with env.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(records, append=True)
        env.close()


def measure(path: Path, samples: int, reads: int, *, index: bool) -> dict[str, float]:
    """What one process takes; memory is that of the whole process, PyTorch included."""
    base = Blank(samples)
    order = random.Random(0)
    started = time.process_time()
    cache = Cache.open(path)
    cache._trusts_index = index
    opened = time.process_time()
    assert cache.variants(_key(0))
    first = time.process_time()
    memory = _memory_mb("VmHWM")
    most = cache.samples
    names, more = ([(_key(order.randrange(most)), order.randrange(_VARIANTS)) for _ in range(reads)] for _ in "ab")
    after = time.process_time()
    for name in names:
        cache.get(*name)
    read = time.process_time()
    for name in more:
        cache.get(*name)
    again = time.process_time()
    figures = {
        "open_ms": 1e3 * (opened - started),
        "first_ms": 1e3 * (first - started),
        "first_reads_us": 1e6 * (read - after) / reads,
        "read_us": 1e6 * (again - read) / reads,
        "memory_mb": memory,
        "own_mb": _memory_mb("RssAnon"),
        "mapped_mb": _memory_mb("VmHWM"),
    }
    started = time.process_time()
    dataset = POCAugmentedDataset(base, cache, schema="cityscapes-trainIds", keys="keys", p=1.0, redraw="epoch")
    figures["dataset_ms"] = 1e3 * (time.process_time() - started)
    numbers = order.sample(range(samples), reads)
    started = time.process_time()
    for number in numbers:
        dataset[number]
    figures["item_ms"] = 1e3 * (time.process_time() - started) / reads
    if index:
        started = time.process_time()
        assert summarize_cache(path).records == len(cache)
        figures["info_ms"] = 1e3 * (time.process_time() - started)
    return figures


def _memory_mb(what: str) -> float:
    """Of this process: VmHWM, the most it ever had, mapped files included; RssAnon, what it shares with no file."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024 / 1e6


def in_fresh_process(path: Path, samples: int, reads: int, index: bool) -> dict[str, float]:
    """`measure` in a process of its own."""
    arguments = [str(path), str(samples), str(reads), "index" if index else "listing"]
    command = [sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(folder: Path, sizes: list[Size], samples: int, reads: int, repeats: int) -> list[dict[str, Any]]:
    """All arms, in turns."""
    arms: list[tuple[Size, bool, Path]] = []
    building: dict[str, dict[str, float]] = {}
    for size in sizes:
        path = folder / f"{size.records}.cache"
        write_cache(path, size)
        started = time.process_time()
        assert update_index(path)
        made = time.process_time() - started
        nbytes = sum(file.stat().st_size for file in (path / SHARDS).iterdir())
        building[size.name] = {
            "make_index_s": significant(made),
            "index_mb": significant((path / INDEX).stat().st_size / 1e6),
            "cache_mb": significant(nbytes / 1e6),
        }
        arms += [(size, True, path), (size, False, path)]
    figures: list[list[dict[str, float]]] = [[] for _ in arms]
    for _ in range(repeats):
        for number, (_, index, path) in enumerate(arms):
            figures[number].append(in_fresh_process(path, samples, reads, index))
    rows: list[dict[str, Any]] = []
    for (size, index, _), measured in zip(arms, figures, strict=True):
        row: dict[str, Any] = {"cache": size.name, "shards": size.shards, "records": size.records, "index": index}
        for name in _FIGURES:
            if name in measured[0]:
                row[name] = significant(Spread.of([one[name] for one in measured]).median)
        rows.append(row | (building[size.name] if index else {}))
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The largest cache with its index over the smallest one, with its index and without."""
    small = {row["index"]: row for row in rows[:2]}
    large = rows[-2]
    names = [name for name in _FIGURES if name in rows[0]]
    return {
        "over_indexed": {name: significant(large[name] / small[True][name]) for name in names},
        "over_listed": {name: significant(large[name] / small[False][name]) for name in names if name in rows[1]},
    }


def main() -> None:
    """Measure, print, write."""
    if "--one" in sys.argv:
        one = argparse.ArgumentParser()
        one.add_argument("--one", nargs=4, required=True)
        path, samples, reads, how = one.parse_args().one
        print(json.dumps(measure(Path(path), int(samples), int(reads), index=how == "index")))
        return
    parser = options("Opening and reading a cache of a million records.")
    parser.add_argument("--folder", type=Path, help="where the caches are made for the time of the run; 6 GB")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [Size("60,000 records in 1 shard", 1, 60_000), Size("1,000,000 records in 1,000 shards", 1000, 1_000_000)]
    samples, reads = (200, 20) if chosen.smoke else (20_000, 2000)
    if chosen.smoke:
        sizes = [Size("1,200 records in 1 shard", 1, 1200), Size("3,000 records in 10 shards", 10, 3000)]
    repeats = chosen.repeats or (1 if chosen.smoke else 5)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        rows = compare(Path(scratch), sizes, samples, reads, repeats)
    header = ("", "index", *_FIGURES)
    lines = [
        [row["cache"], "yes" if row["index"] else "no", *(f"{row[name]:g}" if name in row else "" for name in _FIGURES)]
        for row in rows
    ]
    show("opening and reading", header, lines)
    found = ratios(rows)
    console.print(found)
    setting = {"samples": samples, "reads": reads, "repeats": repeats}
    publish("cache_scale", {**setting, "results": rows, "ratios": found}, chosen.out)


if __name__ == "__main__":
    main()
