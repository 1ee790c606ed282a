from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Sampler

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.reading.live_settings import LiveSettings
from tests.helpers.dataset_cases import equal, keep, tensors
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

LENGTH = 6
PASSES = 3


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("redraw") / "frames.cache"
    warm_cache(Frames(LENGTH), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=3, workers=0)
    return path


def wrapped(cache_path: Path, **changes: Any) -> POCAugmentedDataset:
    return POCAugmentedDataset(Frames(LENGTH), cache_path, **{"p": 0.5, "transforms": tensors, **changes})


@pytest.fixture(scope="module")
def by_epoch(cache_path: Path) -> list[list[Any]]:
    """The items of each epoch, as a loop that announces its epochs gets them."""
    ds = wrapped(cache_path)
    passes = []
    for epoch in range(2 * PASSES):
        ds.set_epoch(epoch)
        passes.append([ds[i] for i in range(LENGTH)])
    return passes


def all_equal(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(equal, first, second))


def test_the_epochs_differ(by_epoch: list[list[Any]]) -> None:
    assert not all_equal(by_epoch[0], by_epoch[1])


def test_the_nth_read_shows_what_epoch_n_would(cache_path: Path, by_epoch: list[list[Any]]) -> None:
    ds = wrapped(cache_path, redraw="read")
    for expected in by_epoch:
        assert all_equal([ds[i] for i in range(LENGTH)], expected)


@pytest.mark.parametrize(("method", "persistent"), [("fork", True), ("fork", False), ("forkserver", True)])
def test_reads_are_counted_across_workers(
    cache_path: Path, by_epoch: list[list[Any]], method: str, persistent: bool
) -> None:
    ds = wrapped(cache_path, redraw="read")
    # The order is reversed in every second pass, so an item is read by another worker than before.
    order = Alternating(LENGTH)
    loader = DataLoader(
        ds, 1, sampler=order, num_workers=2, persistent_workers=persistent,
        multiprocessing_context=method, collate_fn=keep,
    )  # fmt: skip
    for number in range(PASSES):
        items = [item for batch in loader for item in batch]
        if number % 2:
            items.reverse()
        assert all_equal(items, by_epoch[number])


class Alternating(Sampler[int]):
    def __init__(self, length: int) -> None:
        self.length, self.passes = length, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = range(self.length) if self.passes % 2 == 0 else range(self.length - 1, -1, -1)
        self.passes += 1
        return iter(order)


class Forever(Sampler[int]):
    """An order without epochs, as mmengine's and detectron2's samplers give it."""

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed = length, seed

    def __iter__(self) -> Iterator[int]:
        rng = torch.Generator().manual_seed(self.seed)
        while True:
            yield from torch.randperm(self.length, generator=rng).tolist()


def test_a_loop_without_epochs_shows_every_frame_with_and_without_objects(cache_path: Path) -> None:
    ds = wrapped(cache_path, redraw="read")
    loader = iter(DataLoader(ds, 2, sampler=Forever(LENGTH, 1), num_workers=2, collate_fn=keep))
    order = iter(Forever(LENGTH, 1))
    seen: dict[int, set[bool]] = {index: set() for index in range(LENGTH)}
    for _ in range(12 * LENGTH // 2):
        for _, labels in next(loader):
            seen[next(order)].add(bool((labels == 254).any() or (labels == 2).any()))
    assert all(True in kinds for kinds in seen.values())


def test_a_given_order_is_reproducible(cache_path: Path) -> None:
    def first_items() -> list[Any]:
        ds = wrapped(cache_path, redraw="read")
        order = iter(Forever(LENGTH, 5))
        return [ds[next(order)] for _ in range(5 * LENGTH)]

    assert all_equal(first_items(), first_items())


def test_a_resumed_training_goes_on_where_it_was(cache_path: Path, by_epoch: list[list[Any]]) -> None:
    ds = wrapped(cache_path, redraw="read")
    ds.set_epoch(3)
    assert all_equal([ds[i] for i in range(LENGTH)], by_epoch[3])
    assert all_equal([ds[i] for i in range(LENGTH)], by_epoch[4])


def test_announced_epochs_change_nothing_where_each_item_is_read_once(
    cache_path: Path, by_epoch: list[list[Any]]
) -> None:
    ds = wrapped(cache_path, redraw="read")
    for epoch, expected in enumerate(by_epoch):
        ds.set_epoch(epoch)
        assert all_equal([ds[i] for i in range(LENGTH)], expected)


def test_a_pickled_copy_counts_on_its_own(cache_path: Path, by_epoch: list[list[Any]]) -> None:
    ds = wrapped(cache_path, redraw="read")
    for i in range(LENGTH):
        ds[i]
    copy = pickle.loads(pickle.dumps(ds))
    assert all_equal([copy[i] for i in range(LENGTH)], by_epoch[1])
    assert all_equal([ds[i] for i in range(LENGTH)], by_epoch[1])


def reading_again(ds: POCAugmentedDataset, passes: int = 3) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(passes):
            for i in range(len(ds)):
                ds[i]
    return [str(warning.message) for warning in caught]


def test_reading_again_in_an_epoch_warns_once(cache_path: Path) -> None:
    (warning,) = reading_again(wrapped(cache_path))
    for part in ("item 0", "epoch 0", "set_epoch", 'redraw="read"'):
        assert part in warning


@pytest.mark.parametrize(
    "settings",
    [
        {"redraw": "epoch"},
        {"redraw": "read"},
        {"p": 0.0},
        {"p": 1.0, "variant": 1},
        {"variants": "all", "p": 1.0},
    ],
)
def test_no_warning_where_it_was_asked_for_or_nothing_is_drawn(cache_path: Path, settings: dict[str, Any]) -> None:
    assert reading_again(wrapped(cache_path, **settings)) == []


def test_no_warning_where_each_sample_has_one_variant(tmp_path: Path) -> None:
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Frames(LENGTH), tmp_path / "one.cache", pipeline, num_variants=1, workers=0)
    assert reading_again(wrapped(tmp_path / "one.cache", p=1.0)) == []
    assert len(reading_again(wrapped(tmp_path / "one.cache", p=0.5))) == 1
    with wrapped(tmp_path / "one.cache", p=1.0, pipeline=pipeline, live=LiveSettings(num_variants=1)) as live:
        assert reading_again(live) == []
    with wrapped(
        tmp_path / "one.cache", p=1.0, pipeline=pipeline, live=LiveSettings(num_variants=1, refresh=1.0), variant=0
    ) as live:
        assert len(reading_again(live)) == 1  # the next epoch shows another


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_of_a_pickled_copy_report_to_it(cache_path: Path, method: str) -> None:
    copy = pickle.loads(pickle.dumps(wrapped(cache_path)))
    for _ in DataLoader(copy, 3, num_workers=2, collate_fn=keep, multiprocessing_context=method):
        pass
    assert copy.stats().items == LENGTH
    assert len(reading_again(copy, passes=1)) == 1


def test_no_warning_where_epochs_are_announced(cache_path: Path) -> None:
    ds = wrapped(cache_path)
    for epoch in (0, 1, 0):
        ds.set_epoch(epoch)
        assert reading_again(ds, passes=1) == []


def test_workers_warn_once_and_then_nobody_does(cache_path: Path, tmp_path: Path) -> None:
    ds = wrapped(cache_path)
    # Spawned: a forked one would have the test runner's way of showing warnings.
    loader = DataLoader(
        ds, 3, num_workers=2, persistent_workers=True, collate_fn=keep, multiprocessing_context="forkserver",
        worker_init_fn=partial(show_warnings, tmp_path / "warnings"),
    )  # fmt: skip
    for _ in range(3):
        for _ in loader:
            pass
    del loader
    # Two may warn at once. In a file: the fork server of these processes may have another stderr than this test.
    assert (tmp_path / "warnings").read_text().count("was read again in epoch 0") in (1, 2)
    assert reading_again(ds, passes=1) == []  # the workers have warned


def show_warnings(path: Path, _: int) -> None:
    def write(message: Warning | str, *_: Any, **__: Any) -> None:
        with path.open("a") as file:
            file.write(f"{message}\n")

    warnings.simplefilter("always")
    warnings.showwarning = write


def test_an_unknown_value_is_named(cache_path: Path) -> None:
    with pytest.raises(SettingError, match=r"redraw='always'(?s:.*)\"read\""):
        wrapped(cache_path, redraw="always")


# What `docs/training_loops.md` says of other libraries.
LOOPS = 3


def by_lightning(ds: POCAugmentedDataset) -> list[torch.Tensor]:
    lightning = pytest.importorskip("lightning")
    seen: list[list[torch.Tensor]] = [[] for _ in range(LOOPS)]

    class Model(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            seen[self.current_epoch].append(batch[0].clone())
            return self.weight * 0.0

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = lightning.Trainer(
        max_epochs=LOOPS, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, of few workers and no logger
        trainer.fit(Model(), DataLoader(ds, LENGTH, num_workers=0))
    return [torch.cat(images) for images in seen]


def by_mmengine(ds: POCAugmentedDataset) -> list[torch.Tensor]:
    dataset = pytest.importorskip("mmengine.dataset")
    loader = iter(DataLoader(ds, LENGTH, sampler=dataset.InfiniteSampler(ds, shuffle=False), num_workers=0))
    return [next(loader)[0] for _ in range(LOOPS)]


@pytest.mark.parametrize("loop", [by_lightning, by_mmengine])
def test_loops_that_announce_no_epochs(cache_path: Path, by_epoch: list[list[Any]], loop: Any) -> None:
    passes = loop(wrapped(cache_path, redraw="read"))
    for images, expected in zip(passes, by_epoch, strict=False):
        assert torch.equal(images, torch.stack([image for image, _ in expected]))
    assert not torch.equal(passes[0], passes[1])
    standing = loop(wrapped(cache_path, redraw="epoch"))
    assert all(torch.equal(images, standing[0]) for images in standing)


def test_accelerate_announces_epochs_in_one_process(cache_path: Path, by_epoch: list[list[Any]]) -> None:
    accelerate = pytest.importorskip("accelerate")
    ds = wrapped(cache_path)
    loader = accelerate.Accelerator(cpu=True).prepare(DataLoader(ds, LENGTH, num_workers=0))
    for expected in by_epoch[:LOOPS]:
        ((images, _),) = list(loader)
        assert torch.equal(images.cpu(), torch.stack([image for image, _ in expected]))
