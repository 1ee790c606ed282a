"""COCO files as a bank of cut-outs: filters, reasons and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.errors import ObjectBankError
from tests.helpers.coco_cases import encode_counts, runs_of


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    images = tmp_path / "images"
    picture = np.full((90, 130, 3), 60, dtype=np.uint8)
    images.mkdir()
    Image.fromarray(picture).save(images / "one.jpg")
    crowd = np.zeros((90, 130), dtype=bool)
    crowd[20:70, 20:80] = True

    def square(x: int, y: int, side: int) -> list[list[float]]:
        return [[x, y, x + side, y, x + side, y + side, x, y + side]]

    def row(number: int, category: int, box: tuple[int, int, int], **changes: Any) -> dict[str, Any]:
        x, y, side = box
        return {
            "id": number,
            "image_id": 1,
            "category_id": category,
            "bbox": [x, y, side, side],
            "area": side * side,
            "iscrowd": 0,
            "segmentation": square(*box),
            **changes,
        }

    runs = runs_of(crowd)
    data = {
        "images": [
            {"id": 1, "file_name": "one.jpg", "height": 90, "width": 130},
            {"id": 2, "file_name": "two.jpg", "height": 90, "width": 130},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}],
        "annotations": [
            row(1, 1, (20, 20, 50)),
            row(2, 2, (20, 20, 50)),
            row(3, 2, (1, 20, 50)),
            row(4, 2, (30, 30, 34)),
            row(5, 2, (30, 30, 20)),
            row(6, 3, (20, 20, 50), iscrowd=1, segmentation={"size": [90, 130], "counts": runs}),
            row(7, 3, (20, 20, 50), segmentation={"size": [90, 130], "counts": encode_counts(runs)}),
            row(8, 3, (20, 20, 50), image_id=2),
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(data))
    return path, images, data


def test_coco_filters_and_reasons(coco: tuple[Path, Path, dict[str, Any]]) -> None:
    path, images, _ = coco
    bank = ObjectBank.from_coco(path, images)
    assert bank.classes() == ("cow", "dog")
    assert [source.name for source in bank._sources] == ["one.jpg#2", "one.jpg#4", "one.jpg#7"]
    assert sum(bank.dropped.values()) == 5
    assert bank.dropped["truncated by their image's border"] == 1
    assert bank.dropped["crowds"] == 1
    assert bank.cutout(0).alpha.shape == bank.cutout(0).image.shape[1:]
    assert abs(bank.cutout(0).alpha.shape[0] - 49) <= 1
    assert bank.cutout(2).alpha.shape == (48, 58)
    everything = ObjectBank.from_coco(
        path, images, exclude=(), drop_crowd=False, drop_truncated=False, min_area_px=0, min_size_px=0
    )
    assert len(everything) == 7
    assert ObjectBank.from_coco(path, images, exclude=CITYSCAPES_COCO_CLASSES, include=["dog"]).classes() == ("dog",)


def test_coco_errors(coco: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    path, images, data = coco
    with pytest.raises(ObjectBankError, match="cannot read"):
        ObjectBank.from_coco(tmp_path / "none.json", images)
    with pytest.raises(ObjectBankError, match="no folder"):
        ObjectBank.from_coco(path, tmp_path / "none")
    with pytest.raises(ObjectBankError, match=r"no classes \['unicorn'\]"):
        ObjectBank.from_coco(path, images, include=["unicorn"])
    with pytest.raises(ObjectBankError, match="crowds"):
        ObjectBank.from_coco(path, images, exclude=("person", "dog"), min_area_px=9000)
    bad = tmp_path / "bad.json"
    bad.write_text("nope")
    with pytest.raises(ObjectBankError, match="not JSON"):
        ObjectBank.from_coco(bad, images)
    bad.write_text('{"images": []}')
    with pytest.raises(ObjectBankError, match="not a COCO instances file"):
        ObjectBank.from_coco(bad, images)
    data["annotations"][1]["image_id"] = 77
    bad.write_text(json.dumps(data))
    bank = ObjectBank.from_coco(bad, images)
    assert bank.dropped_names["of an image that the file does not list"] == ("image_id 77",)


def test_coco_bad_outline_is_left_out_and_names_the_cutout(coco: tuple[Path, Path, dict[str, Any]]) -> None:
    path, images, data = coco
    data["annotations"][1]["segmentation"] = {"size": [9, 9], "counts": [81]}
    path.write_text(json.dumps(data))
    bank = ObjectBank.from_coco(path, images)
    assert bank.dropped["whose run lengths are not usable"] == 1
    assert "one.jpg#2: size [9, 9], image [90, 130] (h, w)" in bank.summary()


def test_coco_vanished_image(coco: tuple[Path, Path, dict[str, Any]]) -> None:
    path, images, _ = coco
    bank = ObjectBank.from_coco(path, images)
    (images / "one.jpg").unlink()
    for use in (lambda: bank.cutout(0), bank.describe):
        with pytest.raises(ObjectBankError, match=r"one\.jpg"):
            use()
