"""Datasets under other names, in other orders, wrapped: what the tests of keys share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from poc_aug import POCAugmentedDataset, warm_cache
from poc_aug.generation.pipeline import InsertionPipeline
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe

LENGTH = 4


class Named(Frames):
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(range(self.length)[index])  # from the end, too


class Unnamed(Named):
    """Frames that are known by their number alone."""

    keys = None  # type: ignore[assignment]


class Repeat(Dataset[Any]):
    def __init__(self, base: Any, times: int) -> None:
        self.wrapped_frames, self.times = base, times

    def __len__(self) -> int:
        return self.times * len(self.wrapped_frames)

    def __getitem__(self, index: int) -> Any:
        return self.wrapped_frames[index % len(self.wrapped_frames)]


class Chosen(Dataset[Any]):
    """Items of another dataset, by a list of their numbers."""

    def __init__(self, base: Any, numbers: Any, name: str = "indices") -> None:
        self.base = base
        self.numbers_name = name
        setattr(self, name, numbers)

    def __len__(self) -> int:
        return len(getattr(self, self.numbers_name))

    def __getitem__(self, index: int) -> Any:
        return self.base[int(getattr(self, self.numbers_name)[index])]


class HandsOn(Repeat):
    """Hands on every attribute that it does not have."""

    def __getattr__(self, name: str) -> Any:
        if name == "wrapped_frames":
            raise AttributeError(name)
        return getattr(self.wrapped_frames, name)


def pipeline() -> InsertionPipeline:
    return InsertionPipeline(make_recipe(), EllipseInserter())


def warm(base: Any, path: Path, **options: Any) -> Path:
    warm_cache(base, path, pipeline(), num_variants=2, workers=0, **{"schema": SCHEMA, **options})
    return path


def augmented(ds: POCAugmentedDataset) -> int:
    """Items that came with an insertion, counted against the base items."""
    return sum(image_of(ds[i]).tobytes() != image_of(ds.base[i]).tobytes() for i in range(len(ds)))


def image_of(item: Any) -> Image.Image:
    image: Image.Image = item["image"] if isinstance(item, dict) else item[0]
    return image
