from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.errors import RecipeError
from poc_aug.recipe import CAMERAS, ObjectSpec, PerspectiveSize, Recipe


def test_round_trip_through_dict_and_yaml(tmp_path: Path) -> None:
    recipe = Recipe(
        objects=(
            ObjectSpec(name="dog", size=PerspectiveSize(size_m=0.6), location=()),
            ObjectSpec(name="cyclist", prompts=("a cyclist", "a woman on a bicycle"), parts=("rider", "bicycle")),
        ),
        camera=CAMERAS["kitti"],
        objects_per_variant=(1, 3),
    )
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    recipe.to_yaml(tmp_path / "recipe.yaml")
    again = Recipe.from_yaml(tmp_path / "recipe.yaml")
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint


def test_the_fingerprint_sees_every_field() -> None:
    recipe = Recipe.from_dict({"objects": ["dog", "cat"]})
    assert recipe.fingerprint == Recipe.from_dict({"objects": ["dog", "cat"]}).fingerprint
    changes: list[dict[str, object]] = [
        {"seed": 1},
        {"objects": ["dog"]},
        {"objects": ["cat", "dog"]},
        {"size": {"kind": "pixels", "min_px": 10, "max_px": 20}},
        {"max_sigma_px": 2.0},
        {"camera": {"height_m": 1.0}},
        {"ladder": [{"min_overlap": 0.2}]},
    ]
    prints = {recipe.with_changes(**change).fingerprint for change in changes}
    assert len(prints | {recipe.fingerprint}) == len(changes) + 1


def test_one_text_is_one_prompt() -> None:
    (spec,) = Recipe.from_dict({"objects": [{"name": "sheep", "prompts": "a sheep", "parts": "animal"}]}).objects
    assert spec.prompts == ("a sheep",)
    assert spec.parts == ("animal",)


def test_defaults_of_an_object() -> None:
    (spec,) = Recipe.from_dict({"objects": ["dog"]}).objects
    assert spec.prompts == ("dog",)
    assert spec.parts == ("dog",)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"objects": []}, "objects"),
        ({"objects": ["dog", "dog"]}, "dog"),
        ({"objects": ["dog"], "colour": 1}, "colour"),
        ({"objects": ["dog"], "attempts": 0}, "attempts"),
        ({"objects": ["dog"], "objects_per_variant": [3, 1]}, "objects_per_variant"),
        ({"objects": ["dog"], "objects_per_variant": [0, 0]}, "objects_per_variant"),
        ({"objects": [{"name": "dog", "parts": 3}]}, "parts"),
        ({"objects": [{"name": "dog", "parts": ["a", "a"]}]}, "different"),
        ({"objects": [{"name": "dog", "prompts": ["a dog", " "]}]}, "empty"),
        ({"objects": ["dog"], "size": {"kind": "pixels", "min_px": 30, "max_px": 20}}, "max_px"),
        ({"objects": ["dog"], "size": {"kind": "frame", "min_fraction": 0.5, "max_fraction": 0.2}}, "max_fraction"),
        ({"objects": ["dog"], "aspect_min": 2.0}, "aspect_max"),
        ({"objects": ["dog"], "max_sigma_px": float("nan")}, "max_sigma_px"),
    ],
)
def test_a_bad_field_is_named(data: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        Recipe.from_dict(data)


def test_unknown_object_lists_the_known(tmp_path: Path) -> None:
    recipe = Recipe.from_dict({"objects": ["dog", "cat"]})
    assert recipe.spec("cat").name == "cat"
    with pytest.raises(RecipeError, match="dog, cat"):
        recipe.spec("cow")


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"missing\.yaml"):
        Recipe.from_yaml(tmp_path / "missing.yaml")
    (tmp_path / "broken.yaml").write_text("objects: [dog\n")
    with pytest.raises(RecipeError, match="not YAML"):
        Recipe.from_yaml(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- dog\n")
    with pytest.raises(RecipeError, match="list"):
        Recipe.from_yaml(tmp_path / "list.yaml")


@pytest.mark.parametrize("aspect", [[2.0, 1.0], [0.0, 1.0], [1.0], [-1.0, 2.0]])
def test_an_objects_aspect_is_checked(aspect: list[float]) -> None:
    with pytest.raises(RecipeError, match="aspect"):
        Recipe.from_dict({"objects": [{"name": "dog", "aspect": aspect}]})
    assert Recipe.from_dict({"objects": [{"name": "dog", "aspect": [1.0, 1.0]}]}).objects[0].aspect == (1.0, 1.0)
