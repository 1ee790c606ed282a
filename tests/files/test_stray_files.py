"""What operating systems and tools leave behind is no picture and no shard."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.cache import Cache
from poc_aug.cache.shard import shard_paths
from poc_aug.files.stray_files import is_litter, is_stray
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(200)


@pytest.mark.parametrize(
    "path",
    [
        *("._a.png", "dog/._a.png", "__MACOSX/dog/a.png", ".ipynb_checkpoints/a-checkpoint.png", ".DS_Store"),
        *("Thumbs.db", "dog/desktop.ini", ".hidden/a.png", "a/.b/c.png", "@eaDir/a.png"),
    ],
)
def test_strays(path: str) -> None:
    assert is_stray(path)


@pytest.mark.parametrize("path", ["a.png", "dog/a.png", "a.b/c.d.png", "macosx/a.png", "../dog/a.png", "_a.png"])
def test_data(path: str) -> None:
    assert not is_stray(path)


def test_litter_is_not_all_that_is_hidden() -> None:
    assert is_litter("._a.lmdb")
    assert not is_litter(".git")


def test_strays_are_no_cutouts(tmp_path: Path) -> None:
    good = Image.fromarray(np.full((40, 40, 4), 255, dtype=np.uint8))
    for name in ("dog/a.png", "__MACOSX/dog/a.png", ".ipynb_checkpoints/a-checkpoint.png", "dog/.thumbnails/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        good.save(tmp_path / name)
    for name in ("dog/._a.png", "__MACOSX/dog/._a.png", "._dog.png"):
        (tmp_path / name).write_bytes(APPLE_DOUBLE)
    (tmp_path / "dog" / "Thumbs.db").write_bytes(b"x")
    bank = ObjectBank.from_folder(tmp_path)
    assert [bank.name(i) for i in range(len(bank))] == ["dog/a.png"]
    assert bank.classes() == ("dog",)
    assert bank.dropped == {}


def test_a_bank_inside_a_hidden_folder_is_a_bank(tmp_path: Path) -> None:
    folder = tmp_path / ".data" / "bank"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((40, 40, 4), 255, dtype=np.uint8)).save(folder / "dog.png")
    assert len(ObjectBank.from_folder(folder)) == 1


def test_strays_in_a_cache_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter(), batch_size=2)
    warm_cache(Frames(4), path, pipeline, num_variants=1, workers=0)
    (shard,) = shard_paths(path)
    (path / "._manifest.json").write_bytes(APPLE_DOUBLE)
    (path / ".DS_Store").write_bytes(APPLE_DOUBLE)
    (path / "shards" / f"._{shard.name}").write_bytes(APPLE_DOUBLE)
    (path / "shards" / "._x.lmdb").write_bytes(APPLE_DOUBLE)
    (path / "shards" / ".DS_Store").write_bytes(APPLE_DOUBLE)
    (path / "shards" / "Thumbs.db").write_bytes(b"x")
    (path / "shards" / ".ipynb_checkpoints").mkdir()
    shutil.copy(shard, path / "shards" / ".ipynb_checkpoints" / "x-checkpoint.lmdb")
    (path / "shards" / "folder.lmdb").mkdir()
    (path / "__MACOSX" / "shards").mkdir(parents=True)
    assert shard_paths(path) == [shard]
    with Cache.open(path) as cache:
        assert len(cache) == 4
        report = cache.verify()
    assert (report.records, len(report.problems)) == (4, 0)
    assert warm_cache(Frames(6), path, pipeline, num_variants=1, workers=0).made == 2


def test_a_cache_is_made_where_only_litter_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    path.mkdir()
    (path / ".DS_Store").write_bytes(APPLE_DOUBLE)
    (path / "._shards").write_bytes(APPLE_DOUBLE)
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter(), batch_size=2)
    assert warm_cache(Frames(2), path, pipeline, num_variants=1, workers=0).made == 2
