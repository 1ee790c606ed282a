"""Several processes on one cache: loaders, ranks and pickled copies make nothing twice."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, Subset

from poc_aug.cache import Cache
from poc_aug.errors import GenerationProcessError
from poc_aug.reading.live_settings import LiveSettings, ServerSettings
from tests.helpers.kinds import Kind
from tests.helpers.live_cases import LENGTH, MeetingInserter, equal, keep, live, pipeline, tensors
from tests.helpers.quick_start import CONTEXT

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def test_processes_on_one_cache_make_nothing_twice(tmp_path: Path) -> None:
    path, log = tmp_path / "shared.cache", tmp_path / "log"
    logged = pipeline(MeetingInserter(log, tmp_path / "met", 2), objects_per_variant=[1, 1], attempts=1)
    with live(path, pipeline=logged, variant=0) as one, live(path, pipeline=logged, variant=0) as other:
        one.start()
        other.start()
        # The same keys at the same time: one forwards, the other backwards.
        backwards = Subset(other, list(reversed(range(LENGTH))))
        loaders = [
            iter(DataLoader(ds, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=keep))
            for ds in (one, backwards)
        ]
        mine, theirs = ([item for batch in loader for item in batch] for loader in loaders)
        assert all(equal(a, b) for a, b in zip(mine, reversed(theirs), strict=True))
        assert one.stats().made + other.stats().made == LENGTH
    seeds = [line.split()[1] for line in log.read_text().splitlines()]
    assert len(seeds) == len(set(seeds)) == LENGTH
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 2  # both took their part
    assert Cache.open(path).verify().ok


def _rank(rank: int, world: int, path: Path, log: Path, port: int, results: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    logged = pipeline(MeetingInserter(log, path.with_name("met"), world), objects_per_variant=[1, 1], attempts=1)
    with live(path, pipeline=logged, variant=0) as ds:
        sampler: DistributedSampler[Any] = DistributedSampler(ds, world, rank, shuffle=True)
        loader = DataLoader(ds, batch_size=2, sampler=sampler, collate_fn=keep)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            ds.set_epoch(epoch)
            for _ in loader:
                pass
            torch.distributed.barrier()
        results.put((rank, ds.stats().made))
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_ddp_ranks_share_a_cache(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = CONTEXT.SimpleQueue()
    path, log = tmp_path / "ddp.cache", tmp_path / "log"
    ranks = [CONTEXT.Process(target=_rank, args=(rank, 2, path, log, port, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [0, 0]
    assert sum(made for _, made in (results.get(), results.get())) == LENGTH
    seeds = [line.split()[1] for line in log.read_text().splitlines()]
    assert len(seeds) == len(set(seeds)) == LENGTH


def test_a_pickled_copy_asks_the_same_process(kind: Kind, prebuilt: Path) -> None:
    settings: dict[str, Any] = {"p": 1.0, "transforms": tensors, "redraw": "epoch"}
    reference = kind.read(prebuilt, LENGTH, **settings)
    lossless = LiveSettings(server=ServerSettings(codec="delta-zstd"))
    with kind.live(None, LENGTH, live=lossless, **settings) as ds:
        copy = pickle.loads(pickle.dumps(ds))
        assert equal(copy[1], reference[1])
        assert ds.stats().made >= 1
        with pytest.raises(GenerationProcessError, match="copy"):
            copy.start()
        copy.close()
        assert equal(ds[1], reference[1])
