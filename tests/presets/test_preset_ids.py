"""Label ids of presets: in the papers' order, and known to label policies."""

from __future__ import annotations

import re

import pytest

from poc_aug.errors import RecipeError, SettingError
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels
from poc_aug.labels.schema import SCHEMAS
from poc_aug.presets import load_preset, preset_ids
from tests.helpers.preset_cases import ANIMALS, NEW, PAINTED, ROWS, ROWS_OF


@pytest.mark.parametrize("start", [19, 100])
@pytest.mark.parametrize("name", PAINTED)
def test_ids_count_up_in_the_papers_order(name: str, start: int) -> None:
    expected = {new: start + place for place, new in enumerate(NEW[name]) if new != "train"}
    assert preset_ids(name, start) == expected
    assert preset_ids(name, start=start) == expected


def test_ids_of_the_papers() -> None:
    assert preset_ids("poc-alt")["stroller"] == 19
    assert preset_ids("poc-alt")["monkey"] == 43
    assert preset_ids("poc-alt", start=100)["stroller"] == 100
    coco = preset_ids("poc-coco")
    assert (coco["airplane"], coco["toothbrush"], coco["tv"], coco["zebra"]) == (19, 84, 86, 90)
    assert 85 not in coco.values()
    assert preset_ids("poc-animals") == dict(zip(re.split(", ", ANIMALS), range(19, 25), strict=True))
    assert preset_ids("poc-cs-animals") == preset_ids("poc-animals")
    assert list(preset_ids("genval").values()) == list(range(19, 61))


@pytest.mark.parametrize("name", PAINTED)
def test_label_policies_know_every_class_of_a_preset(name: str) -> None:
    train_ids = SCHEMAS["cityscapes-trainIds"]
    names = {part for spec in load_preset(name).objects for part in spec.parts}
    ids = NewClassLabels(preset_ids(name)).resolve(names, train_ids)
    assert set(ids) == names
    assert len(set(ids.values())) == len(names)
    for row in ROWS_OF[name]:
        parts, expected, _, _ = ROWS[row]
        assert tuple(ids[part] for part in parts) == expected
    anomalies = AnomalyLabels().resolve(names, train_ids)
    assert {part for part, label in anomalies.items() if label == 1} == set(preset_ids(name))


def test_ids_on_label_ids_are_acdcs() -> None:
    names = {part for spec in load_preset("poc-alt").objects for part in spec.parts}
    ids = NewClassLabels(preset_ids("poc-alt", start=100)).resolve(names, SCHEMAS["cityscapes-labelIds"])
    known = {"rider": 25, "bicycle": 33, "motorcycle": 32, "train": 31, "bus": 28, "person": 24, "car": 26, "truck": 27}
    assert {name: ids[name] for name in known} == known
    assert sorted(ids[name] for name in set(names) - set(known)) == list(range(100, 125))


def test_wrong_ids_are_errors() -> None:
    with pytest.raises(SettingError, match=r"start=-1"):
        preset_ids("poc-alt", start=-1)
    with pytest.raises(RecipeError, match=r"no preset 'poc'(.|\n)*poc-alt"):
        preset_ids("poc")
