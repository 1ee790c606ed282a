"""``on_miss='background'``: never waits, and shows what is there; refreshed variants."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from poc_aug.cache import Cache, same_variant
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.generation.warming import warm_cache
from poc_aug.reading.live_settings import LiveSettings, ServerSettings
from poc_aug.reading.schedule import Schedule
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_sample
from tests.helpers.kinds import FRAMES, Kind, one_shift_pipeline
from tests.helpers.live_cases import (
    LENGTH,
    HeldInserter,
    equal,
    live,
    pipeline,
    read_all,
    server_pid,
    tensors,
)
from tests.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def test_background_never_waits_and_its_share_grows_to_p(kind: Kind, tmp_path: Path) -> None:
    one: dict[str, Any] = {"pipeline": one_shift_pipeline()} if kind is FRAMES else {}
    kind.warm(tmp_path / "prebuilt.cache", LENGTH, codec="delta-zstd", **one)
    reference = kind.read(tmp_path / "prebuilt.cache", LENGTH, p=1.0, variant=1, transforms=tensors, **one)
    settings = LiveSettings(server=ServerSettings(codec="delta-zstd"))
    changes: dict[str, Any] = {"on_miss": "background", "live": settings, "redraw": "epoch", **one}
    base = [tensors(*Frames(LENGTH)[i]) for i in range(LENGTH)]
    with kind.live(tmp_path / "a.cache", LENGTH, p=1.0, variant=1, transforms=tensors, **changes) as ds:
        assert all(equal(a, b) for a, b in zip(read_all(ds), base, strict=True))  # nothing is there yet
        assert ds.stats().missed == LENGTH
        assert ds.stats().wait_s == 0
        assert wait_until(lambda: ds.stats().made == LENGTH)
        assert os.getpriority(os.PRIO_PROCESS, server_pid(ds)) == 19  # it takes what training leaves
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
    slow = HeldInserter(tmp_path / "never")
    with live(
        path, on_miss="background", pipeline=pipeline(slow), live=LiveSettings(server=ServerSettings(grace_s=0.2))
    ) as ds:
        assert all(equal(a, b) for a, b in zip(read_all(ds), read_all(first), strict=True))
        assert ds.stats().hits == LENGTH


def test_a_full_queue_is_no_wait(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    held = pipeline(HeldInserter(gate))
    with live(pipeline=held, on_miss="background", live=LiveSettings(server=ServerSettings(queue_size=2))) as ds:
        read_all(ds)
        gate.touch()
        assert wait_until(lambda: ds.stats().made == 2)
        assert ds.stats().queue == 0  # the rest was never queued


def test_refresh_makes_a_share_anew_and_keeps_the_old(tmp_path: Path) -> None:
    with live(tmp_path / "a.cache", variant=0, live=LiveSettings(num_variants=2, refresh=0.5)) as ds:
        passes = []
        for epoch in range(5):
            ds.set_epoch(epoch)
            passes.append([item[0].numpy().tobytes() for item in read_all(ds)])
        held = Counter(index % 2 for _, index in ds.cache)
        assert wait_until(lambda: ds.stats().queue == 0)
    changes = [sum(a != b for a, b in zip(one, other, strict=True)) for one, other in pairwise(passes)]
    assert 0.25 * LENGTH * 4 < sum(changes) < 0.75 * LENGTH * 4
    assert held[0] > LENGTH
    # The same in another run, cached or not: what an epoch shows is a function of seed, epoch and index.
    with live(variant=0, live=LiveSettings(num_variants=2, refresh=0.5)) as again:
        again.set_epoch(3)
        assert [item[0].numpy().tobytes() for item in read_all(again)] == passes[3]
    stored = Cache.open(tmp_path / "a.cache")
    for key, index in stored:
        number = int(key.removeprefix("frame-"))
        made = pipeline().with_schema(SCHEMA).generate(make_sample(number), index)
        assert same_variant(made, stored_variant(stored, key, index))


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
