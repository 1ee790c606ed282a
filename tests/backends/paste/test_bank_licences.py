"""Licences of cut-outs: from COCO files, indices and folders, into the provenance of what is pasted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_licences import coco_licences, licence_id, licence_of_row
from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.types import Crop, Filled

LICENCES = [
    {"id": 1, "name": "Attribution-NonCommercial License", "url": "http://creativecommons.org/licenses/by-nc/2.0/"},
    {"id": 7, "name": "No known copyright restrictions", "url": "http://flickr.com/commons/usage/"},
]


def provenance(bank: ObjectBank, name: str) -> dict[str, Any]:
    """Provenance of an object of the bank that was pasted."""
    crop = Crop(torch.full((3, 80, 90), 120, dtype=torch.uint8), (10, 20, 50, 50), name, f"a {name}", (name,), seed=0)
    (filled,) = PasteInserter(bank).insert([crop])
    assert isinstance(filled, Filled)
    return dict(filled.provenance)


def coco_file(folder: Path, *images: dict[str, Any], licenses: Any = LICENCES) -> Path:
    """A COCO file of one square object per image."""
    (folder / "images").mkdir(parents=True)
    annotations = []
    for number, row in enumerate(images):
        Image.new("RGB", (90, 80), "green").save(folder / "images" / row["file_name"])
        square = [[20, 20, 60, 20, 60, 60, 20, 60]]
        annotations.append(
            {"id": number, "image_id": row["id"], "category_id": 1, "segmentation": square, "bbox": [20, 20, 40, 40]}
        )
    rows = [{"width": 90, "height": 80, **row} for row in images]
    data = {"images": rows, "annotations": annotations, "categories": [{"id": 1, "name": "cow"}], "licenses": licenses}
    path = folder / "instances.json"
    path.write_text(json.dumps(data))
    return path


def test_a_coco_file(tmp_path: Path) -> None:
    row = {"id": 1, "file_name": "a.png", "license": 1, "flickr_url": "http://farm1.example.org/a.jpg"}
    found = provenance(ObjectBank.from_coco(coco_file(tmp_path, row)), "cow")
    assert found["licence"] == "CC-BY-NC-2.0"
    assert found["attribution"] == "http://farm1.example.org/a.jpg"


@pytest.mark.parametrize(
    ("row", "licenses"),
    [
        ({}, LICENCES),
        ({"license": 99}, LICENCES),
        ({"license": None}, LICENCES),
        ({"license": [1]}, LICENCES),
        ({"license": 1}, None),
        ({"license": 1}, {"a": 1}),
        ({"license": 1}, [5, None, {"id": 2}]),
        ({"license": 1}, [*LICENCES, {"id": 1, "name": "Another"}]),  # two licences of one id
    ],
)
def test_a_licence_is_never_guessed(tmp_path: Path, row: dict[str, Any], licenses: Any) -> None:
    path = coco_file(tmp_path, {"id": 1, "file_name": "a.png", **row}, licenses=licenses)
    assert "licence" not in provenance(ObjectBank.from_coco(path), "cow")


def test_licences_change_no_fingerprint(tmp_path: Path) -> None:
    row = {"id": 1, "file_name": "a.png"}
    first = ObjectBank.from_coco(coco_file(tmp_path / "1", row, licenses=None))
    second = ObjectBank.from_coco(coco_file(tmp_path / "2", {**row, "license": 1, "coco_url": "http://x/a.png"}))
    assert first.describe() == second.describe()
    assert provenance(second, "cow")["licence"] == "CC-BY-NC-2.0"


def test_one_image_with_two_licences(tmp_path: Path) -> None:
    """Rows of one file with different licences: it is not known which one counts."""
    rows = [
        {"file_name": "a.jpg", "license": 1},
        {"file_name": "a.jpg", "license": 7},
        {"file_name": "b.jpg", "license": 7},
    ]
    found = coco_licences([*rows, 5, {"license": 1}], LICENCES)
    assert {name: licence.name for name, licence in found.items()} == {
        "a.jpg": "",
        "b.jpg": "No known copyright restrictions",
    }


def cut_out(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGBA", (50, 50), (200, 90, 40, 0))
    picture.paste((200, 90, 40, 255), (5, 5, 45, 45))
    picture.save(path)


def test_an_index(tmp_path: Path) -> None:
    rows = [
        {"file": "1.png", "category": "cow", "licence": "CC-BY-2.0", "flickr_url": "http://example.org/1"},
        {"file": "2.png", "category": "dog", "license": "https://creativecommons.org/licenses/by-sa/4.0/"},
        {"file": "CC-BY-NC-2.0/3.png", "category": "cat", "attribution": "Ada"},
        {"file": "4.png", "category": "bird"},
    ]
    for row in rows:
        cut_out(tmp_path / row["file"])
    (tmp_path / "objects.json").write_text(json.dumps(rows))
    bank = ObjectBank.from_folder(tmp_path)
    known = {name: provenance(bank, name) for name in bank.classes()}
    assert {name: (one.get("licence"), one.get("attribution")) for name, one in known.items()} == {
        "cow": ("CC-BY-2.0", "http://example.org/1"),
        "dog": ("CC-BY-SA-4.0", None),
        "cat": ("CC-BY-NC-2.0", "Ada"),
        "bird": (None, None),
    }


def test_folders_named_after_licences(tmp_path: Path) -> None:
    cut_out(tmp_path / "CC-BY-SA-2.0" / "cow" / "1.png")
    cut_out(tmp_path / "CC-and-more" / "dog" / "1.png")
    bank = ObjectBank.from_folder(tmp_path)
    assert provenance(bank, "cow")["licence"] == "CC-BY-SA-2.0"
    assert "licence" not in provenance(bank, "dog")


@pytest.mark.parametrize(
    ("name", "url", "known"),
    [
        ("Attribution License", r"http:\/\/creativecommons.org\/licenses\/by\/2.0\/", "CC-BY-2.0"),  # escaped twice
        ("CC0", "https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("Public Domain Mark", "https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("United States Government Work", "http://www.usa.gov/copyright.shtml", "United States Government Work"),
        ("MIT", "", "MIT"),
        ("", "", ""),
    ],
)
def test_names_of_licences(name: str, url: str, known: str) -> None:
    assert licence_id(name, url) == known


def test_hostile_rows() -> None:
    row = {"licence": "x" * 10_000, "flickr_url": {"a": 1}, "url": "\udcff" * 3}
    licence = licence_of_row(row)
    assert len(licence.name) == 300
    assert licence.attribution == r"\udcff\udcff\udcff"
    assert licence_of_row({"licence": 5}).name == ""
    assert licence_of_row({"licence": " "}).name == ""


def test_real_cut_outs(real_data: Path) -> None:
    bank = ObjectBank.from_coco(real_data / "objects" / "coco_mini" / "instances.json")
    found = Counter(bank.cutout(number).licence.name for number in range(len(bank)))
    assert set(found) <= {"CC-BY-2.0", "CC-BY-SA-2.0", "No known copyright restrictions"}
    assert sum(found.values()) == len(bank) > 20
    assert all(bank.cutout(number).licence.attribution.startswith("http") for number in range(10))
