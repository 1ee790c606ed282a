"""Generation while training that fails: killed, out of memory, too slow, of another cache; with its cause."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheMismatchError,
    GenerationError,
    GenerationProcessError,
    GenerationTimeoutError,
    SchemaError,
)
from poc_aug.reading.live_settings import LiveSettings, ServerSettings
from tests.helpers.fakes import Frames
from tests.helpers.live_cases import (
    LENGTH,
    FailingInserter,
    HeldInserter,
    MemoryInserter,
    build_nothing,
    build_nothing_and_never_clean_up,
    build_nothing_with_a_thread,
    equal,
    generator_of,
    is_alive,
    keep,
    kill,
    live,
    pipeline,
    process_of,
    read_all,
    server_pid,
    tensors,
)
from tests.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def test_a_function_that_fails_is_reported_with_its_traceback(tmp_path: Path, prebuilt: Path) -> None:
    with pytest.raises(GenerationProcessError, match=r"(?s)could not start.*build_nothing.*no weights at model"):
        live(tmp_path / "new.cache", pipeline=build_nothing)
    with live(prebuilt, pipeline=build_nothing, live=LiveSettings(num_variants=9)) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)build_nothing.*no weights at model"):
            read_all(ds)


def test_a_function_that_fails_is_reported_before_its_process_ends(prebuilt: Path) -> None:
    settings = LiveSettings(num_variants=9, server=ServerSettings(grace_s=90))
    with live(prebuilt, pipeline=build_nothing_and_never_clean_up, live=settings) as ds:
        for _ in range(2):
            with pytest.raises(GenerationProcessError, match=r"(?s)could not start.*Traceback.*no weights at model"):
                ds.start()
            assert is_alive(server_pid(ds))
        kill(server_pid(ds))
        with pytest.raises(GenerationProcessError, match=r"(?s)is gone: Traceback.*no weights at model"):
            read_all(ds)


@pytest.mark.usefixtures("real_start")
def test_a_function_that_fails_and_leaves_a_thread_ends_its_process(prebuilt: Path) -> None:
    settings = LiveSettings(num_variants=9, server=ServerSettings(grace_s=90))
    with live(prebuilt, pipeline=build_nothing_with_a_thread, live=settings) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)could not start.*Traceback.*no weights at model"):
            ds.start()
        assert wait_until(lambda: not is_alive(server_pid(ds)))
    assert process_of(ds)._supervisor.process.exitcode == 1


def test_another_pipeline_than_the_caches_is_an_error(prebuilt: Path) -> None:
    with pytest.raises(CacheMismatchError, match="seed"):
        live(prebuilt, pipeline=pipeline(seed=99))
    with live(prebuilt, pipeline=partial(pipeline, seed=99), live=LiveSettings(num_variants=9)) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)CacheMismatchError.*seed"):
            read_all(ds)


def test_another_dataset_than_the_caches_is_an_error(prebuilt: Path) -> None:
    with pytest.raises(CacheDatasetMismatchError, match="'a'"):
        POCAugmentedDataset(Frames(2), prebuilt, pipeline=pipeline(), keys=["a", "b"])


def test_a_backend_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    base = [tensors(*Frames(LENGTH)[i]) for i in range(LENGTH)]
    with live(pipeline=pipeline(FailingInserter()), variant=0) as ds:
        named: list[bool] = []
        hints: set[str] = set()
        for i in range(LENGTH):
            try:
                ds[i]
            except GenerationError as error:
                named.append(f"frame-{i:03d}" in str(error) and "overflowed" in str(error))
                hints.add(error.hint)
        # The next step of whoever trains, not of whoever fills a cache.
        assert all("on_server_failure='original'" in hint and "on_error" not in hint for hint in hints)
        assert 0 < len(named) < LENGTH
        assert all(named)
        generator_of(ds).settings = LiveSettings(on_server_failure="original")
        items = read_all(ds)
        assert sum(equal(a, b) for a, b in zip(items, base, strict=True)) == len(named) == ds.stats().missed
        assert is_alive(server_pid(ds))


def test_a_sample_that_does_not_fit_is_its_own_error() -> None:
    class WrongId(Frames):
        def __getitem__(self, index: int) -> Any:
            image, labels = super().__getitem__(index)
            if index == 3:
                labels.putpixel((5, 5), 77)
            return image, labels

    with POCAugmentedDataset(WrongId(LENGTH), pipeline=pipeline(), p=1.0, transforms=tensors, redraw="epoch") as ds:
        with pytest.raises(SchemaError, match=r"77"):
            ds[3]
        assert ds[4]


def test_waiting_is_bounded(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    settings = LiveSettings(timeout_s=0.3, server=ServerSettings(grace_s=0.2))
    with live(tmp_path / "a.cache", pipeline=pipeline(HeldInserter(gate)), live=settings) as ds:
        ds.start()
        with pytest.raises(GenerationTimeoutError, match=r"frame-002(?s:.*)0\.3 s(?s:.*)timeout_s"):
            ds[2]
        gate.touch()
        # It is made all the same, and there the next time.
        assert wait_until(lambda: ds.stats().made >= 1)
        assert ds[2]
    endless = HeldInserter(tmp_path / "never")
    with live(pipeline=pipeline(endless), live=replace(settings, on_timeout="original")) as ds:
        ds.start()
        assert equal(ds[2], tensors(*Frames(LENGTH)[2]))
        assert ds.stats().missed == 1


def test_a_killed_server_is_an_error_or_tolerated(caplog: pytest.LogCaptureFixture) -> None:
    with live() as ds:
        ds[0]
        kill(server_pid(ds))
        with pytest.raises(GenerationProcessError, match=r"killed by SIGKILL(?s:.*)out of memory"):
            read_all(ds)
    with live(live=LiveSettings(on_server_failure="original")) as ds:
        ds[0]
        kill(server_pid(ds))
        loader = DataLoader(ds, batch_size=3, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
        items = [item for batch in loader for item in batch]
        assert equal(items[5], tensors(*Frames(LENGTH)[5]))
        assert sum(not equal(a, tensors(*Frames(LENGTH)[i])) for i, a in enumerate(items)) <= 1
        warned = [record for record in caplog.records if "SIGKILL" in record.getMessage()]
        assert len(warned) == 1


@pytest.mark.usefixtures("real_start")
@pytest.mark.parametrize(("refusals", "how"), [(1, "killed by SIGKILL"), (10**9, "exit code was collected")])
def test_another_thread_may_collect_the_exit_code(refusals: int, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A loader that starts workers collects every child that has ended; the kernel tells an exit code once.
    real, refused = os.waitpid, Counter[int]()

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        if pid == server and refused[pid] < refusals:
            refused[pid] += 1
            raise ChildProcessError
        return real(pid, options)

    with live(live=LiveSettings(on_server_failure="original")) as ds:
        ds[0]
        server = server_pid(ds)
        monkeypatch.setattr(os, "waitpid", waitpid)
        kill(server)
        assert wait_until(lambda: process_of(ds).state == "failed")
        assert how in str(process_of(ds)._supervisor.reason)
        assert equal(ds[5], tensors(*Frames(LENGTH)[5]))
    assert refused[server] >= 1
    monkeypatch.undo()
    with suppress(ChildProcessError):
        real(server, 0)


def test_a_server_that_runs_out_of_memory_is_reported_with_its_traceback() -> None:
    with live(pipeline=pipeline(MemoryInserter())) as ds:
        with pytest.raises(GenerationProcessError, match=r"(?s)Traceback.*CUDA out of memory"):
            ds[0]


def test_background_tells_of_a_dead_server(tmp_path: Path) -> None:
    with live(on_miss="background", variant=0) as ds:
        ds[0]
        assert wait_until(lambda: ds.stats().made == 1)
        kill(server_pid(ds))
        # Taking its memory apart comes before its sockets close: a few items may be read meanwhile.
        with pytest.raises(GenerationProcessError, match="SIGKILL"):
            wait_until(lambda: not read_all(ds))


def test_a_killed_worker_leaves_the_server_to_the_next_loader() -> None:
    with live(variants="all", live=LiveSettings(num_variants=9)) as ds:
        loader = DataLoader(ds, batch_size=2, num_workers=2, multiprocessing_context="fork", collate_fn=keep)
        batches: Any = iter(loader)
        next(batches)
        kill(batches._workers[0].pid)
        with pytest.raises(RuntimeError, match=r"killed by signal|exited unexpectedly"):
            list(batches)
        del batches
        assert is_alive(server_pid(ds))
        assert sum(len(batch) for batch in loader) == len(ds)
