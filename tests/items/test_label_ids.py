"""Which ids a map holds, and maps that are no class ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import Cityscapes

from poc_aug.dataset import POCAugmentedDataset
from poc_aug.errors import SchemaError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items.label_ids import distinct_ids, no_classes
from poc_aug.items.open_item import label_canvas
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import SCHEMAS, LabelSchema, check_label_ids
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe
from tests.helpers.item_forms import IDS, LABELS

LABEL_IDS = SCHEMAS["cityscapes-labelIds"]


@given(
    st.sampled_from(["u1", "i1", "i2", ">i2", "u2", "i4", ">u4", "i8"]),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 2**32 - 1),
)
def test_all_ids_are_found_and_no_others(dtype: str, height: int, width: int, seed: int) -> None:
    labels = _runs(dtype, height, width, seed)
    assert distinct_ids(labels) == set(np.unique(labels).tolist())
    assert distinct_ids(labels[::-1, ::2]) == set(np.unique(labels[::-1, ::2]).tolist())


def _runs(dtype: str, height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    few = rng.integers(limits.min, limits.max, 5, dtype=np.int64, endpoint=True)
    return np.repeat(rng.choice(few, -(-height * width // 4)), 4)[: height * width].reshape(height, width).astype(dtype)


@pytest.mark.parametrize("form", LABELS)
def test_every_form_of_labels_tells_its_ids_and_points(form: str) -> None:
    canvas = label_canvas(LABELS[form](), "k")
    assert canvas.ids() == set(np.unique(IDS).tolist())
    assert canvas.probe([0, 5, 16], [10, 2]) == IDS[np.ix_([0, 5, 16], [10, 2])].reshape(-1).tolist()


def test_semantic_maps_of_many_classes_are_no_instances() -> None:
    """Without a schema, nothing that may be classes is refused: 0 to 3,687 are those of the full ADE20K."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        assert no_classes(frozenset(rng.integers(0, 3688, rng.integers(1, 60)).tolist())) is None
    few = [{0, 1, 255}, {0, 7, 65535}, {-1, 5}, {0, 3, 2**31 - 1}, {1000, 5}, {256}, {512, 256}, {0, 1000, 2000, 3000}]
    for ids in (*few, set(range(3688))):
        assert no_classes(ids) is None
    wide = LabelSchema("ADE-full", {f"class {number}": number for number in range(3688)}, ignore=(65535,))
    check_label_ids(frozenset({0, 1024, 2048, 2816, 65535}), wide, "k")
    many = LabelSchema("panoptic on purpose", {f"class {number}": number * 70000 for number in range(9)})
    check_label_ids(frozenset({70000, 140000, 210000}), many, "k")


@pytest.mark.parametrize(
    ("ids", "named"),
    [
        ({0, 1, 4, 7, 11, 26000, 26001}, 'target_type="semantic"'),
        ({7, 24003}, "ids // 1000"),
        ({0, 2, 3, 25, 35, 6000, 12000, 12001, 12002, 255}, "ids // 1000"),
        ({1792, 2048, 2816, 6657, 6658}, "ids // 256"),
        ({13 * 256, 27 * 256, 61 * 256, 55 * 256 + 1, 55 * 256 + 2, 48 * 256 + 1}, "ids // 256"),
        ({0, 3500000, 7000000, 12000001}, "category_id"),
        (set(range(0, 30000, 5)), 'target_type="semantic"'),
    ],
    ids=["Cityscapes", "one thing", "IDD", "KITTI", "Mapillary", "panoptic", "disparity"],
)
@pytest.mark.parametrize(
    "schema", [None, LABEL_IDS, SCHEMAS["cityscapes-trainIds"]], ids=["unknown", "labelIds", "trainIds"]
)
def test_maps_that_are_no_classes_are_named(ids: set[int], named: str, schema: LabelSchema | None) -> None:
    with pytest.raises(SchemaError, match=r"labels of 'frame 3' ") as caught:
        check_label_ids(frozenset(ids), schema, "frame 3")
    assert named in caught.value.hint


def test_single_ids_and_depth_are_not_called_instances() -> None:
    train_ids = SCHEMAS["cityscapes-trainIds"]
    for ids in ({0, 300}, {0, 1, 1003}, set(range(0, 9000, 17))):
        with pytest.raises(SchemaError) as caught:
            check_label_ids(frozenset(ids), train_ids, "k")
        assert "instance" not in str(caught.value)
    with pytest.raises(SchemaError, match="instance ids"):  # class * 256 + number of a schema that is not Cityscapes'
        check_label_ids(frozenset({0, 1, 13 * 256, 13 * 256 + 1, 11 * 256 + 4}), train_ids, "k")


class Wide(Frames):
    """Frames whose labels are turned into another kind of map."""

    def __init__(self, turn: Any, schema: LabelSchema | None) -> None:
        super().__init__(2)
        self.turn, self.schema = turn, schema  # type: ignore[assignment]

    def __getitem__(self, index: int) -> Any:
        image, labels = super().__getitem__(index)
        return image, self.turn(np.asarray(labels))


def as_instances(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == 255, 3, np.where(labels == 0, 7, 26001)).astype(np.uint16)


@pytest.mark.parametrize(
    "form",
    [Image.fromarray, torch.from_numpy, lambda ids: torch.from_numpy(ids.astype(np.int64))],
    ids=["I;16", "u2", "i8"],
)
@pytest.mark.parametrize("schema", [None, LABEL_IDS], ids=["unknown", "labelIds"])
def test_instance_maps_are_refused_when_warming_and_when_reading(
    tmp_path: Path, form: Any, schema: LabelSchema | None
) -> None:
    pipeline = InsertionPipeline(make_recipe(location=[]), EllipseInserter())
    wide = Wide(lambda labels: form(as_instances(labels)), schema)
    with pytest.raises(Exception, match=r"'frame-000'(.|\n)*instance ids \(26001 = class 26 \* 1000 \+ 1\)"):
        warm_cache(wide, tmp_path / "a.cache", pipeline, num_variants=1, workers=0)
    path = tmp_path / "b.cache"
    warm_cache(Frames(2), path, pipeline, num_variants=1, workers=0)
    for p in (0.0, 1.0):
        with pytest.raises(SchemaError, match=r"'frame-000'.*instance ids") as caught:
            POCAugmentedDataset(wide, path, OodLabels(254, known={}), p=p)[0]
        assert 'target_type="semantic"' in caught.value.hint


@pytest.mark.parametrize("schema", [None, "cityscapes-labelIds", "cityscapes-trainIds"])
def test_real_instance_and_semantic_maps(real_data: Path, schema: str | None) -> None:
    known = None if schema is None else SCHEMAS[schema]
    scenes = real_data / "scenes"
    instances = [*scenes.glob("cityscapes/gtFine/*/*/*_instanceIds.png"), *scenes.glob("kitti5_cropped/instance/*.png")]
    assert len(instances) == 9
    for path in instances:
        ids = label_canvas(Image.open(path), path.name).ids()
        assert ids == set(np.unique(np.asarray(Image.open(path))).tolist())
        with pytest.raises(SchemaError, match=path.name) as caught:
            check_label_ids(ids, known, path.name)
        assert ("ids // 1000" if "gtFine" in str(path) else "ids // 256") in caught.value.hint
    semantic = [
        *scenes.glob("cityscapes/gtFine/*/*/*Ids.png"), *scenes.glob("kitti5_cropped/semantic/*.png"),
        *scenes.glob("camvid/*annot/*.png"), *scenes.glob("idd20k_lite/gtFine/*/*/*_label.png"),
    ]  # fmt: skip
    for path in semantic:
        if "instanceIds" not in path.name:
            check_label_ids(label_canvas(Image.open(path), path.name).ids(), None, path.name)


def test_torchvisions_instance_target(real_data: Path, tmp_path: Path) -> None:
    def frames(target: str) -> Any:
        return Cityscapes(real_data / "scenes" / "cityscapes", split="train", mode="fine", target_type=target)

    path = tmp_path / "a.cache"
    pipeline = InsertionPipeline(make_recipe(location=[]), EllipseInserter())
    warm_cache(frames("semantic"), path, pipeline, num_variants=1, limit=1, workers=0)
    for schema in (None, "cityscapes-labelIds"):
        with pytest.raises(SchemaError, match=r"look like instance ids \(33\d\d\d = class 33 \* 1000") as caught:
            POCAugmentedDataset(frames("instance"), path, OodLabels(254, known={}), schema=schema, p=1.0)[0]
        assert 'target_type="semantic"' in caught.value.hint
