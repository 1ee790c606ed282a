"""Generation while training: the same insertions by whatever way, in order, by any number of workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, Subset

from poc_aug.cache import Cache, same_variant
from poc_aug.dataset import POCAugmentedDataset
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import Frames
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


def epochs(ds: POCAugmentedDataset, loader: DataLoader[Any] | None = None, count: int = 2) -> list[Any]:
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
    prebuilt: Path,
    workers: int,
    start: str | None,
    persistent: bool,
    tmp_path: Path,
) -> None:
    reference = POCAugmentedDataset(
        Frames(LENGTH), prebuilt, p=0.8, transforms=tensors, on_miss="raise", redraw="epoch"
    )
    path = tmp_path / "live.cache" if workers != 1 else None
    with live(path, p=0.8) as ds:
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
        made, whole = Cache.open(ds.cache.path), Cache.open(prebuilt)
        assert len(made) == stats.made
        assert all(same_variant(stored_variant(made, *name), stored_variant(whole, *name)) for name in made)
        assert made.verify().ok
    del loader
    assert wait_until(lambda: not traces(os.getpid()))
    assert (path is None) != (path is not None and path.exists())


def test_the_second_epoch_reads_what_the_first_one_made(tmp_path: Path) -> None:
    with live(tmp_path / "a.cache", variant=0) as ds:
        first = read_all(ds)
        assert (ds.stats().generated, ds.stats().hits) == (LENGTH - ds.stats().empty, 0)
        ds.set_epoch(1)
        assert all(equal(a, b) for a, b in zip(first, read_all(ds), strict=True))
        assert (ds.stats().generated, ds.stats().wait_s) == (0, 0)
    # And without a pipeline, from the cache alone.
    alone = POCAugmentedDataset(Frames(LENGTH), tmp_path / "a.cache", p=1.0, variant=0, transforms=tensors)
    assert all(equal(a, b) for a, b in zip(first, read_all(alone), strict=True))


def test_all_variants_live(prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, variants="all", transforms=tensors)
    with live(variants="all", p=None) as ds:
        assert len(ds) == len(reference) == 3 * LENGTH
        batch = ds.__getitems__(list(range(0, len(ds), 5)))
        assert all(equal(item, reference[i]) for item, i in zip(batch, range(0, len(ds), 5), strict=True))


def test_subsets_and_single_items_agree(prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=1.0, transforms=tensors, redraw="epoch")
    with live() as ds:
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
