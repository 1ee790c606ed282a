"""Real street scenes with real cut-outs: composed frames are exported, imported again, and compose to the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import Cityscapes

from poc_aug.cache import Cache
from poc_aug.cli.object_sources import ObjectChoice, load_objects
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.exporting.exporter import export
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.importing import classes_named, import_pairs, matched_pairs
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import schema_of
from poc_aug.labels.policies import NewClassLabels, OodLabels
from poc_aug.labels.schema import SCHEMAS
from tests.helpers.cache_cases import stored_variant

TRAIN_IDS = SCHEMAS["cityscapes-trainIds"]

# Of pycocotools 2.0.11 with NumPy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def made(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two frames with two variants of cut-outs, their dataset, and the ids of the new classes."""
    from torch.utils.data import Subset

    whole = Cityscapes(real_data / "scenes" / "cityscapes", split="train", mode="fine", target_type="semantic")
    base = Subset(whole, [0, 2])
    source = str(real_data / "objects" / "coco_mini" / "instances.json")
    recipe, inserter = load_objects(
        source, ObjectChoice(camera="cityscapes", per_variant=(2, 3)), schema=schema_of(whole)
    )
    path = tmp_path_factory.mktemp("real") / "frames.cache"
    report = warm_cache(base, path, InsertionPipeline(recipe, inserter), num_variants=2, workers=0)
    assert report.objects >= 4
    names = dict.fromkeys(part for spec in recipe.objects for part in spec.parts)
    new = {name: 19 + number for number, name in enumerate(name for name in names if name not in TRAIN_IDS)}
    return base, path, new, [name for name in names if name in TRAIN_IDS]


def shown(dataset: POCAugmentedDataset, number: int) -> tuple[np.ndarray, np.ndarray]:
    image, labels = dataset[number]
    return np.array(image), np.array(labels)


def test_exported_and_imported_frames_are_the_same(made: Any, tmp_path: Path) -> None:
    base, path, new, known = made
    export(base, path, "cs-synth", tmp_path / "out", labels=NewClassLabels(new), workers=0)
    edited = matched_pairs(
        tmp_path / "out", "leftImg8bit/train/*/*.png", "gtFine/train/*/*.png", keys=dataset_keys(base)
    )
    classes = classes_named(TRAIN_IDS, new, known=known)
    report = import_pairs(base, edited, tmp_path / "again.cache", classes, workers=0)
    assert (report.stored, report.lost) == (4, 0)
    with Cache.open(path) as before, Cache.open(tmp_path / "again.cache") as after:
        assert after.verify().ok
        for key, index in before:
            first, second = stored_variant(before, key, index), stored_variant(after, key, index)
            assert sorted(one.object_name for one in first.insertions) == sorted(
                one.object_name for one in second.insertions
            )
            assert first.digest == second.digest
            assert first.label_digest == second.label_digest
    labels = NewClassLabels({name: 100 + number for number, name in enumerate(new)})  # on the base's labelIds
    for variant in (0, 1):
        datasets = [
            POCAugmentedDataset(base, cache, labels, p=1.0, variant=variant)
            for cache in (path, tmp_path / "again.cache")
        ]
        for number in range(2):
            (image, ids), (image_again, ids_again) = (shown(dataset, number) for dataset in datasets)
            assert (image == image_again).all()
            assert (ids == ids_again).all()


def test_layouts_hold_as_many_ood_pixels_as_the_dataset(made: Any, tmp_path: Path) -> None:
    base, path, *_ = made
    truth = {}
    for variant in (0, 1):
        dataset = POCAugmentedDataset(base, path, OodLabels(254), p=1.0, variant=variant)
        for number, key in enumerate(dataset.keys):
            stem = Path(key).stem.partition("_leftImg8bit")[0]
            truth[f"{stem}_v{variant}"] = int((shown(dataset, number)[1] == 254).sum())
    assert min(truth.values()) > 100
    for layout in ("coco", "webdataset", "huggingface", "fiftyone"):
        report = export(base, path, layout, tmp_path / layout, labels=OodLabels(254), workers=0)
        assert (report.written, report.ood_px) == (4, sum(truth.values()))
    coco = COCO(str(tmp_path / "coco" / "annotations" / "instances_train.json"))
    ood = {one["id"] for one in coco.dataset["categories"] if one["label_id"] == 254}
    for image in coco.dataset["images"]:
        with Image.open(tmp_path / "coco" / "labels" / "train" / image["file_name"]) as picture:
            labels = np.array(picture)
        mask = np.zeros(labels.shape, bool)
        for one in coco.imgToAnns[image["id"]]:
            drawn = coco.annToMask(one).astype(bool)
            assert drawn.sum() == one["area"]
            mask |= drawn if one["category_id"] in ood else False
        assert (mask == (labels == 254)).all()
        assert mask.sum() == truth[Path(image["file_name"]).stem]
    rows = (tmp_path / "huggingface" / "data" / "train" / "metadata.jsonl").read_text().splitlines()
    for row in map(json.loads, rows):
        with Image.open(tmp_path / "huggingface" / "data" / "train" / row["annotation_file_name"]) as picture:
            assert int((np.array(picture) == 254).sum()) == truth[row["name"]]
    for name, count in truth.items():
        with Image.open(tmp_path / "fiftyone" / "train" / "labels" / f"{name}.png") as picture:
            assert int((np.array(picture) == 254).sum()) == count
