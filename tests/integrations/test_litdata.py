"""LitData's `StreamingDataset`: streamed with a composer as its transform, and read by index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from poc_aug import Composer, OodLabels, POCAugmentedDataset, set_epoch, warm_cache
from poc_aug.keys import dataset_keys
from tests.helpers.client_cases import LENGTH, OOD, check_frames
from tests.helpers.dataset_cases import keep
from tests.helpers.fakes import SCHEMA, Frames
from tests.helpers.key_cases import pipeline

litdata = pytest.importorskip("litdata")


def sample(number: int) -> dict[str, Any]:
    image, labels = Frames(LENGTH)[number]
    return {"image": image, "mask": labels, "name": f"/data/frame-{number:03d}.png", "number": number}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The frames in LitData's chunks, two in each."""
    from litdata.streaming.writer import BinaryWriter

    path = tmp_path_factory.mktemp("litdata")
    writer = BinaryWriter(str(path), chunk_size=2)
    for number in range(LENGTH):
        writer[number] = sample(number)
    writer.done()
    writer.merge()
    return str(path)


def streamed(folder: str, transform: Any = None, **options: Any) -> Any:
    return litdata.StreamingDataset(folder, transform=transform, **options)


def composer(cache: Path, **options: Any) -> Composer:
    return Composer(cache, OodLabels(OOD), schema=SCHEMA, key="name", **{"p": 1.0, "redraw": "epoch", **options})


def checked(cache: Path, items: Any) -> list[int | None]:
    items = sorted(items, key=lambda item: item["number"])
    assert [item["number"] for item in items] == list(range(LENGTH))
    assert all(item["name"] == f"/data/frame-{item['number']:03d}.png" for item in items)
    return check_frames(cache, ((item["number"], item["image"], item["mask"]) for item in items))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_stream_is_composed(frames_cache: Path, folder: str, shuffle: bool) -> None:
    assert None not in checked(frames_cache, streamed(folder, composer(frames_cache), shuffle=shuffle))
    loader = litdata.StreamingDataLoader(
        streamed(folder, composer(frames_cache, p=0.5, redraw="read"), shuffle=shuffle),
        batch_size=2, collate_fn=keep, num_workers=2,
    )  # fmt: skip
    passes = [tuple(checked(frames_cache, (item for batch in loader for item in batch))) for _ in range(5)]
    assert len(set(passes)) > 2


def test_epochs_reach_a_stream(frames_cache: Path, folder: str) -> None:
    compose = composer(frames_cache, p=0.5)
    loader = litdata.StreamingDataLoader(streamed(folder, compose), batch_size=2, collate_fn=keep)
    passes = []
    for epoch in range(5):
        set_epoch(loader, epoch)
        assert compose.epoch == epoch
        passes.append(tuple(checked(frames_cache, (item for batch in loader for item in batch))))
    assert len(set(passes)) > 2


def test_by_index(frames_cache: Path, folder: str, tmp_path: Path) -> None:
    base = streamed(folder)
    keys = [f"frame-{number:03d}" for number in range(LENGTH)]
    assert dataset_keys(base) == [f"{number:08d}" for number in range(LENGTH)]
    ds = POCAugmentedDataset(base, frames_cache, OodLabels(OOD), p=1.0, schema=SCHEMA, keys=keys, redraw="epoch")
    assert None not in checked(frames_cache, (ds[i] for i in range(LENGTH)))
    loader = DataLoader(ds, 2, collate_fn=keep, num_workers=1)
    assert None not in checked(frames_cache, (item for batch in loader for item in batch))
    path = tmp_path / "own.cache"
    report = warm_cache(base, path, pipeline(), num_variants=1, workers=0, schema=SCHEMA, keys=keys)
    assert report.made == LENGTH
    assert None not in checked(path, streamed(folder, composer(path)))
