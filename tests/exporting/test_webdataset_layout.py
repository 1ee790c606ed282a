"""The layout "webdataset", read by the package of that name: shards that appear whole, and can be continued."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

from poc_aug.errors import ExportError, OutputError, SettingError
from poc_aug.exporting import tar_shards
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.layouts.webdataset import WebDatasetLayout
from tests.helpers.layout_frames import files_of, make_frame, plan_of, write_all


def samples_of(folder: Path, split: str) -> list[dict[str, Any]]:
    """What the package gives of a split, in the order of the shards, decoded as labels need it."""
    listed = json.loads((folder / "dataset.json").read_text())["splits"][split]
    assert [Path(url).name for url in webdataset.shardlists.expand_urls(listed["urls"])] == listed["shards"]
    with ExitStack() as files:  # the package leaves those that it opens to the garbage collection
        sources = [
            {"url": name, "stream": files.enter_context((folder / name).open("rb"))} for name in listed["shards"]
        ]
        expanded = webdataset.tariterators.tar_file_expander(sources)
        # "pil" alone would make RGB of the label ids.
        decode = webdataset.decode(webdataset.handle_extension("seg.png", as_stored), "pil")
        return list(decode(webdataset.tariterators.group_by_keys(expanded)))


def as_stored(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def assert_holds(folder: Path, frames: Sequence[ExportedFrame], split: str = "train") -> None:
    samples = {sample["__key__"]: sample for sample in samples_of(folder, split)}
    assert len(samples) == len(frames)
    for frame in frames:
        sample = samples[frame.name.replace(".", "%2E")]
        assert (np.array(sample["png"]) == frame.image.permute(1, 2, 0).numpy()).all()
        assert sample["seg.png"].mode == "L"
        assert (np.array(sample["seg.png"]) == frame.labels.numpy()).all()
        assert sample["json"]["name"] == frame.name
        assert sample["json"]["base"] == frame.base.key
        shown = {one["label_id"] for one in sample["json"]["objects"]}
        assert shown == set(np.unique(frame.labels.numpy()).tolist()) & {12, 18, 19, 20}


def test_the_package_reads_all_frames(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(7)]
    val = [make_frame(8, split="val")]
    write_all(WebDatasetLayout(shard_frames=3), [*frames, *val], tmp_path)
    assert sorted(files_of(tmp_path)) == [
        "dataset.json",
        "train-000000.tar",
        "train-000001.tar",
        "train-000002.tar",
        "val-000000.tar",
    ]
    assert_holds(tmp_path, frames)
    assert_holds(tmp_path, val, "val")
    assert json.loads((tmp_path / "dataset.json").read_text())["labels"]["19"] == "dog"


def test_labels_survive_pictures_in_jpeg(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(3)]
    write_all(WebDatasetLayout("jpg"), frames, tmp_path)
    for sample, frame in zip(samples_of(tmp_path, "train"), frames, strict=True):
        assert sample["jpg"].size == (frame.image.shape[2], frame.image.shape[1])
        assert (np.array(sample["seg.png"]) == frame.labels.numpy()).all()


def test_shards_have_at_most_so_many_bytes(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(4)]
    layout = WebDatasetLayout()
    records = [layout.write(frame, tmp_path) for frame in frames]
    own = [
        tar_shards.ShardFrame(one["key"], one["digest"], tuple((tmp_path / ".shards/train").glob(f"{one['key']}.*")))
        for one in records
    ]
    sizes = [sum(512 + -(-path.stat().st_size // 512) * 512 for path in frame.paths) for frame in own]
    tar_shards.agree_shards(tmp_path, "train", own, most_frames=100, most_nbytes=sizes[0] + sizes[1])
    shards = tar_shards.shards_of(tmp_path, "train")
    counts = [len(tar_shards.frames_in(shard)) for shard in shards]
    assert (counts[0], sum(counts)) == (2, 4)
    for shard in shards:
        assert shard.stat().st_size <= sizes[0] + sizes[1] + tarfile.RECORDSIZE


def test_equal_frames_make_equal_shards(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(5)]
    for name in ("a", "b"):
        write_all(WebDatasetLayout(shard_frames=2), frames, tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_an_export_that_broke_off_between_shards_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [make_frame(number) for number in range(6)]
    layout = WebDatasetLayout(shard_frames=2)
    write_all(layout, frames, tmp_path / "whole")
    broken = tmp_path / "broken"
    broken.mkdir()
    records = [layout.write(frame, broken) for frame in frames]
    real, calls = tar_shards._remove_files, []

    def killed(chunk: Any) -> None:
        calls.append(chunk)
        if len(calls) == 2:  # the second shard is in place, its frames are not removed yet
            raise KeyboardInterrupt
        real(chunk)

    monkeypatch.setattr(tar_shards, "_remove_files", killed)
    with pytest.raises(KeyboardInterrupt):
        layout.finish(broken, plan_of(frames), records)
    monkeypatch.undo()
    assert len(tar_shards.shards_of(broken, "train")) == 2
    layout.finish(broken, plan_of(frames), records)
    assert files_of(broken) == files_of(tmp_path / "whole")


def test_a_full_disk_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [make_frame(number) for number in range(4)]
    layout = WebDatasetLayout(shard_frames=2)
    records = [layout.write(frame, tmp_path) for frame in frames]
    real = tarfile.TarFile.addfile
    added: list[str] = []

    def full(self: Any, info: tarfile.TarInfo, content: Any = None) -> None:
        added.append(info.name)
        if len(added) == 8:
            raise OSError(28, "No space left on device")
        real(self, info, content)

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OutputError, match=r"train-000001\.tar"):
        layout.finish(tmp_path, plan_of(frames), records)
    monkeypatch.undo()
    assert [path.name for path in tar_shards.shards_of(tmp_path, "train")] == ["train-000000.tar"]
    layout.finish(tmp_path, plan_of(frames), records)
    assert_holds(tmp_path, frames)


def test_frames_that_come_later_go_into_further_shards(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(5)]
    layout = WebDatasetLayout(shard_frames=2)
    records = write_all(layout, frames[:3], tmp_path)
    before = files_of(tmp_path)
    records += [layout.write(frame, tmp_path) for frame in frames[3:]]
    layout.finish(tmp_path, plan_of(frames), [records[3], *records[:3], records[4]])
    after = files_of(tmp_path)
    assert {name: data for name, data in after.items() if name in before and name != "dataset.json"} == {
        name: data for name, data in before.items() if name != "dataset.json"
    }
    assert_holds(tmp_path, frames)


def test_frames_that_changed_or_went_are_replaced(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(6)]
    layout = WebDatasetLayout(shard_frames=2)
    records = write_all(layout, frames, tmp_path)
    before = files_of(tmp_path)
    changed = dataclasses.replace(frames[2], image=255 - frames[2].image)
    records[2] = layout.write(changed, tmp_path)
    layout.finish(tmp_path, plan_of(frames), records)
    assert_holds(tmp_path, [*frames[:2], changed, *frames[3:]])
    after = files_of(tmp_path)
    assert [name for name in after if after[name] != before[name]] == ["train-000001.tar"]
    # A variant that was dropped is no longer exported; the first shard loses both of its frames.
    layout.finish(tmp_path, plan_of(frames), records[2:5])
    assert_holds(tmp_path, [changed, *frames[3:5]])
    assert [path.name for path in tar_shards.shards_of(tmp_path, "train")] == ["train-000000.tar", "train-000001.tar"]
    assert not list(tmp_path.rglob("*.seg.png"))


def test_damage_is_an_error(tmp_path: Path) -> None:
    frames = [make_frame(number) for number in range(3)]
    layout = WebDatasetLayout()
    records = [layout.write(frame, tmp_path) for frame in frames]
    (tmp_path / ".shards" / "train" / f"{records[1]['key']}.seg.png").unlink()
    with pytest.raises(ExportError, match="is gone"):
        layout.finish(tmp_path, plan_of(frames), records)
    records[1] = layout.write(frames[1], tmp_path)
    layout.finish(tmp_path, plan_of(frames), records)
    with pytest.raises(ExportError, match="is gone"):  # a frame that no shard holds
        layout.finish(tmp_path, plan_of(frames), [*records, {**records[0], "key": "other"}])
    (tmp_path / "train-000000.tar").write_bytes(b"no tar" * 500)
    with pytest.raises(ExportError, match=r"train-000000\.tar.*cannot be read"):
        layout.finish(tmp_path, plan_of(frames), records)
    for wrong in (WebDatasetLayout(shard_frames=0), WebDatasetLayout(shard_mb=0), WebDatasetLayout("gif")):  # type: ignore[arg-type]
        with pytest.raises(SettingError):
            wrong.check(plan_of(frames))
