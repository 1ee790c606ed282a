"""The images of COCO files: sizes that differ, EXIF orientation, names, and where they lie."""

from __future__ import annotations

import json
import os
import re
import struct
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.backends.paste.bank_left_out import OTHER_SIZE, UNCLEAR_EXIF
from poc_aug.errors import ObjectBankError, RecipeError
from tests.backends.paste.test_bank_coco import runs_of
from tests.helpers.coco_cases import annotation, image, instances, is_red, picture, rectangle, write

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
    stored.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))
    with Image.open(path) as saved:
        assert ImageOps.exif_transpose(saved).size == upright.size


def turned(folder: Path, orientation: int, data: Any, *, size_wh: tuple[int, int] = (130, 90)) -> Path:
    path = write(folder, data)
    save_turned(picture(size_wh), folder / "images" / "one.png", orientation)
    return path


def shows_the_object(bank: ObjectBank) -> bool:
    cutout = bank.cutout(0)
    return len(bank) == 1 and is_red(cutout.image, cutout.alpha) and abs(cutout.alpha.shape[1] - 48) <= 2


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("size_wh", [(65, 45), (260, 180), (90, 130), (129, 90), (130, 91)])
def test_an_image_of_another_size_is_left_out_and_both_sizes_are_named(
    tmp_path: Path, size_wh: tuple[int, int]
) -> None:
    path = write(tmp_path, instances(), saved=picture().resize(size_wh))
    with pytest.raises(ObjectBankError) as caught:
        ObjectBank.from_coco(path)
    assert f"1 {OTHER_SIZE}" in str(caught.value)
    assert f"one.png: 130x90 in the annotations, {size_wh[0]}x{size_wh[1]} in the file" in str(caught.value)
    assert "export the annotations again together with these images" in caught.value.hint


def test_the_real_size_decides_what_is_cut_by_the_border(tmp_path: Path) -> None:
    rows = [annotation(), annotation(id=2, segmentation=[rectangle(70, 40, 129, 80)], bbox=None)]
    bank = ObjectBank.from_coco(write(tmp_path, instances(rows, [image(width=-1, height=-1)])))
    assert bank.dropped == {"cut by their image's border": 1}


def test_an_image_that_is_replaced_is_no_longer_that_of_the_outlines(tmp_path: Path) -> None:
    bank = ObjectBank.from_coco(write(tmp_path, instances()))
    picture((131, 90)).save(tmp_path / "images" / "one.png")
    with pytest.raises(ObjectBankError, match=r"one\.png' is 131x90 pixels .* 130x90"):
        bank.cutout(0)


# ---------------------------------------------------------------- EXIF


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
    with pytest.raises(RecipeError, match="exif='always'"):
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


# ---------------------------------------------------------------- modes


def png(rows: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel with alpha, which Pillow reads and does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = rows.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_modes_of_cutouts(tmp_path: Path) -> None:
    shape = Image.new("L", (60, 50), 0)
    shape.paste(255, (10, 10, 50, 40))
    grey = Image.new("L", (60, 50), 180)
    (tmp_path / "dog").mkdir()

    def save(name: str, saved: Image.Image, **more: Any) -> None:
        saved.save(tmp_path / "dog" / name, **more)

    save("la.png", Image.merge("LA", (grey, shape)))
    save("rgba.png", Image.merge("RGBA", (grey, grey, grey, shape)))
    save(
        "rgb.png",
        Image.composite(Image.new("RGB", (60, 50), (180,) * 3), Image.new("RGB", (60, 50), (1, 2, 3)), shape),
        transparency=(1, 2, 3),
    )
    save("l.png", Image.composite(grey, Image.new("L", (60, 50), 7), shape), transparency=7)
    palette = Image.composite(grey, Image.new("L", (60, 50), 7), shape).convert("P")
    save("p.png", palette, transparency=7)
    deep = np.where(np.asarray(shape) > 0, 180 * 257, 7).astype(np.uint16)
    save("i16.png", Image.fromarray(deep), transparency=7)
    rows = np.full((50, 60, 4), 180 * 257, dtype=">u2")
    rows[..., 3] = np.where(np.asarray(shape) > 0, 65535, 0)
    (tmp_path / "dog" / "rgba16.png").write_bytes(png(rows))
    bank = ObjectBank.from_folder(tmp_path, erode_px=0)
    assert len(bank) == 7, bank.summary()
    for i in range(7):
        cutout = bank.cutout(i)
        assert cutout.alpha.shape == (30, 40), bank.name(i)
        assert int((cutout.image.int() - 180).abs().max()) <= 1, bank.name(i)


@pytest.mark.parametrize("mode", ["CMYK", "L", "I;16", "P", "LA", "1"])
def test_modes_of_photographs(tmp_path: Path, mode: str) -> None:
    grey = picture().convert("L")
    suffix = ".jpg" if mode == "CMYK" else ".png"
    if mode == "I;16":
        saved = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        saved = grey.convert(mode, dither=Image.Dither.NONE) if mode != "CMYK" else picture().convert("CMYK")
    path = write(tmp_path, instances(images=[image(file_name=f"one{suffix}")]), saved=saved, name=f"one{suffix}")
    cutout = ObjectBank.from_coco(path).cutout(0)
    expected = np.asarray(saved.convert("L") if mode != "I;16" else grey)[47, 45]
    inside = cutout.image[:, cutout.alpha > 0].float()
    level = inside.mean(dim=1)
    if mode == "CMYK":
        assert (level - torch.tensor([250.0, 20, 20])).abs().max() < 12
    else:
        assert (level - float(expected)).abs().max() <= 2


def test_floats_are_left_out_and_named(tmp_path: Path) -> None:
    saved = Image.fromarray(np.asarray(picture().convert("L"), dtype=np.float32) / 255)
    path = write(tmp_path, instances(images=[image(file_name="one.tif")]), saved=saved, name="one.tif")
    with pytest.raises(ObjectBankError, match=r"whose white is not known \(one\.tif: mode 'F'\)"):
        ObjectBank.from_coco(path)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    [
        "one.png",
        "images/one.png",
        "train/images/one.png",
        "/home/someone/data/images/one.png",
        "C:\\data\\images\\one.png",
        "images\\one.png",
        "./one.png",
        "../images/one.png",
        "http://images.cocodataset.org/train2017/one.png",
        "https://host/a%20b/one.png?size=large#top",
        "file:///data/one.png",
    ],
)
def test_names_with_folders_of_another_machine(tmp_path: Path, name: str) -> None:
    assert shows_the_object(ObjectBank.from_coco(write(tmp_path, instances(images=[image(file_name=name)]))))


@pytest.mark.parametrize(
    ("on_disk", "name"),
    [
        ("a b.png", "a%20b.png"),
        ("a%20b.png", "a%20b.png"),
        (unicodedata.normalize("NFD", "Küken.png"), unicodedata.normalize("NFC", "Küken.png")),
        ("back\\slash.png", "back\\slash.png"),
    ],
)
def test_names_in_other_spellings(tmp_path: Path, on_disk: str, name: str) -> None:
    data = instances(images=[image(file_name=name)])
    assert shows_the_object(ObjectBank.from_coco(write(tmp_path, data, name=on_disk)))


@pytest.mark.parametrize("name", [None, "", ..., 7])
def test_an_image_without_a_name_is_found_by_its_address(tmp_path: Path, name: Any) -> None:
    row = image(file_name=name, coco_url="http://images.cocodataset.org/train2017/one.png")
    assert shows_the_object(ObjectBank.from_coco(write(tmp_path, instances(images=[row]))))
    nameless = instances([annotation(), annotation(id=2, image_id=2)], [image(), image(id=2, file_name=name)])
    bank = ObjectBank.from_coco(write(tmp_path, nameless))
    assert bank.dropped == {"whose image has no file name": 1}


@pytest.mark.parametrize("raw", [False, True])
def test_file_names_that_are_not_utf8(tmp_path: Path, raw: bool) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    path = write(tmp_path, instances(images=[image(file_name=name)]), name=name)
    if raw:  # a tool that writes bytes as they are
        path.write_bytes(
            json.dumps(instances(images=[image(file_name="NAME")])).encode().replace(b"NAME", b"caf\xe9.png")
        )
    bank = ObjectBank.from_coco(path)
    assert shows_the_object(bank)
    assert bank.cutout(0).source == "caf\\udce9.png#1"
    json.dumps(bank.describe()).encode()


def test_a_folder_with_names_that_are_not_utf8(tmp_path: Path) -> None:
    pixels = np.full((50, 40, 4), 255, dtype=np.uint8)
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    Image.fromarray(pixels).save(folder / os.fsdecode(b"\xe9.png"))
    bank = ObjectBank.from_folder(tmp_path)
    json.dumps(bank.describe(), ensure_ascii=False).encode()
    assert bank.cutout(0).source.encode()
    bank.summary().encode()


def test_equal_last_parts_are_not_mixed_up(tmp_path: Path) -> None:
    rows = [annotation(), annotation(id=2, image_id=2)]
    images = [image(file_name="/data/a/one.png"), image(id=2, file_name="/data/b/one.png")]
    path = write(tmp_path, instances(rows, images))
    with pytest.raises(ObjectBankError, match=r"'/data/a/one\.png', '/data/b/one\.png'"):
        ObjectBank.from_coco(path, tmp_path / "images")
    (tmp_path / "images" / "a").mkdir()
    picture().save(tmp_path / "images" / "a" / "one.png")
    bank = ObjectBank.from_coco(path, tmp_path / "images")
    assert [source.name for source in bank._sources] == ["/data/a/one.png#1"]
    assert bank.dropped == {"whose image is not there": 1}


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("instances.json", "images"),
        ("instances.json", "."),
        ("_annotations.coco.json", "."),
        ("labels.json", "data"),
        ("annotations.json", "JPEGImages"),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017"),
        ("annotations/instances_default.json", "images"),
        ("annotations/instances_default.json", "annotations/images"),
    ],
)
def test_the_images_are_found_in_usual_layouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, folder: str
) -> None:
    for each in (Path(file).parent, Path(folder), Path("val2017"), Path("images")):
        (tmp_path / each).mkdir(parents=True, exist_ok=True)
    picture().save(tmp_path / folder / "one.png")
    (tmp_path / file).write_text(json.dumps(instances()))
    bank = ObjectBank.from_coco(tmp_path / file)
    assert shows_the_object(bank)
    assert (tmp_path / folder).resolve() == Path(bank.place.rpartition("images in ")[2].strip("'")).resolve()
    monkeypatch.chdir((tmp_path / file).parent)
    assert shows_the_object(ObjectBank.from_coco(Path(file).name))


def test_the_folder_with_most_of_the_images_is_taken(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(6)]
    path = write(
        tmp_path, instances(images=[image(id=i, file_name=name) for i, name in enumerate(names)]), name="0.png"
    )
    (tmp_path / "data").mkdir()
    for name in names:
        picture().save(tmp_path / "data" / name)
    assert str(tmp_path / "data") in ObjectBank.from_coco(path).place


def test_a_few_of_many_images_are_enough(tmp_path: Path) -> None:
    rows = [image(id=i, file_name=f"{i}.png") for i in range(500)]
    path = write(tmp_path, instances([annotation(image_id=77)], rows), name="77.png")
    assert shows_the_object(ObjectBank.from_coco(path))


def test_several_rows_may_name_one_file(tmp_path: Path) -> None:
    rows = [image(file_name="/data/one.png"), image(id=2, file_name="/data/one.png")]
    bank = ObjectBank.from_coco(write(tmp_path, instances([annotation(), annotation(id=2, image_id=2)], rows)))
    assert len(bank) == 2


def test_images_that_are_not_found_name_file_folders_and_option(tmp_path: Path) -> None:
    path = write(tmp_path, instances(images=[image(file_name="gone.png")]))
    with pytest.raises(ObjectBankError) as caught:
        ObjectBank.from_coco(path)
    for told in (str(path), str(tmp_path / "images"), "gone.png", "images_dir="):
        assert told in str(caught.value)
    assert "--images" in caught.value.on_command_line()
    with pytest.raises(ObjectBankError, match=r"(?s)gone\.png.*images_dir=") as caught:
        ObjectBank.from_coco(path, tmp_path / "images")
    with pytest.raises(ObjectBankError, match=r"(?s)no folder .*nowhere.*images_dir=") as caught:
        ObjectBank.from_coco(path, tmp_path / "nowhere")
    assert str(path) in str(caught.value)


# ---------------------------------------------------------------- real data


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
