"""`set_epoch` reaches every wrapper, in whatever loaders, datasets and transforms it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, StackDataset, Subset, random_split

from poc_aug import POCAugmentedDataset, set_epoch
from poc_aug.errors import SettingError
from tests.helpers.dataset_cases import keep
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import LENGTH, HandsOn, Repeat, warm


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm(Frames(LENGTH), tmp_path_factory.mktemp("epochs") / "a.cache")


@pytest.fixture
def train(cache: Path) -> POCAugmentedDataset:
    return POCAugmentedDataset(Frames(LENGTH), cache, p=0.5, schema=SCHEMA)


class Transformed(Dataset[Any]):
    def __init__(self, base: Any, transform: Callable[[Any], Any]) -> None:
        self.base, self.transform = base, transform

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.base[index])


def first_of(items: Any, item: Any) -> Any:
    return items[0], item


def called(dataset: Any) -> Callable[[Any], Any]:
    return lambda item: (dataset[0], item)


def with_default(dataset: Any) -> Callable[[Any], Any]:
    def transform(item: Any, items: Any = dataset) -> Any:
        return items[0], item

    return transform


def with_global(dataset: Any) -> Callable[[Any], Any]:
    """As a script has it: a transform that calls another function of its module, which uses a global variable."""
    names: dict[str, Any] = {"train": dataset}
    source = "def show(item):\n    return [train[0] for _ in (0,)], item\n\ntransform = lambda item: show(item)\n"
    exec(compile(source, "script.py", "exec"), names)
    transform: Callable[[Any], Any] = names["transform"]
    return transform


class Slotted:
    __slots__ = ("items",)

    def __init__(self, items: Any) -> None:
        self.items = items

    def __call__(self, item: Any) -> Any:
        return self.items[0], item


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda ds: ds,
    "loader": lambda ds: DataLoader(ds, collate_fn=keep),
    "subset": lambda ds: Subset(ds, [2, 0]),
    "split": lambda ds: random_split(ds, [3, 1])[1],
    "concatenated last": lambda ds: ConcatDataset([Frames(LENGTH), ds]),
    "nested": lambda ds: DataLoader(Subset(ConcatDataset([Repeat(Subset(ds, [0]), 2), Frames(2)]), [0])),
    "stacked by name": lambda ds: StackDataset(a=Frames(LENGTH), b=ds),
    "hands on": lambda ds: HandsOn(ds, 3),
    "mapping of lists": lambda ds: {"a": [Frames(1)], "b": [DataLoader(ds)]},
    "many parts": lambda ds: ConcatDataset([Frames(1)] * 100 + [ds]),
    "partial": lambda ds: Transformed(Frames(LENGTH), partial(first_of, ds)),
    "method": lambda ds: Transformed(Frames(LENGTH), ds.__getitem__),
    "closure": lambda ds: Transformed(Frames(LENGTH), called(ds)),
    "default": lambda ds: Transformed(Frames(LENGTH), with_default(ds)),
    "global variable": lambda ds: Transformed(Frames(LENGTH), with_global(ds)),
    "slots": lambda ds: Transformed(Frames(LENGTH), Slotted(ds)),
}


@pytest.mark.parametrize("make", HOLDERS.values(), ids=list(HOLDERS))
def test_it_is_found(train: POCAugmentedDataset, make: Callable[[Any], Any]) -> None:
    set_epoch(make(train), 7)
    assert train.epoch == 7


def test_every_one_is_found_and_those_inside_get_the_same(cache: Path, train: POCAugmentedDataset) -> None:
    other = POCAugmentedDataset(Frames(LENGTH), cache, p=0.5, schema=SCHEMA)
    outer = POCAugmentedDataset(
        Subset(train, [0, 1]), cache, p=0.5, schema=SCHEMA, keys=["frame-000", "frame-001"], on_miss="original"
    )
    set_epoch([DataLoader(outer), other], 3)
    assert (outer.epoch, train.epoch, other.epoch) == (3, 3, 3)
    outer.set_epoch(4)
    assert (outer.epoch, train.epoch, other.epoch) == (4, 4, 3)


class Module:
    """Holds what belongs to a training and what does not."""

    def __init__(self, dataset: Any) -> None:
        self.validation = dataset

    def train_dataloader(self) -> Any:
        return None


class Backward(Frames):
    def __init__(self, module: Any) -> None:
        super().__init__(2)
        self.owner = module


@pytest.mark.parametrize("make", [
    lambda ds: Frames(3), lambda ds: DataLoader(Frames(3)), lambda ds: None, lambda ds: [1, "a", torch.zeros(2)],
    lambda ds: Backward(Module(ds)),  # a validation's dataset keeps what it shows
])  # fmt: skip
def test_finding_nothing_is_an_error(train: POCAugmentedDataset, make: Any) -> None:
    target = make(train)
    with pytest.raises(SettingError, match=f"in a {type(target).__name__}") as caught:
        set_epoch(target, 1)
    assert "redraw='read'" in str(caught.value)
    assert train.epoch == 0


@pytest.mark.parametrize("epoch", [-1, 1.5, "1", None, 2**63])
def test_only_numbers_of_epochs(train: POCAugmentedDataset, epoch: Any) -> None:
    with pytest.raises(SettingError, match="epoch="):
        set_epoch(train, epoch)


def read(loader: Any) -> list[Any]:
    return [item[0].tobytes() for batch in loader for item in batch]


@pytest.mark.parametrize("outside", [True, False], ids=["wrapper outside", "wrapper inside"])
def test_persistent_spawned_workers_show_the_epochs(cache: Path, outside: bool) -> None:
    options: dict[str, Any] = {"p": 0.5, "schema": SCHEMA, "seed": 2}
    parts: Any = [Frames(LENGTH), Subset(Frames(LENGTH), [3, 1])]
    if outside:
        keys = [f"frame-{number:03d}" for number in (*range(LENGTH), 3, 1)]
        dataset: Any = POCAugmentedDataset(ConcatDataset(parts), cache, keys=keys, **options)
    else:
        dataset = ConcatDataset([POCAugmentedDataset(part, cache, **options) for part in parts])
    dataset = random_split(dataset, [5, 1], torch.Generator().manual_seed(0))[0]
    here, expected = DataLoader(dataset, 2, collate_fn=keep), []
    for epoch in range(6):
        set_epoch(here, epoch)
        expected.append(read(here))
    assert len({tuple(shown) for shown in expected}) > 3
    loader = DataLoader(
        dataset, 2, collate_fn=keep, num_workers=1, persistent_workers=True, multiprocessing_context="spawn"
    )
    for epoch in (1, 0, 5):
        set_epoch(loader, epoch)
        assert read(loader) == expected[epoch]
