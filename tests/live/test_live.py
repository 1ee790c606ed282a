"""Generation while training: the same insertions by whatever way, in order, by any number of workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections import Counter
from contextlib import suppress
from copy import deepcopy
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from poc_aug.cache import Cache, same_variant
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheMismatchError,
    GenerationError,
    GenerationProcessError,
    GenerationTimeoutError,
    LabelPolicyError,
    PocAugError,
    RecipeError,
    SchemaError,
)
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import NewClassLabels
from poc_aug.live import Schedule, ServerSettings
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_sample
from tests.helpers.live_cases import (
    LENGTH,
    FailingInserter,
    LoggedInserter,
    MemoryInserter,
    build_nothing,
    build_pipeline,
    equal,
    is_alive,
    keep,
    kill,
    live,
    pipeline,
    read_all,
    shared_memory_of,
    tensors,
    traces,
    wait_until,
)

pytestmark = [
    pytest.mark.timeout(120),  # the watchdog: nothing here may hang
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


@pytest.fixture(scope="module")
def prebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "prebuilt.cache"
    warm_cache(Frames(LENGTH), path, pipeline(), num_variants=3, workers=0)
    return path


def epochs(ds: POCAugmentedDataset, loader: DataLoader[Any] | None = None, count: int = 2) -> list[Any]:
    items = []
    for epoch in range(count):
        ds.set_epoch(epoch)
        items += read_all(ds) if loader is None else [item for batch in loader for item in batch]
    return items


@pytest.mark.parametrize(
    ("workers", "start", "persistent"),
    [(0, None, False), (1, "fork", True), (4, "fork", False), (4, "fork", True), (4, "spawn", True)],
)
def test_live_items_equal_prebuilt_ones(
    prebuilt: Path, workers: int, start: str | None, persistent: bool, tmp_path: Path
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
        found, expected = epochs(ds, loader), epochs(reference)
        assert all(equal(a, b) for a, b in zip(found, expected, strict=True))
        stats = ds.stats()
        assert stats.items == LENGTH
        assert stats.missed == 0
        assert stats.made > 0
        # What was made was stored as it was made, and is what `warm_cache` stores.
        made, whole = Cache.open(ds.cache.path), Cache.open(prebuilt)
        assert len(made) == stats.made
        assert all(same_variant(made.get(*name), whole.get(*name)) for name in made)
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


def test_background_never_waits_and_its_share_grows_to_p(tmp_path: Path, prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=1.0, variant=1, transforms=tensors)
    base = [tensors(*Frames(LENGTH)[i]) for i in range(LENGTH)]
    with live(tmp_path / "a.cache", on_miss="background", variant=1) as ds:
        assert all(equal(a, b) for a, b in zip(read_all(ds), base, strict=True))  # nothing is there yet
        assert ds.stats().missed == LENGTH
        assert ds.stats().wait_s == 0
        assert wait_until(lambda: ds.stats().made == LENGTH)
        assert os.getpriority(os.PRIO_PROCESS, ds._live.pid) == 19  # it takes what training leaves
        ds.set_epoch(1)
        assert all(equal(a, b) for a, b in zip(read_all(ds), read_all(reference), strict=True))
        stats = ds.stats()
        assert stats.missed == 0
        assert stats.hits + stats.empty == LENGTH


def test_background_shows_another_variant_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    whole = pipeline(EllipseInserter())
    warm_cache(Frames(LENGTH), path, whole, num_variants=1, workers=0)
    first = POCAugmentedDataset(Frames(LENGTH), path, p=1.0, variant=0, transforms=tensors)
    slow = LoggedInserter(tmp_path / "log", seconds=30)
    slow.describe = EllipseInserter().describe  # type: ignore[method-assign]
    with live(path, on_miss="background", pipeline=pipeline(slow), server=ServerSettings(grace_s=0.2)) as ds:
        assert all(equal(a, b) for a, b in zip(read_all(ds), read_all(first), strict=True))
        assert ds.stats().hits == LENGTH


def test_a_full_queue_is_no_wait(tmp_path: Path) -> None:
    slow = pipeline(LoggedInserter(tmp_path / "log", seconds=0.2))
    with live(pipeline=slow, on_miss="background", server=ServerSettings(queue_size=2)) as ds:
        read_all(ds)
        assert wait_until(lambda: ds.stats().made == 2)
        assert ds.stats().queue == 0  # the rest was never queued


def test_refresh_makes_a_share_anew_and_keeps_the_old(tmp_path: Path) -> None:
    with live(tmp_path / "a.cache", variant=0, num_variants=2, refresh=0.5) as ds:
        seen = []
        for epoch in range(5):
            ds.set_epoch(epoch)
            seen.append([item[0].numpy().tobytes() for item in read_all(ds)])
        held = Counter(index % 2 for _, index in ds.cache)
        assert wait_until(lambda: ds.stats().queue == 0)
    changes = [sum(a != b for a, b in zip(one, other, strict=True)) for one, other in pairwise(seen)]
    assert 0.25 * LENGTH * 4 < sum(changes) < 0.75 * LENGTH * 4
    assert held[0] > LENGTH
    # The same in another run, cached or not: what an epoch shows is a function of seed, epoch and index.
    with live(variant=0, num_variants=2, refresh=0.5) as again:
        again.set_epoch(3)
        assert [item[0].numpy().tobytes() for item in read_all(again)] == seen[3]
    stored = Cache.open(tmp_path / "a.cache")
    for key, index in stored:
        number = int(key.removeprefix("frame-"))
        made = pipeline().with_schema(SCHEMA).generate(make_sample(number), index)
        assert same_variant(made, stored.get(key, index))


def test_the_schedule_changes_its_share_each_epoch_for_ever() -> None:
    schedule = Schedule(3, 0.1, seed=5)
    keys = [f"frame-{i}" for i in range(400)]
    for epoch in (0, 1, 7, 30):
        coming = sum(len(schedule.coming(key, epoch)) for key in keys)
        assert 80 < coming < 160
        for key in keys[:50]:
            now = [schedule.index(key, slot, epoch) for slot in range(3)]
            assert [index % 3 for index in now] == [0, 1, 2]
            after = [schedule.index(key, slot, epoch + 1) for slot in range(3)]
            assert schedule.coming(key, epoch) == [b for a, b in zip(now, after, strict=True) if a != b]
            assert all(b - a in (0, 3) for a, b in zip(now, after, strict=True))
    assert [Schedule(3, 0.0, 0).index("a", slot, 99) for slot in range(3)] == [0, 1, 2]
    assert list(schedule.older(7)) == [4, 1]


def test_it_starts_when_it_is_needed_and_ends_with_the_dataset(tmp_path: Path) -> None:
    ds = live(p=0.0)
    read_all(ds)
    assert ds._live is not None
    assert ds._live.pid is None
    ds.start()
    pid, folder = ds._live.pid, ds.cache.path
    assert pid is not None
    assert is_alive(pid)
    assert deepcopy(ds)._live is ds._live  # copies share it
    del ds
    assert wait_until(lambda: not is_alive(pid))
    assert not folder.exists()
    assert wait_until(lambda: not traces(os.getpid()))


def test_a_closed_dataset_says_so() -> None:
    ds = live()
    ds[0]
    ds.close()
    ds.close()
    with pytest.raises(GenerationProcessError, match="closed"):
        read_all(ds)


@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
def test_an_early_break_and_two_loaders_at_once() -> None:
    with live() as ds:
        loader = DataLoader(ds, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
        for _ in range(3):
            for _batch in loader:
                break
        # Without an accelerator torch pins nothing, but runs its pinning thread all the same where it can.
        pinned = DataLoader(ds, batch_size=4, num_workers=2, multiprocessing_context="fork", pin_memory=True)
        assert sum(len(images) for images, _ in pinned) == LENGTH
        other = DataLoader(ds, batch_size=3, num_workers=2, multiprocessing_context="fork")
        alone = read_all(ds)
        ones, others = [], []
        for batch, (images, labels) in zip(loader, other, strict=False):  # two loaders at once, one left early
            ones += batch
            others += list(zip(images, labels, strict=True))
        assert len(others) == LENGTH
        assert all(equal(a, b) for a, b in zip(ones, alone, strict=False))
        assert all(equal(a, b) for a, b in zip(others, alone, strict=True))
        assert is_alive(ds._live.pid)


def test_subsets_and_single_items_agree(prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=1.0, transforms=tensors, redraw="epoch")
    with live() as ds:
        subset = Subset(ds, [7, 2, 7])
        assert all(equal(a, reference[i]) for a, i in zip(subset.__getitems__([0, 1, 2]), (7, 2, 7), strict=True))


def test_nothing_stays_open(tmp_path: Path) -> None:
    with live(variants="all", num_variants=4) as ds:
        ds[0]
        open_before = len(os.listdir("/proc/self/fd"))
        read_all(ds)
        assert len(os.listdir("/proc/self/fd")) <= open_before + 2
        assert shared_memory_of(os.getpid()) <= 2
        assert wait_until(lambda: shared_memory_of(ds._live.pid) <= 2)


def test_a_function_builds_the_pipeline_there(tmp_path: Path, prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=1.0, transforms=tensors, redraw="epoch")
    with live(tmp_path / "new.cache", pipeline=build_pipeline) as ds:  # what it generates only the process can tell
        assert is_alive(ds._live.pid)
        assert equal(ds[0], reference[0])
    with live(tmp_path / "new.cache", pipeline=build_pipeline) as ds:  # now the cache tells
        assert ds._live.pid is None
        assert equal(ds[1], reference[1])


def test_a_function_that_fails_is_told_with_its_traceback(tmp_path: Path, prebuilt: Path) -> None:
    with pytest.raises(GenerationProcessError, match=r"(?s)could not start.*build_nothing.*no weights at model"):
        live(tmp_path / "new.cache", pipeline=build_nothing)
    with live(prebuilt, pipeline=build_nothing, num_variants=9) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)build_nothing.*no weights at model"):
            read_all(ds)


def test_another_pipeline_than_the_caches_is_an_error(prebuilt: Path) -> None:
    with pytest.raises(CacheMismatchError, match="seed"):
        live(prebuilt, pipeline=pipeline(seed=99))
    with live(prebuilt, pipeline=partial(pipeline, seed=99), num_variants=9) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)CacheMismatchError.*seed"):
            read_all(ds)


def test_another_dataset_than_the_caches_is_an_error(prebuilt: Path) -> None:
    with pytest.raises(CacheDatasetMismatchError, match="'a'"):
        POCAugmentedDataset(Frames(2), prebuilt, pipeline=pipeline(), keys=["a", "b"])


def test_a_backend_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    base = [tensors(*Frames(LENGTH)[i]) for i in range(LENGTH)]
    with live(pipeline=pipeline(FailingInserter()), variant=0) as ds:
        told: list[bool] = []
        hints: set[str] = set()
        for i in range(LENGTH):
            try:
                ds[i]
            except GenerationError as error:
                told.append(f"frame-{i:03d}" in str(error) and "overflowed" in str(error))
                hints.add(error.hint)
        # The next step of whoever trains, not of whoever fills a cache.
        assert all("on_server_failure='original'" in hint and "on_error" not in hint for hint in hints)
        assert 0 < len(told) < LENGTH
        assert all(told)
        ds._live.waiting = type(ds._live.waiting)(on_server_failure="original")
        items = read_all(ds)
        assert sum(equal(a, b) for a, b in zip(items, base, strict=True)) == len(told) == ds.stats().missed
        assert is_alive(ds._live.pid)


def test_a_sample_that_does_not_fit_is_its_own_error() -> None:
    class Strange(Frames):
        def __getitem__(self, index: int) -> Any:
            image, labels = super().__getitem__(index)
            if index == 3:
                labels.putpixel((5, 5), 77)
            return image, labels

    with POCAugmentedDataset(Strange(LENGTH), pipeline=pipeline(), p=1.0, transforms=tensors, redraw="epoch") as ds:
        with pytest.raises(SchemaError, match=r"77"):
            ds[3]
        assert ds[4]


def test_waiting_is_bounded(tmp_path: Path) -> None:
    slow = partial(LoggedInserter, tmp_path / "log", seconds=1.5)
    settings = {"timeout_s": 0.3, "server": ServerSettings(grace_s=0.2)}
    with live(pipeline=pipeline(slow()), **settings) as ds:
        ds.start()
        with pytest.raises(GenerationTimeoutError, match=r"frame-002(?s:.*)0\.3 s(?s:.*)timeout_s"):
            ds[2]
        # It is made all the same, and there the next time.
        assert wait_until(lambda: ds.stats().made >= 1)
        assert ds[2]
    with live(pipeline=pipeline(slow()), on_timeout="original", **settings) as ds:
        ds.start()
        started = time.monotonic()
        assert equal(ds[2], tensors(*Frames(LENGTH)[2]))
        assert time.monotonic() - started < 1.4
        assert ds.stats().missed == 1


def test_a_killed_server_is_told_or_borne(caplog: pytest.LogCaptureFixture) -> None:
    with live() as ds:
        ds[0]
        kill(ds._live.pid)
        with pytest.raises(GenerationProcessError, match=r"killed by SIGKILL(?s:.*)out of memory"):
            read_all(ds)
    with live(on_server_failure="original") as ds:
        ds[0]
        kill(ds._live.pid)
        loader = DataLoader(ds, batch_size=3, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
        items = [item for batch in loader for item in batch]
        assert equal(items[5], tensors(*Frames(LENGTH)[5]))
        assert sum(not equal(a, tensors(*Frames(LENGTH)[i])) for i, a in enumerate(items)) <= 1
        warned = [record for record in caplog.records if "SIGKILL" in record.getMessage()]
        assert len(warned) == 1


@pytest.mark.parametrize(("refusals", "how"), [(1, "killed by SIGKILL"), (10**9, "exit code was collected")])
def test_another_thread_may_collect_the_exit_code(refusals: int, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A loader that starts workers collects every child that has ended; the kernel tells an exit code once.
    real, refused = os.waitpid, Counter[int]()

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        if pid == server and refused[pid] < refusals:
            refused[pid] += 1
            raise ChildProcessError
        return real(pid, options)

    with live(on_server_failure="original") as ds:
        ds[0]
        server = ds._live.pid
        monkeypatch.setattr(os, "waitpid", waitpid)
        kill(server)
        assert wait_until(lambda: ds._live._keeper.state == "failed")
        assert how in str(ds._live._keeper._inside.why)
        assert equal(ds[5], tensors(*Frames(LENGTH)[5]))
    assert refused[server] >= 1
    monkeypatch.undo()
    with suppress(ChildProcessError):
        real(server, 0)


def test_a_server_that_runs_out_of_memory_is_told_with_its_traceback() -> None:
    with live(pipeline=pipeline(MemoryInserter())) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)Traceback.*CUDA out of memory"):
            ds[0]


def test_background_tells_of_a_dead_server(tmp_path: Path) -> None:
    with live(on_miss="background", variant=0) as ds:
        ds[0]
        assert wait_until(lambda: ds.stats().made == 1)
        kill(ds._live.pid)
        # Taking its memory apart comes before its sockets close: a few items may be read meanwhile.
        with pytest.raises(GenerationProcessError, match="SIGKILL"):
            wait_until(lambda: not read_all(ds))


def test_a_killed_worker_leaves_the_server_to_the_next_loader() -> None:
    with live(variants="all", num_variants=9) as ds:
        loader = DataLoader(ds, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
        batches = iter(loader)
        next(batches)
        kill(batches._workers[0].pid)
        with pytest.raises(RuntimeError, match=r"killed by signal|exited unexpectedly"):
            list(batches)
        del batches
        assert is_alive(ds._live.pid)
        assert sum(len(batch) for batch in loader) == len(ds)


def test_processes_on_one_cache_make_nothing_twice(tmp_path: Path) -> None:
    path, log = tmp_path / "shared.cache", tmp_path / "log"
    logged = pipeline(LoggedInserter(log, seconds=0.02), objects_per_variant=[1, 1], attempts=1)
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


def _rank(rank: int, world: int, path: Path, log: Path, port: int, told: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    logged = pipeline(LoggedInserter(log, seconds=0.02), objects_per_variant=[1, 1], attempts=1)
    with live(path, pipeline=logged, variant=0) as ds:
        sampler = torch.utils.data.DistributedSampler(ds, world, rank, shuffle=True)
        loader = DataLoader(ds, batch_size=2, sampler=sampler, collate_fn=keep)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            ds.set_epoch(epoch)
            for _ in loader:
                pass
            torch.distributed.barrier()
        told.put((rank, ds.stats().made))
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_ddp_ranks_share_a_cache(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    path, log = tmp_path / "ddp.cache", tmp_path / "log"
    ranks = [context.Process(target=_rank, args=(rank, 2, path, log, port, told)) for rank in range(2)]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(100)
    assert [each.exitcode for each in ranks] == [0, 0]
    assert sum(made for _, made in (told.get(), told.get())) == LENGTH
    seeds = [line.split()[1] for line in log.read_text().splitlines()]
    assert len(seeds) == len(set(seeds)) == LENGTH


def test_statistics_and_the_log_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level("INFO", "poc_aug")
    with live(p=0.5, pipeline=pipeline(EllipseInserter(reject=0.6))) as ds:
        ds.set_epoch(0)
        assert not caplog.records
        read_all(ds)
        stats = ds.stats()
        assert stats.items == LENGTH == stats.plain + stats.hits + stats.generated + stats.missed + stats.empty
        assert stats.plain > 0
        assert stats.generated > 0
        assert 0 < stats.acceptance < 1
        assert stats.wait_s > 0
        assert stats.augmented == stats.generated / LENGTH
        ds.set_epoch(1)
        line = caplog.records[-1].getMessage()
        for part in ("epoch 0", f"{LENGTH} items", "generated", "accepted", "queued"):
            assert part in line
        assert ds.stats().items == 0

        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.writer import EventFileWriter  # noqa: F401 - needs the package tensorboard

        with SummaryWriter(tmp_path) as writer:
            stats.write_to(writer)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path))
        events.Reload()
        (event,) = events.Scalars("poc_aug/generated")
        assert (event.value, event.step) == (stats.generated, 0)


def test_statistics_without_a_pipeline(prebuilt: Path) -> None:
    ds = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=0.5, transforms=tensors, redraw="epoch")
    loader = DataLoader(ds, batch_size=3, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
    list(loader)
    assert ds.stats().items == LENGTH
    assert ds.stats().hits + ds.stats().plain + ds.stats().empty == LENGTH
    assert str(ds.stats()).startswith("epoch 0")


def test_a_pickled_copy_asks_the_same_process(prebuilt: Path) -> None:
    reference = POCAugmentedDataset(Frames(LENGTH), prebuilt, p=1.0, transforms=tensors, redraw="epoch")
    with live() as ds:
        copy = pickle.loads(pickle.dumps(ds))
        assert equal(copy[1], reference[1])
        assert ds.stats().made >= 1
        with pytest.raises(GenerationProcessError, match="copy"):
            copy.start()
        copy.close()
        assert equal(ds[1], reference[1])


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"on_miss": "original"}, RecipeError, "original' with pipeline"),
        ({"on_miss": "sometimes"}, RecipeError, "sometimes"),
        ({"refresh": 1.5}, RecipeError, r"refresh=1\.5"),
        ({"num_variants": 0}, RecipeError, "num_variants=0"),
        ({"timeout_s": 0}, RecipeError, "timeout_s=0"),
        ({"on_timeout": "wait"}, RecipeError, "on_timeout='wait'"),
        ({"on_server_failure": "ignore"}, RecipeError, "on_server_failure='ignore'"),
        ({"labels": NewClassLabels({"dog": 19})}, LabelPolicyError, "cat"),
        ({"schema": "mars"}, PocAugError, "mars"),
        ({"pipeline": pipeline(location=["grass"])}, SchemaError, "grass"),
        ({"pipeline": None}, RecipeError, "cache=None"),
        ({"pipeline": None, "on_miss": "background"}, RecipeError, "background' without pipeline"),
        ({"pipeline": None, "refresh": 0.1}, RecipeError, r"refresh=0\.1 without pipeline"),
    ],
)
def test_bad_parameters_are_named_at_once(changes: dict[str, Any], error: type, named: str) -> None:
    with pytest.raises(error, match=named):
        live(**changes)
    assert wait_until(lambda: not traces(os.getpid()))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_wait_s": 0}, "max_wait_s=0"),
        ({"queue_size": 0}, "queue_size=0"),
        ({"grace_s": 0}, "grace_s=0"),
        ({"threads": 0}, "threads=0"),
        ({"nice": 20}, "nice=20"),
        ({"codec": "jpeg"}, "codec='jpeg'"),
    ],
)
def test_bad_server_settings_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        ServerSettings(**changes)


def test_a_pipeline_that_cannot_be_sent_says_what_to_pass() -> None:
    inserter = EllipseInserter()
    inserter.hook = lambda: None  # type: ignore[attr-defined]
    with live(pipeline=pipeline(inserter)) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)could not be started.*pipeline=make_pipeline"):
            ds[0]
