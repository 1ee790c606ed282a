"""The generation process: started when needed, ended with the dataset, nothing stays open; its statistics."""

from __future__ import annotations

import multiprocessing
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import GenerationProcessError
from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.fakes import EllipseInserter, Frames
from tests.helpers.live_cases import (
    LENGTH,
    ThreadInserter,
    equal,
    generator_of,
    is_alive,
    keep,
    live,
    pipeline,
    process_of,
    read_all,
    server_pid,
    shared_memory_of,
    tensors,
    traces,
)
from tests.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


@pytest.mark.usefixtures("real_start")
def test_it_starts_when_it_is_needed_and_ends_with_the_dataset(tmp_path: Path) -> None:
    ds = live(p=0.0)
    read_all(ds)
    assert generator_of(ds).pid is None
    ds.start()
    pid, folder = server_pid(ds), ds.cache.path
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
    with pytest.raises(GenerationProcessError, match=r"(?s)it was closed.*make the dataset again"):
        ds.start()


def test_a_dataset_closed_before_it_started_cannot_be_started() -> None:
    ds = live()
    ds.close()
    with pytest.raises(GenerationProcessError, match=r"(?s)it was closed.*make the dataset again"):
        ds.start()
    assert generator_of(ds).pid is None


@pytest.mark.usefixtures("real_start")
def test_a_thread_that_never_ends_does_not_delay_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    with live(pipeline=pipeline(ThreadInserter(log))) as ds:
        ds[0]
    # Neither killed nor ended by its own timer: what it has to clean up and print is not lost.
    assert process_of(ds)._supervisor.process.exitcode == 0
    assert "killed" not in caplog.text
    assert log.read_text() == "0\n-100\n"
    assert "the thread is started" in capfd.readouterr().out


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
        assert is_alive(server_pid(ds))


def test_nothing_stays_open(tmp_path: Path) -> None:
    with live(variants="all", live=LiveSettings(num_variants=4)) as ds:
        ds[0]
        open_before = len(os.listdir("/proc/self/fd"))
        read_all(ds)
        assert len(os.listdir("/proc/self/fd")) <= open_before + 2
        assert shared_memory_of(os.getpid()) <= 2
        assert wait_until(lambda: shared_memory_of(server_pid(ds)) <= 2)


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


def _start(ds: POCAugmentedDataset, answer: Any) -> None:
    try:
        ds.start()
    except GenerationProcessError as error:
        answer.send(str(error))


def test_start_in_a_forked_copy_is_an_error() -> None:
    context = multiprocessing.get_context("fork")
    with live() as ds:
        answer, sent = context.Pipe(duplex=False)
        child = context.Process(target=_start, args=(ds, sent))
        child.start()
        sent.close()
        assert "in the process that made the dataset" in answer.recv()
        child.join()
        ds.start()
