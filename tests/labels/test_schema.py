from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from poc_aug.errors import SchemaError
from poc_aug.labels.schema import SCHEMAS, LabelSchema


def test_cityscapes_ids_are_torchvisions() -> None:
    label_ids, train_ids = SCHEMAS["cityscapes-labelIds"], SCHEMAS["cityscapes-trainIds"]
    for entry in torchvision.datasets.Cityscapes.classes:
        assert label_ids.id_of(entry.name) == entry.id
        assert (entry.id in label_ids.ignore) == entry.ignore_in_eval
        if not entry.ignore_in_eval:
            assert train_ids.id_of(entry.name) == entry.train_id
    assert len(train_ids.ids) == 19


def test_unknown_class_lists_the_known() -> None:
    with pytest.raises(SchemaError, match="sidewalk"):
        SCHEMAS["camvid"].id_of("pavement of gold")


def test_masks() -> None:
    labels = torch.tensor([[3, 4, 5], [11, 3, 0]])
    schema = SCHEMAS["camvid"]
    assert schema.mask(labels, ("road", "sidewalk")).tolist() == [[True, True, False], [False, True, False]]
    assert schema.ignored(labels).tolist() == [[False] * 3, [True, False, False]]
    assert not schema.mask(labels, ()).any()


def test_ids_that_the_dtype_cannot_hold_are_nowhere() -> None:
    labels = torch.tensor([[255, 0]], dtype=torch.uint8)
    assert not SCHEMAS["cityscapes-labelIds"].mask(labels, ("license plate",)).any()
    assert SCHEMAS["cityscapes-labelIds"].mask(torch.tensor([[-1, 0]]), ("license plate",)).tolist() == [[True, False]]


def test_spelling_makes_no_difference() -> None:
    schema = SCHEMAS["cityscapes-trainIds"]
    assert schema.id_of("Traffic_Light") == schema.id_of("traffic-light") == 6
    assert "ROAD" in schema
    assert "sea" not in schema
    assert SCHEMAS["voc"].id_of("tv") == SCHEMAS["voc"].id_of("tv monitor")
    assert SCHEMAS["camvid"].id_of("person") == SCHEMAS["camvid"].id_of("pedestrian")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_ids_of_another_schema_are_noticed(dtype: torch.dtype) -> None:
    SCHEMAS["camvid"].check(torch.tensor([[3, 11]], dtype=dtype), "a")
    with pytest.raises(SchemaError, match=r"'frame 7'.*\[19\]"):
        SCHEMAS["camvid"].check(torch.tensor([[3, 19]], dtype=dtype), "frame 7")


def test_load_by_name_and_file(tmp_path: Path) -> None:
    assert LabelSchema.load("voc") is SCHEMAS["voc"]
    path = tmp_path / "mine.yaml"
    path.write_text("ids: {road: 1, roof: 2}\nignore: [0]\nground: [road]\n")
    schema = LabelSchema.load(path)
    assert (schema.name, schema.id_of("roof"), schema.ignore, schema.ground) == ("mine", 2, (0,), ("road",))
    with pytest.raises(SchemaError, match="camvid"):
        LabelSchema.load("cityscape")
    path.write_text("ids: {road: wide}\n")
    with pytest.raises(SchemaError, match="wide"):
        LabelSchema.load(path)
    path.write_text("ids: {road: 1}\nignore: 255\n")
    with pytest.raises(SchemaError, match="255"):
        LabelSchema.load(path)
    path.write_text("ids: {road: 1}\nground: [street]\n")
    with pytest.raises(SchemaError, match="street"):
        LabelSchema.load(path)


@pytest.mark.parametrize("text", ["classes: {road: 0}", "ids: {road: zero}", "ids: [road]", "name: street"])
def test_a_file_that_is_no_schema_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "street.yaml").write_text(text)
    with pytest.raises(SchemaError, match=r"street\.yaml'"):
        LabelSchema.load(tmp_path / "street.yaml")
    with pytest.raises(SchemaError, match="no label schema"):
        LabelSchema.load("x" * 256)


def test_the_beginning_of_a_name_brings_all_that_begin_so() -> None:
    with pytest.raises(SchemaError) as caught:
        LabelSchema.load("cityscapes")
    assert "cityscapes-labelIds" in caught.value.hint
    assert "cityscapes-trainIds" in caught.value.hint
    assert "fishyscapes" not in caught.value.hint
