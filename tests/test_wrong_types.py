"""Arguments of another type than is asked for are errors of this package at once, which name argument and value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.cache import Cache
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import LabelPolicyError, PocAugError, SampleReadError, SettingError
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import NewClassLabels, OodLabels
from tests.helpers.fakes import Frames
from tests.helpers.hostile_callables import Stop
from tests.helpers.warming_cases import pipeline

TRANSFORMS: Any = {"transforms": lambda image, labels: (image, labels)}


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("types") / "frames.cache"
    warm_cache(Frames(2), path, pipeline(), num_variants=1, workers=0)
    return path


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"p": "0.5"}, "p='0.5'"),
        ({"p": [0.5]}, r"p=\[0.5\]"),
        ({"p": float("nan")}, "p=nan"),
        ({"p": torch.ones(2)}, "p=tensor"),
        ({"sigma_px": "1"}, "sigma_px='1'"),
        ({"sigma_px": None}, "sigma_px=None"),
        ({"seed": "a"}, "seed='a'"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"variants": ["all"]}, r"variants=\['all'\]"),
        ({"variant": "0"}, "variant='0'"),
        ({"on_miss": ["raise"]}, r"on_miss=\['raise'\]"),
        ({"transforms": "flip"}, "transforms='flip'"),
        ({"pipeline": "poc-alt"}, "pipeline='poc-alt'.*make_pipeline"),
        ({"pipeline": 5}, "pipeline=5"),
        ({"live": {"num_variants": 3}, "pipeline": pipeline}, "live="),
        ({"schema": 5}, "5"),
        ({"keys": 5}, "keys"),
        ({"adapt": 5}, "adapt=5"),
        ({"label_policy": "ood"}, "label_policy='ood'"),
        ({"cache": 5}, "cache=int"),
    ],
)
def test_a_dataset_names_the_argument(changes: dict[str, Any], named: str, cache_path: Path) -> None:
    arguments = {"base": Frames(2), "cache": cache_path, **changes}
    with pytest.raises(PocAugError, match=f"(?s){named}"):
        POCAugmentedDataset(**arguments)


def test_dataset_and_cache_the_wrong_way_round(cache_path: Path) -> None:
    swapped: list[Any] = [cache_path, str(cache_path), Cache.open(cache_path)]
    for cache in swapped:
        with pytest.raises(SettingError, match="the dataset comes first, then the cache"):
            POCAugmentedDataset(cache, Frames(2))  # type: ignore[arg-type]


def test_numbers_of_numpy_and_torch_are_numbers(cache_path: Path) -> None:
    changes: dict[str, Any] = {"p": torch.tensor(1.0), "sigma_px": torch.tensor(1.0), "seed": torch.tensor(3)}
    dataset = POCAugmentedDataset(Frames(2), cache_path, OodLabels(254), **changes)
    dataset.set_epoch(torch.tensor(2))  # type: ignore[arg-type]
    assert dataset.epoch == 2
    assert len(dataset[0]) == 2


@pytest.mark.parametrize("epoch", [-1, "1", 1.5, None, 2**64])
def test_epochs(epoch: Any, cache_path: Path) -> None:
    dataset = POCAugmentedDataset(Frames(2), cache_path)
    dataset.set_epoch(3)
    with pytest.raises(SettingError, match="epoch="):
        dataset.set_epoch(epoch)
    assert dataset.epoch == 3


@pytest.mark.parametrize("key", [0, None, ["frame-000"], b"frame-000", Path("frame-000")])
def test_keys_of_a_cache(key: Any, cache_path: Path) -> None:
    reads: list[Callable[[Cache], object]] = [
        lambda cache: cache.get(key, 0),
        lambda cache: cache.get_new(key, 0),
        lambda cache: cache.raw(key, 0),
        lambda cache: cache.variants(key),
    ]
    with Cache.open(cache_path) as cache:
        assert cache.get("frame-000", 0) is not None
        for read in reads:
            with pytest.raises(SettingError, match="key="):
                read(cache)
        with pytest.raises(SettingError, match="variant='0'"):
            cache.get("frame-000", "0")  # type: ignore[arg-type]
        assert (key, 0) not in cache


def test_ids_that_no_label_map_can_hold() -> None:
    for make in (lambda: OodLabels(2**63), lambda: NewClassLabels({"cat": -(2**63) - 1}), lambda: OodLabels("9")):  # type: ignore[arg-type]
        with pytest.raises(LabelPolicyError, match=r"ood_id=|ids"):
            make()


class Leaving(Frames):
    """A dataset that ends the process on its second sample, or panics as compiled packages do."""

    error: BaseException = SystemExit(0)

    def __getitem__(self, index: int) -> Any:
        if index == 1:
            raise self.error
        return super().__getitem__(index)


class Panicking(Leaving):
    error = Stop("panic")


def test_a_sample_that_panics_is_named(tmp_path: Path) -> None:
    with pytest.raises(SampleReadError, match=r"'frame-001'.*Stop: panic"):
        warm_cache(Panicking(3), tmp_path / "a.cache", pipeline(), num_variants=1, workers=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_ends_the_process_is_named(workers: int, tmp_path: Path) -> None:
    with pytest.raises(SampleReadError, match=r"'frame-001'.*SystemExit.*sys\.exit\(0\)"):
        warm_cache(Leaving(3), tmp_path / "a.cache", pipeline(), num_variants=1, workers=workers)
    report = warm_cache(Leaving(3), tmp_path / "a.cache", pipeline(), num_variants=1, workers=0, on_error="skip")
    assert [key for key, _ in report.unreadable] == ["frame-001"]
