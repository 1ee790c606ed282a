"""Skip means skip: a cut-out that cannot be used stops no run, and is counted and named."""

from __future__ import annotations

import logging
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug import POCAugmentedDataset
from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.cache import Cache
from poc_aug.errors import GenerationError, ObjectBankError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warm_report import WarmReport
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.policies import OodLabels
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.types import Crop, Extent, Filled, Rejection
from tests.helpers.coco_cases import annotation, image, instances, picture, write
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.warming_cases import content


def noise(seed: int = 0, side: int = 48) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return pixels


def truncated(path: Path) -> None:
    Image.fromarray(noise()).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def broken_chunk(path: Path) -> None:
    """A PNG whose pixels are not what zlib wrote."""
    Image.fromarray(noise()).save(path)
    data = path.read_bytes()
    at = data.index(b"IDAT") + 4
    length = struct.unpack(">I", data[at - 8 : at - 4])[0]
    chunk = data[at : at + 100] + b"\xff" * (length - 100)
    crc = struct.pack(">I", zlib.crc32(b"IDAT" + chunk))
    path.write_bytes(data[:at] + chunk + crc + data[at + length + 4 :])


def transparent(path: Path) -> None:
    Image.fromarray(np.zeros((48, 48, 4), dtype=np.uint8)).save(path)


def faint(path: Path) -> None:
    """Nowhere half opaque."""
    pixels = noise()
    pixels[..., 3] = 90
    Image.fromarray(pixels).save(path)


def animated(path: Path) -> None:
    frames = [Image.fromarray(noise(seed)) for seed in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


SEEN_WHEN_DECODED: dict[str, Callable[[Path], None]] = {
    "truncated": truncated,
    "broken": broken_chunk,
    "transparent": transparent,
    "faint": faint,
    "animated": animated,
}


def bank_folder(folder: Path, spoil: Callable[[Path], None] | None = None) -> Path:
    (folder / "dog").mkdir(parents=True)
    for i in range(2):
        Image.fromarray(noise(i)).save(folder / "dog" / f"good_{i}.png")
    if spoil is not None:
        spoil(folder / "dog" / "bad.png")
    return folder


def pipeline(bank: ObjectBank, **changes: Any) -> InsertionPipeline:
    recipe = {"objects": ["dog"], "location": ["road"], "attempts": 4, "objects_per_variant": [1, 2], **changes}
    return InsertionPipeline(make_recipe(**recipe), PasteInserter(bank), batch_size=3)


def rejections(report: WarmReport) -> int:
    return report.rejections["unreadable cut-out"]


@pytest.mark.parametrize("fault", SEEN_WHEN_DECODED)
def test_what_only_decoding_shows_is_skipped_counted_and_named(tmp_path: Path, fault: str) -> None:
    folder = bank_folder(tmp_path / "bank", SEEN_WHEN_DECODED[fault])
    bank = ObjectBank.from_folder(folder)
    assert len(bank) == 3
    path = tmp_path / "a.cache"
    with pytest.raises(ObjectBankError, match=r"cut-out 'dog/bad\.png'.*") as caught:
        warm_cache(Frames(6), path, pipeline(bank), num_variants=2, workers=0)
    assert "on_error='skip'" in str(caught.value)
    # Run again, it says so again: no variant with it was stored.
    with pytest.raises(ObjectBankError, match=r"dog/bad\.png"):
        warm_cache(Frames(6), path, pipeline(bank), num_variants=2, workers=0)
    report = warm_cache(Frames(6), path, pipeline(bank), num_variants=2, workers=0, on_error="skip")
    assert rejections(report) > 0
    assert report.cutouts.total() == rejections(report)
    assert all(name.startswith("dog/bad.png: ") for name in report.cutouts)
    assert report.objects > 0
    assert report.failed == []
    assert report.unreadable == []
    again = warm_cache(Frames(6), path, pipeline(bank), num_variants=2, workers=0, on_error="skip")
    assert (again.present, again.made, again.failed) == (12, 0, [])
    # Nor does the default find anything to stop for: what was skipped was settled.
    assert warm_cache(Frames(6), path, pipeline(bank), num_variants=2, workers=0).made == 0
    with Cache.open(path) as cache:
        stored = [variant for name in cache if (variant := cache.get(*name)) is not None]
    details = {each.detail for variant in stored for each in variant.rejections if each.reason == "unreadable cut-out"}
    assert details == {"dog/bad.png"}


def test_a_cutout_of_nothing_after_erosion_and_a_deleted_one(tmp_path: Path) -> None:
    folder = bank_folder(tmp_path / "bank")
    thin = np.zeros((48, 48, 4), dtype=np.uint8)
    thin[20, 20] = 255
    Image.fromarray(thin).save(folder / "dog" / "thin.png")
    Image.fromarray(noise(7)).save(folder / "dog" / "gone.png")
    bank = ObjectBank.from_folder(folder)
    run = pipeline(bank)
    run.describe()  # as warm_cache does before it draws
    (folder / "dog" / "gone.png").unlink()
    report = warm_cache(Frames(8), tmp_path / "a.cache", run, num_variants=2, workers=0, on_error="skip")
    assert {name.partition(":")[0] for name in report.cutouts} == {"dog/gone.png"}
    assert report.made == 16
    assert report.objects > 0


@pytest.mark.parametrize("workers", [0, 1])
def test_the_result_does_not_depend_on_batches_resuming_or_the_banks_place(tmp_path: Path, workers: int) -> None:
    folder = bank_folder(tmp_path / "bank", truncated)
    shutil.copytree(folder, tmp_path / "elsewhere")
    first, second = ObjectBank.from_folder(folder), ObjectBank.from_folder(tmp_path / "elsewhere")
    one, other = tmp_path / "one.cache", tmp_path / "other.cache"
    warm_cache(Frames(6), one, pipeline(first), num_variants=2, workers=workers, on_error="skip")
    warm_cache(Frames(6), other, pipeline(second), num_variants=1, workers=0, on_error="skip")
    alone = InsertionPipeline(pipeline(second).recipe, PasteInserter(second), batch_size=1)
    warm_cache(Frames(6), other, alone, num_variants=2, workers=0, on_error="skip")
    assert content(one) == content(other)


def test_a_bank_of_bad_cutouts_alone_ends_with_variants_without_insertions(tmp_path: Path) -> None:
    (tmp_path / "bank" / "dog").mkdir(parents=True)
    truncated(tmp_path / "bank" / "dog" / "bad.png")
    bank = ObjectBank.from_folder(tmp_path / "bank")
    report = warm_cache(Frames(3), tmp_path / "a.cache", pipeline(bank), num_variants=1, workers=0, on_error="skip")
    assert (report.made, report.objects) == (3, 0)
    assert rejections(report) == sum(report.rejections.values()) > 0


def test_what_was_left_out_is_in_the_report(tmp_path: Path) -> None:
    folder = bank_folder(tmp_path / "bank")
    (folder / "dog" / "empty.png").write_bytes(b"")
    bank = ObjectBank.from_folder(folder)
    report = warm_cache(Frames(2), tmp_path / "a.cache", pipeline(bank), num_variants=1, workers=0)
    assert report.left_out == {"unreadable": 1}
    assert report.cutouts == {}


def test_bad_outlines_are_left_out_when_the_bank_is_made_and_truncated_photos_when_drawn(tmp_path: Path) -> None:
    rows: list[Any] = [
        annotation(),
        annotation(id=2, segmentation=[]),
        annotation(id=3, segmentation=[[20, 30]]),
        annotation(id=4, image_id=2),
    ]
    path = write(tmp_path, instances(rows, [image(), image(id=2, file_name="two.png")]))
    photo = tmp_path / "images" / "two.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 130, 3), dtype=np.uint8)).save(photo)
    photo.write_bytes(photo.read_bytes()[:5000])
    bank = ObjectBank.from_coco(path)
    assert len(bank) == 2
    assert bank.dropped == {"without an outline": 1, "whose outline has no inside": 1}
    report = warm_cache(Frames(6), tmp_path / "a.cache", pipeline(bank), num_variants=2, workers=0, on_error="skip")
    assert {name.partition(":")[0] for name in report.cutouts} == {"two.png#4"}
    assert report.objects > 0


class Spoilt:
    """Frames whose second item can be read once only."""

    def __init__(self) -> None:
        self.read = 0

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        self.read += 1
        if self.read > 1:
            raise OSError("disk on fire")
        labels = np.zeros((90, 130), dtype=np.uint8)
        labels[30:65, 20:70] = 2
        return picture(), Image.fromarray(labels)


def test_a_dataset_whose_item_cannot_be_read_again(tmp_path: Path) -> None:
    from tests.helpers.fakes import SCHEMA

    bank = ObjectBank.from_dataset(Spoilt(), SCHEMA, ["car"])
    with pytest.raises(ObjectBankError, match=r"00000000#car.*OSError: disk on fire"):
        bank.cutout(0)
    run = pipeline(bank, objects=["car"])
    report = warm_cache(Frames(2), tmp_path / "a.cache", run, num_variants=1, workers=0, on_error="skip")
    assert (report.made, report.objects) == (2, 0)
    assert rejections(report) > 0


class Unsure(EllipseInserter):
    """Raises where it is asked for the extent of one seed in three."""

    def extent(self, object_name: str, seed: int) -> Extent | None:
        if seed % 3 == 0:
            raise ZeroDivisionError("no size")
        return super().extent(object_name, seed)


class Refusing(EllipseInserter):
    """Tells of one seed in three that it cannot draw it; it is never asked to."""

    def extent(self, object_name: str, seed: int) -> Extent | Rejection | None:  # type: ignore[override]
        return Rejection("not drawable", object_name, detail="odd") if seed % 3 == 0 else None

    def insert(self, crops: Sequence[Crop]) -> list[Filled | Rejection]:
        assert all(crop.seed % 3 for crop in crops)
        return super().insert(crops)


def test_an_extent_that_raises_is_a_failure_that_can_be_skipped(tmp_path: Path) -> None:
    run = InsertionPipeline(make_recipe(), Unsure(), batch_size=2)
    with pytest.raises(
        GenerationError, match=r"sample 'frame-\d+', object '\w+', seed \d+: ZeroDivisionError: no size"
    ):
        warm_cache(Frames(6), tmp_path / "a.cache", run, num_variants=2, workers=0)
    report = warm_cache(Frames(6), tmp_path / "a.cache", run, num_variants=2, workers=0, on_error="skip")
    assert report.failed
    assert report.made
    assert report.present + report.made + len(report.failed) == 12


def test_an_extent_may_be_a_rejection(tmp_path: Path) -> None:
    run = InsertionPipeline(make_recipe(attempts=3), Refusing(), batch_size=2)
    report = warm_cache(Frames(6), tmp_path / "a.cache", run, num_variants=2, workers=0)
    assert report.made == 12
    assert report.rejections["not drawable"] > 0


@pytest.fixture
def live(tmp_path: Path) -> Iterator[POCAugmentedDataset]:
    bank = ObjectBank.from_folder(bank_folder(tmp_path / "bank", truncated))
    with POCAugmentedDataset(
        Frames(6),
        tmp_path / "a.cache",
        OodLabels(254),
        pipeline=pipeline(bank),
        p=1.0,
        live=LiveSettings(num_variants=2),
    ) as dataset:
        yield dataset


def test_a_training_does_not_stop_for_a_bad_cutout(live: POCAugmentedDataset, tmp_path: Path) -> None:
    for epoch in range(4):
        live.set_epoch(epoch)
        assert all(len(live[i]) == 2 for i in range(6))
    with Cache.open(tmp_path / "a.cache") as cache:
        stored = [variant for name in cache if (variant := cache.get(*name)) is not None]
    reasons = {each.reason for variant in stored for each in variant.rejections}
    assert "unreadable cut-out" in reasons
    assert any(variant.insertions for variant in stored)


def test_each_bad_cutout_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bank = ObjectBank.from_folder(bank_folder(tmp_path / "bank", truncated))
    with caplog.at_level(logging.WARNING, "poc_aug"):
        warm_cache(Frames(8), tmp_path / "a.cache", pipeline(bank), num_variants=2, workers=0, on_error="skip")
    assert caplog.text.count("cut-out dog/bad.png are rejected") == 1
