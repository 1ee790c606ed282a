"""The ways to read augmented frames that the cache is measured against; all give a PIL pair."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lmdb
from PIL import Image
from torch.utils.data import Dataset

from poc_aug.labels.schema import LabelSchema

Pair = tuple[Image.Image, Image.Image]


class PngPairs(Dataset[Any]):
    """Images and labels as PNG files, decoded with PIL as torchvision's datasets do."""

    def __init__(self, images: Sequence[Path], labels: Sequence[Path], schema: LabelSchema) -> None:
        self.images, self.labels, self.schema = list(images), list(labels), schema

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        labels = Image.open(self.labels[index])
        labels.load()
        return Image.open(self.images[index]).convert("RGB"), labels

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in (*self.images, *self.labels))


def write_pngs(source: Dataset[Any], count: int, folder: Path, schema: LabelSchema) -> PngPairs:
    """Write items as a folder of composed PNG pairs: what POC's public code leaves."""
    folder.mkdir(parents=True)
    images = [folder / f"{number:05d}.png" for number in range(count)]
    labels = [folder / f"{number:05d}_labels.png" for number in range(count)]
    for number in range(count):
        image, ids = source[number]
        image.save(images[number])
        ids.save(labels[number])
    return PngPairs(images, labels, schema)


class FrameLmdb(Dataset[Any]):
    """Whole composed frames in one LMDB file, as PNG bytes or as raw pixels."""

    def __init__(self, path: Path, count: int, kind: Literal["png", "raw"]) -> None:
        self.path, self.count, self.kind = path, count, kind
        self._env: lmdb.Environment | None = None
        self._pid = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        with self._open().begin(buffers=True) as transaction:
            records = [transaction.get(f"{index:05d}{name}".encode()) for name in "il"]
            image, labels = (self._decoded(data) for data in records if data is not None)
        return image, labels

    def _open(self) -> lmdb.Environment:
        if self._env is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._env = lmdb.open(str(self.path), subdir=False, readonly=True, lock=False, readahead=False)
        return self._env

    def _decoded(self, data: memoryview) -> Image.Image:
        if self.kind == "png":
            picture = Image.open(io.BytesIO(data))
            picture.load()
            return picture
        width, height, bands = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))
        mode = "RGB" if bands == 3 else "L"
        # A copy: the pages belong to the transaction.
        return Image.frombytes(mode, (width, height), bytes(data[12:]))

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_blocks * 512


def write_lmdb(source: Dataset[Any], count: int, path: Path, kind: Literal["png", "raw"]) -> FrameLmdb:
    """Write items as whole frames into one LMDB file."""
    with lmdb.open(str(path), subdir=False, map_size=1 << 36) as env:
        for number in range(count):
            with env.begin(write=True) as transaction:
                for name, picture in zip("il", source[number], strict=True):
                    transaction.put(f"{number:05d}{name}".encode(), _encoded(picture, kind))
    return FrameLmdb(path, count, kind)


def _encoded(picture: Image.Image, kind: Literal["png", "raw"]) -> bytes:
    if kind == "png":
        data = io.BytesIO()
        picture.save(data, "PNG")
        return data.getvalue()
    head = (picture.width, picture.height, len(picture.getbands()))
    return b"".join(value.to_bytes(4, "little") for value in head) + picture.tobytes()
