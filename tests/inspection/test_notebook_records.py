"""What a notebook shows of samples, insertions, variants, caches, schemas and recipes, and what `show()` draws."""

from __future__ import annotations

import base64
import io
import pickle
import re
import struct
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.cache import Cache, CacheWriter, Manifest, UnitedCaches
from poc_aug.composer import Composed, Composer
from poc_aug.errors import SchemaError, SettingError
from poc_aug.inspection.label_colours import IGNORED_RGB, colour_of, label_panel, vivid
from poc_aug.inspection.record_views import placed_on_grey
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.labels.policies import OodLabels
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.recipe import Recipe
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.types import Insertion, Part, Sample, ShiftedFrame, Variant
from tests.helpers.cache_cases import RECORDS, make_frame_variant, make_insertion, make_manifest, make_variant
from tests.helpers.fakes import SCHEMA, Frames, make_recipe, make_sample

HOSTILE = "<img src=x onerror=alert(1)>\"'&\n\x1b[31m" + "x" * 5000


class Elements(HTMLParser):
    """The elements of a page, and their attributes; fails on one that was not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.values: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.values += [(name, value or "") for name, value in attrs]
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def pictures(self) -> list[Image.Image]:
        addresses = [value for name, value in self.values if name == "src"]
        assert all(re.match(r"data:image/(png|jpeg);base64,", address) for address in addresses)
        return [Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) for address in addresses]


def shown(thing: Any) -> Elements:
    """What a notebook shows: it must be harmless whatever it holds, and not too wide."""
    elements = Elements(thing._repr_html_())
    assert set(elements.names) <= {"div", "b", "table", "tr", "td", "th", "img", "p", "span"}
    assert {name for name, _ in elements.values} <= {"class", "style", "src", "alt"}
    assert all(picture.width <= 900 for picture in elements.pictures())
    assert all(char.isprintable() for char in elements.text)
    return elements


def test_a_sample_shows_its_image_and_labels() -> None:
    sample = make_sample(size_hw=(60, 90))
    elements = shown(sample)
    image, labels = elements.pictures()
    assert image.size == (360, 240)  # enlarged in whole steps
    difference = np.asarray(image)[::4, ::4].astype(int) - sample.image.permute(1, 2, 0).numpy()
    assert np.abs(difference).mean() < 20  # noise, after JPEG
    assert labels.size == image.size
    assert "Sample frame-000" in elements.text
    assert "60 × 90 pixels" in elements.text
    assert "id 0 66%" in elements.text


def test_labels_have_the_colours_of_their_ids_and_names_by_a_schema() -> None:
    labels = torch.tensor([[0, 1, 255, 9]], dtype=torch.uint8)
    image = torch.zeros(3, 1, 4, dtype=torch.uint8)
    panel, legend = label_panel(labels, image, SCHEMA, {"dog": 9, "cat": 9})
    colours = [entry.colour for entry in legend]
    assert colours == [vivid(0), colour_of(0), colour_of(1), IGNORED_RGB]
    assert [entry.text for entry in legend] == ["dog, cat (9) 25%", "road (0) 25%", "sky (1) 25%", "ignored (255) 25%"]
    # On black, a pixel is the colour of its id by the strength of the overlay.
    pixels = [panel.picture.getpixel((x, 0)) for x in range(4)]
    expected = [(colour_of(0), 0.6), (colour_of(1), 0.6), (IGNORED_RGB, 0.6), (vivid(0), 0.8)]
    assert pixels == [tuple(round(strength * level) for level in colour) for colour, strength in expected]


def test_the_legend_of_many_ids_ends() -> None:
    labels = torch.arange(3000, dtype=torch.int32).reshape(50, 60)
    legend = label_panel(labels, torch.zeros(3, 50, 60, dtype=torch.uint8))[1]
    assert len(legend) == 25
    assert legend[-1].text == "and 2976 more ids"


def test_common_classes_have_colours_of_their_own() -> None:
    colours = np.array([colour_of(label_id) for label_id in range(20)], float)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(20)
    assert distances.min() > 30


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 4000), (4000, 1), (3000, 2000)])
def test_frames_of_any_size_are_shown_and_drawn(size_hw: tuple[int, int]) -> None:
    sample = Sample(torch.zeros(3, *size_hw, dtype=torch.uint8), torch.zeros(size_hw, dtype=torch.int64), "a")
    assert len(shown(sample).pictures()) == 2
    assert sample.show().width <= 900


def test_show_returns_a_picture_of_the_width_that_is_asked_for() -> None:
    sample = make_sample(size_hw=(600, 900))
    assert sample.show().width == 900
    assert sample.show("cityscapes-trainIds", width_px=300).width == 300
    picture = sample.show(SCHEMA)
    assert picture.mode == "RGB"
    for width in (63, 8193, "900", None):
        with pytest.raises(SettingError, match="width_px"):
            sample.show(width_px=width)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="no label schema 'nothing'"):
        sample.show("nothing")


def test_depth_is_shown() -> None:
    depth_m = torch.tensor([[0.0, 50.0, torch.inf, torch.nan]])
    sample = Sample(torch.zeros(3, 1, 4, dtype=torch.uint8), torch.zeros(1, 4, dtype=torch.uint8), "a", None, depth_m)
    depth = shown(sample).pictures()[2]
    assert [depth.getpixel((4 * x, 0)) for x in range(4)] == [(255,) * 3, (128,) * 3, (0,) * 3, (0,) * 3]


def test_an_insertion_shows_its_patch_on_grey_and_its_classes() -> None:
    elements = shown(make_insertion(3, parts=2))
    patch, masks = elements.pictures()
    assert patch.getpixel((0, 0)) == (128, 128, 128)
    assert patch.size == masks.size == (44, 68)
    for text in ("Insertion of gnu", "part 0 (score 0.75), part 1 (score 0.50)", "y 3, x 3, 17 × 11 pixels", "a gnu"):
        assert text in elements.text


def test_an_insertion_shows_in_its_frame() -> None:
    sample, insertion = make_sample(), make_insertion(3)
    picture = insertion.show(sample)
    plain = replace(insertion, patch=torch.zeros_like(insertion.patch)).show(sample)
    assert picture.size == plain.size
    assert np.any(np.asarray(picture) != np.asarray(plain))  # the object is in the picture
    with pytest.raises(SettingError, match=r"frame='frame-000' of 8×8 pixels .* at y 3, x 3 of 17×11"):
        insertion.show(make_sample(size_hw=(8, 8)))


def test_a_variant_shows_where_its_objects_stand() -> None:
    blue = torch.zeros(3, 40, 20, dtype=torch.uint8)
    blue[2] = 200
    part = Part("cup", torch.ones(40, 20, dtype=torch.bool), 0.5)
    cup = Insertion((100, 300, 40, 20), blue, (part,), None, None, "cup", max_sigma_px=0.0)
    variant = Variant("a.png", 1, struct.pack("<II", 200, 400) + bytes(768), (cup,))
    objects, masks = (panel.picture for panel in placed_on_grey(variant))
    assert objects.size == masks.size == (400, 200)
    inside, outside = (310, 120), (290, 120)
    assert objects.getpixel(inside) == (0, 0, 200)
    assert objects.getpixel(outside) == (128, 128, 128)
    assert masks.getpixel(inside) == vivid(0)
    text = shown(variant).text
    assert "Variant 1 of a.png" in text
    assert "cup 0.50, 40×20 px (h×w) at y 100, x 300" in text
    # A digest that says nothing, and the largest frame that it can name.
    for digest in (b"", struct.pack("<II", 2**32 - 1, 2**32 - 1) + bytes(768)):
        assert len(shown(replace(variant, digest=digest)).pictures()) == 4


@pytest.mark.parametrize("make", [make_variant, make_frame_variant])
def test_variants_of_every_form_are_shown(make: Any) -> None:
    for number in range(12):
        variant = make(number)
        elements = shown(variant)
        assert variant.show().width <= 900
        assert bool(elements.pictures()) != variant.is_empty
    assert "Nothing was inserted" in shown(make_variant(0)).text
    assert "not detected: 1" in shown(make_variant(0)).text


def test_a_shifted_frame_shows_before_and_after() -> None:
    sample = make_sample()
    frame = ShiftedFrame(255 - sample.image, "fog", 4, {"agreement": 0.875})
    variant = Variant("a@fog-4", 0, b"", (), frame=frame)
    assert len(shown(frame).pictures()) == len(shown(variant).pictures()) == 1
    assert "fog, severity 4" in shown(variant).text
    assert "agreement0.875" in shown(variant).text
    assert variant.show(sample).width > variant.show().width


def test_hostile_names_stay_text() -> None:
    part = Part(HOSTILE, torch.ones(17, 11, dtype=torch.bool))
    insertion = replace(make_insertion(0), object_name=HOSTILE, parts=(part,), provenance={HOSTILE: HOSTILE})
    variant = Variant(HOSTILE, 0, b"", (insertion,))
    sample = replace(make_sample(), key=HOSTILE)
    schema = LabelSchema(HOSTILE, {HOSTILE: 0})
    frame = ShiftedFrame(sample.image, HOSTILE, 3, {HOSTILE: HOSTILE})
    composed = Composed(sample.image, sample.labels, HOSTILE, variant, {HOSTILE: 1}, schema=schema)
    for thing in (insertion, variant, sample, schema, frame, composed, Recipe.from_dict({"objects": [HOSTILE]})):
        elements = shown(thing)
        assert "<img src=x onerror" in elements.text  # as text
        assert "\\n\\x1b[31mxxx" in elements.text
        assert len(elements.text) < 6000
    for picture in (insertion.show(), variant.show(), sample.show(schema), composed.show()):
        assert picture.width <= 900


def test_what_cannot_be_shown_says_so() -> None:
    broken = Sample(torch.zeros(3, 4, 8), torch.zeros(2, 2), "<b>")
    elements = shown(broken)
    assert "cannot be shown" in elements.text
    with pytest.raises(Exception, match=r".") as error:
        broken.show()
    assert type(error.value).__name__ in elements.text
    assert "cannot be shown: ItemFormatError" in shown(Composed("image", "labels", "a", None, {})).text


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RECORDS[0].cache(tmp_path_factory.mktemp("shown") / "street.cache", count=30)


def test_a_cache_shows_what_it_is_and_some_of_what_it_holds(cache_path: Path) -> None:
    with Cache.open(cache_path) as cache:
        elements = shown(cache)
        before = repr(cache)
        assert cache.show().width <= 900
    assert before == f"Cache({str(cache_path)!r}, fingerprint={cache.manifest.fingerprint!r})"
    assert "Cache street.cache: insertions" in elements.text
    assert str(cache_path.parent) not in elements.text  # no path of the machine
    for text in ("samples10", "variants30", "objectsgnu"):
        assert text in elements.text
    assert len(elements.pictures()) == 6
    assert "was closed" in shown(cache).text


def test_frames_and_several_caches_are_shown(cache_path: Path, tmp_path: Path) -> None:
    with Cache.open(RECORDS[1].cache(tmp_path / "dusk.cache")) as frames:
        elements = shown(frames)
    assert "Cache dusk.cache: shifted frames" in elements.text
    assert "dusk-2" in elements.text
    with UnitedCaches([[Cache.open(cache_path)], [Cache.open(cache_path)]]) as united:
        elements = shown(united)
        assert united.show().width <= 900
    assert "2 caches, 60 variants" in elements.text
    assert len(elements.pictures()) == 12


def test_a_cache_with_damage_shows_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "damaged.cache"
    with CacheWriter(path, make_manifest()) as writer:
        writer.put_many([make_variant(1), make_variant(2)])
    shard = next((path / "shards").glob("*.lmdb"))
    data = bytearray(shard.read_bytes())
    with Cache.open(path) as cache:
        record = cache.raw("street/0000", 1)
    assert record is not None
    at = data.index(record[:200]) + len(record) - 1
    data[at] ^= 255
    shard.write_bytes(bytes(data))
    with Cache.open(path) as cache:
        elements = shown(cache)
    assert "variant 1 of 'street/0000' cannot be read" in elements.text
    assert len(elements.pictures()) == 2


def test_what_a_composer_returns_is_shown(tmp_path: Path) -> None:
    frames = Frames(1)
    image, labels = frames[0]
    path = tmp_path / "a.cache"
    with Composer(_one_cup(path, make_sample()), OodLabels(254), schema=SCHEMA, p=1.0) as composer:
        composed = composer.compose(image, labels, key="frame-000")
        plain = composer.compose(image, labels, key="frame-000")
        assert composer.stats().items == 1
    elements = shown(composed)
    assert elements.pictures()[0].size == (260, 192)
    for text in ("Composed frame-000", "schema test", "1, variant 0", "cup 1.00", "cup (254)", "road (0)"):
        assert text in elements.text
    assert composed.show().width <= 900
    assert "none was inserted" in shown(replace(plain, variant=None)).text
    image, labels = composed
    assert labels.getextrema() == (0, 255)


def _one_cup(path: Path, sample: Sample) -> Path:
    mask = torch.ones(8, 6, dtype=torch.bool)
    patch = torch.full((3, 8, 6), 250, dtype=torch.uint8)
    cup = Insertion((30, 20, 8, 6), patch, (Part("cup", mask),), None, None, "cup", max_sigma_px=2.0)
    recipe = make_recipe(objects=["cup"]).to_dict()
    with CacheWriter(path, Manifest.create(recipe, {}, {})) as writer:
        writer.put(Variant(sample.key, 0, digest_of_sample(sample), (cup,)))
    return path


def test_a_schema_is_a_table_of_ids_and_classes() -> None:
    elements = shown(SCHEMAS["cityscapes-labelIds"])
    assert elements.names.count("tr") == 1 + len(set(SCHEMAS["cityscapes-labelIds"].ids.values()))
    assert "7roadground" in elements.text
    assert "0unlabeledignored" in elements.text
    assert "-1license plate" in elements.text
    assert "and 900 more ids" in shown(LabelSchema("wide", {f"c{n}": n for n in range(1000)}, ignore=())).text


def test_a_recipe_is_a_table_of_objects() -> None:
    recipe = Recipe.from_dict({"objects": ["dog", {"name": "rider", "parts": ["rider", "bicycle"]}], "seed": 7})
    elements = shown(recipe)
    assert "seed7" in elements.text
    assert "riderrider, bicycle" in elements.text
    assert recipe.fingerprint in elements.text
    assert "objectpartsdog" in elements.text  # columns that say nothing are left out
    scenes = shown(SceneRecipe(domains=("fog", "night"), severities=(1, 3)))
    assert "Recipe of 4 scene shifts" in scenes.text
    assert "fog, night" in scenes.text


def test_records_are_pickled_and_have_slots_as_before() -> None:
    for thing in (make_variant(5), make_insertion(2), make_sample(), SCHEMA, make_recipe()):
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing)
    for slotted in (make_variant(5), make_insertion(2), make_sample()):
        assert not hasattr(slotted, "__dict__")
