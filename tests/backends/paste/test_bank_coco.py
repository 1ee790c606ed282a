from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poc_aug.backends.paste.bank import CITYSCAPES_COCO_CLASSES, ObjectBank
from poc_aug.backends.paste.rle import decode_counts, decode_rle, decode_segmentation
from poc_aug.errors import ObjectBankError


def encode_counts(counts: list[int]) -> str:
    """COCO's compressed counts, written from the format's description."""
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits if done else bits | 0x20)))
            if done:
                break
    return "".join(text)


def runs_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flat.astype(int)))))
    return np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))
def test_run_lengths_round_trip(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.repeat(np.repeat(rng.random((height, width)) < 0.5, 3, axis=0), 2, axis=1)
    counts = runs_of(mask)
    text = encode_counts(counts)
    assert decode_counts(text) == counts
    assert decode_counts(text.encode()) == counts
    for form in (counts, text):
        decoded = decode_rle({"size": list(mask.shape), "counts": form})
        assert np.array_equal(decoded.numpy(), mask)


def test_compressed_counts_known_string() -> None:
    # Worked by hand: 5 -> "5", 40 -> 8|0x20, 1 -> "X1"; -3 is 0b11101 -> "M".
    assert decode_counts("5X1") == [5, 40]
    assert decode_counts("777M") == [7, 7, 7, 4]


@pytest.mark.parametrize(
    ("segmentation", "match"),
    [
        ({"size": [4, 5], "counts": [3, 4]}, "cover 7 pixels of a 4x5 mask"),
        ({"size": [4, 5], "counts": "~"}, "character '~'"),
        ({"size": [4, 5], "counts": "X"}, "ends inside a number"),
        ({"size": [2, 2], "counts": [4]}, r"mask is \(2, 2\), its image is \(4, 5\)"),
        ([[1, 2, 3, 4]], "polygons of at least 3 points"),
        (None, "polygons of at least 3 points"),
    ],
)
def test_bad_segmentations(segmentation: Any, match: str) -> None:
    with pytest.raises(ObjectBankError, match=match):
        decode_segmentation(segmentation, (4, 5))


def test_polygon_covers_its_pixels() -> None:
    square = [[3.0, 2.0, 9.0, 2.0, 9.0, 12.0, 3.0, 12.0]]
    mask = decode_segmentation(square, (17, 11))
    assert bool(mask[3:11, 4:8].all())
    assert 60 <= int(mask.sum()) <= 77


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
    assert bank.dropped["cut by their image's border"] == 1
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
    assert bank.dropped["whose run lengths cannot be used"] == 1
    assert "one.jpg#2: size [9, 9], image [90, 130] (h, w)" in bank.summary()


def test_coco_vanished_image(coco: tuple[Path, Path, dict[str, Any]]) -> None:
    path, images, _ = coco
    bank = ObjectBank.from_coco(path, images)
    (images / "one.jpg").unlink()
    for use in (lambda: bank.cutout(0), bank.describe):
        with pytest.raises(ObjectBankError, match=r"one\.jpg"):
            use()
