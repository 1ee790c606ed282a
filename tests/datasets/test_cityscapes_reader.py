"""The reader of Cityscapes: splits, ids, and what it says of folders that lack one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poc_aug.datasets import cityscapes
from poc_aug.errors import DatasetError
from poc_aug.keys import dataset_keys
from poc_aug.labels.detect import schema_of
from tests.helpers.set_trees import cityscapes_tree
from tests.helpers.small_files import pairs


def test_one_split_and_both(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path)
    val = "leftImg8bit/val/frankfurt/frankfurt_00000{}_000019_leftImg8bit.png"
    assert pairs(cityscapes(root, "val")) == [
        (val.format(number), f"gtFine/val/frankfurt/frankfurt_00000{number}_000019_gtFine_labelTrainIds.png")
        for number in range(2)
    ]
    both = dataset_keys(cityscapes(root, ["train", "val"]))
    assert both == dataset_keys(cityscapes(root, "train")) + dataset_keys(cityscapes(root, "val"))
    assert len(set(both)) == 4


def test_ids_decide_files_and_schema(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path, ("val",), frames=1)
    for ids, road in (("trainIds", 0), ("labelIds", 7)):
        dataset = cityscapes(root, "val", ids=ids)  # type: ignore[arg-type]
        schema = schema_of(dataset)
        assert schema is not None
        assert schema.name == f"cityscapes-{ids}"
        assert dataset[0][1].getpixel((0, 60)) == road == schema.id_of("road")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"split": "test"}, "split='test' is not known"),
        ({"split": ("train", "vall")}, "split='vall' is not known"),
        ({"split": ()}, "split='' is not known"),
        ({"ids": "csTrainIds"}, "ids='csTrainIds' is not known"),
        ({"split": "val"}, "leftImg8bit/val/"),
        ({"split": ("train", "val")}, "leftImg8bit/val/"),
    ],
)
def test_what_is_wrong_is_named(arguments: dict[str, Any], problem: str, tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path, ("train",), frames=1)
    with pytest.raises(DatasetError) as caught:
        cityscapes(root, **arguments)
    assert problem in caught.value.problem
