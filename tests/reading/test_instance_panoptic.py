"""`compose_panoptic`: segments of composed frames, as COCO's panoptic format and the readers of it have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.masks import bounds, dilate
from poc_aug.reading.composed_panoptic import compose_panoptic
from poc_aug.reading.visible_parts import written_pixels
from poc_aug.recipe import IGNORED
from tests.helpers.instance_cases import IDS, H, W, composed_labels, panoptic_case, random_case, solid

CATEGORIES = {"dog": 19, "part0": 19, "part1": None}


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """As panopticapi's id2rgb."""
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536 % 256], 2).astype(np.uint8)


def rgb_to_id(colours: np.ndarray) -> np.ndarray:
    """As panopticapi's rgb2id."""
    wide = colours.astype(np.int32)
    return np.asarray(wide[..., 0] + 256 * wide[..., 1] + 256 * 256 * wide[..., 2])


def mapped(pan_seg: np.ndarray, segments_info: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes and masks, as Mask2Former's panoptic mapper reads them: it leaves crowds out."""
    taken = [info for info in segments_info if not info["iscrowd"]]
    masks = [pan_seg == info["id"] for info in taken]
    return torch.tensor([info["category_id"] for info in taken]), torch.from_numpy(np.stack(masks))


@pytest.mark.parametrize("seed", range(10))
def test_segments_are_those_of_the_map(seed: int) -> None:
    _, _, insertions = random_case(seed)
    base, infos = panoptic_case()
    kept, kept_infos = base.copy(), [dict(info) for info in infos]
    pan_seg, segments = compose_panoptic(insertions, base, infos, IDS, (H, W), categories=CATEGORIES)
    assert np.array_equal(base, kept)
    assert infos == kept_infos
    written = written_pixels(insertions, (H, W)).numpy()
    assert np.array_equal(pan_seg[~written], base[~written])
    assert sorted(info["id"] for info in segments) == sorted(set(np.unique(pan_seg).tolist()) - {0})
    for info in segments:
        mask = torch.from_numpy(pan_seg == info["id"])
        y, x, h, w = bounds(mask)
        assert (info["area"], info["bbox"]) == (mask.sum(), [x, y, w, h])
        if info["id"] > base.max():
            assert (info["category_id"], info["iscrowd"]) == (19, 0)
        else:
            same = next(one for one in infos if one["id"] == info["id"])
            assert [info[name] for name in ("category_id", "iscrowd")] == [same["category_id"], same["iscrowd"]]


@pytest.mark.parametrize("seed", range(6))
def test_a_panoptic_mapper_reads_the_masks_that_the_labels_show(seed: int) -> None:
    sample, _, insertions = random_case(seed)
    labels = composed_labels(sample, insertions).numpy()
    classes, masks = mapped(*compose_panoptic(insertions, *panoptic_case(), IDS, (H, W)))
    for label_id in (IDS["part0"], IDS["part1"]):
        union = masks[classes == label_id].any(0).numpy()
        written = written_pixels(insertions, (H, W)).numpy() & (labels == label_id)
        assert np.array_equal(union & written_pixels(insertions, (H, W)).numpy(), written)
    assert masks.sum(0).max() == 1


def test_hidden_segments_vanish_and_those_that_are_not_touched_keep_their_values() -> None:
    base, infos = panoptic_case()
    infos[2] |= {"area": 6.0, "bbox": (7, 9, 2, 3), "extra": "kept"}  # values as they are, whatever their type
    hides_the_car, hides_road = solid((2, 1, 6, 6), "dog"), solid((12, 9, 2, 2), "dog")
    pan_seg, segments = compose_panoptic([hides_the_car, hides_road], base, infos, IDS, (H, W))
    assert [info["id"] for info in segments] == [100, 70_000, 33, 70_001, 70_002]
    assert segments[1] == infos[2]
    assert segments[1]["bbox"] == (7, 9, 2, 3)
    assert segments[2] == infos[3]
    assert 7 not in np.unique(pan_seg)
    assert segments[3]["category_id"] == 254


def test_new_ids_come_after_those_of_segments_without_pixels() -> None:
    base, infos = panoptic_case()
    infos.append({"id": 80_000, "category_id": 1, "iscrowd": 0, "area": 0, "bbox": [0, 0, 0, 0]})
    segments = compose_panoptic([solid((3, 3, 2, 2), "dog")], base, infos, IDS, (H, W)).segments_info
    assert infos[-1] in segments
    assert segments[-1]["id"] == 80_001


def test_parts_without_category_ignored_parts_and_rings_are_void() -> None:
    base, infos = panoptic_case()
    objects = [solid((3, 3, 4, 4), "dog", IGNORED), solid((10, 3, 3, 4), "bicycle")]
    pan_seg, segments = compose_panoptic(objects, base, infos, IDS, (H, W), categories={"bicycle": None}, ring_px=1)
    new = [info for info in segments if info["id"] > 70_000]
    assert [info["category_id"] for info in new] == [254]
    shown = pan_seg == 70_001
    ring = dilate(torch.from_numpy(shown), 1).numpy() & ~shown
    assert (pan_seg[ring] == 0).all()
    assert (pan_seg[10:13, 3:7] == 0).all()
    of_ignored = compose_panoptic(objects, base, infos, IDS, (H, W), ignored=(254, 18))
    assert [info["id"] for info in of_ignored.segments_info] == [100, 7, 70_000, 33]
    assert (of_ignored.map[written_pixels(objects, (H, W)).numpy()] == 0).all()


def test_things_are_marked_where_the_base_marks_them() -> None:
    base, infos = panoptic_case()
    bare = [{"id": info["id"], "category_id": info["category_id"], "isthing": True} for info in infos]
    new = compose_panoptic([solid((3, 3, 2, 2), "dog")], base, bare, IDS, (H, W)).segments_info[-1]
    assert new == {"id": 70_001, "category_id": 254, "iscrowd": 0, "isthing": True}
    lonely = compose_panoptic([solid((3, 3, 2, 2), "dog")], np.zeros((H, W), np.int32), [], IDS, (H, W)).segments_info
    assert lonely == [{"id": 1, "category_id": 254, "iscrowd": 0, "area": 4, "bbox": [3, 3, 2, 2]}]


FORMS = {
    "pil RGB": lambda ids: Image.fromarray(id_to_rgb(ids)),
    "array [H, W, 3]": id_to_rgb,
    "tensor [3, H, W]": lambda ids: torch.from_numpy(id_to_rgb(ids)).permute(2, 0, 1),
    "tensor [H, W, 3]": lambda ids: torch.from_numpy(id_to_rgb(ids)),
}


@pytest.mark.parametrize("form", FORMS)
def test_colours_of_coco_go_in_and_out(form: str) -> None:
    _, _, insertions = random_case(4)
    base, infos = panoptic_case()
    given = FORMS[form](base)
    pan_seg, segments = compose_panoptic(insertions, given, infos, IDS, (H, W))
    expected, expected_segments = compose_panoptic(insertions, base, infos, IDS, (H, W))
    assert type(pan_seg) is type(given)
    colours = np.asarray(pan_seg).copy()
    assert colours.shape == np.asarray(given).shape
    ids = rgb_to_id(colours.transpose(1, 2, 0) if colours.shape[0] == 3 else colours)
    assert np.array_equal(ids, expected)
    assert segments == expected_segments
    assert compose_panoptic([], given, infos, IDS, (H, W)).map is given


def test_a_file_of_coco_goes_through(tmp_path: Path) -> None:
    base, infos = panoptic_case()
    Image.fromarray(id_to_rgb(base)).save(tmp_path / "panoptic.png")
    with Image.open(tmp_path / "panoptic.png") as picture:
        pan_seg, segments = compose_panoptic([solid((3, 3, 5, 5), "dog")], picture, infos, IDS, (H, W))
    pan_seg.save(tmp_path / "composed.png")
    with Image.open(tmp_path / "composed.png") as written:
        ids = rgb_to_id(np.asarray(written))
    assert {info["id"]: info["area"] for info in segments} == {
        number: int((ids == number).sum()) for number in set(np.unique(ids).tolist()) - {0}
    }


def test_segments_that_are_none_and_ids_that_do_not_fit_are_errors() -> None:
    base, infos = panoptic_case()
    for wrong, problem in (
        ([*infos, dict(infos[0])], "and another segment of this id"),
        ([{"category_id": 3}], "segments_info holds {'category_id': 3}"),
        (["road"], "segments_info holds 'road'"),
    ):
        with pytest.raises(ItemFormatError, match=problem):
            compose_panoptic([], base, wrong, IDS, (H, W))  # type: ignore[arg-type]
    full = np.full((H, W), 256**3 - 1)
    with pytest.raises(ItemFormatError, match="id 16777216 does not fit the panoptic segment ids"):
        compose_panoptic([solid((1, 1, 2, 2), "dog")], id_to_rgb(full), [], IDS, (H, W))


def test_new_segments_of_another_schema_take_the_ids_that_are_given() -> None:
    base, infos = panoptic_case()
    sheep = {"dog": 20}
    segments = compose_panoptic([solid((3, 3, 2, 2), "dog", "rider")], base, infos, IDS, (H, W), categories=sheep)
    assert [info["category_id"] for info in segments.segments_info[-2:]] == [20, 12]
