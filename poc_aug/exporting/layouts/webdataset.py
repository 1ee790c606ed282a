"""``webdataset``: tar shards that the `webdataset` package streams."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import xxhash

from poc_aug.errors import SettingError
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.frame_instances import instance_values
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.label_names import label_names
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.streamed_files import json_file, records_by_split
from poc_aug.exporting.tar_shards import DIGEST, ShardFrame, agree_shards, shards_of, splits_with_shards
from poc_aug.exporting.whole_files import label_png, picture_jpg, picture_png, place_files

PictureForm: TypeAlias = Literal["png", "jpg"]

_PARTS = ".shards"
"""Folder of the frames that no shard holds yet."""


@dataclass(frozen=True)
class WebDatasetLayout:
    """``SPLIT-000000.tar`` and further shards; each sample has ``KEY.png``, ``KEY.seg.png`` and ``KEY.json``.

    ``dataset.json`` lists the shards with the pattern of their names, the number of frames, and the names of the ids.
    Frames that are added later come into further shards; a shard is only written again if one of its frames has
    changed.

    Args:
        pictures: ``"png"``, lossless, or ``"jpg"``, of quality 95, a fifth of its size; labels are always PNG.
        shard_frames: most frames per shard.
        shard_mb: most megabytes per shard.

    Example:
        >>> WebDatasetLayout().files("ulm_000004_000019_v0", "train", "ulm")  # frames are collected
        ()
    """

    pictures: PictureForm = "png"
    shard_frames: int = 1000
    shard_mb: int = 1000

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "webdataset"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        if self.pictures not in get_args(PictureForm):
            raise SettingError(f"pictures={self.pictures!r}", expected=f"one of {get_args(PictureForm)}")
        for name, value in (("shard_frames", self.shard_frames), ("shard_mb", self.shard_mb)):
            if type(value) is not int or value < 1:
                raise SettingError(f"{name}={value!r}", expected="a whole number, 1 or more")
        check_eight_bits(plan)

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        return ()

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        key = sample_key(frame.name)
        picture = picture_png(frame.image) if self.pictures == "png" else picture_jpg(frame.image)
        values = {
            "name": frame.name,
            "base": frame.base.key,
            "variant": frame.variant,
            "split": frame.split,
            "objects": instance_values(frame),
        }
        labels = label_png(frame.labels, frame.name)
        digest = xxhash.xxh3_128_hexdigest(b"".join((picture, labels, json_file(values))))
        contents = [picture, labels, json_file({**values, DIGEST: digest})]
        names = [path.as_posix() for path in _paths(Path(), frame.split, key, self.pictures)]
        place_files(folder, dict(zip(names, contents, strict=True)))
        return {"split": frame.split, "key": key, DIGEST: digest}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Collect the frames into shards, and list these."""
        listed: dict[str, Any] = {}
        splits = records_by_split(records)
        for split in sorted(splits_with_shards(folder) - splits.keys()):  # all of its frames were dropped
            agree_shards(folder, split, [], most_frames=self.shard_frames, most_nbytes=self.shard_mb * 1_000_000)
        for split, own in splits.items():
            frames = [
                ShardFrame(record["key"], record[DIGEST], _paths(folder, split, record["key"], self.pictures))
                for record in own
            ]
            agree_shards(folder, split, frames, most_frames=self.shard_frames, most_nbytes=self.shard_mb * 1_000_000)
            names = [path.name for path in shards_of(folder, split)]
            listed[split] = {"frames": len(frames), "shards": names, "urls": _pattern(split, len(names))}
        content = {"splits": listed, "labels": label_names(plan)}
        place_files(folder, {"dataset.json": json.dumps(content, indent=1).encode() + b"\n"})
        shutil.rmtree(folder / _PARTS, ignore_errors=True)


def sample_key(name: str) -> str:
    """The key of a frame: its name without dots, at the first of which the `webdataset` package ends a key.

    Example:
        >>> sample_key("frame.0001_v0")
        'frame%2E0001_v0'
    """
    return name.replace(".", "%2E")  # names have no % but those of such codes


def _paths(folder: Path, split: str, key: str, pictures: PictureForm) -> tuple[Path, ...]:
    """The files of a sample until a shard holds it; the last one is written last."""
    inner = folder / _PARTS / split
    return inner / f"{key}.{pictures}", inner / f"{key}.seg.png", inner / f"{key}.json"


def _pattern(split: str, count: int) -> str:
    """The names of the shards as the `webdataset` package takes them."""
    return f"{split}-{{000000..{count - 1:06d}}}.tar"
