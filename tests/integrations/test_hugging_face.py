"""Hugging Face's datasets: by rows, as streams, by transforms; and what mapping to disk does."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from poc_aug import Composer, OodLabels, POCAugmentedDataset, set_epoch
from poc_aug.errors import DatasetKeyError, ItemFormatError
from poc_aug.integrations.hugging_face import ComposeRows
from tests.helpers.client_cases import LENGTH, OOD, check_frames
from tests.helpers.dataset_cases import keep
from tests.helpers.fakes import SCHEMA, Frames

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def table() -> Any:
    pairs = [Frames(LENGTH)[i] for i in range(LENGTH)]
    columns = {
        "number": list(range(LENGTH)),
        "image": [image for image, _ in pairs],
        "label": [labels for _, labels in pairs],
        "file_name": [f"images/frame-{i:03d}.png" for i in range(LENGTH)],
        "city": ["ulm"] * LENGTH,
    }
    kinds = {"number": datasets.Value("int64"), "image": datasets.Image(), "label": datasets.Image()}
    text = {"file_name": datasets.Value("string"), "city": datasets.Value("string")}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds | text))


def composer(cache: Path, **options: Any) -> Composer:
    return Composer(cache, OodLabels(OOD), schema=SCHEMA, key="file_name", **{"p": 1.0, "redraw": "epoch", **options})


def checked(cache: Path, rows: Any) -> list[int | None]:
    rows = list(rows)
    assert all(set(row) == {"number", "image", "label", "file_name", "city"} and row["city"] == "ulm" for row in rows)
    assert all(row["file_name"] == f"images/frame-{int(row['number']):03d}.png" for row in rows)
    return check_frames(cache, ((int(row["number"]), row["image"], row["label"]) for row in rows))


def test_rows_in_any_order(frames_cache: Path, table: Any) -> None:
    split = table.train_test_split(test_size=0.5, seed=3)
    for rows in (table, table.shuffle(seed=1), table.select([2, 0]), split["train"], split["test"],
                 table.shard(2, 1), table.with_format("torch"), table.with_format("numpy")):  # fmt: skip
        ds = POCAugmentedDataset(
            rows, frames_cache, OodLabels(OOD), p=1.0, schema=SCHEMA, keys="file_name", redraw="epoch"
        )
        assert None not in checked(frames_cache, (ds[i] for i in range(len(ds))))
        for kind in (torch.Tensor, np.ndarray, Image.Image):
            assert isinstance(ds[0]["image"], kind) is isinstance(rows[0]["image"], kind)


# `datasets` itself converts the tensors that a function of a formatted stream returns.
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_streams_in_any_order(frames_cache: Path, table: Any) -> None:
    compose = composer(frames_cache)
    stream = table.to_iterable_dataset(num_shards=2)
    for rows in (stream, stream.shuffle(seed=1, buffer_size=3), stream.take(3), stream.skip(1), stream.shard(2, 1),
                 stream.filter(lambda row: row["number"] % 2 == 1)):  # fmt: skip
        assert None not in checked(frames_cache, rows.map(compose))
        after = rows.map(compose).shuffle(seed=2, buffer_size=2)
        assert None not in checked(frames_cache, after)
    for kind in ("torch", "numpy"):
        shown = list(stream.with_format(kind).map(compose))
        assert None not in checked(frames_cache, shown)
        assert isinstance(shown[0]["image"], torch.Tensor) is (kind == "torch")
        assert None not in checked(frames_cache, stream.map(compose).with_format(kind))
    assert None not in checked(frames_cache, stream.map(ComposeRows(compose), batched=True, batch_size=3))


def test_shards_are_shared_out_among_workers(frames_cache: Path, table: Any) -> None:
    compose = composer(frames_cache, p=0.5, redraw="read")
    stream = table.to_iterable_dataset(num_shards=2).map(compose)
    loader = DataLoader(stream, 1, collate_fn=keep, num_workers=2, persistent_workers=True)
    passes = []
    for _ in range(8):
        rows = sorted((row for batch in loader for row in batch), key=lambda row: int(row["number"]))
        assert [row["number"] for row in rows] == list(range(LENGTH))
        passes.append(checked(frames_cache, rows))
    assert len({tuple(shown) for shown in passes}) > 3
    counts = [number is None for shown in passes for number in shown]
    assert 6 <= sum(counts) <= 26
    assert compose.stats().items == LENGTH


def test_epochs_reach_a_stream(frames_cache: Path, table: Any) -> None:
    compose = composer(frames_cache, p=0.5)
    stream = table.to_iterable_dataset(num_shards=2).map(compose).shuffle(seed=0, buffer_size=2)
    loader = DataLoader(stream, 2, collate_fn=keep)
    seen = []
    for epoch in range(6):
        set_epoch(loader, epoch)
        assert compose.epoch == epoch
        rows = sorted((row for batch in loader for row in batch), key=lambda row: int(row["number"]))
        seen.append(tuple(checked(frames_cache, rows)))
    assert len(set(seen)) > 3


def test_a_transform_of_a_table_draws_anew(frames_cache: Path, table: Any) -> None:
    compose = composer(frames_cache, p=0.5, redraw="read")
    rows = table.with_transform(ComposeRows(compose))
    seen = [tuple(checked(frames_cache, (rows[i] for i in range(LENGTH)))) for _ in range(6)]
    assert len(set(seen)) > 3
    whole = table.with_transform(ComposeRows(composer(frames_cache)))[:]
    assert None not in check_frames(frames_cache, zip(whole["number"], whole["image"], whole["label"], strict=True))
    set_epoch(rows, 11)
    assert compose.epoch == 11
    then = table.with_transform(ComposeRows(composer(frames_cache), then=lambda batch: {"sizes": [
        image.size for image in batch["image"]]}))  # fmt: skip
    assert then[0] == {"sizes": (65, 48)}


def test_a_transform_of_a_table_keeps_the_objects(frames_cache: Path, table: Any) -> None:
    rows = table.with_transform(ComposeRows(composer(frames_cache, instances=True)))[:]
    single = composer(frames_cache, instances=True)(table[1])
    assert {*rows} == {*single}
    assert rows["boxes"][1].tolist() == single["boxes"].tolist() != []


def test_mapping_a_table_stores_one_draw_of_each_row(frames_cache: Path, table: Any, tmp_path: Path) -> None:
    compose = composer(frames_cache, p=0.5, redraw="read")
    with pytest.raises(ItemFormatError, match=r"row of Dataset\.map, which stores(?s:.*)ComposeRows"):
        table.map(compose)
    stored = table.map(lambda row: compose(dict(row)), cache_file_name=str(tmp_path / "rows.arrow"))
    first = checked(frames_cache, stored)
    assert all(checked(frames_cache, stored) == first for _ in range(4))
    assert compose.stats().items == LENGTH  # each row was composed once


def test_no_columns_is_an_error(frames_cache: Path, table: Any) -> None:
    rows = ComposeRows(composer(frames_cache))
    for wrong in ({}, {"image": [1, 2], "label": [1]}, table[0]):
        with pytest.raises(ItemFormatError, match=r"columns of the lengths(?s:.*)map\(composer\)"):
            rows(wrong)
    with pytest.raises(DatasetKeyError, match=r"no 'file_name'(?s:.*)"):
        next(iter(table.to_iterable_dataset().remove_columns("file_name").map(composer(frames_cache))))
    assert pickle.loads(pickle.dumps(rows))(table[:1])["city"] == ["ulm"]
