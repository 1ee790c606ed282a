from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.datasets import (
    PairedFolder,
    acdc,
    camvid,
    fishyscapes,
    idd,
    road_anomaly,
    segment_me_if_you_can,
)
from poc_aug.errors import DatasetError
from poc_aug.items.open_item import open_item
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import schema_of
from poc_aug.labels.schema import SCHEMAS
from tests.helpers.small_files import pairs, put

LAF = "04_Maurener_Weg_8_000000_000030"
LAYOUTS: dict[str, tuple[Callable[[Path], PairedFolder], list[str], list[tuple[str, str]], str | None]] = {
    "camvid": (
        lambda root: camvid(root, "test"),
        ["test/x.png", "testannot/x.png", "train/y.png", "trainannot/y.png"],
        [("test/x.png", "testannot/x.png")],
        "camvid",
    ),
    "acdc": (
        acdc,
        [
            f"{kind}/{condition}/train/GOPR1/GOPR1_frame_{i}_{suffix}.png"
            for i, condition in enumerate(("fog", "snow"))
            for kind, suffix in (("rgb_anon", "rgb_anon"), ("gt", "gt_labelTrainIds"), ("gt", "gt_labelIds"))
        ]
        + ["rgb_anon/fog/train_ref/GOPR1/GOPR1_frame_0_rgb_ref_anon.png"],
        [
            (
                f"rgb_anon/{c}/train/GOPR1/GOPR1_frame_{i}_rgb_anon.png",
                f"gt/{c}/train/GOPR1/GOPR1_frame_{i}_gt_labelTrainIds.png",
            )
            for i, c in enumerate(("fog", "snow"))
        ],
        "cityscapes-trainIds",
    ),
    "acdc, one condition, labelIds": (
        lambda root: acdc(root, "val", condition="night", ids="labelIds"),
        [
            "rgb_anon/night/val/G/G_1_rgb_anon.png", "gt/night/val/G/G_1_gt_labelIds.png",
            "rgb_anon/rain/val/G/G_2_rgb_anon.png", "gt/rain/val/G/G_2_gt_labelIds.png",
        ],
        [("rgb_anon/night/val/G/G_1_rgb_anon.png", "gt/night/val/G/G_1_gt_labelIds.png")],
        "cityscapes-labelIds",
    ),
    "idd": (
        lambda root: idd(root, "val"),
        [
            "leftImg8bit/val/1/a_leftImg8bit.png", "gtFine/val/1/a_gtFine_labelcsTrainIds.png",
            "leftImg8bit/val/2/b_leftImg8bit.jpg", "gtFine/val/2/b_gtFine_labelcsTrainIds.png",
            "gtFine/val/2/b_gtFine_labellevel3Ids.png",
        ],
        [
            ("leftImg8bit/val/1/a_leftImg8bit.png", "gtFine/val/1/a_gtFine_labelcsTrainIds.png"),
            ("leftImg8bit/val/2/b_leftImg8bit.jpg", "gtFine/val/2/b_gtFine_labelcsTrainIds.png"),
        ],
        "cityscapes-trainIds",
    ),
    "idd, level 3": (
        lambda root: idd(root, ids="level3Ids"),
        ["leftImg8bit/train/1/a_leftImg8bit.png", "gtFine/train/1/a_gtFine_labellevel3Ids.png"],
        [("leftImg8bit/train/1/a_leftImg8bit.png", "gtFine/train/1/a_gtFine_labellevel3Ids.png")],
        None,
    ),
    "idd lite": (
        idd,
        ["leftImg8bit/train/1/a_image.jpg", "gtFine/train/1/a_label.png", "gtFine/train/1/a_inst_label.png"],
        [("leftImg8bit/train/1/a_image.jpg", "gtFine/train/1/a_label.png")],
        "idd-lite",
    ),
    "fishyscapes": (
        fishyscapes,
        ["images/1.jpg", "labels_masks/1.png"],
        [("images/1.jpg", "labels_masks/1.png")],
        "fishyscapes",
    ),
    "fishyscapes, original": (
        fishyscapes,
        ["original/1.png", "labels/1.png"],
        [("original/1.png", "labels/1.png")],
        "fishyscapes",
    ),
    "fishyscapes, lost and found": (
        fishyscapes,
        [
            f"leftImg8bit/test/04_Maurener_Weg_8/{LAF}_leftImg8bit.png",
            "leftImg8bit/train/01_Hanns/01_Hanns_0_leftImg8bit.png",
            f"fishyscapes_lostandfound/0000_{LAF}_labels.png",
        ],
        [
            (
                f"leftImg8bit/test/04_Maurener_Weg_8/{LAF}_leftImg8bit.png",
                f"fishyscapes_lostandfound/0000_{LAF}_labels.png",
            )
        ],
        "fishyscapes",
    ),
    "road anomaly": (
        road_anomaly,
        ["images/1.jpg", "labels_masks/1.png"],
        [("images/1.jpg", "labels_masks/1.png")],
        "road-anomaly",
    ),
    "road anomaly, frames": (
        road_anomaly,
        [
            "frames/cow.jpg", "frames/cow.labels/labels_semantic.png",
            "frames/cow.labels/labels_semantic_color.png",
        ],
        [("frames/cow.jpg", "frames/cow.labels/labels_semantic.png")],
        "road-anomaly",
    ),
    "smiyc, anomaly track": (
        segment_me_if_you_can,
        [
            "dataset_AnomalyTrack/images/validation0001.jpg", "dataset_AnomalyTrack/images/cat0001.jpg",
            "dataset_AnomalyTrack/labels_masks/validation0001_labels_semantic.png",
            "dataset_AnomalyTrack/labels_masks/validation0001_labels_semantic_color.png",
        ],
        [
            (
                "dataset_AnomalyTrack/images/validation0001.jpg",
                "dataset_AnomalyTrack/labels_masks/validation0001_labels_semantic.png",
            )
        ],
        "segment-me-if-you-can",
    ),
    "smiyc, obstacle track's own folder": (
        lambda root: segment_me_if_you_can(root / "dataset_ObstacleTrack", "RoadObstacle21"),
        [
            "dataset_ObstacleTrack/images/validation_1.webp", "dataset_ObstacleTrack/images/gravel_1.webp",
            "dataset_ObstacleTrack/labels_masks/validation_1_labels_semantic.png",
        ],
        [("images/validation_1.webp", "labels_masks/validation_1_labels_semantic.png")],
        "segment-me-if-you-can",
    ),
    "smiyc, equal names": (
        lambda root: segment_me_if_you_can(root, "RoadObstacle21"),
        ["RoadObsticle21/images/1.webp", "RoadObsticle21/labels_masks/1.png"],
        [("RoadObsticle21/images/1.webp", "RoadObsticle21/labels_masks/1.png")],
        "segment-me-if-you-can",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_official_layouts(tmp_path: Path, name: str) -> None:
    make, files, expected, schema = LAYOUTS[name]
    put(tmp_path, *files)
    dataset = make(tmp_path)
    assert pairs(dataset) == expected
    assert dataset.schema is (SCHEMAS[schema] if schema else None)
    assert schema_of(dataset) is dataset.schema
    assert [leaf.size for leaf in dataset[0]] == [(11, 17)] * 2


@pytest.mark.parametrize("make", [camvid, acdc, idd, fishyscapes, road_anomaly, segment_me_if_you_can])
@pytest.mark.parametrize("folder", [".", "nothing"])
def test_missing_dataset_says_what_was_looked_for_and_where_it_is_from(
    tmp_path: Path, make: Callable[[Path], PairedFolder], folder: str
) -> None:
    with pytest.raises(DatasetError, match="looked for") as caught:
        make(tmp_path / folder)
    assert "*" in caught.value.problem
    assert ("not a folder" in caught.value.problem) == (folder == "nothing")
    assert "download" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: camvid(root, "dev"), "split='dev'"),
        (lambda root: acdc(root, "test"), "split='test'"),
        (lambda root: acdc(root, condition="hail"), "condition='hail'"),
        (lambda root: acdc(root, ids="ids"), "ids='ids'"),  # type: ignore[arg-type]
        (lambda root: idd(root, "test"), "split='test'"),
        (lambda root: idd(root, ids="trainIds"), "ids='trainIds'"),
        (lambda root: segment_me_if_you_can(root, "Track3"), "track='Track3'"),  # type: ignore[arg-type]
    ],
)
def test_unknown_choices_list_the_known_ones(
    tmp_path: Path, make: Callable[[Path], PairedFolder], message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        make(tmp_path)
    assert caught.value.expected.startswith("one of: ")


def test_lost_and_found_label_without_image(tmp_path: Path) -> None:
    put(tmp_path, "leftImg8bit/test/a/b_leftImg8bit.png", f"fishyscapes_lostandfound/0000_{LAF}_labels.png")
    with pytest.raises(DatasetError, match=f"1 of 1 Fishyscapes labels .* such as {LAF}"):
        fishyscapes(tmp_path)


@pytest.mark.parametrize("name", ["transforms", "target_transform", "transform"])
def test_named_datasets_do_not_vouch_for_changed_ids(tmp_path: Path, name: str) -> None:
    put(tmp_path, "train/x.png", "trainannot/x.png")
    put(tmp_path, "leftImg8bit/train/1/a_image.jpg", "gtFine/train/1/a_label.png")
    options: dict[str, Any] = {name: print}
    for dataset, schema in ((camvid(tmp_path, **options), "camvid"), (idd(tmp_path, **options), "idd-lite")):
        assert dataset.schema == (SCHEMAS[schema] if name == "transform" else None)


def _city(root: Path) -> PairedFolder:
    images, labels = "leftImg8bit/train/*/*_leftImg8bit.png", "gtFine/train/*/*_gtFine_labelTrainIds.png"
    return PairedFolder(root, images, labels, schema="cityscapes-trainIds")


REAL: dict[str, tuple[Callable[[Path], PairedFolder], int, tuple[int, int]]] = {
    "camvid train": (lambda data: camvid(data / "scenes/camvid"), 123, (360, 480)),
    "camvid val": (lambda data: camvid(data / "scenes/camvid", "val"), 26, (360, 480)),
    "idd lite": (lambda data: idd(data / "scenes/idd20k_lite"), 201, (227, 320)),
    "fishyscapes": (lambda data: fishyscapes(data / "anomaly/fs_static"), 30, (1024, 2048)),
    "road anomaly": (lambda data: road_anomaly(data / "anomaly/RoadAnomaly"), 60, (720, 1280)),
    "cityscapes": (lambda data: _city(data / "scenes/cityscapes"), 4, (1024, 2048)),
    "kitti": (
        lambda data: PairedFolder(
            data / "scenes/kitti5_cropped", "image_2/*.png", "semantic/*.png", schema="cityscapes-labelIds"
        ),
        5,
        (370, 1224),
    ),
    "bdd": (
        lambda data: PairedFolder(data / "scenes/bdd_pair", "*.jpg", "*_train_id.png", schema="cityscapes-trainIds"),
        1,
        (720, 1280),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_folders(real_data: Path, name: str) -> None:
    make, count, size = REAL[name]
    dataset = make(real_data)
    assert len(dataset) == count
    assert len(dataset_keys(dataset)) == count
    occurring: set[int] = set()
    for index in {0, count // 2, count - 1}:
        sample = open_item(dataset[index], key=dataset.keys()[index]).sample()
        assert sample.size_hw == size
        assert dataset.schema is not None
        dataset.schema.check(sample.labels, sample.key)
        occurring |= set(torch.unique(sample.labels).tolist())
    assert len(occurring) > 1


def test_real_anomalies_have_the_documented_ids(real_data: Path) -> None:
    for dataset, anomaly in (
        (fishyscapes(real_data / "anomaly/fs_static"), 1),
        (road_anomaly(real_data / "anomaly/RoadAnomaly"), 2),
    ):
        ids = {label_id for index in range(8) for label_id in np.unique(np.asarray(dataset[index][1])).tolist()}
        assert anomaly in ids
        assert ids <= {0, anomaly, 255}
