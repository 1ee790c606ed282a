"""The papers' sets hold what the papers' tables say; the tables are written out here once more."""

from __future__ import annotations

from typing import Any

import pytest

from poc_aug.errors import SettingError
from poc_aug.labels.policies import AnomalyLabels, NewClassLabels, OodLabels
from poc_aug.labels.schema import SCHEMAS
from poc_aug.paper_sets import load_set, set_names
from poc_aug.paper_sets.set_loading import set_from_yaml
from poc_aug.recipe import PAPER_LADDER, PixelSize
from tests.helpers.preset_cases import NEW, ROWS

# By set: dataset, splits, frames, drawn, preset, variants, form of the labels, first id.
TABLE: dict[str, tuple[str, tuple[str, ...], int, int | None, str, int, str, int]] = {
    "cs-poc": ("cityscapes", ("val",), 500, None, "poc-alt", 3, "anomaly", 19),
    "idd-poc": ("idd", ("val",), 981, None, "poc-alt", 3, "anomaly", 19),
    "acdc-poc": ("acdc", ("val",), 406, 200, "poc-alt", 3, "anomaly", 100),
    "poc-alt": ("cityscapes", ("train",), 2975, None, "poc-alt", 3, "ood", 19),
    "poc-coco": ("cityscapes", ("train",), 2975, None, "poc-coco", 3, "ood", 19),
    "poc-a": ("cityscapes", ("train", "val"), 3475, None, "poc-animals", 3, "ids", 19),
    "poc-a-t2i-crop": ("cityscapes", ("train", "val"), 3475, None, "poc-animals", 3, "ids", 19),
    "poc-a-t2i-full": ("cityscapes", ("train", "val"), 3475, None, "poc-animals", 3, "ids", 19),
    "poc-cs-a": ("cityscapes", ("train", "val"), 3475, None, "poc-cs-animals", 3, "ids", 19),
    "poc-cs-a-t2i-crop": ("cityscapes", ("train", "val"), 3475, None, "poc-cs-animals", 3, "ids", 19),
    "poc-cs-a-t2i-full": ("cityscapes", ("train", "val"), 3475, None, "poc-cs-animals", 3, "ids", 19),
    "genval": ("cityscapes", ("val",), 500, None, "genval", 1, "anomaly", 19),
}
COUNTS = {"poc-alt": 25, "poc-coco": 72, "poc-animals": 6, "poc-cs-animals": 6, "genval": 42}


def test_the_sets_are_listed_in_the_papers_order() -> None:
    assert set_names() == list(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_set_is_what_its_table_says(name: str) -> None:
    found = load_set(name)
    kind, splits, frames, drawn, preset, variants, labels, first = TABLE[name]
    assert (found.name, found.data.type, found.data.splits, found.data.frames) == (name, kind, splits, frames)
    assert (found.data.drawn, found.preset, found.variants) == (drawn, preset, variants)
    assert (found.labels, found.first_id) == (labels, first)
    assert found.unknown
    assert found.source.startswith("GenVal" if name == "genval" else "POC (ECCV 2024, arXiv 2402.16392)")


@pytest.mark.parametrize("name", TABLE)
def test_new_classes_are_counted_and_numbered_as_in_the_papers(name: str) -> None:
    found, start = load_set(name), TABLE[name][-1]
    names = NEW[found.preset]
    assert len(names) == COUNTS[found.preset]
    expected = {new: start + place for place, new in enumerate(names) if new != "train"}
    assert list(found.new_classes.items()) == list(expected.items())
    assert len({*found.new_classes.values()} & {*found.label_schema.known_ids}) == 0


@pytest.mark.parametrize("name", TABLE)
def test_each_policy_knows_every_class(name: str) -> None:
    found = load_set(name)
    parts = {part for spec in found.recipe().objects for part in spec.parts}
    own = {"anomaly": AnomalyLabels, "ood": OodLabels, "ids": NewClassLabels}[found.labels]
    assert isinstance(found.label_policy(), own)
    schema = found.label_schema
    new = set(found.new_classes)
    assert {part for part, value in found.label_policy("anomaly").resolve(parts, schema).items() if value} == new
    assert {part for part, value in found.label_policy("ood").resolve(parts, schema).items() if value == 254} == new
    ids = found.label_policy("ids").resolve(parts, schema)
    assert {part: ids[part] for part in new} == found.new_classes
    rows = {part: number for row in ROWS.values() for part, number in zip(row[0], row[1], strict=True)}
    names = SCHEMAS["cityscapes-trainIds"]
    assert {part: ids[part] for part in parts - new} == {part: schema.id_of(part) for part in parts - new}
    assert all(rows[part] == names.id_of(part) for part in parts - new)


@pytest.mark.parametrize("name", [name for name in TABLE if "t2i" not in name and name != "genval"])
def test_pocs_recipe_is_in_pixels(name: str) -> None:
    recipe, models = load_set(name).recipe(), load_set(name).models
    assert (recipe.size, recipe.margin_px, recipe.ladder) == (PixelSize(min_px=200, max_px=500), 50, PAPER_LADDER)
    assert (recipe.objects_per_variant, recipe.crop_scale, recipe.seed) == ((1, 1), 1.2, 0)
    assert (recipe.min_inside_box, recipe.min_area_of_crop) == (0.95, 0.01)
    assert recipe.locate_by == ("labels" if name == "acdc-poc" else "locator")
    assert models.backend_args == {"steps": 50, "guidance": 7.5}
    assert models.annotator_args == {"box_threshold": 0.3, "text_threshold": 0.25}
    assert (models.backend, models.model) == ("diffusion", "sd2-community/stable-diffusion-2-inpainting")


@pytest.mark.parametrize("mode", ["full", "crop"])
@pytest.mark.parametrize("base", ["poc-a", "poc-cs-a"])
def test_baselines_paste_squares_of_512_px_anywhere(base: str, mode: str) -> None:
    found, painted = load_set(f"{base}-t2i-{mode}"), load_set(base)
    recipe = found.recipe()
    assert [spec.name for spec in recipe.objects] == [spec.name for spec in painted.recipe().objects]
    assert (recipe.size, recipe.margin_px, recipe.location) == (PixelSize(min_px=512, max_px=513), 50, ())
    assert found.models.backend == "text-to-image"
    assert found.models.backend_args["paste"] == mode
    assert found.new_classes == painted.new_classes


def test_genvals_recipe_has_two_passes() -> None:
    recipe = load_set("genval").recipe()
    assert recipe.size == PixelSize(min_px=256, max_px=512)
    assert [(step.guidance, step.strength) for step in recipe.passes] == [(15.0, 1.0), (None, 0.65)]
    assert load_set("genval").models.annotator_args == {"box_threshold": 0.25, "text_threshold": 0.25, "nms_iou": 0.8}


@pytest.mark.parametrize(
    ("name", "close"), [("cs_poc", "cs-poc"), ("CS-POC", "cs-poc"), ("poc-altt", "poc-alt"), ("acdc", "acdc-poc")]
)
def test_an_unknown_set_lists_those_there_are(name: str, close: str) -> None:
    with pytest.raises(SettingError) as caught:
        load_set(name)
    assert f"no set {name!r}" in caught.value.problem
    assert all(known in caught.value.expected for known in TABLE)
    assert close in caught.value.hint


def test_nothing_like_a_set_is_not_guessed() -> None:
    with pytest.raises(SettingError, match=r"no set '🙂'"):
        load_set("🙂")
    with pytest.raises(SettingError) as caught:
        load_set("../cs-poc.yaml/..")
    assert "did you mean" in caught.value.hint


GOOD = """
title: mine
source: nowhere
data: {type: cityscapes, args: {split: val}, frames: 3}
preset: poc-alt
models: {backend: diffusion, model: a/b, detector: c/d, segmenter: e/f}
variants: 1
labels: ood
first_id: 19
export: {layout: cs-synth, labels: ood}
"""


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("variants: 1", "variants: 1\nvariant: 2", "variant = 2: Extra inputs"),
        ("variants: 1", "variants: 0", "variants = 0"),
        ("variants: 1", "variants: three", "variants = 'three'"),
        ("labels: ood\nf", "labels: void\nf", "labels = 'void'"),
        ("type: cityscapes", "type: kitti", "data.type = 'kitti'"),
        ("frames: 3", "frames: 3, town: ulm", "data.town = 'ulm': Extra inputs"),
        ("backend: diffusion", "backend: gan", "models.backend = 'gan'"),
        ("title: mine", "title: [", "Expected: a YAML mapping"),
    ],
)
def test_a_broken_definition_names_the_field(before: str, after: str, named: str) -> None:
    assert set_from_yaml(GOOD, "mine").name == "mine"
    with pytest.raises(SettingError, match="mine") as caught:
        set_from_yaml(GOOD.replace(before, after), "mine")
    assert named in str(caught.value)


def test_label_forms_are_checked() -> None:
    form: Any = "void"
    with pytest.raises(SettingError, match="label form 'void'"):
        load_set("cs-poc").label_policy(form)
