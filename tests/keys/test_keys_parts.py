"""Caches of parts and of their concatenation: each is found by the other, by names and by numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import ConcatDataset, Subset, random_split

from poc_aug import POCAugmentedDataset
from poc_aug.errors import CacheDatasetMismatchError
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import LENGTH, Named, Unnamed, augmented, warm


class Later(Named):
    """Other pictures than `Named`, under the same keys."""

    def __getitem__(self, index: int) -> Any:
        return Frames(999)[100 + range(self.length)[index]]


class UnnamedLater(Later):
    keys = None  # type: ignore[assignment]


KINDS = [pytest.param((Named, Later), id="names"), pytest.param((Unnamed, UnnamedLater), id="numbers")]


def reading(base: Any, cache: Any, **options: Any) -> POCAugmentedDataset:
    return POCAugmentedDataset(base, cache, p=1.0, schema=SCHEMA, **options)


def shown(ds: POCAugmentedDataset) -> list[bytes]:
    return [ds[i][0].tobytes() for i in range(len(ds))]


@pytest.mark.parametrize("kinds", KINDS)
def test_caches_of_the_parts_are_found_in_the_whole(tmp_path: Path, kinds: Any) -> None:
    parts = [kind(LENGTH) for kind in kinds]
    paths = [warm(part, tmp_path / f"{number}.cache") for number, part in enumerate(parts)]
    whole: Any
    for whole in (ConcatDataset(parts), ConcatDataset(parts[::-1]), Subset(ConcatDataset(parts), [5, 0, 1, 7])):
        assert augmented(reading(whole, paths)) == len(whole)
    nested: Any = ConcatDataset([ConcatDataset(parts[:1]), Subset(parts[1], [2, 0])])
    assert augmented(reading(nested, paths)) == LENGTH + 2
    # Each part shows what its own cache holds of it.
    alone = shown(reading(parts[0], paths[0], variant=0)) + shown(reading(parts[1], paths[1], variant=0))
    ds = reading(ConcatDataset(parts), paths[0], on_miss="original", variant=0)
    assert shown(ds)[:LENGTH] == alone[:LENGTH]
    assert augmented(ds) == LENGTH
    # The wrappers inside show the same.
    inside: Any = ConcatDataset([reading(part, path, variant=0) for part, path in zip(parts, paths, strict=True)])
    assert [inside[i][0].tobytes() for i in range(len(inside))] == alone


@pytest.mark.parametrize("kinds", KINDS)
def test_a_cache_of_the_whole_is_found_by_its_parts(tmp_path: Path, kinds: Any) -> None:
    parts = [kind(LENGTH) for kind in kinds]
    path = warm(ConcatDataset(parts), tmp_path / "a.cache")
    of_whole = shown(reading(ConcatDataset(parts), path, variant=0))
    for number, part in enumerate(parts):
        ds = reading(part, path, on_miss="raise", variant=0)
        assert shown(ds) == of_whole[number * LENGTH :][:LENGTH]
        chosen: Any = random_split(part, [3, 1])[0]
        assert augmented(reading(chosen, path, on_miss="raise")) == 3


def test_other_pictures_of_the_same_names_are_not_taken_for_a_part(tmp_path: Path) -> None:
    class Strangers(Named):
        def __getitem__(self, index: int) -> Any:
            return Named(999)[500 + index]

    path = warm(Named(LENGTH), tmp_path / "a.cache")
    with pytest.raises(CacheDatasetMismatchError, match="holds none of this dataset's 8 samples"):
        reading(ConcatDataset([Strangers(LENGTH), Later(LENGTH)]), path)
    whole = warm(ConcatDataset([Named(LENGTH), Later(LENGTH)]), tmp_path / "b.cache")
    with pytest.raises(CacheDatasetMismatchError, match="holds none of this dataset's 4 samples"):
        reading(Strangers(LENGTH), whole)
