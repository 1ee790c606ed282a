"""EXIF orientation of COCO's images and of cut-outs: turned as a whole, or left out with both readings named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.backends.paste.bank_left_out import OTHER_SIZE, UNCLEAR_EXIF
from poc_aug.errors import ObjectBankError, SettingError
from tests.helpers.coco_cases import annotation, image, instances, picture, runs_of, shows_the_object, write

_BACK = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def save_turned(upright: Image.Image, path: Path, orientation: int) -> None:
    """Save a picture as a camera does that was held otherwise: viewers show ``upright``."""
    back = _BACK[orientation]
    stored = upright if back is None else upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    quality: dict[str, Any] = {"quality": 95} if path.suffix == ".jpg" else {}
    stored.save(path, exif=exif, **quality)
    with Image.open(path) as saved:
        assert ImageOps.exif_transpose(saved).size == upright.size


def turned(folder: Path, orientation: int, data: Any, *, size_wh: tuple[int, int] = (130, 90)) -> Path:
    path = write(folder, data)
    save_turned(picture(size_wh), folder / "images" / "one.png", orientation)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turned_image_is_turned_where_that_makes_the_sizes_agree(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    path = write(tmp_path, instances(images=[image(file_name=f"one{suffix}")]))
    save_turned(picture(), tmp_path / "images" / f"one{suffix}", orientation)
    bank = ObjectBank.from_coco(path)
    cutout = bank.cutout(0)
    red = cutout.image[:, cutout.alpha > 0].float().median(dim=1).values
    assert (red - torch.tensor([250.0, 20, 20])).abs().max() < 12
    assert abs(cutout.alpha.shape[1] - 48) <= 2
    assert ObjectBank.from_coco(path, exif="apply").describe() == bank.describe()
    with pytest.raises(ObjectBankError, match=rf"90x130 in the file, EXIF orientation {orientation}"):
        ObjectBank.from_coco(path, exif="ignore")


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_image_whose_annotations_are_those_of_the_stored_pixels_stays(tmp_path: Path, orientation: int) -> None:
    path = write(tmp_path, instances())
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture().save(tmp_path / "images" / "one.png", exif=exif)
    assert shows_the_object(ObjectBank.from_coco(path))
    assert shows_the_object(ObjectBank.from_coco(path, exif="ignore"))
    with pytest.raises(ObjectBankError, match=OTHER_SIZE):
        ObjectBank.from_coco(path, exif="apply")


@pytest.mark.parametrize(
    ("orientation", "size_wh", "told"),
    [(2, (130, 90), True), (3, (130, 90), True), (4, (130, 90), True), (3, (130, 90), False), (6, (130, 90), False)]
    + [(n, (130, 130), True) for n in range(2, 9)],
)
def test_what_sizes_do_not_settle_is_left_out_unless_the_caller_knows(
    tmp_path: Path, orientation: int, size_wh: tuple[int, int], told: bool
) -> None:
    given = {"width": size_wh[0], "height": size_wh[1]} if told else {"width": -1, "height": -1}
    path = turned(tmp_path, orientation, instances(images=[image(**given)]), size_wh=size_wh)
    with pytest.raises(ObjectBankError, match=re.escape(UNCLEAR_EXIF)) as caught:
        ObjectBank.from_coco(path)
    width, height = size_wh[::-1] if orientation >= 5 else size_wh
    assert f"one.png: {width}x{height}, EXIF orientation {orientation}" in str(caught.value)
    assert "exif='apply'" in caught.value.hint
    assert shows_the_object(ObjectBank.from_coco(path, exif="apply"))
    upright = write(tmp_path, instances(images=[image(**given)]), saved=picture(size_wh))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(size_wh).save(tmp_path / "images" / "one.png", exif=exif)
    assert shows_the_object(ObjectBank.from_coco(upright, exif="ignore"))


def test_how_an_image_is_turned_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = turned(tmp_path, 3, instances())
    apply, ignore = (ObjectBank.from_coco(path, exif=exif) for exif in ("apply", "ignore"))
    assert apply.describe()["fingerprint"] != ignore.describe()["fingerprint"]
    with pytest.raises(SettingError, match="exif='always'"):
        ObjectBank.from_coco(path, exif="always")  # type: ignore[arg-type]


def test_run_lengths_of_a_turned_image(tmp_path: Path) -> None:
    mask = np.zeros((90, 130), dtype=bool)
    mask[30:65, 20:70] = True
    row = annotation(segmentation={"size": [90, 130], "counts": runs_of(mask)})
    assert shows_the_object(ObjectBank.from_coco(turned(tmp_path, 8, instances([row]))))


def test_exif_behind_the_pixels_of_a_png_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = turned(tmp_path, 3, instances())
    file = tmp_path / "images" / "one.png"
    data = file.read_bytes()
    start = data.index(b"eXIf") - 4
    length = int.from_bytes(data[start : start + 4]) + 12
    end = data.index(b"IEND") - 4
    file.write_bytes(data[:start] + data[start + length : end] + data[start : start + length] + data[end:])
    with Image.open(file) as moved:
        assert moved.getexif()[0x0112] == 3
    bank = ObjectBank.from_coco(path)
    with pytest.raises(ObjectBankError, match=r"one\.png' is .* EXIF orientation 3, .* EXIF orientation 1"):
        bank.cutout(0)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_cutout_with_alpha_is_turned_as_a_whole(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = np.zeros((60, 41, 4), dtype=np.uint8)
    upright[5:50, 5:30] = (200, 30, 30, 255)
    upright[50:55, 5:10] = (30, 30, 200, 255)
    (tmp_path / "dog").mkdir()
    file = tmp_path / "dog" / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = _BACK[orientation]
    whole = Image.fromarray(upright)
    (whole if back is None else whole.transpose(back)).save(file, exif=exif, lossless=True)
    cutout = ObjectBank.from_folder(tmp_path, erode_px=0).cutout(0)
    assert torch.equal(cutout.alpha, torch.from_numpy(upright[5:55, 5:30, 3]))
    assert cutout.image[:, 47, 2].tolist()[2] > 100  # the blue foot is down on the left


def test_real_images_that_a_camera_turned_give_the_same_cutouts(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "objects" / "coco_mini"
    data = json.loads((source / "instances.json").read_text())
    (tmp_path / "as_is").mkdir()
    (tmp_path / "images").mkdir()
    for number, row in enumerate(data["images"]):
        row["file_name"] = row["file_name"].replace(".jpg", ".png")
        with Image.open(source / "images" / row["file_name"].replace(".png", ".jpg")) as photo:
            upright = photo.convert("RGB")
        upright.save(tmp_path / "as_is" / row["file_name"], compress_level=1)
        save_turned(upright, tmp_path / "images" / row["file_name"], 5 + number % 4)
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(data))
    exclude = CITYSCAPES_COCO_CLASSES
    expected = ObjectBank.from_coco(path, tmp_path / "as_is", exclude=exclude)
    squares = {row["id"] for row in data["images"] if row["width"] == row["height"]}
    bank = ObjectBank.from_coco(path, exclude=exclude)
    assert bool(squares) == (UNCLEAR_EXIF in bank.dropped)
    assert len(bank) + bank.dropped.get(UNCLEAR_EXIF, 0) >= len(expected)
    same = {expected.name(i): expected.cutout(i) for i in range(len(expected))}
    for i in range(len(bank)):
        assert torch.equal(bank.cutout(i).image, same[bank.name(i)].image)
        assert torch.equal(bank.cutout(i).alpha, same[bank.name(i)].alpha)
