"""The layout "huggingface", read by `datasets.load_dataset`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poc_aug.exporting.layouts.huggingface import HuggingFaceLayout
from tests.helpers.layout_frames import OOD, make_frame, write_all


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a folder without a network, its cache in the test's folder."""
    datasets = importlib.import_module("datasets")  # it has no types

    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def test_load_dataset_gives_images_and_label_ids(loaded: Any, tmp_path: Path) -> None:
    train = [make_frame(number, policy=OOD) for number in range(5)]
    val = [make_frame(number, split="val", policy=OOD) for number in (0, 3)]  # none of them has an object
    write_all(HuggingFaceLayout(), [*train, *val], tmp_path / "out", OOD)
    dataset = loaded(tmp_path / "out")
    assert {name: len(split) for name, split in dataset.items()} == {"train": 5, "validation": 2}
    assert set(dataset["train"].column_names) == {"image", "annotation", "name", "base", "variant", "objects"}
    for split, frames in (("train", train), ("validation", val)):
        for row, frame in zip(dataset[split], frames, strict=True):
            assert (np.array(row["image"]) == frame.image.permute(1, 2, 0).numpy()).all()
            assert row["annotation"].mode == "L"
            assert (np.array(row["annotation"]) == frame.labels.numpy()).all()
            assert (row["name"], row["base"], row["variant"]) == (frame.name, frame.base.key, frame.variant)
            ood = sum(one["area"] for one in json.loads(row["objects"]) if one["label_id"] == 254)
            assert ood == int((frame.labels == 254).sum())


def test_the_card_names_splits_and_ids(tmp_path: Path) -> None:
    import yaml

    write_all(HuggingFaceLayout(), [make_frame(1), make_frame(2, split="val")], tmp_path)
    text = (tmp_path / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert [one["split"] for one in head["configs"][0]["data_files"]] == ["train", "validation"]
    assert "| 19 | dog |" in text
    assert "2 frames" in text


def test_files_that_are_whole_are_listed_last(tmp_path: Path) -> None:
    frame = make_frame(1)
    layout = HuggingFaceLayout()
    layout.write(frame, tmp_path)
    names = layout.files(frame.name, frame.split, frame.group)
    assert names[-1].endswith(".json")
    assert json.loads((tmp_path / names[-1]).read_text())["annotation_file_name"].startswith("city/")
