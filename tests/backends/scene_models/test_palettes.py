"""Label maps as conditions of a ControlNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from poc_aug.backends.scene_models.palettes import Palette, ade20k_colours
from poc_aug.errors import SchemaError, SettingError
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from tests.helpers.small_scenes import street_frame


@pytest.mark.parametrize("name", ["cityscapes-labelIds", "cityscapes-trainIds", "camvid", "idd-lite"])
def test_the_known_driving_schemas_have_colours(name: str) -> None:
    schema = SCHEMAS[name]
    Palette().check(schema)
    for label_id in set(schema.ids.values()) - set(schema.ignore):
        colour = Palette().encode(torch.full((1, 1), label_id), schema)
        assert bool(colour.any())


def test_ade20k_is_the_public_table() -> None:
    colours = ade20k_colours()
    assert len(colours) == 150
    assert list(colours)[:3] == ["wall", "building", "sky"]
    assert (colours["wall"], colours["sky"], colours["flag"]) == ((120, 120, 120), (6, 230, 230), (92, 0, 255))
    assert (colours["person"], colours["car"], colours["bicycle"]) == ((150, 5, 61), (0, 102, 200), (255, 245, 0))


def test_a_real_frame_in_ade20k_colours(real_data: Path) -> None:
    frame = street_frame(real_data, 0)
    condition = Palette().encode(frame.labels, frame.schema)
    assert condition.shape == (3, *frame.size_hw)
    assert condition.dtype == torch.float32
    for name, colour in (("road", "road"), ("vegetation", "tree"), ("car", "car"), ("pole", "pole")):
        pixels = frame.labels == SCHEMAS["cityscapes-labelIds"].id_of(name)
        expected = torch.tensor(ade20k_colours()[colour]) / 255
        assert torch.equal(condition[:, pixels].T, expected.expand(int(pixels.sum()), 3))


def test_one_channel_is_genvals() -> None:
    labels = torch.arange(34, dtype=torch.uint8)[None]
    condition = Palette("one-channel").encode(labels, SCHEMAS["cityscapes-labelIds"])
    assert torch.allclose(condition[0, 0], (torch.arange(34) + 1) / 34)


def test_one_hot_has_a_channel_per_class_in_any_batch() -> None:
    schema = LabelSchema("mine", {"a": 3, "b": 7, "c": 3, "hole": 5}, ignore=(5, 255))
    palette = Palette("one-hot")
    assert (palette.channels(schema), palette.channels(None)) == (2, None)
    labels = torch.tensor([[[3, 7, 5]], [[255, 250, 3]]], dtype=torch.uint8)
    assert palette.encode(labels, schema).tolist() == [[[[1, 0, 0]], [[0, 1, 0]]], [[[0, 0, 1]], [[0, 0, 0]]]]


def test_anomalies_and_unknown_ids_are_zero() -> None:
    schema = LabelSchema("ood", {"road": 0, "anomaly": 9}, ood=("anomaly",))
    condition = Palette().encode(torch.tensor([[0, 9, 254, -1]]), schema)
    assert condition.any(0).tolist() == [[True, False, False, False]]


def test_a_table_can_be_edited(tmp_path: Path) -> None:
    schema = LabelSchema("mine", {"Road": 0, "traffic_cone": 1, "kerb": 2, "street": 0})
    file = tmp_path / "classes.yaml"
    file.write_text("road: path\nTraffic-Cone: [1, 2, 3]\nkerb: sidewalk\n")
    mine = Palette(classes=file)
    colours = (mine.encode(torch.tensor([[0, 1, 2]]), schema) * 255).round().int()[:, 0].T.tolist()
    assert colours == [list(ade20k_colours()["path"]), [1, 2, 3], list(ade20k_colours()["sidewalk"])]
    with pytest.raises(SchemaError) as error:
        Palette().check(schema)
    assert "no colour for 2 classes of schema 'mine': traffic_cone, kerb" in error.value.problem
    assert "classes={'traffic_cone': 'box'}" in error.value.hint
    assert mine.describe() != Palette().describe()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"kerb": "curbstone"}, "'kerb' is 'curbstone', which ADE20K does not have"),
        ({"kerb": [1, 2]}, "'kerb' is [1, 2]"),
        ({"kerb": [1, 2, 256]}, "'kerb' is [1, 2, 256]"),
        ({"kerb": None}, "'kerb' is None"),
    ],
)
def test_tables_that_are_wrong(classes: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError) as error:
        Palette(classes=classes)
    assert message in error.value.problem


def test_palettes_that_do_not_exist() -> None:
    with pytest.raises(SettingError, match="one of: ade20k, one-hot, one-channel"):
        Palette("cityscapes")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="a table for 'ade20k' only"):
        Palette("one-hot", {"road": "road"})
    with pytest.raises(SchemaError, match="not known"):
        Palette().encode(torch.zeros(1, 1, dtype=torch.uint8), None)
