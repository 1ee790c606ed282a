"""The presets hold what the papers' tables say; the tables are written out here once more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poc_aug.presets import load_preset, preset_names
from poc_aug.recipe import PixelSize, Recipe
from tests.helpers.preset_cases import NEW, PAINTED, ROWS, ROWS_OF

# Words that an article makes of the paper's, where it is not "a" or "an" alone.
COUNTED = {
    "a pair of scissors": "scissors",
    "a pair of skis": "skis",
    "a mattress dumped on the street": "matress dumped on the street",
}
NO_ARTICLE = {"broccoli", "graffiti", *(f"{what} dumped on the street" for what in ("furniture", "garbage", "clothes"))}
BEFORE_VOWELS_BY_SOUND = {"SUV": "an", "European": "a"}


def bare(prompt: str) -> str:
    """A prompt as the papers' tables have it: no articles (but "the"), no capitals."""
    return COUNTED.get(prompt, re.sub(r"\b(a|an) ", "", prompt).lower())


def test_all_presets_are_there() -> None:
    assert preset_names() == sorted([*PAINTED, "obstacles"])


@pytest.mark.parametrize("name", PAINTED)
def test_objects_are_the_papers_in_their_order(name: str) -> None:
    recipe = load_preset(name)
    rows = [row for row in ROWS_OF[name] if row not in NEW[name]]
    assert [spec.name for spec in recipe.objects] == [*NEW[name], *rows]
    for spec in recipe.objects:
        if spec.name in ROWS_OF[name]:
            parts, _, _, prompts = ROWS[spec.name]
            assert spec.parts == parts
            assert [bare(prompt) for prompt in spec.prompts] == prompts
        else:
            assert spec.parts == (spec.name,)
            assert [bare(prompt) for prompt in spec.prompts] == [spec.name]


def test_numbers_of_objects() -> None:
    counts = {name: len(load_preset(name).objects) for name in PAINTED}
    # 72 of COCO, train among them, and six rows more.
    assert counts == {"poc-alt": 32, "poc-coco": 78, "poc-animals": 6, "poc-cs-animals": 12, "genval": 42}


@pytest.mark.parametrize("name", PAINTED)
def test_prompts_are_good_english(name: str) -> None:
    recipe = load_preset(name)
    assert recipe.prompt_template == ("A photo of {object}" if name == "genval" else "A good photo of {object}")
    for spec in recipe.objects:
        for prompt in spec.prompts:
            if prompt in NO_ARTICLE:
                continue
            article, noun = prompt.split()[:2]
            by_letter = "an" if noun[0].lower() in "aeiou" else "a"
            assert article == BEFORE_VOWELS_BY_SOUND.get(noun, by_letter), prompt


@pytest.mark.parametrize("name", PAINTED)
def test_detected_texts_are_short_nouns(name: str) -> None:
    for spec in load_preset(name).objects:
        assert len(spec.detect) == len(spec.parts)
        for text in spec.detect:
            assert len(text.split()) <= 2
            assert not re.search(r"\b(a|an|the|on|with|dumped|flying)\b", text)


def test_two_parts_end_with_the_one_that_has_to_be_found() -> None:
    for name in ("poc-alt", "poc-coco", "poc-cs-animals"):
        two = {spec.parts for spec in load_preset(name).objects if len(spec.parts) > 1}
        assert two == {("rider", "motorcycle"), ("rider", "bicycle")}
        assert load_preset(name).spec("bicycle").detect == ("rider", "bicycle")


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("name", PAINTED)
def test_objects_stand_on_the_road_and_birds_fly_anywhere(name: str, paper: bool) -> None:
    recipe = load_preset(name, paper_sizes=paper)
    assert recipe.location == ("road",)
    anywhere = [spec.name for spec in recipe.objects if spec.location == ()]
    assert anywhere == [spec.name for spec in recipe.objects if spec.name == "bird flying"]
    assert all(spec.location is None for spec in recipe.objects if spec.name not in anywhere)
    assert recipe.objects_per_variant == (1, 1)
    assert recipe.max_sigma_px >= 1


def test_genval_paints_in_two_passes() -> None:
    for paper in (False, True):
        recipe = load_preset("genval", paper_sizes=paper)
        first, second = recipe.passes
        assert (first.guidance, first.strength, first.mask_blur_px) == (15, 1, 128)
        assert second.strength == 0.65
        assert recipe.crop_scale == 1.5
        assert (recipe.aspect_min, recipe.aspect_max) == (1, 1)
    assert recipe.size == PixelSize(min_px=256, max_px=512)
    assert all(spec.size is None for spec in recipe.objects)


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("name", PAINTED)
def test_fingerprints_survive_yaml_and_differ(name: str, paper: bool, tmp_path: Path) -> None:
    recipe = load_preset(name, paper_sizes=paper)
    recipe.to_yaml(tmp_path / "recipe.yaml")
    again = Recipe.from_yaml(tmp_path / "recipe.yaml")
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint
    assert load_preset(name, paper_sizes=paper).fingerprint == recipe.fingerprint
    assert load_preset(name, paper_sizes=not paper).fingerprint != recipe.fingerprint
