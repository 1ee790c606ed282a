"""`Composer(instances=...)`: which fields of items hold instance ids, boxes, masks and segments, and in which form."""

from __future__ import annotations

import logging
import pickle
from collections import UserDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate
from torchvision import tv_tensors

from poc_aug.composer import Composer
from poc_aug.errors import ItemFormatError, LabelPolicyError, SettingError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items import per_pixel_maps
from poc_aug.labels.policies import AnomalyLabels
from poc_aug.reading.composed_instances import InstanceMap
from poc_aug.reading.instance_fields import MAP_FIELDS, OBJECT_FIELDS
from poc_aug.reading.visible_parts import visible_parts, written_pixels
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe

HW = H, W = 48, 65
LENGTH = 3


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("instances") / "frames.cache"
    warm_cache(Frames(LENGTH), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    return path


def composer_of(path: Path, instances: Any = True, **changes: Any) -> Composer:
    return Composer(
        path, **{"schema": SCHEMA, "p": 1.0, "redraw": "epoch", "key": "name", "instances": instances, **changes}
    )


def base_map() -> np.ndarray:
    ids = np.zeros(HW, np.int32)
    ids[20:30, 3:20], ids[31:47, 40:64] = 5, 2
    return ids


def pil(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy())


FORMS: dict[str, tuple[Callable[[np.ndarray], Any], Callable[[np.ndarray], Any]]] = {
    "pil": (pil, pil),
    "tensor": (lambda rgb: tensor(rgb).permute(2, 0, 1).contiguous(), tensor),
    "array": (np.array, np.array),
    "tv_tensor": (lambda rgb: tv_tensors.Image(tensor(rgb).permute(2, 0, 1)), lambda ids: tv_tensors.Mask(tensor(ids))),
}


def item(form: str = "array", number: int = 0, **more: Any) -> dict[str, Any]:
    picture, labels = Frames(LENGTH)[number]
    of_image, of_map = FORMS[form]
    maps = {name: of_map(value) if isinstance(value, np.ndarray) else value for name, value in more.items()}
    return {
        "image": of_image(np.array(picture)),
        "mask": of_map(np.array(labels)),
        "name": f"frame-{number:03d}",
        **maps,
    }


def item_with(more: Mapping[str, Any], form: str = "array") -> dict[str, Any]:
    return item(form, **more)


def insertions_of(composer: Composer, number: int = 0) -> Any:
    variant = composer.cache.get(f"frame-{number:03d}", 0)
    assert variant is not None
    assert variant.insertions
    return variant.insertions


@pytest.mark.parametrize("form", FORMS)
def test_fields_have_the_form_of_the_item(cache_path: Path, form: str) -> None:
    composer = composer_of(cache_path)
    given = item(form, instance_map=base_map())
    new = composer(given)
    written = written_pixels(insertions_of(composer), HW).numpy()
    parts = visible_parts(insertions_of(composer), HW)
    ids = np.asarray(new["instance_map"])
    assert type(new["instance_map"]) is type(given["instance_map"])
    assert np.array_equal(ids[~written], base_map()[~written])
    assert set(np.unique(ids[written]).tolist()) == {6 + number for number in range(len(parts))}
    assert list(new) == [*given, *OBJECT_FIELDS]
    kind: Any = np.ndarray if form == "array" else torch.Tensor
    assert all(isinstance(new[name], kind) for name in OBJECT_FIELDS if name != "object_classes")
    assert isinstance(new["boxes"], tv_tensors.BoundingBoxes) == isinstance(new["masks"], tv_tensors.Mask)
    assert isinstance(new["boxes"], tv_tensors.BoundingBoxes) == (form == "tv_tensor")
    count = len(parts) + len({5, 2} & set(np.unique(ids).tolist()))
    masks, labels = np.asarray(new["masks"]), np.asarray(new["mask"])
    assert masks.shape == (count, H, W)
    for number, mask in enumerate(masks):
        assert np.array_equal(mask, ids == int(new["object_ids"][number]))
        y, x = np.nonzero(mask)
        assert np.asarray(new["boxes"][number]).tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert int(new["area"][number]) == mask.sum()
        assert bool(new["object_inserted"][number]) == (int(new["object_ids"][number]) > 5)
        assert int(new["object_labels"][number]) == np.bincount(labels[mask]).argmax()
    assert new["object_classes"][-len(parts) :] == [part.class_name for part in parts]
    assert "instance_map" in given
    assert "boxes" not in given
    assert np.array_equal(np.asarray(given["instance_map"]), base_map())


def test_tv_tensors_go_through_torchvisions_transforms(cache_path: Path) -> None:
    from torchvision.transforms import v2

    new = composer_of(cache_path)(item("tv_tensor", instance_map=base_map()))
    flipped = v2.RandomHorizontalFlip(p=1.0)(new)
    assert torch.equal(flipped["masks"], new["masks"].flip(-1))
    mirrored = torch.stack([W - new["boxes"][:, 2], new["boxes"][:, 1], W - new["boxes"][:, 0], new["boxes"][:, 3]], 1)
    assert torch.equal(flipped["boxes"].as_subclass(torch.Tensor), mirrored.as_subclass(torch.Tensor))
    assert torch.equal(flipped["instance_map"], new["instance_map"].flip(-1))


@pytest.mark.parametrize("form", ["tensor", "array", "pil"])
def test_items_without_insertions_have_the_same_fields(cache_path: Path, form: str) -> None:
    shown, plain = composer_of(cache_path), composer_of(cache_path, p=0.0)
    for more in ({}, {"instances": base_map()}):
        augmented, untouched = shown(item_with(more, form)), plain(item_with(more, form))
        assert list(augmented) == list(untouched)
        for name in OBJECT_FIELDS:
            if name != "object_classes":
                assert untouched[name].dtype == augmented[name].dtype
                assert untouched[name].shape[1:] == augmented[name].shape[1:]
                assert len(untouched[name]) == (2 if more else 0)
    assert untouched["instances"] is not augmented["instances"]
    assert np.array_equal(np.asarray(untouched["instances"]), base_map())


def test_items_with_as_many_objects_collate(cache_path: Path) -> None:
    new = [composer_of(cache_path, p=0.0)(item("tensor", number, instance_map=base_map())) for number in range(LENGTH)]
    batch = default_collate(new)
    assert batch["masks"].shape == (LENGTH, 2, H, W)
    assert batch["boxes"].shape == (LENGTH, 2, 4)
    empty = default_collate([composer_of(cache_path, p=0.0)(item("tensor", number)) for number in range(LENGTH)])
    assert empty["masks"].shape == (LENGTH, 0, H, W)


@pytest.mark.parametrize("name", MAP_FIELDS)
def test_the_map_is_found_by_its_name(cache_path: Path, name: str) -> None:
    new = composer_of(cache_path)(item_with({name: base_map()}))
    assert new[name].max() > 5
    assert ("instance_map" in new) == (name == "instance_map")
    named = composer_of(cache_path, "segments")(item(segments=base_map()))
    assert named["segments"].max() > 5
    assert "instance_map" not in named


def test_without_a_map_inserted_objects_have_ids_from_one(cache_path: Path) -> None:
    composer = composer_of(cache_path)
    new = composer(item("tensor", instances="of detectron2"))  # no map, and not touched
    assert new["instances"] == "of detectron2"
    assert new["instance_map"].dtype == torch.int32
    assert new["object_ids"].tolist() == list(range(1, 1 + len(visible_parts(insertions_of(composer), HW))))
    assert new["object_inserted"].all()


def test_what_is_not_clear_is_an_error(cache_path: Path) -> None:
    composer = composer_of(cache_path)
    with pytest.raises(ItemFormatError, match="several maps: 'instance_map', 'instances'") as error:
        composer(item(instances=base_map(), instance_map=base_map()))
    assert "instances='instance_map'" in str(error.value)
    for name in ("boxes", "area"):
        with pytest.raises(ItemFormatError, match=f"has the field '{name}' already"):
            composer(item_with({name: base_map()}))
    with pytest.raises(ItemFormatError, match="has no field 'inst' with its instance ids"):
        composer_of(cache_path, "inst")(item(instances=base_map()))


def test_tuples_have_no_fields_and_are_told_of_compose(cache_path: Path) -> None:
    composer = composer_of(cache_path, key=lambda _: "frame-000")
    with pytest.raises(ItemFormatError, match="a tuple of 2") as error:
        composer(tuple(Frames(LENGTH)[0]))
    assert "composer.compose(image, labels, key=..., instances=" in str(error.value)


@pytest.mark.parametrize("instances", [1, "", None, ["instances"]])
def test_instances_is_checked(cache_path: Path, instances: Any) -> None:
    with pytest.raises(SettingError, match="instances="):
        composer_of(cache_path, instances)


def test_other_mappings_and_pickled_composers(cache_path: Path) -> None:
    composer = pickle.loads(pickle.dumps(composer_of(cache_path, InstanceMap("inst", background=(0, 2)))))
    new = composer(UserDict(item(inst=base_map())))
    assert isinstance(new, UserDict)
    assert 2 not in new["object_ids"]
    assert 5 in new["object_ids"]
    assert (new["inst"] == 2).any()


def panoptic_of(ids: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
    pan_seg = np.where(ids == 0, 1, ids)
    infos = [{"id": number, "category_id": int(number != 1), "iscrowd": 0} for number in (1, 5, 2)]
    return np.stack([pan_seg, pan_seg * 0, pan_seg * 0], 2).astype(np.uint8), infos


def test_compose_gives_instances_and_segments(cache_path: Path) -> None:
    composer = composer_of(cache_path, False)
    given = item()
    pan_seg, infos = panoptic_of(base_map())
    composed = composer.compose(
        given["image"], given["mask"], key="frame-000", instances=pil(base_map()), panoptic=(pan_seg, infos)
    )
    assert composed.instances is not None
    assert composed.panoptic is not None
    assert isinstance(composed.instances.map, Image.Image)
    new_seg, new_infos = composed.panoptic
    assert new_seg.shape == (H, W, 3)
    assert [
        info["id"] for info in new_infos[-len(composed.instances.inserted) :]
    ] == composed.instances.inserted.ids.tolist()
    for one in composed.instances.inserted:
        assert np.array_equal(new_seg[..., 0] == one.id, np.asarray(composed.instances.map) == one.id)
        assert set(composed.labels[new_seg[..., 0] == one.id].tolist()) == {one.label_id}
    bare = composer.compose(given["image"], given["mask"], key="frame-000")
    assert (bare.instances, bare.panoptic) == (None, None)
    wanted = composer_of(cache_path).compose(given["image"], given["mask"], key="frame-000").instances
    assert wanted is not None
    assert wanted.ids.tolist() == list(range(1, 1 + len(wanted.inserted)))
    with pytest.raises(ItemFormatError, match=r"panoptic= is an? ndarray"):
        composer.compose(given["image"], given["mask"], key="frame-000", panoptic=pan_seg)  # type: ignore[arg-type]


def test_segments_of_items_follow(cache_path: Path) -> None:
    pan_seg, infos = panoptic_of(base_map())
    categories = {"dog": 11, "cat": 12, "car": None}
    composer = composer_of(cache_path, InstanceMap(categories=categories))
    given = item(segments_info=infos)
    given["pan_seg"] = pan_seg
    new = composer(given)
    assert given["segments_info"] is infos
    assert given["pan_seg"] is pan_seg
    parts = [part for part in visible_parts(insertions_of(composer), HW) if part.class_name != "car"]
    inserted = [info for info in new["segments_info"] if info["id"] > 5]
    assert [info["category_id"] for info in inserted] == [categories[part.class_name] for part in parts]
    assert {info["id"] for info in new["segments_info"]} == set(np.unique(new["pan_seg"][..., 0]).tolist()) - {0}
    with pytest.raises(ItemFormatError, match="has segments_info, and no panoptic map"):
        composer(item(segments_info=infos))


def test_base_objects_have_the_labels_that_a_policy_writes(cache_path: Path) -> None:
    composer = composer_of(cache_path, label_policy=AnomalyLabels())
    new = composer(item(instance_map=base_map()))
    inserted = new["object_inserted"]
    names = [name for name, is_inserted in zip(new["object_classes"], inserted, strict=True) if is_inserted]
    assert new["object_labels"][inserted].tolist() == [composer.ids[name] for name in names]
    assert set(new["object_labels"][~inserted].tolist()) == {0}


def test_panoptic_segments_need_categories_if_a_policy_rewrites_labels(cache_path: Path) -> None:
    segments = [{"id": 1, "category_id": 0}]
    given = item(panoptic_map=np.ones(HW, np.int32), segments_info=segments)
    with pytest.raises(LabelPolicyError, match="panoptic segments keep the base's category_id"):
        composer_of(cache_path, label_policy=AnomalyLabels())(given)
    composer = composer_of(cache_path, label_policy=AnomalyLabels(), instances=InstanceMap(categories={}))
    with pytest.raises(LabelPolicyError, match="there is none for"):
        composer(given)
    categories = dict.fromkeys(composer.ids, 30)
    composer = composer_of(cache_path, label_policy=AnomalyLabels(), instances=InstanceMap(categories=categories))
    assert {info["category_id"] for info in composer(given)["segments_info"]} == {0, 30}


def test_maps_that_follow_are_not_warned_of(
    cache_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_pixel_maps, "_reported", set())
    with caplog.at_level(logging.INFO, logger="poc_aug"):
        composer_of(cache_path)(item(instances=base_map()))
        pan_seg, infos = panoptic_of(base_map())
        composer_of(cache_path, "inst")({**item(inst=base_map(), segments_info=infos), "panoptic": pan_seg})
        composer_of(cache_path, False, p=0.0)(item(instances=base_map()))  # nothing is inserted
        assert not caplog.records
        composer_of(cache_path, False)(item(instances=base_map()))
    (record,) = caplog.records
    assert "instances='instances'" in record.getMessage()
