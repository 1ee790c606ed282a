"""Sizes in presets: metres that are plausible, the papers' sizes, and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from poc_aug import seeding
from poc_aug.camera_model import Camera
from poc_aug.cli.object_sources import load_recipe
from poc_aug.errors import RecipeError, SettingError
from poc_aug.generation.regions import ValidArea, find_region
from poc_aug.presets import load_preset, preset_loading
from poc_aug.presets.object_sizes import known_aspects, known_sizes
from poc_aug.recipe import CAMERAS, FrameSize, PerspectiveSize, PixelSize, Recipe, Rung
from poc_aug.types import Region
from tests.helpers.preset_cases import PAINTED, ROWS, ROWS_OF

POC = [name for name in PAINTED if name != "genval"]


@pytest.mark.parametrize("name", PAINTED)
def test_sizes_are_metres_and_plausible(name: str) -> None:
    for spec in load_preset(name).objects:
        if spec.name == "bird flying":
            assert isinstance(spec.size, FrameSize)
            continue
        assert isinstance(spec.size, PerspectiveSize)
        assert spec.size.size_m is not None
        assert 0.03 <= spec.size.size_m <= 25
        key = {
            "motorcycle": "motorbike with rider",
            "bicycle": "bicycle with rider",
            "truck": "european semi-truck",
        }.get(spec.name, spec.name)
        assert known_sizes()[key] == (spec.size.size_m, spec.size.measure)


def test_a_flying_bird_is_as_large_as_one_some_metres_away() -> None:
    rule = load_preset("poc-animals").spec("bird flying").size
    assert isinstance(rule, FrameSize)
    wings_m, _ = known_sizes()["bird flying"]
    far, near = (wings_m * CAMERAS["cityscapes"].focal / share for share in (rule.min_fraction, rule.max_fraction))
    assert 5 < near < 8
    assert 20 < far < 25


def test_sizes_are_in_the_order_of_nature() -> None:
    recipe = load_preset("poc-coco")

    def metres(name: str) -> float:
        rule = recipe.spec(name).size
        assert isinstance(rule, PerspectiveSize)
        assert rule.size_m is not None
        return rule.size_m

    order = ["apple", "cat", "dog", "sheep", "person", "bus", "train", "giraffe"]
    assert [metres(name) for name in order] == sorted(metres(name) for name in order)


@pytest.mark.parametrize("name", POC)
def test_paper_sizes_of_poc(name: str) -> None:
    recipe = load_preset(name, paper_sizes=True)
    assert recipe.size == PixelSize(min_px=200, max_px=500)
    assert recipe.margin_px == 50
    assert recipe.overlap_on == "box"
    assert (recipe.aspect_min, recipe.aspect_max) == (0.8, 1.2)
    assert recipe.crop_scale == 1.2
    assert recipe.ladder == (
        Rung(size_scale=1.0, min_overlap=0.5),
        Rung(size_scale=0.7, min_overlap=0.3),
        Rung(size_scale=0.7, min_overlap=0.0),
    )
    for spec in recipe.objects:
        if spec.name in ROWS_OF[name]:
            low, high = ROWS[spec.name][2]
            assert spec.size == PixelSize(min_px=low, max_px=high)
        else:
            assert spec.size is None
        assert spec.crop_px == (512 if spec.name == "person" else None)


def test_paper_sizes_change_nothing_else() -> None:
    for name in PAINTED:
        metres, pixels = load_preset(name), load_preset(name, paper_sizes=True)
        for one, other in zip(metres.objects, pixels.objects, strict=True):
            # The paper's boxes have the paper's shape: 0.8 to 1.2.
            changes = {"size": other.size, "crop_px": other.crop_px, "aspect": None}
            assert one.model_copy(update=changes) == other
        changed = {"objects", "size", "margin_px", "overlap_on", "ladder"}
        for field in set(Recipe.model_fields) - changed:
            assert getattr(metres, field) == getattr(pixels, field), field


def test_a_preset_without_paper_sizes_says_which_have_them() -> None:
    with pytest.raises(
        RecipeError, match=r"'obstacles' has no paper sizes(.|\n)*genval, poc-alt(.|\n)*leave paper_sizes out"
    ) as caught:
        load_preset("obstacles", paper_sizes=True)
    assert "leave --paper-sizes out" in caught.value.on_command_line()
    with pytest.raises(RecipeError, match=r"'obstacles' has no paper sizes"):
        load_recipe("rendered", paper_sizes=True)


def test_a_paper_block_of_strange_objects_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"objects": [{"name": "dog"}], "paper": {"objects": {"dgo": {"crop_px": 512}}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    monkeypatch.setattr(preset_loading, "_FOLDER", tmp_path)
    with pytest.raises(RecipeError, match=r"\['dgo'\]"):
        load_preset("mine", paper_sizes=True)
    assert load_preset("mine").objects[0].size is None


def test_real_sizes_of_a_preset_have_to_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data: dict[str, Any] = {"objects": [{"name": "unicorn"}], "size": {"kind": "perspective", "min_px": 30}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**data, "real_sizes": {}}))
    monkeypatch.setattr(preset_loading, "_FOLDER", tmp_path)
    with pytest.raises(SettingError, match=r"'unicorn' is not known"):
        load_preset("mine")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**data, "real_sizes": {"unicorn": "horse"}}))
    assert load_preset("mine").objects[0].size == PerspectiveSize(size_m=known_sizes()["horse"][0], min_px=30)


@pytest.mark.parametrize("name", ["poc-alt", "poc-coco", "poc-animals", "poc-cs-animals", "genval"])
def test_shapes_are_told_in_metres_and_the_papers_in_pixels(name: str) -> None:
    shapes = {spec.name: spec.aspect for spec in load_preset(name).objects}
    assert any(shapes.values())
    for aspect in shapes.values():
        assert aspect is None or 0 < aspect[0] < aspect[1] < 10
    assert all(spec.aspect is None for spec in load_preset(name, paper_sizes=True).objects)
    assert set(known_aspects()) <= set(known_sizes())


def test_low_wide_objects_get_low_wide_boxes() -> None:
    recipe = load_preset("poc-alt")
    spec = recipe.spec("alligator")
    size_hw = (512, 1024)
    camera = Camera(horizon_row=200.0, camera_height_m=1.4, focal_px=1024.0, centre_col=512.0)
    for seed in range(20):
        rng = seeding.generator(seed, "shape")
        region = find_region(ValidArea(None, size_hw), spec, recipe, rng, camera=camera)
        assert isinstance(region, Region)
        _, _, h, w = region.box_yxhw
        assert 2.0 < w / h < 4.3
