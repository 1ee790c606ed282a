"""mmsegmentation's transform and detectron2's mappers on frames of Cityscapes, read on other ids than the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import Cityscapes

pytest.importorskip("mmcv")

from poc_aug.backends.paste.rle import decode_rle
from poc_aug.cache import Cache
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.integrations.detectron2 import PocMapper
from poc_aug.integrations.mmsegmentation import PocInsert
from poc_aug.labels.policies import NewClassLabels, OodLabels
from tests.helpers.fakes import make_recipe
from tests.helpers.mapper_cases import BoxMode, DatasetMapper, SemanticMapper
from tests.helpers.mmseg_cases import LoadLabelsAsMmseg, RedInserter, places, shown_variant

SIZE = (1024, 2048)
FRAMES = 2
RED = (0, 0, 255)  # in BGR
OBJECTS = 2


@pytest.fixture(scope="module")
def city(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A cache with dogs, cats and cars in some frames, and the files of these frames."""
    base = Cityscapes(real_data / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")
    path = tmp_path_factory.mktemp("city") / "city.cache"
    recipe = make_recipe(size={"kind": "pixels", "min_px": 80, "max_px": 200}, objects_per_variant=[OBJECTS, OBJECTS])
    pipeline = InsertionPipeline(recipe, RedInserter())
    warm_cache(Subset(base, range(FRAMES)), path, pipeline, num_variants=2, workers=0)
    return path, [Path(image) for image in base.images[:FRAMES]]


def annotation_file(image: Path, ending: str) -> Path:
    stem = image.name.removesuffix("_leftImg8bit.png")
    folder = Path(*(part if part != "leftImg8bit" else "gtFine" for part in image.parent.parts))
    return folder / f"{stem}_gtFine_{ending}.png"


def key_of(cache: Cache, image: Path) -> str:
    return next(key for key in cache.keys() if key.endswith(image.name))


def test_mmsegmentation_reads_it_on_train_ids_and_on_fewer_classes(city: tuple[Path, list[Path]]) -> None:
    from mmcv.transforms import LoadImageFromFile

    path, images = city
    cache = Cache.open(path)
    # road, sidewalk and vehicles, of trainIds: all else is ignored.
    few = dict.fromkeys(range(19), 255) | {0: 0, 1: 1, 13: 2, 14: 2, 15: 2}
    for label_map, car in ((None, 13), (few, 2)):
        insert = PocInsert(path, schema="cityscapes-trainIds", p=1.0, redraw="read")
        for image in images:
            results = LoadImageFromFile()({"img_path": str(image)})
            results |= {"seg_map_path": str(annotation_file(image, "labelTrainIds")), "seg_fields": []}
            results |= {"label_map": label_map, "reduce_zero_label": False}
            before = LoadLabelsAsMmseg()(results)
            after = insert(dict(before))
            number = shown_variant(cache, key_of(cache, image), before, after)
            mask, _, names = places(cache, key_of(cache, image), SIZE)[number]
            found = set(np.unique(after["gt_seg_map"][mask]).tolist())
            assert found == {car if name == "car" else 254 for name in names}
            assert (after["img"][mask] == RED).all(axis=-1).mean() > 0.95


def dataset_dict(image: Path, *, things: bool) -> dict[str, Any]:
    height, width = SIZE
    found: dict[str, Any] = {"file_name": str(image), "height": height, "width": width, "image_id": image.stem}
    if not things:
        return {**found, "sem_seg_file_name": str(annotation_file(image, "labelTrainIds"))}
    from pycocotools import mask as coco

    ids = np.array(Image.open(annotation_file(image, "instanceIds")))
    annotations = []
    for number in np.unique(ids[ids >= 24_000]).tolist():
        mask = ids == number
        rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        rows, cols = np.nonzero(mask)
        box = [int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1]
        annotations.append(
            {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": number // 1000, "segmentation": rle}
        )
    return {**found, "annotations": annotations}


def test_mappers_read_it(city: tuple[Path, list[Path]]) -> None:
    path, images = city
    cache = Cache.open(path)
    semantic = PocMapper(SemanticMapper(), path, OodLabels(254), schema="cityscapes-trainIds", p=1.0)
    ids = {"dog": 100, "cat": 101, "car": 26}
    things = PocMapper(DatasetMapper(mask_format="bitmask"), path, NewClassLabels(ids), p=1.0, variant=0)
    for image in images:
        given = dataset_dict(image, things=False)
        before, after = SemanticMapper()(given), semantic(given)
        as_results = [
            {"img": each["image"].permute(1, 2, 0).numpy(), "gt_seg_map": each["sem_seg"].numpy()}
            for each in (before, after)
        ]
        number = shown_variant(cache, key_of(cache, image), *as_results)
        mask, _, names = places(cache, key_of(cache, image), SIZE)[number]
        assert set(after["sem_seg"][mask].tolist()) == {13 if name == "car" else 254 for name in names}

        given = dataset_dict(image, things=True)
        found = things(given)["instances"]
        mask, _, names = places(cache, key_of(cache, image), SIZE)[0]
        inserted = found.gt_masks[-OBJECTS:]
        assert torch.equal(inserted.any(dim=0), torch.from_numpy(mask))
        assert set(found.gt_classes[-OBJECTS:].tolist()) == {ids[name] for name in names}
        old = [decode_rle(each["segmentation"]).numpy() & ~mask for each in given["annotations"]]
        visible = [each for each in old if each.any()]
        assert len(visible) == len(found.gt_masks) - OBJECTS > 5
        assert all(np.array_equal(each, kept) for each, kept in zip(visible, found.gt_masks.numpy(), strict=False))
