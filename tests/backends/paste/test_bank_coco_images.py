"""The images of COCO files: sizes that differ, names, and where they lie."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_left_out import OTHER_SIZE
from poc_aug.errors import ObjectBankError
from tests.helpers.coco_cases import annotation, image, instances, picture, rectangle, shows_the_object, write


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
    assert bank.dropped == {"truncated by their image's border": 1}


def test_an_image_that_is_replaced_is_no_longer_that_of_the_outlines(tmp_path: Path) -> None:
    bank = ObjectBank.from_coco(write(tmp_path, instances()))
    picture((131, 90)).save(tmp_path / "images" / "one.png")
    with pytest.raises(ObjectBankError, match=r"one\.png' is 131x90 pixels .* 130x90"):
        bank.cutout(0)


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
    assert bank.dropped == {"whose image file is missing": 1}


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
    for part in (str(path), str(tmp_path / "images"), "gone.png", "images_dir="):
        assert part in str(caught.value)
    assert "--images" in caught.value.on_command_line()
    with pytest.raises(ObjectBankError, match=r"(?s)gone\.png.*images_dir=") as caught:
        ObjectBank.from_coco(path, tmp_path / "images")
    with pytest.raises(ObjectBankError, match=r"(?s)no folder .*nowhere.*images_dir=") as caught:
        ObjectBank.from_coco(path, tmp_path / "nowhere")
    assert str(path) in str(caught.value)
