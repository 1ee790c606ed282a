"""`compose_instances`: ids of the base stay, inserted objects get new ones, and what is listed is what is visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.ops import masks_to_boxes

from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.labels.schema import SCHEMAS
from poc_aug.reading.composed_instances import ComposedInstances, InstanceMap, compose_instances
from poc_aug.reading.visible_parts import visible_parts, written_pixels
from poc_aug.recipe import IGNORED
from poc_aug.types import Sample
from tests.helpers.instance_cases import IDS, H, W, composed_labels, random_case, solid

SEEDS = range(12)


def composed(seed: int) -> tuple[Sample, np.ndarray, list[Any], torch.Tensor, ComposedInstances]:
    sample, base, insertions = random_case(seed)
    labels = composed_labels(sample, insertions)
    return sample, base, insertions, labels, compose_instances(insertions, base, labels, IDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_ids_outside_of_objects_are_unchanged_and_new_ones_come_after_them(seed: int) -> None:
    _, base, insertions, _, found = composed(seed)
    before = base.copy()
    written = written_pixels(insertions, (H, W)).numpy()
    assert np.array_equal(found.map[~written], base[~written])
    new = np.unique(found.map[written])
    assert new.size
    assert new.min() > base.max()
    assert [each.id for each in found.inserted] == list(range(base.max() + 1, base.max() + 1 + len(found.inserted)))
    assert np.array_equal(base, before)
    assert found.map.dtype == base.dtype


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_boxes_and_areas_are_those_of_the_map(seed: int) -> None:
    _, _, _, labels, found = composed(seed)
    assert sorted(found.ids.tolist()) == sorted(set(np.unique(found.map)) - {0})
    masks = found.masks
    assert masks.shape == (len(found), H, W)
    for mask, one in zip(masks, found, strict=True):
        assert np.array_equal(mask.numpy(), found.map == one.id)
        assert one.area == mask.sum() > 0
        if one.insertion is not None:
            assert set(labels[mask].tolist()) == {one.label_id} == {IDS[one.class_name or ""]}
    assert found.boxes.dtype == torch.float32
    assert torch.equal(found.boxes, masks_to_boxes(masks) + torch.tensor([0.0, 0, 1, 1]))  # torchvision's are inclusive
    assert torch.equal(found.areas, masks.sum((1, 2)))


@pytest.mark.parametrize("seed", SEEDS)
def test_objects_of_the_base_are_those_that_are_still_visible(seed: int) -> None:
    sample, base, insertions, _, found = composed(seed)
    still = np.where(written_pixels(insertions, (H, W)).numpy(), 0, base)
    listed = [one for one in found if one.insertion is None]
    assert [one.id for one in listed] == sorted(set(np.unique(still).tolist()) - {0})
    assert all(one.score == 1.0 and one.object_name is None for one in listed)
    for one in listed:
        values, counts = np.unique(sample.labels.numpy()[still == one.id], return_counts=True)
        assert counts[values == one.label_id] == counts.max()


def test_near_objects_hide_far_ones_and_parts_are_instances_of_one_insertion() -> None:
    far, near = solid((2, 1, 4, 4), "dog"), solid((3, 2, 6, 6), "rider", "bicycle", insertion_name="cyclist")
    gone = solid((4, 3, 2, 2), "dog")
    sample, base, _ = random_case(0)
    found = compose_instances([gone, far, near], base, composed_labels(sample, [gone, far, near]), IDS).inserted
    assert [(one.class_name, one.object_name, one.insertion) for one in found] == [
        ("dog", "dog", 1), ("rider", "cyclist", 2), ("bicycle", "cyclist", 2),
    ]  # fmt: skip
    dog, rider, bicycle = found
    assert (dog.area, dog.box_xyxy, rider.area, bicycle.area) == (16 - 9, (1, 2, 5, 6), 18, 18)
    assert (dog.score, rider.score, bicycle.score) == (0.5, 0.5, 0.625)
    assert torch.allclose(found.scores, torch.tensor([0.5, 0.5, 0.625]))
    assert found.is_inserted.all()


def test_an_object_that_is_hidden_wholly_vanishes_and_one_that_is_partly_hidden_keeps_its_id() -> None:
    base = np.zeros((H, W), np.uint8)
    base[2:4, 2:4], base[8:12, 2:8] = 9, 4
    labels = torch.zeros(H, W, dtype=torch.uint8)
    found = compose_instances([solid((1, 1, 4, 4), "dog"), solid((8, 4, 9, 7), "dog")], base, labels, IDS)
    assert found.ids.tolist() == [4, 10, 11]
    assert (found[0].area, found[0].box_xyxy) == (8, (2, 8, 4, 12))


def test_what_is_ignored_hides_objects_and_is_none() -> None:
    insertion = solid((2, 2, 2, 4), "dog", IGNORED)
    base = np.full((H, W), 3, np.int32)
    found = compose_instances([insertion], base, torch.zeros(H, W, dtype=torch.uint8), IDS)
    ignored = insertion.parts[1].mask.numpy()
    assert (found.map[2:4, 2:6][ignored] == 0).all()
    assert (found.map[2:4, 2:6][~ignored] == 4).all()
    assert [one.class_name for one in found.inserted] == ["dog"]
    assert [part.class_name for part in visible_parts([insertion], (H, W))] == ["dog"]


def test_without_insertions_the_map_is_the_same_object_and_base_objects_are_listed() -> None:
    sample, base, _ = random_case(3)
    found = compose_instances([], base, sample.labels, IDS)
    assert found.map is base
    assert found.ids.tolist() == sorted(set(np.unique(base).tolist()) - {0})
    assert len(found.inserted) == 0


@pytest.mark.parametrize("like", [np.zeros((H, W), np.uint8), Image.new("L", (W, H)), torch.zeros(1, H, W).byte()])
def test_without_a_base_map_only_inserted_objects_have_ids(like: Any) -> None:
    labels = torch.zeros(H, W, dtype=torch.uint8)
    found = compose_instances([solid((1, 2, 3, 4), "dog")], None, labels, IDS, like=like)
    assert isinstance(found.map, Image.Image if isinstance(like, Image.Image) else type(like))
    assert found.ids.tolist() == [1]
    assert np.array_equal(np.asarray(found.map) == 1, found.masks[0].numpy())
    empty = compose_instances([], None, labels, IDS, like=like)
    shapes = [tuple(each.shape) for each in (empty.ids, empty.boxes, empty.masks, empty.areas, empty.scores)]
    assert shapes == [(0,), (0, 4), (0, H, W), (0,), (0,)]
    assert np.asarray(empty.map).shape == (H, W)


FORMS = {
    "pil L": lambda ids: Image.fromarray(ids.astype(np.uint8)),
    "pil I;16": lambda ids: Image.fromarray(ids.astype(np.uint16)),
    "pil I": lambda ids: Image.fromarray(ids.astype(np.int32)),
    "array int64": lambda ids: ids.astype(np.int64),
    "array uint16 [H, W, 1]": lambda ids: ids.astype(np.uint16)[..., None],
    "tensor uint8": lambda ids: torch.from_numpy(ids.astype(np.uint8)),
    "tensor int32 [1, H, W]": lambda ids: torch.from_numpy(ids)[None],
    "tv_tensor": lambda ids: tv_tensors.Mask(torch.from_numpy(ids)),
}


def kind_of(value: Any) -> Any:
    return value.mode if isinstance(value, Image.Image) else value.dtype


@pytest.mark.parametrize("form", FORMS)
def test_the_map_keeps_its_form(form: str) -> None:
    sample, base, insertions = random_case(5)
    labels = composed_labels(sample, insertions)
    given = FORMS[form](base)
    kept = np.asarray(given).copy()
    found = compose_instances(insertions, given, labels, IDS)
    expected = compose_instances(insertions, base, labels, IDS)
    assert type(found.map) is type(given)
    assert kind_of(found.map) == kind_of(given)
    assert np.array_equal(np.asarray(found.map).reshape(H, W), expected.map)
    assert np.asarray(found.map).shape == kept.shape
    assert np.array_equal(np.asarray(given), kept)
    assert found.objects == expected.objects


def test_void_ids_are_kept_and_new_ids_need_not_come_after_them() -> None:
    base = np.zeros((H, W), np.uint8)
    base[:5, :5], base[5, :] = 3, 255
    labels = torch.zeros(H, W, dtype=torch.uint8)
    found = compose_instances([solid((8, 1, 4, 4), "dog")], base, labels, IDS, rule=InstanceMap(background=(0, 255)))
    assert found.ids.tolist() == [3, 4]
    assert (found.map[5] == 255).all()


def test_an_id_that_does_not_fit_is_an_error_with_the_next_step() -> None:
    base = np.full((H, W), 255, np.uint8)
    with pytest.raises(ItemFormatError, match=r"id 256 does not fit the instance ids, .* up to 255") as error:
        compose_instances([solid((1, 1, 2, 2), "dog")], base, torch.zeros(H, W).byte(), IDS, key="a.png")
    assert "a.png" in str(error.value)
    assert "int32" in str(error.value)


def test_a_map_of_another_size_or_kind_is_an_error() -> None:
    labels = torch.zeros(H, W).byte()
    with pytest.raises(ItemFormatError, match="are 11x17 pixels"):
        compose_instances([], np.zeros((W, H), np.int32), labels, IDS)
    with pytest.raises(ItemFormatError, match="the instance ids are a float32 array"):
        compose_instances([], np.zeros((H, W), np.float32), labels, IDS)


@pytest.mark.parametrize(
    "settings",
    [{"field": ""}, {"field": 3}, {"divisor": -1}, {"divisor": 1.5}, {"background": 0}, {"categories": ["dog"]}],
)
def test_settings_of_ids_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=rf"InstanceMap\({next(iter(settings))}="):
        InstanceMap(**settings)


LABEL_IDS, TRAIN_IDS = SCHEMAS["cityscapes-labelIds"], SCHEMAS["cityscapes-trainIds"]


def test_ids_below_the_divisor_are_no_objects() -> None:
    base = np.full((H, W), 7, np.int32)
    base[:4, :4], base[6:, 6:] = 256 * 3 + 1, 256 * 5
    found = compose_instances([], base, torch.zeros(H, W).byte(), IDS, rule=InstanceMap(divisor=256))
    assert found.ids.tolist() == [769, 1280]


def test_cityscapes_ids_without_any_object_are_told_from_plain_ones_by_the_labels() -> None:
    base = np.full((H, W), 7, np.int32)
    base[:6] = 23
    labels = torch.where(torch.from_numpy(base) == 7, 0, 10).byte()  # road and sky, in trainIds
    insertion = solid((8, 1, 4, 4), "dog")
    labels[8:12, 1:5] = 254
    city = compose_instances([insertion], base, labels, IDS, schema=TRAIN_IDS)
    assert city.ids.tolist() == [34001]
    plain = compose_instances([insertion], base, torch.full_like(labels, 13), IDS, schema=TRAIN_IDS)  # two cars
    assert plain.ids.tolist() == [7, 23, 24]
    assert [one.class_name for one in plain] == ["car", "car", "dog"]


@pytest.mark.parametrize("schema", ["cityscapes-labelIds", "cityscapes-trainIds"])
def test_real_cityscapes_frames(real_data: Path, schema: str) -> None:
    files = sorted((real_data / "scenes" / "cityscapes" / "gtFine").rglob("*_instanceIds.png"))
    assert files
    for file in files:
        with Image.open(file) as picture:
            picture.load()
        base = np.array(picture)
        kind = schema.rpartition("-")[2]
        label_file = file.with_name(
            file.name.replace("instanceIds", "labelIds" if kind == "labelIds" else "labelTrainIds")
        )
        labels = np.array(Image.open(label_file))
        size_hw = (base.shape[0], base.shape[1])
        things = sorted(number for number in np.unique(base).tolist() if number >= 1000)
        rows, cols = np.nonzero(base == things[-1])
        hiding = solid((int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1), "dog")
        sample = Sample(torch.zeros(3, *size_hw, dtype=torch.uint8), torch.from_numpy(labels), "frame")
        known = SCHEMAS[schema]
        untouched = compose_instances([], picture, sample.labels, IDS, schema=known)
        assert untouched.ids.tolist() == things
        for one in untouched:
            name = LABEL_IDS.class_of(one.id // 1000)
            assert one.class_name == (name if kind == "labelIds" or name in known else None)
        found = compose_instances([hiding], picture, composed_labels(sample, [hiding]), IDS, schema=known)
        assert isinstance(found.map, Image.Image)
        assert found.map.mode == picture.mode
        new = np.asarray(found.map)
        written = written_pixels([hiding], size_hw).numpy()
        assert np.array_equal(new[~written], base[~written])
        assert found.inserted.ids.tolist() == [34001]
        assert things[-1] not in found.ids.tolist()
        assert set(found.ids.tolist()) == set(np.unique(new[new >= 1000]).tolist())
