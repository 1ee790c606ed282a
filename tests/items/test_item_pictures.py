"""Pictures in items: orientation, lossy labels, damage, limits."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError, SampleReadError
from poc_aug.files.pictures import exif_orientation
from poc_aug.items import open_item as adapters
from poc_aug.items.open_item import open_item
from tests.helpers.item_forms import IDS, RGB, RNG, H, W, readonly
from tests.helpers.picture_files import png, with_orientation


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "JPEG2000", "TIFF"])
def test_lossy_labels_of_any_dataset_are_refused(kind: str, loaded: bool, tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    Image.fromarray(IDS).save(path, kind, **({"compression": "jpeg"} if kind == "TIFF" else {}))
    with Image.open(path) as labels:
        if loaded:
            labels.load()
        with pytest.raises(ItemFormatError, match=r"'city/7': the labels \(field 1\) \(.*labels\.png\): .* lossy"):
            open_item((RGB, labels), key="city/7")
        # A dataset that makes ids of it says so by its own code.
        assert open_item((RGB, labels.convert("L").point(lambda value: value > 9)), key="city/7").size_hw == (H, W)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_labels_of_few_bits_are_refused_while_they_can_be_seen(bits: int, tmp_path: Path) -> None:
    with Image.open(png(tmp_path / "labels.png", IDS % 4, bits, 0)) as labels:
        with pytest.raises(ItemFormatError, match=rf"grey of {bits} bits"):
            open_item((RGB, labels), key="city/7")


def test_files_are_named_where_pictures_know_them(tmp_path: Path) -> None:
    Image.new("RGBA", (W, H)).save(tmp_path / "a.png")
    Image.new("LA", (W, H)).save(tmp_path / "gt.png")
    with Image.open(tmp_path / "a.png") as image, Image.open(tmp_path / "gt.png") as labels:
        for item, name in (((image, IDS), "a"), ((RGB, labels), "gt")):
            with pytest.raises(ItemFormatError, match=rf"\(.*{name}\.png\) is a PIL image of mode"):
                open_item(item, key="k")


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_orientation_is_neither_followed_nor_lost(orientation: int) -> None:
    """The pixels that the loop trains on count; written or not, the item says the same of its orientation."""
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG", exif=with_orientation(orientation))
    for unshared in (False, True):
        image = Image.open(buffer)
        opened = open_item((image, IDS), key="k", unshared=unshared)
        assert np.array_equal(opened.image.whole().permute(1, 2, 0).numpy(), RGB)
        opened.image.write((0, 0, 1, 1), torch.zeros(3, 1, 1, dtype=torch.uint8))
        new = opened.close()[0]
        assert new.size == (W, H)
        assert exif_orientation(new) == orientation == exif_orientation(image)


def test_one_warning_where_an_orientation_leaves_the_labels_open(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "_orientation_warnings", set())
    for orientation, told in ((1, 0), (6, 0), (3, 1), (3, 1)):  # 6: equal sizes say that the labels lie as stored
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, "JPEG", exif=with_orientation(orientation))
        open_item((Image.open(buffer), IDS), key="city/7")
        assert len(caplog.records) == told
    assert "'city/7': the image (field 0) carries EXIF orientation 3" in caplog.text
    open_item((RGB, IDS), key="city/7")
    assert len(caplog.records) == 1


def test_sizes_that_an_orientation_explains() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", exif=with_orientation(6))
    with pytest.raises(ItemFormatError, match="EXIF orientation 6") as caught:
        open_item((Image.open(buffer), IDS.T.copy()), key="k")
    assert "exif_transpose" in caught.value.hint


def test_frames_above_pillows_limit_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W // 3)  # a frame made from an array never was checked
    sample = open_item((Image.fromarray(RGB), Image.fromarray(IDS)), key="k").sample()
    assert np.array_equal(sample.labels.numpy(), IDS)
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), RGB)


@pytest.mark.parametrize("broken", ["image", "labels"])
def test_truncated_file_is_named(broken: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    shape = (64, 64, 3) if broken == "image" else (64, 64)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(buffer, "PNG")
    path = tmp_path / "broken.png"
    path.write_bytes(buffer.getvalue()[:3000])
    lazy = Image.open(path)
    try:
        item = (lazy, IDS) if broken == "image" else (RGB, lazy)
        with pytest.raises(SampleReadError, match=r"'city/7'[\s\S]*broken\.png"):
            open_item(item, key="city/7")
    finally:
        lazy.close()


def test_no_warnings_of_read_only_memory() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_item((readonly(RGB), readonly(IDS)), key="k")
        opened.sample()
        opened.image.write((0, 0, 1, 1), torch.zeros(3, 1, 1, dtype=torch.uint8))
