"""pytorch-ood's segmentation datasets are wrapped as they are, alongside its `InsertCOCO`; on made-up trees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug import LabelSchema, OodLabels, POCAugmentedDataset
from poc_aug.keys import dataset_keys
from tests.helpers.client_cases import shown
from tests.helpers.key_cases import warm

img = pytest.importorskip("pytorch_ood.dataset.img")

OOD = -1  # what pytorch-ood calls out-of-distribution is negative
BENCHMARK = LabelSchema("anomalies", {"road": 0, "anomaly": OOD}, ignore=(1,), ood=("anomaly",))
STREETS = LabelSchema(
    "street hazards", {**{name: number for number, name in enumerate(img.StreetHazards.classes)}, "anomaly": OOD},
    ignore=(), ood=("anomaly",),
)  # fmt: skip
H, W = 48, 64


def picture(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (H, W, 3), dtype=np.uint8))


def ids(number: int, *values: int) -> np.ndarray:
    """Mostly the first value, with a rectangle of each other one."""
    labels = np.full((H, W), values[0], np.uint8)
    for place, value in enumerate(values[1:]):
        labels[4 + number : 12 + number, 10 * place : 10 * place + 6] = value
    return labels


def save(pixels: Image.Image | np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path)


def street_hazards(root: Path) -> Any:
    for number in range(3):
        for city in ("t1", "t2"):
            save(picture(number), root / "streethazards/train/images/training" / city / f"{number}.png")
            # Stored from 1 on; 14 is an anomaly.
            save(ids(number, 8, 11, 14), root / "streethazards/train/annotations/training" / city / f"{number}.png")
    return img.StreetHazards(str(root), subset="train")


def road_anomaly(root: Path) -> Any:
    for number in range(60):  # it wants all of them
        frames = root / "RoadAnomaly" / "RoadAnomaly_jpg" / "frames"
        save(picture(number), frames / f"animals{number:02d}.jpg")
        save(ids(number % 8, 0, 2), frames / f"animals{number:02d}.labels" / "labels_semantic.png")
    return img.RoadAnomaly(str(root))


def smiyc(root: Path) -> Any:
    data = root / img.SegmentMeIfYouCan.root_dir_name / img.SegmentMeIfYouCan.base_folders["RoadAnomaly21"]
    for number in range(img.SegmentMeIfYouCan.dataset_length["RoadAnomaly21"]):
        save(picture(number), data / "images" / f"validation{number:04d}.jpg")
        save(ids(number, 0, 1, 255), data / "labels_masks" / f"validation{number:04d}_labels_semantic.png")
    return img.SegmentMeIfYouCan(str(root), subset="RoadAnomaly21")


def fishyscapes(root: Path) -> Any:
    folder = root / "fishyscapes-3.0.0"
    for number in range(3):
        stem = f"ulm_000000_00000{number}"
        save(picture(number), root / "val" / "ulm" / f"{stem}_leftImg8bit.png")
        overlay = np.zeros((H, W, 3), np.int16)
        overlay[20:30, 20:30] = 9
        save(ids(number, 0, 1), folder / f"000{number}_{stem}_labels.png")
        np.savez(folder / f"000{number}_{stem}_rgb.npz", rgb=overlay)
    return img.FishyScapes(str(root), str(root / "val"))


def lost_and_found(root: Path) -> Any:
    for number in range(3):
        stem = f"04_Maurener_Weg_8_000000_00000{number}"
        save(picture(number), root / "lostandfound/leftImg8bit/train/04_Maurener_Weg_8" / f"{stem}_leftImg8bit.png")
        save(ids(number, 0, 1, 255), root / "fishyscapes_lostandfound" / f"000{number}_{stem}_labels.png")
    return img.LostAndFound(str(root))


CASES = [
    (street_hazards, STREETS, "training/t1/0.png"),
    (road_anomaly, BENCHMARK, "animals00.jpg"),
    (smiyc, BENCHMARK, "validation0000.jpg"),
    (fishyscapes, BENCHMARK, "0000_ulm_000000_000000_rgb.npz"),
    (lost_and_found, BENCHMARK, "0000_04_Maurener_Weg_8_000000_000000_labels.png"),
]


@pytest.fixture(autouse=True)
def without_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their downloads are not there to be checked."""
    for name in ("StreetHazards", "RoadAnomaly", "SegmentMeIfYouCan", "FishyScapes", "LostAndFound"):
        monkeypatch.setattr(getattr(img, name), "_check_integrity", lambda self: True)


@pytest.mark.parametrize(("make", "schema", "key"), CASES, ids=[case[0].__name__ for case in CASES])
def test_it_is_wrapped_as_it_is(tmp_path: Path, make: Callable[[Path], Any], schema: LabelSchema, key: str) -> None:
    base = make(tmp_path)
    keys = dataset_keys(base)
    assert keys[0].endswith(key)
    assert len(set(keys)) == len(base)
    path = warm(base, tmp_path / "a.cache", schema=schema, limit=3)
    policy = OodLabels(OOD)
    ds = POCAugmentedDataset(base, path, policy, p=1.0, schema=schema, variant=0)
    for number in range(3):
        before, after = base[number], ds[number]
        assert isinstance(after[0], Image.Image)
        assert (after[1].dtype, after[1].shape) == (before[1].dtype, before[1].shape)
        assert shown(path, keys[number], before, after, policy=policy, schema=schema) == 0


def coco(folder: Path) -> Any:
    """One picture of COCO with a square, as its transform reads it."""
    from pytorch_ood.augment.img import InsertCOCO

    square = [8.0, 8.0, 24.0, 8.0, 24.0, 24.0, 8.0, 24.0]
    annotation = {"id": 1, "image_id": 7, "category_id": 1, "area": 256.0, "iscrowd": 0, "segmentation": [square]}
    content = {
        "images": [{"id": 7, "file_name": "000000000007.jpg", "height": 32, "width": 32}],
        "annotations": [annotation],
        "categories": [
            {"id": number, "name": name, "supercategory": "any"} for number, name in ((1, "zebra"), (2, "train"))
        ],
    }
    save(Image.new("RGB", (32, 32), (250, 20, 250)), folder / "train2017" / "000000000007.jpg")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    return InsertCOCO(str(folder), p=1.0, exclude_classes=["train"], min_img_size=16, upscale=0.8)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its own, of torch's tensors
def test_alongside_insert_coco(tmp_path: Path) -> None:
    base = street_hazards(tmp_path)
    path = warm(base, tmp_path / "a.cache", schema=STREETS)
    insert = coco(tmp_path / "coco")
    options: dict[str, Any] = {"p": 1.0, "schema": STREETS, "variant": 0}
    alone = POCAugmentedDataset(base, path, OodLabels(OOD), **options)
    both = POCAugmentedDataset(base, path, OodLabels(OOD), transforms=insert, check_transforms=False, **options)
    for number in range(3):
        (_, before), (_, labels) = alone[number], both[number]
        changed = before != labels
        assert labels.dtype == torch.int64
        assert changed.any()
        assert (labels[changed] == OOD).all()  # both mark what they insert
        assert (labels[before == OOD] == OOD).all()
