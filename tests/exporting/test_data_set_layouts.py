"""The layouts of data set libraries through the exporter and its command: shifted frames, settings, several splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poc_aug.errors import ExportError, SettingError
from poc_aug.exporting.exporter import export
from poc_aug.exporting.layout_registry import layout_named
from poc_aug.exporting.tar_shards import frames_in, shards_of
from poc_aug.upkeep.dropping import drop
from tests.helpers.command_line import run
from tests.helpers.export_cases import LENGTH, contents, warm_halos
from tests.helpers.fakes import Frames


def exported(cache: Path, out: Path, layout: Any, split: str = "train") -> Any:
    return export(Frames(LENGTH), cache, layout, out, split=split, workers=0)


@pytest.mark.parametrize("layout", ["webdataset", "huggingface"])
def test_shifted_frames_are_written(layout: str, shifted: Path, tmp_path: Path) -> None:
    report = exported(shifted, tmp_path, layout)
    assert report.written > LENGTH
    if layout == "webdataset":
        (shard,) = shards_of(tmp_path, "train")
        assert len(frames_in(shard)) == report.written
    else:
        rows = (tmp_path / "data" / "train" / "metadata.jsonl").read_text().splitlines()
        assert len(rows) == report.written
        assert all(json.loads(row)["objects"] == "[]" for row in rows)


@pytest.mark.parametrize("layout", ["coco", "fiftyone"])
def test_layouts_of_objects_refuse_shifted_frames(layout: str, shifted: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing is inserted"):
        exported(shifted, tmp_path / "out", layout)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["coco", "webdataset", "huggingface", "fiftyone"])
def test_a_second_split_leaves_the_first_as_it_is(layout: str, halos: Path, tmp_path: Path) -> None:
    exported(halos, tmp_path, layout)
    described = ("export.json", "export.frames.jsonl", "README.md", "load_fiftyone.py", "dataset.json")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name not in described}
    report = exported(halos, tmp_path, layout, "val")
    assert set(report.splits) == {"train", "val"}
    assert {path: path.read_bytes() for path in before} == before
    if layout == "webdataset":
        assert set(json.loads((tmp_path / "dataset.json").read_text())["splits"]) == {"train", "val"}
    if layout == "fiftyone":
        assert "('train', 'val')" in (tmp_path / "load_fiftyone.py").read_text()


@pytest.mark.parametrize("layout", ["pebal", "coco", "webdataset", "huggingface", "fiftyone"])
def test_frames_whose_insertions_were_dropped_go(layout: str, tmp_path: Path) -> None:
    cache = warm_halos(tmp_path / "a.cache")

    def again(out: Path) -> dict[str, bytes]:
        export(Frames(LENGTH), cache, layout, out, split="train", keep_empty=False, workers=0)
        return {name: content for name, content in contents(out).items() if name != "export.json"}

    before = again(tmp_path / "out")
    for name in ("cat", "car"):
        drop(cache, class_name=name)
    fewer = again(tmp_path / "out")
    assert len(fewer["export.frames.jsonl"]) < len(before["export.frames.jsonl"])
    assert fewer == again(tmp_path / "anew")
    drop(cache, class_name="dog")
    none = again(tmp_path / "out")
    assert not [name for name in none if name.endswith((".png", ".tar"))]
    assert none == again(tmp_path / "none")


def test_settings_of_layouts_on_the_command_line(halos: Path, tmp_path: Path) -> None:
    line = ["export", halos, "--dataset", "tests.helpers.fakes:Frames", f"length={LENGTH}", "--split", "train"]
    line += ["--workers", 0, "--out", tmp_path / "out"]
    run(*line, "--layout", "webdataset", "--set", "shard_frames=2", "--set", "pictures=jpg")
    assert len(shards_of(tmp_path / "out", "train")) > 1
    assert "shard_frames='x'" in run(*line, "--layout", "webdataset", "--set", "shard_frames=x", fails=True)
    assert "segmentation='x'" in run(*line, "--layout", "coco", "--set", "segmentation=x", fails=True)
    assert "one of its settings: segmentation" in run(*line, "--layout", "coco", "--set", "pictures=jpg", fails=True)
    with pytest.raises(SettingError, match="shard_mb=True"):
        exported(halos, tmp_path / "b", layout_named("webdataset", shard_mb=True))
