"""Generation while training: the same insertions by whatever way, in order, by any number of workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, Subset

from poc_aug.augmented_dataset import AugmentedDataset
from poc_aug.cache import Cache, same_variant
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.reading.live_settings import LiveSettings, ServerSettings
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import Frames
from tests.helpers.kinds import FRAMES, Kind, one_shift_pipeline
from tests.helpers.live_cases import (
    LENGTH,
    build_pipeline,
    equal,
    generator_of,
    is_alive,
    keep,
    live,
    read_all,
    server_pid,
    tensors,
    traces,
)
from tests.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def lossless(kind: Kind, cache: Path | None = None, **changes: Any) -> AugmentedDataset:
    """Generation while reading, into a cache that is not lossy, so that what it made can be compared."""
    server = ServerSettings(codec="delta-zstd" if cache is None or not cache.exists() else None)
    settings = {"p": 1.0, "transforms": tensors, "redraw": "epoch", "live": LiveSettings(server=server), **changes}
    return kind.live(cache, LENGTH, **settings)


def one_shift(kind: Kind) -> dict[str, Any]:
    """One domain and severity, of which every epoch shows the same frame."""
    return {"pipeline": one_shift_pipeline()} if kind is FRAMES else {}


def epochs(ds: AugmentedDataset, loader: DataLoader[Any] | None = None, count: int = 2) -> list[Any]:
    items = []
    for epoch in range(count):
        ds.set_epoch(epoch)
        items += read_all(ds) if loader is None else [item for batch in loader for item in batch]
    return items


@pytest.mark.parametrize(
    ("workers", "start", "persistent"),
    [(0, None, False), (1, "fork", True), (4, "fork", False), (4, "fork", True), (2, "spawn", True)],
)
def test_live_items_equal_prebuilt_ones(
    kind: Kind,
    prebuilt: Path,
    workers: int,
    start: str | None,
    persistent: bool,
    tmp_path: Path,
) -> None:
    reference = kind.read(prebuilt, LENGTH, p=0.8, transforms=tensors, on_miss="raise", redraw="epoch")
    path = tmp_path / "live.cache" if workers != 1 else None
    if start == "spawn" and kind is FRAMES:
        start = "forkserver"  # sent in the same way, once to processes that import everything, once to quick ones
    with lossless(kind, path, p=0.8) as ds:
        loader = None
        if start:
            loader = DataLoader(
                ds,
                batch_size=5,
                num_workers=workers,
                multiprocessing_context=start,
                persistent_workers=persistent,
                collate_fn=keep,
            )
        items, expected = epochs(ds, loader), epochs(reference)
        assert all(equal(a, b) for a, b in zip(items, expected, strict=True))
        stats = ds.stats()
        assert stats.items == LENGTH
        assert stats.missed == 0
        assert stats.made > 0
        # What was made was stored as it was made, and is what `warm_cache` stores.
        assert ds.cache is not None
        made, whole = Cache.open(ds.cache.path), Cache.open(prebuilt)
        assert len(made) == stats.made
        assert all(same_variant(stored_variant(made, *name), stored_variant(whole, *name)) for name in made)
        assert made.verify().ok
    del loader
    assert wait_until(lambda: not traces(os.getpid()))
    assert (path is None) != (path is not None and path.exists())


def test_the_second_epoch_reads_what_the_first_one_made(kind: Kind, tmp_path: Path) -> None:
    # Each item is one of the shifts of its sample, and the same one in the second epoch.
    with lossless(kind, tmp_path / "a.cache", variant=0, **one_shift(kind)) as ds:
        first = read_all(ds)
        assert (ds.stats().generated, ds.stats().hits) == (LENGTH - ds.stats().empty, 0)
        ds.set_epoch(1)
        assert all(equal(a, b) for a, b in zip(first, read_all(ds), strict=True))
        assert (ds.stats().generated, ds.stats().wait_s) == (0, 0)
    # And without a pipeline, from the cache alone.
    alone = kind.read(tmp_path / "a.cache", LENGTH, p=1.0, variant=0, transforms=tensors, **one_shift(kind))
    assert all(equal(a, b) for a, b in zip(first, read_all(alone), strict=True))


def test_all_variants_live(kind: Kind, prebuilt: Path) -> None:
    reference = kind.read(prebuilt, LENGTH, variants="all", transforms=tensors)
    with lossless(kind, variants="all", p=1.0) as ds:
        assert len(ds) == len(reference) == 3 * LENGTH * kind.per_sample
        batch = ds.__getitems__(list(range(0, len(ds), 5)))
        assert all(equal(item, reference[i]) for item, i in zip(batch, range(0, len(ds), 5), strict=True))


def test_subsets_and_single_items_agree(kind: Kind, prebuilt: Path) -> None:
    reference = kind.read(prebuilt, LENGTH, p=1.0, transforms=tensors, redraw="epoch")
    with lossless(kind) as ds:
        subset = Subset(ds, [7, 2, 7])
        assert all(equal(a, reference[i]) for a, i in zip(subset.__getitems__([0, 1, 2]), (7, 2, 7), strict=True))


def test_a_function_builds_the_pipeline_there(tmp_path: Path, prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=1.0, transforms=tensors, redraw="epoch")
    with live(tmp_path / "new.cache", pipeline=build_pipeline) as ds:  # what it generates only the process can tell
        assert is_alive(server_pid(ds))
        assert equal(ds[0], reference[0])
    with live(tmp_path / "new.cache", pipeline=build_pipeline) as ds:  # now the cache tells
        assert generator_of(ds).pid is None
        assert equal(ds[1], reference[1])
