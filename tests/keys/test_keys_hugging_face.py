"""Keys of Hugging Face's datasets: rows by a column, shuffled rows, dicts, streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Subset

from poc_aug import POCAugmentedDataset
from poc_aug.errors import CacheDatasetMismatchError, DatasetKeyError
from poc_aug.keys import dataset_keys
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import LENGTH, augmented, warm


def rows(folder: Path | None = None) -> Any:
    """Frames as a Hugging Face dataset: pictures in memory, or in files."""
    datasets = pytest.importorskip("datasets")
    pairs = [Frames(LENGTH)[i] for i in range(LENGTH)]
    images: list[Any] = [image for image, _ in pairs]
    if folder is not None:
        for i, image in enumerate(images):
            image.save(folder / f"{i}.png")
        images = [str(folder / f"{i}.png") for i in range(LENGTH)]
    columns = {
        "image": images,
        "label": [labels for _, labels in pairs],
        "scene": ["one", "one", "two", "two"],
        "image_path": [f"street/{i}.png" for i in range(LENGTH)],
        "number": list(range(LENGTH)),
        "score": [0.5] * LENGTH,
    }
    kinds = {"image": datasets.Image(), "label": datasets.Image(), "scene": datasets.Value("string")}
    kinds |= {"image_path": datasets.Value("string"), "number": datasets.Value("int64")}
    features = datasets.Features(kinds | {"score": datasets.Value("float32")})
    return datasets.Dataset.from_dict(columns, features=features)


def test_rows_by_a_column(tmp_path: Path) -> None:
    table = rows()
    path = warm(table, tmp_path / "a.cache", keys="image_path")
    split = table.train_test_split(test_size=0.5, seed=3)
    for other in (table.shuffle(seed=1), table.select([2, 0]), table.filter(lambda row: row["number"] > 1),
                  split["train"], split["test"], table.shuffle(seed=2).select(range(1, 3)),
                  Subset(table.shuffle(seed=1), [3, 0])):  # fmt: skip
        ds = POCAugmentedDataset(other, path, p=1.0, keys="image_path", schema=SCHEMA)
        assert augmented(ds) == len(other)


def test_columns_of_every_kind(tmp_path: Path) -> None:
    table = rows(tmp_path)
    assert dataset_keys(table) == [f"{i:08d}" for i in range(LENGTH)]
    assert dataset_keys(table, "number") == ["0", "1", "2", "3"]
    assert dataset_keys(table.select([2, 1]), "image") == [str(tmp_path / "2.png"), str(tmp_path / "1.png")]
    assert dataset_keys(table.with_format("torch"), "image_path") == [f"street/{i}.png" for i in range(LENGTH)]
    table.set_transform(lambda batch: pytest.fail("a column is taken without its transform"))
    assert dataset_keys(table, "image_path")[0] == "street/0.png"
    with pytest.raises(DatasetKeyError, match=r"'file'(?s:.*)image_path"):
        dataset_keys(table, "file")
    with pytest.raises(DatasetKeyError, match=r"row 0 of Dataset holds 0\.5"):
        dataset_keys(table, "score")
    with pytest.raises(DatasetKeyError, match="row 0 of Dataset holds nothing"):
        dataset_keys(rows(), "image")  # made in memory: there is no file


def test_shuffled_rows_are_refused_with_the_way_out(tmp_path: Path) -> None:
    table = rows()
    path = warm(table, tmp_path / "a.cache")
    assert augmented(POCAugmentedDataset(table, path, p=1.0, schema=SCHEMA)) == LENGTH
    for other in (table.shuffle(seed=4), table.select([3, 2]), Subset(table.shuffle(seed=4), [0, 1, 2, 3])):
        ds = POCAugmentedDataset(other, path, p=1.0, schema=SCHEMA)
        with pytest.raises(CacheDatasetMismatchError) as caught:
            [ds[i] for i in range(len(ds))]
        for part in ('keys="image_path"', "shuffled or selected", "scene", "warm_cache"):
            assert part in str(caught.value)
    with pytest.raises(
        DatasetKeyError, match=r"have the same key 'one'(?s:.*)keys='(?s:.*)a different value for each image"
    ):
        warm(table, tmp_path / "b.cache", keys="scene")


def test_a_dict_of_datasets_is_no_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = warm(rows(), tmp_path / "a.cache")
    several = rows().train_test_split(0.5, seed=0)
    dataset: Any
    for dataset in (
        several,
        {"train": Frames(LENGTH)},
        datasets.IterableDatasetDict(train=rows().to_iterable_dataset()),
    ):
        with pytest.raises(DatasetKeyError, match=r"by name: train(?s:.*)dataset\['train'\]"):
            POCAugmentedDataset(dataset, path)
        with pytest.raises(DatasetKeyError, match=r"dataset\['train'\]"):
            warm(dataset, tmp_path / "b.cache")


def test_streams_are_no_datasets() -> None:
    with pytest.raises(DatasetKeyError, match=r"IterableDataset has no length(?s:.*)streaming"):
        dataset_keys(rows().to_iterable_dataset())

    class Counted(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(())

        def __len__(self) -> int:
            return 4

    with pytest.raises(DatasetKeyError, match="Counted cannot be read by index"):
        dataset_keys(Counted())
