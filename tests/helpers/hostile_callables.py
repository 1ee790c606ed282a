"""Datasets and models that are not what a command asks for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from PIL import Image
from torch import nn
from torch.utils.data import IterableDataset

from poc_aug.labels.schema import LabelSchema
from tests.helpers import evaluation_cases

NUMBER = 5


class Streets(evaluation_cases.Streets):
    schema = LabelSchema("test", evaluation_cases.Streets.schema.ids, ignore=(255,), ground=("road",), ood=("anomaly",))


class Stop(BaseException):
    """What the extensions of compiled packages raise when they panic."""


def exits() -> NoReturn:
    sys.exit(0)


def panics() -> NoReturn:
    raise Stop("panic")


def needs(argument: int) -> int:
    return argument


def a_class() -> type:
    return Streets


def nothing() -> None:
    return None


def endless() -> Any:
    return endless()


def empty() -> Streets:
    return Streets(0)


def mapping() -> dict[str, int]:
    return {"a": 1}


def text() -> str:
    return "frames"


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


class NegativeLength(Streets):
    def __len__(self) -> int:
        return -1


class ExitsOnLength(Streets):
    def __len__(self) -> int:
        sys.exit(3)


class ExitsOnItem(Streets):
    def __getitem__(self, index: int) -> Any:
        sys.exit(0)


class PanicsOnItem(Streets):
    def __getitem__(self, index: int) -> Any:
        raise Stop("panic")


class NoMemory(Streets):
    def __getitem__(self, index: int) -> Any:
        raise MemoryError


class Deep(Streets):
    def __getitem__(self, index: int) -> Any:
        return self[index]


class NoItems(Streets):
    def __getitem__(self, index: int) -> Any:
        return None


class Odd(Streets):
    """Items whose labels are of another size."""

    def __getitem__(self, index: int) -> Any:
        image, _ = super().__getitem__(index)
        return image, Image.new("L", (3, 2))


class UnknownIds(Streets):
    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image, labels.point(lambda value: 200 if value == 3 else value)


class NoKeys(Streets):
    def keys(self) -> list[str]:
        raise KeyError("names")


class SameKeys(Streets):
    def keys(self) -> list[str]:
        return ["a"] * len(self)


class Returns(nn.Module):
    """A model that returns one value, whatever it gets."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: torch.Tensor) -> Any:
        return self.value


def returns_none() -> nn.Module:
    return Returns(None)


def returns_flat() -> nn.Module:
    return Returns(torch.zeros(4))


def returns_no_channel() -> nn.Module:
    return Returns(torch.zeros(1, 0, 48, 65))


def returns_no_pixel() -> nn.Module:
    return Returns(torch.zeros(1, 3, 0, 0))


def returns_nan() -> nn.Module:
    return Returns(torch.full((1, 3, 48, 65), torch.nan))


def returns_whole_numbers() -> nn.Module:
    return Returns(torch.zeros(1, 3, 48, 65, dtype=torch.int64))


def returns_complex() -> nn.Module:
    return Returns(torch.zeros(1, 3, 48, 65, dtype=torch.complex64))


def returns_one_channel() -> nn.Module:
    return Returns(torch.zeros(1, 1, 48, 65))


def takes_vectors() -> nn.Module:
    return nn.Linear(7, 3)


class Exits(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        sys.exit(0)


class Panics(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise Stop("panic")


class NeedsTwo(nn.Module):
    def forward(self, images: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        return images
