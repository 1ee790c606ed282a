"""Recipes as sources of objects: files, presets that need a backend, changes, and what is no recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from poc_aug.cli.object_sources import ObjectChoice, load_objects, load_recipe
from poc_aug.errors import RecipeError, SettingError
from poc_aug.presets import load_preset
from poc_aug.recipe import CAMERAS
from tests.helpers.preset_cases import PAINTED


@pytest.mark.parametrize("name", PAINTED)
def test_objects_that_cannot_be_rendered_need_a_backend(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"'{name}'(.|\n)*cannot be rendered(.|\n)*DiffusionInserter") as caught:
        load_objects(name)
    assert "--backend diffusion --model ID" in caught.value.on_command_line()
    assert load_recipe(name) == load_preset(name)
    assert load_recipe(name, paper_sizes=True) == load_preset(name, paper_sizes=True)


def test_recipes_of_rendered_objects() -> None:
    recipe, _ = load_objects("obstacles")
    assert load_recipe("rendered") == load_recipe("obstacles") == recipe == load_preset("obstacles")


def test_changes_apply_to_a_recipe_alone() -> None:
    changes = ObjectChoice(seed=7, camera="cityscapes", location=["road", "sidewalk"], per_variant=(1, 2))
    recipe = load_recipe("poc-alt", changes, paper_sizes=True)
    assert recipe.seed == 7
    assert recipe.camera == CAMERAS["cityscapes"]
    assert recipe.location == ("road", "sidewalk")
    assert recipe.objects_per_variant == (1, 2)
    assert recipe.objects == load_preset("poc-alt", paper_sizes=True).objects


def test_recipe_files_are_bare_or_with_an_inserter(tmp_path: Path) -> None:
    recipe = load_preset("poc-animals")
    path = tmp_path / "mine.yaml"
    recipe.to_yaml(path)
    assert load_recipe(str(path)) == recipe
    assert load_recipe(str(path), ObjectChoice(seed=3)).seed == 3
    path.write_text(yaml.safe_dump({"recipe": recipe.to_dict(), "inserter": {"kind": "rendered"}}))
    assert load_recipe(str(path)) == recipe
    path.write_text(yaml.safe_dump({"recipe": recipe.to_dict()}))
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("inserter: {kind: rendered}", "NoneType"),
        ("recipe: poc-alt", "str"),
        ("recipe: {objects: [dog]}\nbackend: diffusion", "backend"),
        ("objects: []", "objects"),
        ("objects: [dog]\nsizes: 3", "sizes"),
        ("- dog", "list"),
    ],
)
def test_files_that_are_no_recipe_are_errors(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=word):
        load_recipe(str(path))


def test_sources_without_a_recipe_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "instances.json"):
        with pytest.raises(RecipeError, match=r"cut-outs(.|\n)*load_objects") as caught:
            load_recipe(str(path))
        assert "leave --backend out" in caught.value.on_command_line()
    with pytest.raises(SettingError, match=r"no objects 'poc-atl'(.|\n)*poc-alt"):
        load_recipe("poc-atl")
    with pytest.raises(RecipeError, match=r"no file"):
        load_recipe(str(tmp_path / "none.yaml"))
    path = tmp_path / "mine.yaml"
    path.write_text("objects: [dog]")
    with pytest.raises(SettingError, match=r"no paper sizes(.|\n)*poc-alt"):
        load_recipe(str(path), paper_sizes=True)
    with pytest.raises(RecipeError, match=r"a recipe alone") as refused:
        load_objects(str(path))
    assert "--backend diffusion --model ID" in refused.value.on_command_line()
