"""The layout "fiftyone", read as FiftyOne's documentation describes its two formats; FiftyOne itself is not needed."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from poc_aug.errors import ExportError
from poc_aug.exporting.layouts.fiftyone import FiftyOneLayout
from tests.helpers.layout_frames import OOD, make_frame, plan_of, write_all

# Of pycocotools 2.0.11 with NumPy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def segmentation_directory(folder: Path) -> dict[str, tuple[Path, npt.NDArray[np.uint8]]]:
    """ImageSegmentationDirectory: ``data/`` and ``labels/``, an image and a mask belong together by name."""
    images = {path.stem: path for path in (folder / "data").iterdir()}
    masks = {path.stem: path for path in (folder / "labels").iterdir()}
    read = {}
    for name in sorted(masks):
        with Image.open(masks[name]) as picture:
            read[name] = images[name], np.array(picture)
    return read


def detection_dataset(folder: Path) -> dict[str, list[tuple[str, list[float], npt.NDArray[np.uint8]]]]:
    """COCODetectionDataset: ``data/`` and ``labels.json``; label, relative box and mask of each object by image."""
    stored = json.loads((folder / "labels.json").read_text())
    classes = {one["id"]: one["name"] for one in stored["categories"]}
    images = {one["id"]: one for one in stored["images"]}
    found: dict[str, list[tuple[str, list[float], npt.NDArray[np.uint8]]]] = {}
    for image in images.values():
        assert (folder / "data" / image["file_name"]).is_file()
        found[Path(image["file_name"]).stem] = []
    for one in stored["annotations"]:
        image = images[one["image_id"]]
        x, y, w, h = one["bbox"]
        box = [x / image["width"], y / image["height"], w / image["width"], h / image["height"]]
        mask = coco_masks.decode(one["segmentation"])
        found[Path(image["file_name"]).stem].append((classes[one["category_id"]], box, mask))
    return found


def test_both_formats_of_a_split(tmp_path: Path) -> None:
    frames = {split: [make_frame(number, split=split, policy=OOD) for number in range(4)] for split in ("train", "val")}
    write_all(FiftyOneLayout(), [*frames["train"], *frames["val"]], tmp_path, OOD)
    for split, own in frames.items():
        masks, objects = segmentation_directory(tmp_path / split), detection_dataset(tmp_path / split)
        assert set(masks) == set(objects) == {frame.name for frame in own}
        for frame in own:
            image, labels = masks[frame.name]
            with Image.open(image) as picture:
                assert (np.array(picture) == frame.image.permute(1, 2, 0).numpy()).all()
            assert (labels == frame.labels.numpy()).all()
            ood = np.zeros(labels.shape, bool)
            for name, box, mask in objects[frame.name]:
                assert mask.shape == labels.shape
                rows, cols = np.nonzero(mask)
                assert box[:2] == [cols.min() / labels.shape[1], rows.min() / labels.shape[0]]
                ood |= mask.astype(bool) if name in ("dog", "gnu") else False
            assert (ood == (labels == 254)).all()
    targets = json.loads((tmp_path / "mask_targets.json").read_text())
    assert targets["254"] == "out of distribution"
    assert targets["13"] == "car"


def test_the_script_loads_every_split(tmp_path: Path) -> None:
    write_all(FiftyOneLayout(), [make_frame(1), make_frame(2, split="val")], tmp_path)
    tree = ast.parse((tmp_path / "load_fiftyone.py").read_text())
    (loop,) = (node for node in tree.body if isinstance(node, ast.For))
    assert ast.literal_eval(loop.iter) == ("train", "val")
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {"ImageSegmentationDirectory", "COCODetectionDataset", "default_mask_targets"} <= used


def test_frames_without_insertions_are_refused() -> None:
    with pytest.raises(ExportError, match="'webdataset' or 'huggingface'"):
        FiftyOneLayout().check(dataclasses.replace(plan_of([]), ids={"(ignored)": 255}))
