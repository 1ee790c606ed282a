"""`PocInsert`: insertions within a pipeline of mmsegmentation, whatever it makes of the label ids."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mmcv")

from mmengine.registry import TRANSFORMS, DefaultScope, Registry  # type: ignore[import-untyped]

from poc_aug.cache import Cache
from poc_aug.errors import (
    CacheDatasetMismatchError,
    CacheMissError,
    CacheNotFoundError,
    ItemFormatError,
    LabelPolicyError,
    MissingDependencyError,
    PocAugError,
    SchemaError,
    SettingError,
)
from poc_aug.integrations import _mmseg_insert as mmseg_insert
from poc_aug.integrations._mmseg_labels import mapped_schema
from poc_aug.integrations.mmsegmentation import PocInsert
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import LabelSchema
from tests.helpers.fakes import SCHEMA
from tests.helpers.mmseg_cases import LOADING, RED_BGR, FolderAsMmseg, places, red_cache, shown_variant, write_frames

SCHEMA_DICT = {"ids": dict(SCHEMA.ids), "ground": ["road"]}
# As files have them whose 0 is not trained on: mmsegmentation's reduce_zero_label.
FROM_ONE = {"ids": {"other": 0, "road": 1, "sky": 2, "car": 3}, "ignore": [0, 255]}


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return red_cache(tmp_path_factory.mktemp("mmseg") / "frames.cache")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("mmseg") / "data")


@pytest.fixture(scope="module")
def frames_from_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(
        tmp_path_factory.mktemp("mmseg") / "data", lambda ids: np.where(ids == 255, 0, ids + 1).astype(np.uint8)
    )


def inserting(cache_path: Path, **settings: Any) -> dict[str, Any]:
    return {"type": "PocInsert", "cache": str(cache_path), "schema": SCHEMA_DICT, "p": 1.0, **settings}


def read(root: Path, transform: dict[str, Any] | None = None, **dataset: Any) -> list[dict[str, Any]]:
    ds = FolderAsMmseg(data_root=str(root), pipeline=[*LOADING, *([transform] if transform else [])], **dataset)
    return [ds[index] for index in range(len(ds))]


def key_of(results: dict[str, Any]) -> str:
    return Path(results["img_path"]).stem


def test_objects_are_inserted_into_image_and_labels(cache_path: Path, frames: Path) -> None:
    cache = Cache.open(cache_path)
    for before, after in zip(read(frames), read(frames, inserting(cache_path)), strict=True):
        number = shown_variant(cache, key_of(after), before, after)
        mask, _, names = places(cache, key_of(after), mask_size(after))[number]
        assert set(np.unique(after["gt_seg_map"][mask])) <= {254, 2}
        assert (254 in after["gt_seg_map"]) == bool(names - {"car"})
        assert {name: after[name] for name in after if name not in ("img", "gt_seg_map")} == {
            name: before[name] for name in before if name not in ("img", "gt_seg_map")
        }


def mask_size(results: dict[str, Any]) -> tuple[int, int]:
    height, width = results["gt_seg_map"].shape
    return height, width


def test_a_red_object_is_red(cache_path: Path, frames: Path) -> None:
    for after in read(frames, inserting(cache_path)):
        red = (after["img"] == RED_BGR).all(axis=-1)
        assert red.sum() > 10
        assert (after["gt_seg_map"][red] != 0).all()
    results = read(frames)[0]
    results["img"] = np.ascontiguousarray(results["img"][..., ::-1])
    rgb = PocInsert(cache_path, schema=SCHEMA, p=1.0, channel_order="rgb")(results)["img"]
    assert (rgb == RED_BGR[::-1]).all(axis=-1).sum() > 10


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32])
def test_the_dtype_of_labels_stays(cache_path: Path, frames: Path, dtype: Any) -> None:
    before = read(frames)[0]
    before["gt_seg_map"] = before["gt_seg_map"].astype(dtype)
    given = copy.deepcopy(before)
    after = PocInsert(cache_path, schema=SCHEMA, p=1.0)(before)
    assert shown_variant(Cache.open(cache_path), key_of(after), given, after) >= 0


def test_without_luck_nothing_changes(cache_path: Path, frames: Path) -> None:
    for before, after in zip(read(frames), read(frames, inserting(cache_path, p=0.0)), strict=True):
        assert shown_variant(Cache.open(cache_path), key_of(after), before, after) == -1


def test_mapped_ids_are_those_of_the_classes(cache_path: Path, frames: Path, frames_from_one: Path) -> None:
    swapped, merged = {0: 1, 1: 0, 2: 2}, {0: 0, 1: 1, 2: 0}
    cases: list[tuple[Path, dict[str, Any], dict[str, Any], int]] = [
        (frames_from_one, {"reduce_zero_label": True}, FROM_ONE, 2),
        (frames, {"label_map": swapped}, SCHEMA_DICT, 2),
        (frames, {"label_map": merged}, SCHEMA_DICT, 0),
        (frames_from_one, {"reduce_zero_label": True, "label_map": {0: 1, 1: 2, 2: 0}}, FROM_ONE, 0),
    ]
    cache = Cache.open(cache_path)
    for root, dataset, schema, car in cases:
        policy = {"type": "NewClassLabels", "ids": {"dog": 3, "cat": 4}}
        insert = inserting(cache_path, schema=schema, label_policy=policy)
        seen = set()
        for number in range(3):
            for before, after in zip(
                read(root, **dataset), read(root, {**insert, "variant": number}, **dataset), strict=True
            ):
                assert shown_variant(cache, key_of(after), before, after) in (number, -1)
                mask, _, names = places(cache, key_of(after), mask_size(after))[number]
                found = set(np.unique(after["gt_seg_map"][mask]).tolist())
                assert found <= {{"dog": 3, "cat": 4, "car": car}[name] for name in names}
                seen |= found
        assert seen == {3, 4, car}, dataset


def test_a_class_that_is_mapped_to_nothing_is_unknown(cache_path: Path, frames: Path) -> None:
    dropped = {"label_map": {0: 0, 1: 1, 2: 255}}
    for after in read(frames, inserting(cache_path), **dropped):
        assert set(np.unique(after["gt_seg_map"])) <= {0, 1, 254, 255}
        assert 254 in after["gt_seg_map"]
    policy = {"type": "NewClassLabels", "ids": {"dog": 2, "cat": 3}}
    with pytest.raises(LabelPolicyError, match=r"no label id for the inserted classes.*car"):
        read(frames, inserting(cache_path, label_policy=policy), **dropped)


def test_labels_that_were_not_mapped_are_noticed(cache_path: Path, frames: Path, frames_from_one: Path) -> None:
    # mmcv's own LoadAnnotations applies neither: ids, or the classes at some points, are wrong then.
    for root, dataset, schema in (
        (frames_from_one, {"reduce_zero_label": True}, FROM_ONE),
        (frames, {"label_map": {0: 1, 1: 0, 2: 2}}, SCHEMA_DICT),
    ):
        unmapped = read(root)
        for results in unmapped:
            results |= dataset
        with pytest.raises(SchemaError) as caught:
            PocInsert(cache_path, schema=schema, p=1.0)(copy.deepcopy(unmapped[0]))
        assert "mapped=False" in caught.value.hint
        given = copy.deepcopy(unmapped[0])
        after = PocInsert(cache_path, schema=schema, p=1.0, mapped=False)(unmapped[0])
        assert shown_variant(Cache.open(cache_path), key_of(after), given, after) >= 0


def test_the_schema_follows_what_is_loaded() -> None:
    files = LabelSchema("files", {"other": 0, "Road": 1, "sky": 2, "dog": 3}, (255, 4), ground=("road",), ood=("dog",))
    loaded = mapped_schema(files, reduce_zero_label=True)
    assert dict(loaded.ids) == {"other": 255, "Road": 0, "sky": 1, "dog": 2}
    assert (loaded.ignore, loaded.ground, loaded.ood) == ((255, 3), ("road",), ("dog",))
    dropped = mapped_schema(files, label_map={1: 255, 3: 255})
    assert (dropped.ignore, dropped.ground, dropped.ood) == ((255, 4), (), ())
    assert mapped_schema(files) is files
    # What was ignored and a class become one id: mmsegmentation trains on it, so it is no ignore id.
    assert mapped_schema(files, label_map={4: 1}).ignore == (255,)
    with pytest.raises(SchemaError, match=r"label_map=\{3: 1\}.*'Road' has the id of 'dog'"):
        mapped_schema(files, label_map={3: 1})
    with pytest.raises(SchemaError, match="id 300 of schema"):
        mapped_schema(LabelSchema("wide", {"road": 300}), label_map={0: 1})


def test_a_wrong_schema_is_noticed(cache_path: Path, frames: Path) -> None:
    with pytest.raises(SchemaError, match="show other classes"):
        read(frames, inserting(cache_path, schema={"ids": {"sky": 0, "road": 1, "car": 2}}))


def test_other_annotations_are_refused_unless_kept(cache_path: Path, frames: Path) -> None:
    edges = np.zeros((48, 65), np.uint8)
    for name, more in (
        ("gt_edge_map", {}),
        ("gt_bboxes", {}),
        ("gt_depth_map", {}),
        ("weather_map", {"seg_fields": ["gt_seg_map", "weather_map"]}),
    ):
        results = {**read(frames)[0], name: edges, **more}
        with pytest.raises(ItemFormatError, match=name) as caught:
            PocInsert(cache_path, schema=SCHEMA)(results)
        assert f"keep=['{name}']" in caught.value.hint
        kept = PocInsert(cache_path, schema=SCHEMA, p=1.0, keep=[name])(results)
        assert kept[name] is edges
        assert (kept["img"] == RED_BGR).all(axis=-1).any()


def test_a_wrong_place_in_the_pipeline_is_explained(cache_path: Path, frames: Path) -> None:
    insert = PocInsert(cache_path, schema=SCHEMA, p=1.0)
    loaded = read(frames)[0]

    def failing(changes: dict[str, Any], *dropped: str) -> PocAugError:
        results = {name: value for name, value in {**loaded, **changes}.items() if name not in dropped}
        with pytest.raises(PocAugError) as caught:
            insert(results)
        return caught.value

    assert "right after LoadAnnotations" in failing({"img": loaded["img"].astype(np.float32)}).hint
    assert "with_seg=True" in failing({}, "gt_seg_map").hint
    assert "right after LoadAnnotations" in failing({"inputs": 0}, "img", "gt_seg_map").hint
    resized = {"img": loaded["img"][::2, ::2], "gt_seg_map": loaded["gt_seg_map"][::2, ::2]}
    turned = {"img": loaded["img"][:, ::-1], "gt_seg_map": loaded["gt_seg_map"][:, ::-1], "flip": True}
    cropped = failing(resized)
    assert isinstance(cropped, CacheDatasetMismatchError)
    assert "img of (24, 33) instead of (48, 65)" in cropped.hint
    assert "changed already: flip" in failing(turned).hint
    assert isinstance(failing({"img_path": "elsewhere/other.png"}), CacheMissError)


def test_settings_are_checked(cache_path: Path, tmp_path: Path) -> None:
    def failing(**settings: Any) -> PocAugError:
        with pytest.raises(PocAugError) as caught:
            TRANSFORMS.build(inserting(cache_path, **settings))
        return caught.value

    typo = failing(redrow="read")
    assert isinstance(typo, SettingError)
    assert "'redrow'" in typo.problem
    assert "'redraw'" in typo.hint
    assert "'ood_id'" in failing(label_policy={"type": "OodLabels", "odd_id": 254}).hint
    assert "one of OodLabels" in failing(label_policy={"type": "Labels"}).expected
    assert "ood_id=250" in failing(label_policy=250).hint
    assert "cityscapes-trainIds" in failing(schema="cityscape-trainids").hint
    assert "dict(ids=" in failing(schema=19).expected
    assert isinstance(failing(cache=str(tmp_path / "none.cache")), CacheNotFoundError)
    assert isinstance(failing(p=2), SettingError)
    assert isinstance(failing(redraw="always"), SettingError)
    assert isinstance(failing(channel_order="gbr"), SettingError)
    assert "keep=['gt_depth_map']" in failing(keep="gt_depth_map").hint


def test_mmsegmentations_own_registry_finds_it(cache_path: Path) -> None:
    child = Registry("transform", parent=TRANSFORMS, scope="mmseg_for_a_test")
    with DefaultScope.overwrite_default_scope("mmseg_for_a_test"):
        assert isinstance(child.build(inserting(cache_path)), PocInsert)


def test_it_prints_as_a_transform_does(cache_path: Path) -> None:
    policy = {"type": "AnomalyLabels", "known": ["car"]}
    shown = repr(TRANSFORMS.build(inserting(cache_path, schema="camvid", label_policy=policy, keep=["gt_depth_map"])))
    assert shown == (
        f"PocInsert(cache={str(cache_path)!r}, label_policy=AnomalyLabels(known=('car',), ring_px=0), "
        "schema='camvid', p=1.0, redraw='read', seed=0, keep=['gt_depth_map'])"
    )


def test_each_read_shows_another_draw_in_copies_too(cache_path: Path, frames: Path) -> None:
    def drawn(insert: Any, reads: int = 12) -> list[int]:
        cache, before = Cache.open(cache_path), read(frames)[0]
        return [shown_variant(cache, key_of(before), before, insert(copy.deepcopy(before))) for _ in range(reads)]

    first = PocInsert(cache_path, schema=SCHEMA, p=0.7)
    copied, moved = copy.deepcopy(first), pickle.loads(pickle.dumps(first))
    draws = drawn(first)
    assert len(set(draws)) > 2
    assert drawn(copied) == draws
    assert drawn(moved) == draws
    assert drawn(first) != draws
    still = PocInsert(cache_path, schema=SCHEMA, p=0.7, redraw="epoch")
    assert len(set(drawn(still))) == 1
    epochs = []
    for epoch in range(12):
        still.set_epoch(epoch)
        epochs += drawn(still, 1)
    assert epochs == draws


def test_ranks_draw_for_themselves(cache_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmseg_insert._dist, "get_rank", lambda: 3)
    assert PocInsert(cache_path, schema=SCHEMA, seed=5).composer.seed == 8
    assert PocInsert(cache_path, schema=SCHEMA, seed=5, redraw="epoch").composer.seed == 5


def test_a_policy_and_a_schema_may_be_objects(cache_path: Path, frames: Path) -> None:
    policy = OodLabels(100, known={})
    after = PocInsert(cache_path, policy, LabelSchema("mine", SCHEMA.ids), 1.0)(read(frames)[0])
    assert 100 in after["gt_seg_map"]


def test_a_missing_package_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmcv.transforms", None)
    with pytest.raises(MissingDependencyError, match="'mmcv' cannot be imported") as caught:
        mmseg_insert.openmmlab("mmcv.transforms")
    assert caught.value.hint == "pip install mmengine mmcv-lite"
