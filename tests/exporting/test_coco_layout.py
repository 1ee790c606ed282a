"""The layout "coco", read by pycocotools: masks come back to the pixel, and agree with the label maps."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from poc_aug.backends.paste.rle import decode_counts
from poc_aug.errors import ExportError
from poc_aug.exporting.coco_json import write_instances
from poc_aug.exporting.coco_outlines import coco_polygons
from poc_aug.exporting.coco_rle import coco_rle, compressed_counts, in_frame, run_counts
from poc_aug.exporting.frame_instances import visible_instances
from poc_aug.exporting.layouts.coco import CocoLayout
from poc_aug.gaussian import filter_separable, gaussian_weights
from poc_aug.seeding import generator
from tests.helpers.edit_cases import blob
from tests.helpers.layout_frames import OOD, ids_in, make_frame, pixels_in, plan_of, write_all

# Of pycocotools 2.0.11 with NumPy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def random_mask(seed: int, size_hw: tuple[int, int], share: float, smooth: bool) -> torch.Tensor:
    noise = torch.rand(size_hw, generator=generator("coco-mask", seed))
    if smooth:
        weights = gaussian_weights(1.5, 4)
        noise = filter_separable(noise[None], weights, weights)[0]
        return noise > noise.flatten().quantile(1 - share)
    return noise < share


@given(st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 24), st.floats(0.02, 0.98), st.booleans())
def test_any_mask_comes_back(seed: int, height: int, width: int, share: float, smooth: bool) -> None:
    mask = random_mask(seed, (height, width), share, smooth)
    box, size = (3, 5, height, width), (height + 3, width + 5 + seed % 3)
    truth = in_frame(mask, box, size)
    rle = coco_rle(mask, box, size)
    assert rle["counts"] == coco_masks.encode(np.asfortranarray(truth.astype(np.uint8)))["counts"].decode()
    assert (coco_masks.decode(rle) == truth).all()
    assert decode_counts(compressed_counts(run_counts(mask, box, size))) == run_counts(mask, box, size)
    polygons = coco_polygons(mask, box)
    if polygons:
        assert all(len(polygon) >= 8 for polygon in polygons)
        assert (drawn(polygons, size) == truth).all()
        # Drawn as COCO does, the IoU is 1: no hole is filled, no corner lost.


def drawn(polygons: list[list[int]], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    mask: npt.NDArray[np.uint8] = coco_masks.decode(coco_masks.merge(coco_masks.frPyObjects(polygons, *size_hw)))
    return mask


def test_holes_need_run_lengths() -> None:
    ring = torch.ones(5, 5, dtype=torch.bool)
    ring[2, 2] = False
    assert coco_polygons(ring, (0, 0, 5, 5)) is None
    ring[2, 1] = ring[2, 0] = False  # open to the left: no hole any more
    assert coco_polygons(ring, (0, 0, 5, 5)) is not None
    ring[2, 1] = True
    ring[1, 1] = True
    notch = ring.clone()
    notch[0, 0] = notch[1, 1] = False  # touching at a corner only
    polygons = coco_polygons(notch, (0, 0, 5, 5))
    if polygons is not None:
        assert (drawn(polygons, (5, 5)) == notch.numpy()).all()


def test_nearer_objects_cover_others() -> None:
    frame = make_frame(2)
    instances = visible_instances(frame)
    assert [one.class_name for one in instances] == ["dog", "rider", "bicycle", "gnu"]
    written = np.zeros(frame.labels.shape, np.int64)
    for one in instances:
        y, x, h, w = one.box_yxhw
        assert bool((frame.labels[y : y + h, x : x + w][one.mask] == one.label_id).all())
        assert bool(one.mask[0].any() and one.mask[-1].any() and one.mask[:, 0].any() and one.mask[:, -1].any())
        written[y : y + h, x : x + w] += one.mask.numpy()
    assert written.max() == 1
    parts = torch.zeros(frame.labels.shape, dtype=torch.bool)
    for insertion in frame.insertions:
        y, x, h, w = insertion.box_yxhw
        parts[y : y + h, x : x + w] |= insertion.mask
    assert (written.astype(bool) == parts.numpy()).all()
    assert instances[0].area < int(frame.insertions[0].mask.sum())


def test_a_part_that_is_wholly_covered_is_left_out() -> None:
    frame = make_frame(1, [blob(1, ["dog"], (10, 10, 5, 5)), blob(2, ["gnu"], (4, 4, 17, 19))])
    assert [one.class_name for one in visible_instances(frame)] == ["gnu"]


@pytest.mark.parametrize("segmentation", ["auto", "rle"])
def test_pycocotools_reads_the_objects(segmentation: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [make_frame(number) for number in range(6)] + [make_frame(7, split="val")]
    write_all(CocoLayout(segmentation), frames, tmp_path)
    coco = COCO(str(tmp_path / "annotations" / "instances_train.json"))
    capsys.readouterr()
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == [
        "bicycle",
        "car",
        "dog",
        "gnu",
        "rider",
    ]
    by_id = {category["id"]: category for category in coco.loadCats(coco.getCatIds())}
    assert {one["name"]: one["label_id"] for one in by_id.values()}["dog"] == 19
    assert len(coco.getImgIds()) == 6
    forms = set()
    for image_id, frame in zip(sorted(coco.getImgIds()), frames, strict=False):
        (image,) = coco.loadImgs([image_id])
        assert torch.equal(pixels_in(tmp_path / "images" / "train" / image["file_name"]), frame.image)
        labels = ids_in(tmp_path / "labels" / "train" / image["file_name"])
        assert (labels == frame.labels.numpy()).all()
        assert (image["height"], image["width"]) == labels.shape
        seen = np.zeros(labels.shape, bool)
        for annotation in coco.loadAnns(coco.getAnnIds([image_id])):
            mask = coco.annToMask(annotation).astype(bool)
            forms.add(type(annotation["segmentation"]).__name__)
            assert mask.sum() == annotation["area"]
            assert (labels[mask] == by_id[annotation["category_id"]]["label_id"]).all()
            rows, cols = np.nonzero(mask)
            box = [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
            assert annotation["bbox"] == [int(value) for value in box]
            assert not (seen & mask).any()
            assert annotation["iscrowd"] == 0
            seen |= mask
        inserted = np.isin(labels, [19, 20, 12, 18])
        assert (seen == inserted).all()  # the made-up base has none of these classes
    assert forms == ({"list"} if segmentation == "auto" else {"dict"})
    assert len(COCO(str(tmp_path / "annotations" / "instances_val.json")).getImgIds()) == 1


def test_a_mask_with_a_hole_becomes_run_lengths(tmp_path: Path) -> None:
    near, far = blob(1, ["gnu"], (12, 14, 5, 7)), blob(2, ["dog"], (4, 4, 22, 27))
    frame = make_frame(1, [far, near])
    write_all(CocoLayout(), [frame], tmp_path)
    stored = json.loads((tmp_path / "annotations" / "instances_train.json").read_text())
    kinds = [type(one["segmentation"]).__name__ for one in stored["annotations"]]
    assert kinds == ["dict", "list"]


def test_classes_that_share_an_id_stay_apart(tmp_path: Path) -> None:
    frame = make_frame(2, policy=OOD)
    write_all(CocoLayout(), [frame], tmp_path, OOD)
    stored = json.loads((tmp_path / "annotations" / "instances_train.json").read_text())
    ids = {one["name"]: (one["id"], one["label_id"], one["supercategory"]) for one in stored["categories"]}
    assert ids["dog"][1:] == ids["gnu"][1:] == (254, "new")
    assert ids["rider"][1:] == (12, "known")
    assert len({one[0] for one in ids.values()}) == len(ids)
    seen = sum(one["area"] for one in stored["annotations"] if one["category_id"] in (ids["dog"][0], ids["gnu"][0]))
    assert seen == int((frame.labels == 254).sum())


def test_objects_of_the_base_can_be_annotated_too(tmp_path: Path) -> None:
    frame = make_frame(2)
    numbers = torch.zeros(frame.labels.shape, dtype=torch.int32)
    numbers[5:25, 3:20] = 26_001  # a car, which insertions cover in part
    numbers[28:31, 40:44] = 26_002
    numbers[0, :5] = 23  # sky: no instance
    frame = dataclasses.replace(frame, instances=numbers)
    layout = CocoLayout(objects="all")
    plan = dataclasses.replace(plan_of([frame]), has_instances=True)
    layout.check(plan)
    layout.finish(tmp_path, plan, [layout.write(frame, tmp_path)])
    coco = COCO(str(tmp_path / "annotations" / "instances_train.json"))
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert set(names.values()) >= {"car", "dog", "person", "caravan", "bus"}
    masks = [coco.annToMask(one).astype(bool) for one in coco.loadAnns(coco.getAnnIds())]
    assert np.sum(masks, axis=0).max() == 1
    cars = [one for one in coco.loadAnns(coco.getAnnIds()) if names[one["category_id"]] == "car"]
    assert [one["insertion"] for one in cars] == [None, None]
    inserted = [one["insertion"] is not None for one in coco.loadAnns(coco.getAnnIds())]
    covered = np.any([mask for mask, inside in zip(masks, inserted, strict=True) if inside], axis=0)
    assert (np.any([coco.annToMask(one) for one in cars], axis=0) == ((numbers >= 1000).numpy() & ~covered)).all()
    with pytest.raises(ExportError, match="no instance ids"):
        layout.check(plan_of([frame]))
    with pytest.raises(ExportError, match="objects='base'"):
        CocoLayout(objects="base").check(plan)  # type: ignore[arg-type]


def test_what_the_layout_needs(tmp_path: Path) -> None:
    plan = plan_of([])
    with pytest.raises(ExportError, match="nothing is inserted"):
        CocoLayout().check(dataclasses.replace(plan, ids={}))
    with pytest.raises(ExportError, match="segmentation='polygons'"):
        CocoLayout("polygons").check(plan)  # type: ignore[arg-type]
    layout = CocoLayout()
    record = layout.write(make_frame(1), tmp_path)
    (tmp_path / layout.files("city_frame.0001_v1", "train", "city")[-1]).write_bytes(b"{")
    with pytest.raises(ExportError, match=r"city_frame\.0001_v1\.json"):
        layout.finish(tmp_path, plan, [record])
    assert not (tmp_path / "annotations" / "instances_train.json").exists()


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    part = {"image": {"file_name": "a.png", "width": 9, "height": 9}}
    annotation = {"category": "dog", "segmentation": "0" * 20_000, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}
    path = tmp_path / "part.json"
    path.write_text(json.dumps({**part, "annotations": [annotation]}))
    peaks = []
    for count in (20, 300):
        tracemalloc.start()
        write_instances(tmp_path, "all.json", [path] * count, [{"id": 1, "name": "dog"}], "test")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (tmp_path / "all.json").stat().st_size > 6_000_000
    assert peaks[1] < 1.2 * peaks[0] + 50_000
    stored = json.loads((tmp_path / "all.json").read_text())
    assert len(stored["annotations"]) == 300
    assert [one["id"] for one in stored["annotations"][:2]] == [1, 2]
