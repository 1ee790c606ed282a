"""Which objects of a source, and in which sizes: folders, COCO files, presets and recipe files alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poc_aug.backends.paste.bank import ObjectBank
from poc_aug.backends.paste.bank_recipe import paste_recipe
from poc_aug.backends.paste.paste_inserter import PasteInserter
from poc_aug.cli.object_sources import ObjectChoice, load_objects, load_recipe, make_inserter
from poc_aug.errors import ObjectBankError, SettingError
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.presets import load_preset
from poc_aug.presets.object_sizes import RealSizes, real_size
from poc_aug.recipe import FrameSize, PerspectiveSize, PixelSize, Recipe

PIXELS = PixelSize(min_px=6, max_px=12)
STREET, INDOOR = SCHEMAS["cityscapes-trainIds"], LabelSchema("indoor", {"table": 0, "car": 1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cutouts")
    for name in ("dog", "car", "gizmo"):
        (root / name).mkdir()
        picture = Image.new("RGBA", (51, 37), (0, 0, 0, 0))
        picture.paste((180, 120, 60, 255), (5, 5, 45, 33))
        picture.save(root / name / "one.png")
    return root


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    (root / "images").mkdir()
    Image.fromarray(np.full((90, 110, 3), 120, np.uint8)).save(root / "images" / "a.png")
    names = ("dog", "car", "gizmo")
    square = [10.0, 10.0, 60.0, 10.0, 60.0, 60.0, 10.0, 60.0]
    row = {"image_id": 1, "iscrowd": 0, "bbox": [10, 10, 50, 50], "area": 2500, "segmentation": [square]}
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 110, "height": 90}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [{**row, "id": i + 1, "category_id": i} for i in range(len(names))],
    }
    (root / "instances.json").write_text(json.dumps(data))
    return root / "instances.json"


def names_of(loaded: tuple[Recipe, Any]) -> list[str]:
    recipe, inserter = loaded
    if isinstance(inserter, PasteInserter):
        assert list(inserter.bank.classes()) == [spec.name for spec in recipe.objects]
    return [spec.name for spec in recipe.objects]


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("rule", [PIXELS, FrameSize(min_fraction=0.05, max_fraction=0.2)])
def test_cut_outs_of_any_name_come_in_pixels(folder: Path, coco: Path, rule: PixelSize | FrameSize) -> None:
    for source in (folder, coco):
        recipe, _ = load_objects(str(source), ObjectChoice(sizes=rule))
        assert {spec.size or recipe.size for spec in recipe.objects} == {rule}
        assert "gizmo" in [spec.name for spec in recipe.objects]


def test_cut_outs_in_metres_need_known_names(folder: Path) -> None:
    for changes in (ObjectChoice(), ObjectChoice(sizes="metres")):
        with pytest.raises(SettingError, match="'gizmo' is not known"):
            load_objects(str(folder), changes)
    recipe, _ = load_objects(str(folder), ObjectChoice(real_sizes=RealSizes.from_dict({"Gizmo": 0.4, "dog": 1.0})))
    assert recipe.spec("gizmo").size == PerspectiveSize(size_m=0.4)
    assert recipe.spec("dog").size == PerspectiveSize(size_m=1.0)
    assert recipe.spec("car").size == real_size("car")


def test_paste_recipe_takes_text_tables_and_metres_by_class(folder: Path) -> None:
    bank = ObjectBank.from_folder(folder)
    assert {spec.size for spec in paste_recipe(bank, sizes="6:12px").objects} == {PIXELS}
    table = paste_recipe(bank, sizes=RealSizes.from_dict({"gizmo": 0.4}))
    assert (
        table
        == paste_recipe(bank, sizes={"gizmo": 0.4})
        == paste_recipe(bank, sizes={"gizmo": PerspectiveSize(size_m=0.4)})
    )
    known = bank.keep(["dog", "car"])
    assert paste_recipe(known, sizes="metres") == paste_recipe(known, sizes="perspective") == paste_recipe(known)
    with pytest.raises(SettingError, match="gizmo = -1"):
        paste_recipe(bank, sizes={"gizmo": -1})


def test_presets_and_recipe_files_come_in_pixels(tmp_path: Path, folder: Path) -> None:
    recipe = load_recipe("poc-alt", ObjectChoice(sizes=PIXELS))
    assert {spec.size or recipe.size for spec in recipe.objects} == {PIXELS}
    path = tmp_path / "mine.yaml"
    path.write_text(f"inserter: {{kind: paste, folder: {folder}}}\nrecipe: {{objects: [dog, gizmo]}}")
    loaded, _ = load_objects(str(path), ObjectChoice(sizes=PIXELS))
    assert loaded.size == PIXELS
    path.write_text(f"inserter: {{kind: paste, folder: {folder}, shadow: false}}")
    loaded, inserter = load_objects(str(path), ObjectChoice(sizes=PIXELS, exclude=["car"]))
    assert names_of((loaded, inserter)) == ["dog", "gizmo"]
    assert isinstance(inserter, PasteInserter)
    assert not inserter.shadow


def test_rendered_objects_cannot_be_in_pixels() -> None:
    for rule in (PIXELS, FrameSize()):
        with pytest.raises(SettingError, match=r"metres(.|\n)*need its camera") as caught:
            load_objects("rendered", ObjectChoice(sizes=rule))
        assert "kind pixels" not in caught.value.on_command_line()
        assert "camera={horizon: 0.45}" in caught.value.on_command_line()
    assert load_objects("rendered", ObjectChoice(sizes="metres"))[0] == load_preset("obstacles")


def test_real_sizes_with_sizes_in_pixels_are_an_error() -> None:
    with pytest.raises(SettingError, match=r"real sizes .* with sizes of 6:12px"):
        ObjectChoice(sizes=PIXELS, real_sizes=RealSizes.from_dict({"dog": 1}))


@pytest.mark.parametrize("source", ["folder", "coco"])
def test_cut_outs_have_no_paper_sizes(source: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(SettingError, match="no paper sizes") as caught:
        load_objects(str(request.getfixturevalue(source)), paper_sizes=True)
    assert "--sizes 200:500px" in caught.value.on_command_line()
    assert "--" not in str(caught.value)


# ---------------------------------------------------------------- include, exclude


@pytest.mark.parametrize("source", ["folder", "coco"])
def test_classes_of_a_bank(source: str, request: pytest.FixtureRequest) -> None:
    path = str(request.getfixturevalue(source))
    chosen: list[tuple[dict[str, Any], list[str]]] = [
        ({"include": ["DOG", "gizmo"]}, ["dog", "gizmo"]),
        ({"exclude": ["gizmo"]}, ["car", "dog"]),
        ({"exclude": ["gizmo", "toaster"]}, ["car", "dog"]),
        ({"include": ["car", "dog"], "exclude": ["dog"]}, ["car"]),
    ]
    for changes, expected in chosen:
        assert names_of(load_objects(path, ObjectChoice(sizes=PIXELS, **changes))) == expected
    misspelt: list[tuple[dict[str, Any], str]]
    misspelt = [({"include": ["gismo"]}, "gismo"), ({"exclude": ["gismo"]}, "gismo")]
    for changes, word in misspelt:
        with pytest.raises(SettingError, match=word) as caught:
            load_objects(path, ObjectChoice(sizes=PIXELS, **changes))
        assert "did you mean 'gizmo'?" in caught.value.hint
        assert "car, dog, gizmo" in caught.value.expected
    with pytest.raises(SettingError, match="no object"):
        load_objects(path, ObjectChoice(sizes=PIXELS, include=["dog"], exclude=["dog"]))


def test_objects_of_recipes() -> None:
    assert names_of(load_objects("rendered", ObjectChoice(include=["ball", "Fallen_Barrel"]))) == [
        "ball",
        "fallen barrel",
    ]
    whole = load_preset("poc-alt")
    left = load_recipe("poc-alt", ObjectChoice(exclude=["dog"]))
    assert left.objects == tuple(spec for spec in whole.objects if spec.name != "dog")
    with pytest.raises(SettingError, match="has no 'bal'") as caught:
        load_objects("rendered", ObjectChoice(include=["bal"]))
    assert "'ball'" in caught.value.hint


def test_a_street_leaves_its_own_classes_out_and_says_so(coco: Path) -> None:
    said: list[str] = []
    changes = ObjectChoice(sizes=PIXELS)
    assert names_of(load_objects(str(coco), changes, schema=STREET, say=said.append)) == ["dog", "gizmo"]
    assert len(said) == 1
    assert "car" in said[0]
    assert "--include" in said[0]
    said.clear()
    for schema in (INDOOR, SCHEMAS["voc"], None):
        assert names_of(load_objects(str(coco), changes, schema=schema, say=said.append)) == ["car", "dog", "gizmo"]
    asked = ObjectChoice(sizes=PIXELS, include=["car", "dog"])
    assert names_of(load_objects(str(coco), asked, schema=STREET, say=said.append)) == ["car", "dog"]
    assert not said
    with pytest.raises(ObjectBankError, match="labelled in street datasets: car"):
        load_objects(str(coco), ObjectChoice(sizes=PIXELS, exclude=["dog", "gizmo"]), schema=STREET)


def test_the_chosen_bank_is_the_bank_of_these_classes(coco: Path) -> None:
    _, inserter = load_objects(str(coco), ObjectChoice(sizes=PIXELS), schema=STREET)
    assert isinstance(inserter, PasteInserter)
    expected = ObjectBank.from_coco(coco, coco.parent / "images", exclude=("car",))
    assert inserter.bank.describe() == expected.describe()
    assert inserter.bank.dropped == expected.dropped


def test_a_recipe_file_names_classes_and_may_name_cars(tmp_path: Path, coco: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"inserter: {{kind: paste, coco: {coco}}}\nrecipe: {{objects: [car, dog]}}")
    _, inserter = load_objects(str(path), schema=STREET)
    assert isinstance(inserter, PasteInserter)
    assert set(inserter.bank.classes()) == {"car", "dog", "gizmo"}
    for settings, expected in (
        ({}, ("dog", "gizmo")),
        ({"exclude": []}, ("car", "dog", "gizmo")),
        ({"exclude": ["dog", "person"]}, ("car", "gizmo")),
        ({"include": ["car"]}, ("car",)),
    ):
        made = make_inserter({"kind": "paste", "coco": str(coco), **settings})
        assert isinstance(made, PasteInserter)
        assert made.bank.classes() == expected
    with pytest.raises(SettingError, match="include = 3"):
        make_inserter({"kind": "paste", "coco": str(coco), "include": 3})


def test_a_field_is_given_once() -> None:
    with pytest.raises(SettingError, match="seed of the recipe given twice"):
        load_recipe("poc-alt", ObjectChoice(seed=1, extra={"seed": 2}))
