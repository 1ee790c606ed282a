"""Sizes as they are typed, real sizes of one's own, and recipes in either."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poc_aug.errors import SettingError
from poc_aug.presets import load_preset
from poc_aug.presets.object_sizes import RealSizes, known_real_sizes, known_sizes, real_size
from poc_aug.presets.size_choice import parse_sizes, sizes_text, with_sizes
from poc_aug.recipe import FrameSize, PerspectiveSize, PixelSize, Recipe


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("40:120px", PixelSize(min_px=40, max_px=120)),
        (" 4:5px ", PixelSize(min_px=4, max_px=5)),
        ("0.05:0.2", FrameSize(min_fraction=0.05, max_fraction=0.2)),
        (".5:1", FrameSize(min_fraction=0.5, max_fraction=1)),
        ("metres", "metres"),
        ("meters", "metres"),
    ],
)
def test_sizes_are_read(text: str, rule: object) -> None:
    assert parse_sizes(text) == rule
    assert parse_sizes(sizes_text(parse_sizes(text))) == rule


@given(st.integers(4, 5000), st.integers(1, 5000))
def test_every_range_of_pixels_is_read(low: int, more: int) -> None:
    assert parse_sizes(f"{low}:{low + more}px") == PixelSize(min_px=low, max_px=low + more)


_WRONG = """40:120|40px|px|120:40px|80:80px|-40:120px|3:9px|40.5:120px|40:120 px|40-120px|40:80:120px|40:px|:40px|
0.2:0.05|0.1:0.1|1:2|0:0.5|-0.1:0.2|0.5:1.5|5%:20%|1e-2:0.2|inf:inf|nan:nan|٤٠:١٢٠px|４:９px|²:³px|metre|big|40:120PX"""


@pytest.mark.parametrize("text", ["", *_WRONG.replace("\n", "").split("|")])
def test_other_sizes_are_errors_that_show_the_three_forms(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_sizes(text)
    assert repr(text) in caught.value.problem
    for form in ("40:120px", "0.05:0.2", "metres"):
        assert form in caught.value.expected


@pytest.mark.parametrize(
    ("text", "meant"), [("40:120", "40:120px"), ("120:40px", "40:120px"), ("0.2:0.05", "0.05:0.2")]
)
def test_what_was_meant_is_offered(text: str, meant: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_sizes(text)
    assert meant in caught.value.hint


# ---------------------------------------------------------------- real sizes of one's own


@pytest.mark.parametrize(
    ("data", "name", "rule"),
    [
        ({"mug": 0.1}, "Mug", PerspectiveSize(size_m=0.1)),
        ({"height": {"tea pot": 1}}, "tea_pot", PerspectiveSize(size_m=1.0)),
        ({"longest": {"plate": 0.27}}, "plate", PerspectiveSize(size_m=0.27, measure="longest")),
        ({"longest": {"dog": 1.0}}, "dog", PerspectiveSize(size_m=1.0, measure="longest")),
    ],
)
def test_both_forms_of_a_table(data: dict[str, Any], name: str, rule: PerspectiveSize) -> None:
    sizes = RealSizes.from_dict(data)
    assert name in sizes
    assert sizes.rule(name) == rule
    assert sizes.over(known_real_sizes()).rule(name) == rule
    assert sizes.over(known_real_sizes()).rule("european semi-truck") == real_size("European Semi Truck")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{mug: 0}", "mug = 0"),
        ("{mug: -0.1}", "mug = -0.1"),
        ("{mug: .inf}", "mug = inf"),
        ("{mug: .nan}", "mug = nan"),
        ("{mug: true}", "mug = True"),
        ("{mug: '0.1'}", "mug = '0.1'"),
        ("{mug: 0.1, plate: {height: 1}}", "plate"),
        ("{no: 0.1}", "False"),
        ("{mug: 0.1, MUG: 0.2}", "twice"),
        ("{height: {mug: 0.1}, longest: {mug: 0.2}}", "twice"),
        ("{height: {mug: 0.1}, size: {cup: 0.2}}", "size"),
        ("{height: {mug: 0.1}, longest: 3}", "3"),
        ("{height: {mug: 0.1}, aspect: {mug: [2, 1]}}", "2, 1"),
        ("{height: {mug: 0.1}, aspect: {mug: 1}}", "aspect of mug = 1"),
        ("{height: {}}", "no sizes"),
        ("[mug]", "list"),
    ],
)
def test_tables_are_checked(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "sizes.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match=r"sizes\.yaml") as caught:
        RealSizes.from_yaml(path)
    assert word in caught.value.problem


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(SettingError, match=re.escape(str(path))):
            RealSizes.from_yaml(path)


def test_an_unknown_size_names_each_callers_ways_out() -> None:
    with pytest.raises(SettingError) as caught:
        real_size("unicorn")
    assert "sizes={'unicorn': 0.5}" in str(caught.value)
    assert "--" not in str(caught.value)
    told = caught.value.on_command_line()
    assert "--sizes 40:120px" in told
    assert "--sizes-file FILE.yaml" in told
    assert "sizes=" not in told


# ---------------------------------------------------------------- recipes in other sizes


@pytest.mark.parametrize("text", ["40:120px", "0.05:0.2"])
@pytest.mark.parametrize("name", ["poc-alt", "genval"])
def test_one_size_for_all_objects_of_a_preset(name: str, text: str) -> None:
    recipe = with_sizes(load_preset(name), parse_sizes(text))
    assert {(spec.size or recipe.size) for spec in recipe.objects} == {parse_sizes(text)}
    assert [spec.name for spec in recipe.objects] == [spec.name for spec in load_preset(name).objects]


def test_metres_replace_pixels_and_keep_metres() -> None:
    recipe = Recipe.from_dict(
        {
            "objects": [
                {"name": "dog", "size": {"kind": "perspective", "size_m": 0.9}},
                {"name": "car", "size": {"kind": "pixels", "min_px": 10, "max_px": 20}},
                "sheep",
            ],
            "size": {"kind": "frame"},
        }
    )
    sized = with_sizes(recipe, "metres")
    assert sized.spec("dog").size == PerspectiveSize(size_m=0.9)
    assert sized.spec("car").size == real_size("car")
    assert sized.spec("car").aspect == known_real_sizes().aspect("car")
    assert sized.spec("sheep").size == real_size("sheep")
    own = with_sizes(recipe, "metres", RealSizes.from_dict({"dog": 0.3, "sheep": 2.0}))
    assert own.spec("dog").size == PerspectiveSize(size_m=0.3)
    assert own.spec("sheep").size == PerspectiveSize(size_m=2.0)
    assert own.spec("car") == sized.spec("car")


def test_metres_keep_a_presets_limits() -> None:
    recipe = load_preset("poc-alt")
    assert with_sizes(recipe, "metres") == recipe
    own = with_sizes(recipe, "metres", RealSizes.from_dict({"dog": 1.0}))
    dog = recipe.spec("dog").size
    assert isinstance(dog, PerspectiveSize)
    assert own.spec("dog").size == dog.model_copy(update={"size_m": 1.0})
    assert [spec for spec in own.objects if spec.name != "dog"] == [
        spec for spec in recipe.objects if spec.name != "dog"
    ]


def test_rendered_objects_keep_their_own_metres() -> None:
    recipe = load_preset("obstacles")
    assert with_sizes(recipe, "metres", inherent=True) == recipe
    sized = with_sizes(recipe, "metres", RealSizes.from_dict({"ball": 0.5}), inherent=True)
    assert sized.spec("ball").size == PerspectiveSize(size_m=0.5, jitter=0.0, min_px=16)
    assert sized.spec("barrel") == recipe.spec("barrel")


def test_the_table_is_the_same_by_either_way() -> None:
    assert all(real_size(name).size_m == metres for name, (metres, _) in known_sizes().items())
