"""The tables of docs/scaling.md: what the figures of one record come to for 100 million insertions on 1,000 GPUs.

Nothing here is measured: figures of `record_figures.json` and rates of `generation_gpu.json` are multiplied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from harness import RESULTS

INSERTIONS, GPUS = 100_000_000, 1_000
OBJECTS, VARIANTS = 3, 3  # per variant, per sample
RECORDS = INSERTIONS // OBJECTS
SAMPLES = RECORDS // VARIANTS
SHARE_DROPPED = 0.01
RESTARTED_SHARDS = 100_000
GPU_HOURS_PER_FAILURE = 50_000
"""One unexpected interruption per 50,000 GPU hours: 419 in 54 days on 16,384 GPUs (Llama 3, arXiv 2407.21783)."""
RATES = {"50 steps": "ours", "4 steps (LCM)": "ours-lcm"}
_TYPICAL = "COCO cut-outs, real sizes"


def scaling_tables(result: dict[str, Any]) -> Iterator[str]:
    """All tables, each under its heading."""
    figures = result["results"]
    yield "\n**One record of three objects**, measured\n"
    yield from _records(figures)
    yield "\n**Everything else**, measured\n"
    yield from _others(figures)
    yield f"\n**{INSERTIONS:,} insertions**: {RECORDS:,} records of {SAMPLES:,} samples, computed\n"
    yield from _totals(figures)
    yield f"\n**Time on {GPUS:,} GPUs**, computed from the [measured rates](benchmarks.md)\n"
    yield from _times(figures)
    yield "\n**What one process does, or holds**, computed\n"
    yield from _one_process(figures)
    yield "\n**Where it becomes a burden**, computed\n"
    yield from _limits(figures)


def _records(figures: dict[str, Any]) -> Iterator[str]:
    yield "| objects | codec | px per object | kB per record | of it header | encode | decode | look up | read |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for row in figures["records"]:
        times = (f"{row[name]['median']:.2f} ms" for name in ("encode_ms", "decode_ms", "look_up_ms", "read_ms"))
        yield _line(
            row["what"],
            row["codec"],
            f"{row['px_per_object']:,.0f}",
            f"{row['bytes_per_record'] / 1e3:.1f}",
            f"{row['header_bytes_per_record'] / 1e3:.1f}",
            *times,
        )


def _others(figures: dict[str, Any]) -> Iterator[str]:
    shards, index, journal = (figures[name] for name in ("shards", "index", "journal"))
    yield "| what | figure |"
    yield "|---|--:|"
    for row in figures["storing"]["by_batch"]:
        what = f"store a record durably, {row['records']} per transaction, encoding included"
        yield _line(what, f"{row['put_ms']['median']:.1f} ms, {row['cpu_ms']['median']:.1f} ms of it processor time")
    yield _line("shard that holds one record", _bytes(shards["bytes_of_one_record_shard"]))
    yield _line("open and list a shard that no index covers", f"{shards['list_ms_per_shard']:.2f} ms")
    yield _line("see a file in the folder of shards", f"{shards['scan_us_per_entry']:.1f} µs")
    yield _line("list a record that no index covers", f"{index['list_us_per_record']:.1f} µs")
    yield _line("index, per record", f"{index['bytes_per_record']:.1f} B")
    yield _line("make the index, per record", f"{index['build_us_per_record']:.0f} µs")
    yield _line(
        f"write it again for one more shard, {index['records']:,} records", f"{index['one_more_shard_s']:.2f} s"
    )
    yield _line("dataset over a cache, per sample", f"{_bytes(_dataset(figures)[0])}, {_dataset(figures)[1]:.1f} µs")
    yield _line("verify a small record", f"{index['verify_us_per_record']:.0f} µs")
    yield _line("pack a small record", f"{index['pack_us_per_record']:.0f} µs")
    yield _line("journal, per decision", f"{journal['bytes_per_decision']:.0f} B, read in {_microseconds(journal)}")
    yield _line("journal in memory, per decision", _bytes(journal["rss_bytes_per_decision"]))
    yield _line("manifest, and each object in it", _manifest(figures["manifest"]))


def _totals(figures: dict[str, Any]) -> Iterator[str]:
    yield "| objects | codec | on disk | per GPU and shard |"
    yield "|---|---|--:|--:|"
    for row in figures["records"]:
        total = row["stored_bytes_per_record"] * RECORDS
        yield _line(row["what"], row["codec"], _bytes(total), _bytes(total / GPUS))
    yield ""
    yield "| what | total |"
    yield "|---|--:|"
    index, journal, manifest = figures["index"], figures["journal"], figures["manifest"]
    yield _line("index", _bytes(index["bytes_per_record"] * RECORDS))
    yield _line("manifest, 80 objects", _bytes(manifest["bytes_by_objects"]["80"]))
    dropped = int(SHARE_DROPPED * INSERTIONS)
    yield _line(f"journal, {dropped:,} insertions dropped one by one", _bytes(journal["bytes_per_decision"] * dropped))


def _times(figures: dict[str, Any]) -> Iterator[str]:
    rates = json.loads((RESULTS / "generation_gpu.json").read_text(encoding="utf-8"))
    batch = figures["storing"]["by_batch"][-1]
    yield "| Stable Diffusion 1.5, H100 | insertions per GPU | GPU hours | on all GPUs | failures expected | storing |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, arm in RATES.items():
        rate = rates["arms"][arm]["inserts_per_s"]["median"]
        hours = INSERTIONS / rate / 3600
        share = batch["put_ms"]["median"] / 1e3 * rate / OBJECTS
        yield _line(
            name,
            f"{rate:.2f} per s",
            f"{hours:,.0f}",
            _time(3600 * hours / GPUS),
            f"{hours / GPU_HOURS_PER_FAILURE:.2f}",
            f"{share:.1%} of the time",
        )


def _one_process(figures: dict[str, Any]) -> Iterator[str]:
    shards, index, journal = (figures[name] for name in ("shards", "index", "journal"))
    dropped = int(SHARE_DROPPED * INSERTIONS)
    rewrite = index["one_more_shard_s"] / index["records"] * RECORDS
    memory, make = _dataset(figures)
    yield "| what | how much |"
    yield "|---|--:|"
    listing = shards["list_ms_per_shard"] / 1e3 * GPUS + index["list_us_per_record"] / 1e6 * RECORDS
    yield _line(f"open and list {GPUS:,} shards without an index", _time(listing))
    scan = shards["scan_us_per_entry"] / 1e6
    yield _line(f"see {GPUS:,} shards in one folder", _time(scan * GPUS))
    yield _line(f"see {RESTARTED_SHARDS:,} shards in one folder", _time(scan * RESTARTED_SHARDS))
    yield _line("make the index", _time(index["build_us_per_record"] / 1e6 * RECORDS))
    yield _line("write the index again for one more shard", _time(rewrite))
    yield _line(f"the same for each of {GPUS:,} shards, one after the other", _time(rewrite * GPUS / 2))
    yield _line("make a dataset of all samples", f"{_time(make / 1e6 * SAMPLES)}, {_bytes(memory * SAMPLES)}")
    yield _line("verify", _time(index["verify_us_per_record"] / 1e6 * RECORDS))
    yield _line("pack", _time(index["pack_us_per_record"] / 1e6 * RECORDS))
    yield _line(f"read a journal of {dropped:,} decisions", _journal_cost(journal, dropped))
    typical = next((row for row in figures["records"] if row["what"] == _TYPICAL), figures["records"][0])
    yield _line("read every record once", _time(typical["read_ms"]["median"] / 1e3 * RECORDS))


def _limits(figures: dict[str, Any]) -> Iterator[str]:
    """Where each part becomes a burden, and how far 100 million insertions are beyond that, the farthest first."""
    index, shards, journal = (figures[name] for name in ("index", "shards", "journal"))
    memory, _ = _dataset(figures)
    rewrites = 2 * 600 * index["records"] / (index["one_more_shard_s"] * GPUS)
    rows = [
        (
            f"writing the index again when each of {GPUS:,} jobs ends takes 10 min",
            rewrites,
            "records",
            RECORDS,
            "jobs write to disks of their own, and the index is made once, when their shards are in one folder",
        ),
        (
            "making the index takes 1 h in one process",
            3600e6 / index["build_us_per_record"],
            "records",
            RECORDS,
            "make it per shard, where the shard is written, and merge those",
        ),
        (
            "verifying takes 1 h in one process",
            3600e6 / index["verify_us_per_record"],
            "records",
            RECORDS,
            "verify each shard by itself, in as many processes as there are",
        ),
        (
            "packing takes 1 h in one process",
            3600e6 / index["pack_us_per_record"],
            "records",
            RECORDS,
            "one archive per recipe or per part of the dataset; or `push`, which copies shards",
        ),
        (
            "a dataset takes 4 GB in each process, beyond its own list of files",
            4e9 / memory,
            "samples",
            SAMPLES,
            "a dataset per part, each over a part of the samples; workers that are forked share it",
        ),
        (
            "a journal takes 10 s to read in each process",
            10e6 / journal["read_us_per_decision"],
            "decisions",
            int(SHARE_DROPPED * INSERTIONS),
            "`compact` writes what is left; drop by class or pattern, which is one decision for many insertions",
        ),
        (
            "seeing the folder of shards takes 1 s on a local disk",
            1e6 / shards["scan_us_per_entry"],
            "shards",
            GPUS,
            "`compact` makes few shards of many; a network folder is slower by the time of its answers",
        ),
    ]
    yield "| what | from | 100 million insertions | what one would do |"
    yield "|---|--:|--:|---|"
    for what, limit, unit, count, remedy in sorted(rows, key=lambda row: row[1] / row[3]):
        yield _line(what, f"{_round(limit):,} {unit}", f"{_round(count / limit, 2):,g} times that", remedy)


def _round(value: float, digits: int = 2) -> Any:
    """To some significant digits."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded >= 10 else rounded


def _dataset(figures: dict[str, Any]) -> tuple[float, float]:
    return figures["dataset"]["rss_bytes_per_sample"], figures["dataset"]["make_us_per_sample"]


def _manifest(figures: dict[str, Any]) -> str:
    return f"{_bytes(figures['bytes_without_objects'])}, {_bytes(figures['bytes_per_object'])}"


def _microseconds(journal: dict[str, Any]) -> str:
    return f"{journal['read_us_per_decision']:.0f} µs"


def _journal_cost(journal: dict[str, Any], decisions: int) -> str:
    taken = _time(journal["read_us_per_decision"] / 1e6 * decisions)
    return f"{taken}, {_bytes(journal['rss_bytes_per_decision'] * decisions)}"


def _bytes(nbytes: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes:.0f} B"


def _time(taken_s: float) -> str:
    if taken_s >= 2 * 3600:
        return f"{taken_s / 3600:,.1f} h"
    if taken_s >= 120:
        return f"{taken_s / 60:.0f} min"
    return f"{taken_s:.1f} s" if taken_s >= 1 else f"{1e3 * taken_s:.1f} ms"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
