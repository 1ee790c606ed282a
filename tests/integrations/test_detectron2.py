"""`PocMapper`: semantic, instance and panoptic mappers of detectron2 see composed frames."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from poc_aug.cache import Cache
from poc_aug.composer import Composer
from poc_aug.errors import ItemFormatError, LabelPolicyError, PocAugError, SampleReadError, SchemaError, SettingError
from poc_aug.exporting.mask_polygons import edge_outlines
from poc_aug.integrations.detectron2 import PocMapper
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.schema import LabelSchema
from tests.helpers.dataset_cases import keep
from tests.helpers.fakes import SCHEMA
from tests.helpers.mapper_cases import (
    BoxMode,
    DatasetMapper,
    MapDataset,
    Mapper,
    PanopticMapper,
    SemanticMapper,
    mask_of,
)
from tests.helpers.mmseg_cases import LENGTH, VARIANTS, places, red_cache, shown_variant, write_frames

NEW = NewClassLabels({"dog": 3, "cat": 4})
THINGS = LabelSchema("things", {"car": 2})
SIZE = (48, 65)
PARKED = (slice(16, 44), slice(3, 40))  # most of the road, which is where objects are inserted


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return red_cache(tmp_path_factory.mktemp("mappers") / "frames.cache")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames, labels, and panoptic maps: sky 300, road 70,000, a car 66 in it; void where they are ignored."""
    root = write_frames(tmp_path_factory.mktemp("mappers") / "data")
    (root / "pan").mkdir()
    for file in sorted((root / "ann").glob("*.png")):
        labels = np.array(Image.open(file))
        numbers = np.select([labels == 1, labels == 0], [300, 70_000], 0)
        colours = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1)
        Image.fromarray(colours.astype(np.uint8)).save(root / "pan" / file.name)
    return root


def dicts(root: Path, *parts: str) -> list[dict[str, Any]]:
    """Dataset dicts with ``sem``, ``pan`` or ``ann``."""
    found = []
    for number, image in enumerate(sorted((root / "img").glob("*.png"))):
        each: dict[str, Any] = {"file_name": str(image), "height": SIZE[0], "width": SIZE[1], "image_id": number}
        if "sem" in parts:
            each["sem_seg_file_name"] = str(root / "ann" / image.name)
        if "pan" in parts:
            each["pan_seg_file_name"] = str(root / "pan" / image.name)
            each["segments_info"] = [
                {"id": 300, "category_id": 1, "iscrowd": 0, "area": 16 * 64},
                {"id": 70_000, "category_id": 0, "iscrowd": 0, "area": 32 * 64},
            ]
        found.append(each)
    return found


def parked_car(form: str) -> dict[str, Any]:
    """An annotation of a base object that covers a part of the road."""
    mask = np.zeros(SIZE, np.bool_)
    mask[PARKED] = True
    segmentation: Any = [
        [float(v) for corner in outline for v in corner] for outline in edge_outlines(torch.from_numpy(mask))
    ]
    if form != "polygons":
        from pycocotools import mask as coco

        segmentation = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    box = [3, 16, 37, 28]
    return {"bbox": box, "bbox_mode": BoxMode.XYWH_ABS, "category_id": 2, "iscrowd": 0, "segmentation": segmentation}


def as_results(mapped: dict[str, Any], labels: torch.Tensor) -> dict[str, Any]:
    """Image in BGR and labels, to be compared as those of mmsegmentation are."""
    return {"img": mapped["image"].permute(1, 2, 0).numpy(), "gt_seg_map": labels.numpy()}


def shown(cache_path: Path, before: dict[str, Any], after: dict[str, Any], name: str = "sem_seg") -> int:
    key = Path(after["file_name"]).stem
    return shown_variant(Cache.open(cache_path), key, as_results(before, before[name]), as_results(after, after[name]))


def objects(cache_path: Path, file_name: str, number: int) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Classes and visible masks of what a variant shows, far to near, from the record of the cache."""
    variant = Cache.open(cache_path).get(Path(file_name).stem, number)
    assert variant is not None
    found: list[tuple[str, np.ndarray[Any, Any]]] = []
    for insertion in variant.insertions:
        for part in insertion.parts:
            mask = np.zeros(SIZE, np.bool_)
            y, x, h, w = insertion.box_yxhw
            mask[y : y + h, x : x + w] = part.mask.numpy()
            found = [(name, other & ~mask) for name, other in found]
            found.append((part.name, mask))
    return [(name, mask) for name, mask in found if mask.any()]


def test_a_semantic_mapper_sees_composed_frames(cache_path: Path, frames: Path) -> None:
    mapper = SemanticMapper()
    wrapped = PocMapper(mapper, cache_path, OodLabels(254), schema=SCHEMA, p=1.0)
    for given in dicts(frames, "sem"):
        before, untouched = mapper(given), copy.deepcopy(given)
        after = wrapped(given)
        assert given == untouched
        assert after["file_name"] == given["file_name"]
        number = shown(cache_path, before, after)
        assert number >= 0
        red = (after["image"].permute(1, 2, 0) == torch.tensor([0, 0, 255])).all(dim=-1)  # BGR
        assert red.sum() > 10
        assert set(after["sem_seg"][red].tolist()) <= {254, 2}
        assert set(after["instances"].gt_classes.tolist()) == set(after["sem_seg"].unique().tolist()) - {255}
        rgb = PocMapper(SemanticMapper("RGB"), cache_path, schema=SCHEMA, p=1.0, variant=number)(given)
        assert torch.equal(rgb["image"].flip(0), after["image"])


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_panoptic_mapper_sees_composed_frames(cache_path: Path, frames: Path, with_labels: bool) -> None:
    mapper = PanopticMapper()
    for number in range(VARIANTS):
        wrapped = PocMapper(mapper, cache_path, NEW, schema=SCHEMA, p=1.0, variant=number)
        for given in dicts(frames, "pan", *(["sem"] if with_labels else [])):
            before, after = mapper(given), wrapped(given)
            assert ("sem_seg" in after) == with_labels
            assert shown(cache_path, before, after, "pan_seg") in (number, -1)
            inserted = objects(cache_path, given["file_name"], number)
            infos = after["segments_info"]
            assert [info["id"] for info in infos] == [300, 70_000, *range(70_001, 70_001 + len(inserted))]
            ids = {"dog": 3, "cat": 4, "car": 2}
            for info, mask, (name, expected) in zip(infos[2:], after["instances"].gt_masks[2:], inserted, strict=True):
                assert info["category_id"] == ids[name]
                assert np.array_equal(mask.numpy(), expected)
            union = np.any([mask for _, mask in inserted], axis=0)
            for mask, old in zip(after["instances"].gt_masks, before["instances"].gt_masks, strict=False):
                assert np.array_equal(mask.numpy(), old.numpy() & ~union)
            assert [info["area"] for info in infos] == after["instances"].gt_masks.sum((1, 2)).tolist()
            if with_labels:
                assert shown(cache_path, before, after) in (number, -1)


@pytest.mark.parametrize("form", ["polygons", "run lengths"])
def test_an_instance_mapper_sees_composed_frames(cache_path: Path, frames: Path, form: str) -> None:
    mapper = DatasetMapper(mask_format="polygon" if form == "polygons" else "bitmask")
    cut = 0
    for number in range(VARIANTS):
        wrapped = PocMapper(mapper, cache_path, NEW, schema=THINGS, p=1.0, variant=number)
        for given in dicts(frames):
            given["annotations"] = [parked_car(form)]
            untouched, before, after = copy.deepcopy(given), mapper(given), wrapped(given)
            assert given == untouched
            inserted = objects(cache_path, given["file_name"], number)
            union = np.any([mask for _, mask in inserted], axis=0)
            changed = (before["image"] != after["image"]).any(dim=0).numpy()
            support = places(Cache.open(cache_path), Path(given["file_name"]).stem, SIZE)[number][1]
            assert changed[union].mean() > 0.9
            assert not (changed & ~support).any()
            found = after["instances"]
            parked = before["instances"].gt_masks[0].numpy()
            cut += int((parked & union).any())
            expected = [
                (2, parked & ~union),
                *(({"dog": 3, "cat": 4, "car": 2}[name], mask) for name, mask in inserted),
            ]
            assert found.gt_classes.tolist() == [category for category, _ in expected]
            for mask, box, (_, wanted) in zip(found.gt_masks.numpy(), found.gt_boxes, expected, strict=True):
                assert np.array_equal(mask, wanted)
                rows, cols = np.nonzero(wanted)
                assert box.tolist() == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]
    assert cut > 3


def test_annotations_of_other_forms(cache_path: Path, frames: Path) -> None:
    def mapped(annotations: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
        given = {**dicts(frames)[0], "annotations": annotations}
        wrapped = PocMapper(lambda each: each, cache_path, NEW, schema=THINGS, p=1.0, variant=1, **settings)
        return wrapped(given)["annotations"]  # type: ignore[no-any-return]

    names = [name for name, _ in objects(cache_path, "frame-000.png", 1)]
    hidden = [{"bbox": [0, 0, 2, 2], "bbox_mode": 0, "category_id": 0}]
    boxes = mapped(hidden)
    assert boxes[0] == hidden[0]
    assert all("segmentation" not in each for each in boxes)
    assert len(boxes) == 1 + len(names)
    posed = mapped([{**hidden[0], "keypoints": [1.0, 2.0, 2.0] * 3}])
    assert posed[1]["keypoints"] == [0.0] * 9
    alone = mapped([])
    assert len(alone) == len(names)
    assert all(isinstance(each["segmentation"], list) for each in alone)
    crowd = {**parked_car("run lengths"), "iscrowd": 1, "area": 9}  # comes first, and has run lengths as COCO's do
    for crowds in ([crowd], [crowd, parked_car("polygons")]):
        new = mapped(crowds)[len(crowds) :]
        assert [(type(each["segmentation"]), each["iscrowd"]) for each in new] == [(list, 0)] * len(names)
        assert all(each["area"] > 0 for each in new)
    everything = dict.fromkeys(["dog", "cat", "car"])
    assert mapped([], categories=everything) == []
    assert {each["category_id"] for each in mapped([], categories=dict.fromkeys(everything, 7))} == {7}
    whole = [{"bbox": [0, 0, 65, 48], "bbox_mode": 0, "category_id": 2, "segmentation": "RLE"}]
    for wrong in ([{"bbox": [0, 0, 9, 9], "bbox_mode": 4, "category_id": 0}], whole):
        with pytest.raises(ItemFormatError, match="an annotation has"):
            mapped(wrong)


def test_polygons_give_exactly_the_mask() -> None:
    rng = np.random.default_rng(0)
    for density in (0.2, 0.5, 0.8, 0.95) * 10:
        mask = np.pad(rng.random(rng.integers(1, 24, 2)) < density, 3)
        outlines = [
            [float(value) for corner in each for value in corner] for each in edge_outlines(torch.from_numpy(mask))
        ]
        filled = mask_of(outlines, *mask.shape) if outlines else np.zeros_like(mask)
        assert np.array_equal(filled, mask)


def test_a_hidden_object_is_left_out_and_void_ones_get_no_annotation(cache_path: Path, frames: Path) -> None:
    _, mask = objects(cache_path, "frame-000.png", 0)[0]
    rows, cols = np.nonzero(mask)
    y, x = int(np.median(rows)), int(np.median(cols[rows == int(np.median(rows))]))
    tiny = {"bbox": [x, y, x + 1, y + 1], "bbox_mode": 0, "category_id": 2, "iscrowd": 0}
    tiny["segmentation"] = [[x, y, x + 1, y, x + 1, y + 1, x, y + 1]]
    given = {**dicts(frames)[0], "annotations": [tiny, parked_car("polygons")]}
    schema = LabelSchema("things", {"car": 2}, ignore=(255,))
    mapper = PocMapper(lambda each: each, cache_path, OodLabels(255, void=True), schema=schema, p=1.0, variant=0)
    cars = [name for name, _ in objects(cache_path, "frame-000.png", 0) if name == "car"]
    assert len(mapper(given)["annotations"]) == 1 + len(cars)


def test_frames_without_insertions_are_mapped_from_their_own_files(cache_path: Path, frames: Path) -> None:
    seen: list[dict[str, Any]] = []
    PocMapper(seen.append, cache_path, NEW, schema=SCHEMA, p=0.0)(given := dicts(frames, "sem", "pan")[0])
    assert seen == [given]


def test_files_of_composed_frames_are_gone_afterwards(cache_path: Path, frames: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "memory").mkdir()

    def failing(dataset_dict: dict[str, Any]) -> None:
        assert Path(dataset_dict["file_name"]).is_file()
        assert folder in Path(dataset_dict["file_name"]).parents
        raise KeyError("a mapper's own error")

    mapper = PocMapper(failing, cache_path, NEW, schema=SCHEMA, p=1.0, folder=folder)
    with pytest.raises(KeyError):
        mapper(dicts(frames, "sem")[0])
    assert not any(folder.iterdir())
    none: Callable[[Any], Any] = lambda dataset_dict: None  # noqa: E731  # detectron2 then takes another item
    assert PocMapper(none, cache_path, NEW, schema=SCHEMA, p=1.0)(dicts(frames, "sem")[0]) is None


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_an_endless_loader_shows_another_draw_each_time(cache_path: Path, frames: Path, start: str) -> None:
    mapper = PocMapper(SemanticMapper(), cache_path, OodLabels(254), schema=SCHEMA, p=0.8)
    again = pickle.loads(pickle.dumps(mapper))
    items = dicts(frames, "sem")
    order = [*range(LENGTH)] * 4
    loader = DataLoader(
        MapDataset(items, mapper), 1, sampler=order, num_workers=2, multiprocessing_context=start, collate_fn=keep
    )
    before = [SemanticMapper()(each) for each in items]
    draws = [shown(cache_path, before[batch[0]["image_id"]], batch[0]) for batch in loader]
    assert all(len(set(draws[index::LENGTH])) > 1 for index in range(LENGTH))
    assert draws == [shown(cache_path, before[index], again(items[index])) for index in order]


def test_a_composer_may_be_given(cache_path: Path, frames: Path) -> None:
    composer = Composer(cache_path, OodLabels(254), schema=SCHEMA, p=1.0, redraw="read", key="file_name")
    after = PocMapper(SemanticMapper(), composer)(given := dicts(frames, "sem")[0])
    assert shown(cache_path, SemanticMapper()(given), after) >= 0
    with pytest.raises(SettingError, match="a Composer, and settings of one"):
        PocMapper(SemanticMapper(), composer, p=0.5)


def test_labels_of_16_bits_and_paths_on_a_store(
    cache_path: Path, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dicts(frames, "sem")[0]
    wide = np.array(Image.open(given["sem_seg_file_name"])).astype(np.uint16)
    Image.fromarray(np.where(wide == 255, 255, wide + 3000).astype(np.uint16)).save(tmp_path / "wide.png")
    schema = LabelSchema("wide", {"road": 3000, "sky": 3001, "car": 3002}, ignore=(255,))
    stored = {**given, "sem_seg_file_name": "store://wide.png"}
    module: Any = ModuleType("detectron2.utils.file_io")

    class PathManager:
        @staticmethod
        def open(path: str, mode: str) -> Any:
            return open(path.replace("store:/", str(tmp_path)), mode)

    module.PathManager = PathManager
    monkeypatch.setitem(sys.modules, "detectron2.utils.file_io", module)
    after = PocMapper(SemanticMapper(), cache_path, OodLabels(4000), schema=schema, p=1.0)(stored)
    assert set(after["sem_seg"].unique().tolist()) <= {255, 3000, 3001, 3002, 4000}
    assert 4000 in after["sem_seg"] or 3002 in after["sem_seg"]


@pytest.mark.parametrize("parts", ["pan", "ann"])
def test_categories_of_a_policy_that_rewrites_labels_have_to_be_given(
    cache_path: Path, frames: Path, parts: str
) -> None:
    given = dicts(frames, parts)[0] | ({"annotations": [parked_car("polygons")]} if parts == "ann" else {})

    def mapped(**settings: Any) -> Any:
        return PocMapper(lambda each: each, cache_path, AnomalyLabels(), schema=SCHEMA, p=1.0, variant=1, **settings)(
            given
        )

    with pytest.raises(LabelPolicyError, match="keep the base's category_id: there is none for 'car', 'cat', 'dog'"):
        mapped()
    new = mapped(categories={"car": 2, "cat": 7, "dog": 7})["annotations" if parts == "ann" else "segments_info"]
    assert {each["category_id"] for each in new} <= {0, 1, 2, 7}
    assert new[-1]["category_id"] in (2, 7)


def test_what_is_wrong_is_explained(cache_path: Path, frames: Path, tmp_path: Path) -> None:
    def failing(given: Any, **settings: Any) -> PocAugError:
        with pytest.raises(PocAugError) as caught:
            PocMapper(Mapper().image, cache_path, NEW, **{"schema": SCHEMA, "p": 1.0, **settings})(given)
        return caught.value

    given = dicts(frames, "sem")[0]
    assert "test without it" in failing(dicts(frames)[0]).hint
    assert "without segments_info" in failing({**dicts(frames)[0], "pan_seg_file_name": "a.png"}).problem
    assert isinstance(failing([given]), ItemFormatError)
    assert "would not show" in failing({**given, "sem_seg": np.zeros(SIZE)}).problem
    assert isinstance(failing({**given, "sem_seg_file_name": str(tmp_path / "none.png")}), SampleReadError)
    assert isinstance(failing(given, schema={"ids": {"sky": 0, "road": 1, "car": 2}}), SchemaError)
    assert isinstance(failing(given, schema={"ids": {"sky": 1, "road": 3, "car": 2}}), LabelPolicyError)
    assert "'redraw'" in failing(given, redrew="read").hint
    assert "folder='/dev/shm'" in failing(given, folder=tmp_path / "none").hint
    with pytest.raises(SettingError, match="mapper="):
        PocMapper("mapper", cache_path)  # type: ignore[arg-type]
