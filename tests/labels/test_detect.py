from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torchvision
from torch.utils.data import ConcatDataset, Dataset, Subset

from poc_aug.errors import SchemaError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.items.open_item import open_item
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import find_schema, require_schema, schema_of
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from tests.helpers.fakes import EllipseInserter, make_recipe
from tests.helpers.small_files import put


def cityscapes(root: Path, cls: type = torchvision.datasets.Cityscapes, **more: Any) -> Any:
    put(
        root,
        "leftImg8bit/train/aachen/aachen_1_leftImg8bit.png",
        "gtFine/train/aachen/aachen_1_gtFine_labelIds.png",
        "gtFine/train/aachen/aachen_1_gtFine_labelTrainIds.png",
    )
    return cls(root, "train", **{"target_type": "semantic", **more})


class TrainIds(torchvision.datasets.Cityscapes):  # type: ignore[misc]
    def _get_target_suffix(self, mode: str, target_type: str) -> str:
        return f"{mode}_labelTrainIds.png"


class Remapped(torchvision.datasets.Cityscapes):  # type: ignore[misc]
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index)


class Declared(Dataset):  # type: ignore[type-arg]
    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def __len__(self) -> int:
        return 1


class OwnSubset(Subset):  # type: ignore[type-arg]
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices]


def wrap(dataset: Any) -> Any:
    return torchvision.datasets.wrap_dataset_for_transforms_v2(dataset)


CAMVID, VOC = SCHEMAS["camvid"], SCHEMAS["voc"]
IDS_OF_CITY, TRAIN_IDS = SCHEMAS["cityscapes-labelIds"], SCHEMAS["cityscapes-trainIds"]


@pytest.mark.parametrize(
    ("make", "schema"),
    [
        (cityscapes, IDS_OF_CITY),
        (lambda root: cityscapes(root, TrainIds), TRAIN_IDS),
        (lambda root: cityscapes(root, transform=print), IDS_OF_CITY),
        (lambda root: cityscapes(root, target_transform=print), None),
        (lambda root: cityscapes(root, transforms=print), None),
        (lambda root: cityscapes(root, target_type="instance"), None),
        (lambda root: cityscapes(root, target_type=["semantic", "instance"]), None),
        (lambda root: cityscapes(root, Remapped), None),
        (lambda root: wrap(cityscapes(root)), IDS_OF_CITY),
        (lambda root: wrap(cityscapes(root, TrainIds)), TRAIN_IDS),
        (lambda root: wrap(cityscapes(root, transform=print)), IDS_OF_CITY),
        (lambda root: wrap(cityscapes(root, target_transform=print)), None),
        (lambda root: wrap(cityscapes(root, transforms=print)), None),
        (lambda root: Subset(wrap(cityscapes(root)), [0]), IDS_OF_CITY),
        (lambda root: Subset(Declared(CAMVID), [0]), CAMVID),
        (lambda root: OwnSubset(Declared(CAMVID), [0]), None),
        (lambda root: ConcatDataset([Declared(CAMVID), Subset(Declared(CAMVID), [0])]), CAMVID),
        (lambda root: ConcatDataset([Declared(CAMVID), Declared(VOC)]), None),
        (lambda root: ConcatDataset([Declared(CAMVID), Declared(None)]), None),
        (lambda root: Declared("camvid"), None),
        (lambda root: [(1, 2)], None),
    ],
)
def test_schema_of(tmp_path: Path, make: Callable[[Path], Any], schema: LabelSchema | None) -> None:
    assert schema_of(make(tmp_path)) == schema


def test_schema_of_voc(tmp_path: Path) -> None:
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    put(tmp_path, "VOCdevkit/VOC2012/JPEGImages/x.jpg")
    put(tmp_path, "VOCdevkit/VOC2012/SegmentationClass/x.png", mode="P")
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("x\n")
    dataset = torchvision.datasets.VOCSegmentation(tmp_path)
    assert schema_of(dataset) == VOC
    assert schema_of(wrap(dataset)) == VOC
    assert dataset_keys(dataset) == ["VOCdevkit/VOC2012/JPEGImages/x.jpg"]
    assert open_item(dataset[0], key="k").size_hw == (17, 11)
    assert schema_of(torchvision.datasets.VOCSegmentation(tmp_path, target_transform=print)) is None


def test_given_schema_goes_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("ids: {road: 4}\n")
    for call in (find_schema, require_schema):
        assert call(Declared(CAMVID), "voc") == VOC
        assert call(Declared(CAMVID), VOC) is VOC
        assert call(Declared(CAMVID)) is CAMVID
        mine = call(Declared(CAMVID), file)
        assert mine is not None
        assert mine.ids == {"road": 4}
        with pytest.raises(SchemaError, match="no label schema 'x'"):
            call(Declared(CAMVID), "x")
    assert find_schema(Declared(None)) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: Declared(None), "Declared is not known"),
        (lambda root: cityscapes(root, transforms=print), "transforms may change the ids"),
        (lambda root: cityscapes(root, target_type="instance"), 'class ids are target_type="semantic"'),
        (lambda root: ConcatDataset([Declared(None)]), "parts have different schemas"),
        (lambda root: Subset(Declared(None), [0]), "subset of Declared"),
    ],
)
def test_missing_schema_says_why_and_what_to_pass(tmp_path: Path, make: Callable[[Path], Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        require_schema(make(tmp_path))
    assert "camvid" in caught.value.expected
    assert "--schema" in caught.value.on_command_line()


@pytest.mark.parametrize("wrapped", [False, True])
def test_real_torchvision_cityscapes(real_data: Path, wrapped: bool) -> None:
    root = real_data / "scenes" / "cityscapes"
    dataset: Any = torchvision.datasets.Cityscapes(root, "train", target_type="semantic")
    if wrapped:
        dataset = wrap(dataset)
    assert len(dataset) == 4
    schema = require_schema(dataset)
    assert schema.name == "cityscapes-labelIds"
    sample = open_item(dataset[0], key="0").sample()
    schema.check(sample.labels, "0")
    assert schema.mask(sample.labels, ["road"]).any()


def test_what_needs_a_schema_says_why_it_is_not_known(tmp_path: Path) -> None:
    instances = cityscapes(tmp_path, target_type="instance", mode="fine")
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    with pytest.raises(SchemaError, match=r"target_type=\['instance'\](?s:.*)target_type=\"semantic\"") as caught:
        warm_cache(instances, tmp_path / "a.cache", pipeline, num_variants=1, workers=0)
    assert "add target_type=semantic" in caught.value.on_command_line()
    assert not (tmp_path / "a.cache").exists()


@pytest.mark.parametrize("name", ["Cityscapes-trainids", "cityscapes-trainId"])
def test_close_names_of_schemas_are_offered(name: str) -> None:
    with pytest.raises(SchemaError, match="did you mean cityscapes-trainIds"):
        LabelSchema.load(name)
    with pytest.raises(SchemaError, match=r"no file 'none\.yaml'"):
        LabelSchema.load("none.yaml")
